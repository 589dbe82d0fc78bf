package keptfile

import (
	"errors"
	"os"
	"syscall"
)

// sharingViolation is what Windows says of a file that another has for itself.
const sharingViolation = syscall.Errno(32)

// openLocked opens a file, and makes it if there is none; others may only read it until it is closed.
func openLocked(name string) (*os.File, error) {
	path, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	h, err := syscall.CreateFile(path, syscall.GENERIC_READ|syscall.GENERIC_WRITE, syscall.FILE_SHARE_READ, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, ErrHeld
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(h), name), nil
}

// removeLocked closes a file and removes it. One that another has opened meanwhile cannot be removed, and stays.
func removeLocked(file *os.File) error {
	err := file.Close()
	_ = os.Remove(file.Name()) // the next one who has it removes it
	return err
}
