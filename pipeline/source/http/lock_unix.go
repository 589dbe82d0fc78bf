//go:build unix && !aix && !solaris

package http

import (
	"os"
	"syscall"
)

// lock locks a file while it is open, however the process ends. It does not wait.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
