package stages

import (
	"errors"
	"io/fs"
	"os"
)

// A stamp tells one state of a file from another.
type stamp struct {
	info fs.FileInfo
	err  error // why there is no info
}

// same says whether nothing tells the two apart. A stamp with neither info nor err is the same as
// no other, not even itself.
func (s stamp) same(o stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil && s.err != nil && o.err != nil && s.err.Error() == o.err.Error()
	}
	return os.SameFile(s.info, o.info) && s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime()) &&
		changedAt(s.info).Equal(changedAt(o.info))
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err // the line in the log has the file's name already
		}
		return stamp{err: err}
	}
	return stamp{info: info}
}
