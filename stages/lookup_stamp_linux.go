package stages

import (
	"io/fs"
	"syscall"
	"time"
)

// changedAt is when anything of the file was last changed. Programs can set back the time
// of a file's content, and a new file may get the number of one that is gone; nobody sets
// back this.
func changedAt(info fs.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Ctim.Unix())
	}
	return time.Time{}
}
