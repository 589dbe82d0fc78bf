//go:build unix

package tail

import (
	"os"
	"syscall"
)

// fileID tells which file it is that was looked at.
func fileID(_ string, info os.FileInfo) (identity, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, os.ErrInvalid
	}
	return identity{Device: uint64(st.Dev), Inode: uint64(st.Ino)}, nil
}

// openShared opens a file for reading, and does not wait where a pipe stands in its place.
func openShared(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}
