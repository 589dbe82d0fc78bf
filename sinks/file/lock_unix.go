//go:build unix && !aix && !solaris

package filesink

import (
	"errors"
	"os"
	"syscall"
)

// lockFile keeps other processes, and other sinks of this one, from writing the file
// while it is open.
func lockFile(g *os.File) error {
	err := syscall.Flock(int(g.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
