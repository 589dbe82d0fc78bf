//go:build !windows && (!unix || aix || solaris)

package keptfile

import (
	"errors"
	"os"
)

// openLocked opens a file, and makes it if there is none. There are no locks here that a crash gives up, so that it keeps
// nobody away.
func openLocked(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
}

// removeLocked removes the file and closes it.
func removeLocked(file *os.File) error {
	return errors.Join(os.Remove(file.Name()), file.Close())
}
