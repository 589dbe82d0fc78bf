package stages

import (
	"io/fs"
	"syscall"
	"time"
)

// changedAt is when anything of the file was last changed. Programs can set the time of a
// file's content back, and a new file may get the inode number of one that was removed; this time
// nobody can set.
func changedAt(info fs.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Ctim.Unix())
	}
	return time.Time{}
}
