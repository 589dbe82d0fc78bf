package event

import (
	"os"
	"syscall"
)

// identity gives the device and the number of what is behind f.
func identity(f *os.File) (device, inode uint64, ok bool) {
	st, err := f.Stat()
	if err != nil {
		return 0, 0, false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return sys.Dev, sys.Ino, true
}
