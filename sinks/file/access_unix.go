//go:build linux || darwin || freebsd

package filesink

import (
	"os"

	"golang.org/x/sys/unix"
)

// mayWrite says why nothing can be made in a folder: no right to it, or a disk that is read-only. nil: nothing says so.
func mayWrite(dir *os.File) error {
	return unix.Faccessat(int(dir.Fd()), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}
