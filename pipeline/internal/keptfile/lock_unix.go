//go:build unix && !aix && !solaris

package keptfile

import (
	"errors"
	"os"
	"syscall"
)

// openLocked opens a file, and makes it if there is none, with a lock that ends when it is closed.
func openLocked(name string) (*os.File, error) {
	for {
		file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(ErrHeld, file.Close())
		}
		if err != nil && !errors.Is(err, errors.ErrUnsupported) { // a file system without locks keeps nobody away
			return nil, errors.Join(&os.PathError{Op: "locking", Path: name, Err: err}, file.Close())
		}
		if sameFile(file, name) {
			return file, nil
		}
		// Whoever had the lock has removed the file since it was opened: this lock is on nothing.
		if err := file.Close(); err != nil {
			return nil, err
		}
	}
}

// sameFile says whether a file that is open still has a name.
func sameFile(file *os.File, name string) bool {
	mine, err := file.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(name)
	return err == nil && os.SameFile(mine, now)
}

// removeLocked removes a file while it is locked, so that nobody loses a lock on it, and closes it. One that
// somebody else has made in its place is not its own.
func removeLocked(file *os.File) error {
	var err error
	if sameFile(file, file.Name()) {
		err = os.Remove(file.Name())
	}
	return errors.Join(err, file.Close())
}
