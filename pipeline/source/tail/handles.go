package tail

import (
	"path/filepath"
	"time"
)

// This file bounds how many files are open.

// openFile opens a file, in place of the one that was used longest ago when there are too many. false: it cannot be opened now.
func (t *Source) openFile(f *file) bool {
	t.uses++
	if f.h != nil {
		f.used = t.uses
		return true
	}
	if t.opened >= t.s.MaxOpen && !t.closeOldest() {
		return false
	}
	h, err := openShared(f.path)
	if err != nil {
		t.tellOnce(f.path, err, "a file that is followed cannot be opened now; it is tried again")
		return false
	}
	info, err := h.Stat()
	if err == nil {
		var id identity
		if id, err = fileID(f.path, info); err == nil && id != f.id { // another has come in its place
			t.nextScan = time.Time{}
			_ = h.Close() // nothing was written
			return false
		}
	}
	if err != nil {
		_ = h.Close() // nothing was written
		return false
	}
	delete(t.told, f.path)
	f.h, f.used = h, t.uses
	t.opened++
	return true
}

// closeOldest closes the file that was used longest ago. Of those that nothing leads to but that they are open, none is closed.
func (t *Source) closeOldest() bool {
	var oldest *file
	for _, f := range t.files {
		if f.h == nil {
			continue
		}
		if !f.away.IsZero() {
			if at, err := findIn(filepath.Dir(f.path), f.id); err != nil || at.path == "" {
				continue
			}
		}
		if oldest == nil || f.used < oldest.used {
			oldest = f
		}
	}
	if oldest == nil {
		return false
	}
	t.closeFile(oldest)
	return true
}

func (t *Source) closeFile(f *file) {
	if f.h != nil {
		_ = f.h.Close() // nothing was written
		f.h = nil
		t.opened--
	}
}
