package tail

// This file bounds how many files are open.

// openFile opens a file, in place of the one that was used longest ago when there are too many. false: it cannot be opened now.
func (t *Source) openFile(f *file) bool {
	if f.h != nil {
		t.opened.MoveToBack(f.turn)
		return true
	}
	if t.opened.Len() >= t.s.MaxOpen && !t.closeOldest() {
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
			t.scanSoon()
			_ = h.Close() // nothing was written
			return false
		}
	}
	if err != nil {
		_ = h.Close() // nothing was written
		return false
	}
	delete(t.told, f.path)
	f.h, f.turn = h, t.opened.PushBack(f)
	return true
}

// closeTries is how many files are tried before it is another file's turn to be looked at: each is a look at its path.
const closeTries = 16

// closeOldest closes the file that was used longest ago. Of those that nothing leads to but that they are open, none is closed.
func (t *Source) closeOldest() bool {
	for range min(closeTries, t.opened.Len()) {
		oldest := t.opened.Front()
		f := oldest.Value.(*file)
		if at, ok := lookAt(f.path); f.away.IsZero() || ok && at.id == f.id {
			t.closeFile(f)
			return true
		}
		t.opened.MoveToBack(oldest)
	}
	return false
}

func (t *Source) closeFile(f *file) {
	if f.h != nil {
		_ = f.h.Close() // nothing was written
		f.h = nil
		t.opened.Remove(f.turn)
		f.turn = nil
	}
}
