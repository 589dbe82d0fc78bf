package tail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file is about where reading begins: the files of the position are found again, wherever they are by now.

// begin takes the position, finds the files again, and stores where it begins.
func (t *Source) begin() error {
	if err := t.takePosition(); err != nil {
		return err
	}
	p, first, err := t.load()
	if err != nil {
		return err
	}
	t.next = p.Next
	now := time.Now()
	v := t.survey()
	t.tellEmpty(v.found)
	for _, s := range p.Files {
		if err := t.resume(s, v, now); err != nil {
			return err
		}
	}
	known := t.known()
	for _, at := range v.found {
		if known[at.id] {
			continue
		}
		f := t.add(at)
		if first && t.s.From == "end" {
			if err := t.beginAtEnd(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return &pipeline.EnvironmentError{Err: fmt.Errorf("looking for the end of %s: %w", f.path, err)}
			}
		}
	}
	if t.s.Stop == "end" {
		for _, f := range t.files {
			info, err := os.Stat(f.path)
			if err == nil {
				f.bound = info.Size()
			}
		}
	}
	t.nextScan = time.Now().Add(t.s.Scan)
	if err := t.save(); err != nil {
		return &pipeline.EnvironmentError{Err: err}
	}
	return nil
}

// resume follows a file of the position on. One that has other content by now is another file. The error is an EnvironmentError: nobody
// knows whether the file is there.
func (t *Source) resume(s storedFile, v *survey, now time.Time) error {
	at, away, err := v.find(s)
	if err != nil { // to go on without it would read it from its start when it can be seen again
		return &pipeline.EnvironmentError{Err: fmt.Errorf("looking for a file that was followed: its folder cannot be listed: %w; let this user list it", err)}
	}
	if at.path == "" {
		t.tellGone(s)
		return nil
	}
	if away && !s.Away && at.path == s.Path { // the files that are followed are others by now; this may be one of them again
		t.others = append(t.others, s)
		return nil
	}
	f := &file{id: at.id, name: s.Name, number: s.Number, path: at.path, bound: -1}
	h, err := openShared(at.path)
	if err != nil { // it is looked at again; what stands in it is compared then
		t.events.Log().Warn().Err(err).Msg("a file that is followed cannot be opened now")
		f.offset, f.unproved = s.Offset, &s
	} else {
		defer h.Close() // nothing was written
		size, err := h.Seek(0, io.SeekEnd)
		if err != nil || size < s.Offset || !s.holds(h) || f.goOn(h, s.Offset) != nil {
			if away {
				t.tellGone(s)
				return nil
			}
			if s.isReadToItsEnd() {
				t.events.Log().Info().Str("path", at.path).Int64("offset", s.Offset).
					Msg("a file was cut or written anew while nobody followed it: it is read from its start; all lines that had been seen of it before were read")
				return nil
			}
			t.events.Log().Warn().Str("path", at.path).Int64("offset", s.Offset).
				Msg("a file was cut or written anew while nobody followed it: it is read from its start, and what stood behind this offset before was not read")
			return nil // begin adds it as a new one
		}
	}
	f.from, f.committed, f.fetched, f.end = f.offset, f.offset, f.offset, f.offset
	f.kept, f.headSum, f.headN, f.seen = s.Check, s.Head, s.HeadBytes, s.Seen
	if away {
		f.away, f.grew = now, now
	}
	t.mu.Lock()
	t.files = append(t.files, f)
	t.mu.Unlock()
	return nil
}

// tellEmpty tells which patterns have no file yet: one that was mistyped never has.
func (t *Source) tellEmpty(found []foundFile) {
	for _, pattern := range t.s.Files {
		if !slices.ContainsFunc(found, func(f foundFile) bool {
			is, _ := filepath.Match(string(pattern), f.name) // Validate has seen it
			return is
		}) {
			t.events.Log().Info().Str("pattern", string(pattern)).Msg("no file of this pattern is there yet: it is followed when it comes")
		}
	}
}

// tellGone tells of a file of the position that is not there any more. One that was read to its end is no trouble.
func (t *Source) tellGone(s storedFile) {
	if s.isReadToItsEnd() {
		t.events.Log().Info().Str("path", s.Path).Int64("offset", s.Offset).
			Msg("a file that was followed is gone: all lines that had been seen of it were read")
		return
	}
	t.events.Log().Warn().Str("path", s.Path).Int64("offset", s.Offset).
		Msg("a file that was followed is gone: what stood in it behind this offset was not read")
}

// beginAtEnd has a file read from its last line end on.
func (t *Source) beginAtEnd(f *file) error {
	h, err := openShared(f.path)
	if err != nil {
		return err
	}
	defer h.Close() // nothing was written
	info, err := h.Stat()
	if err != nil {
		return err
	}
	end, err := lastLineEnd(h, info.Size())
	if err != nil {
		return err
	}
	if err := f.moveTo(h, end); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f.from, f.committed, f.fetched, f.end = end, end, end, end
	f.keep(f.checkNow())
	return nil
}

// lastLineEnd gives the byte behind the last line end in front of a byte; 0: there is none.
func lastLineEnd(h io.ReaderAt, size int64) (int64, error) {
	block := make([]byte, 64<<10)
	for at := size; at > 0; {
		n := min(at, int64(len(block)))
		at -= n
		if _, err := h.ReadAt(block[:n], at); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(block[:n], '\n'); i >= 0 {
			return at + int64(i) + 1, nil
		}
	}
	return 0, nil
}

// add follows a new file from its start.
func (t *Source) add(at foundFile) *file {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.others = slices.DeleteFunc(t.others, func(s storedFile) bool { return s.identity == at.id })
	f := &file{id: at.id, name: filepath.ToSlash(at.name), number: t.next, path: at.path, bound: -1}
	t.next++
	t.files = append(t.files, f)
	return f
}

// known are the files that are followed.
func (t *Source) known() map[identity]bool {
	known := make(map[identity]bool, len(t.files))
	for _, f := range t.files {
		known[f.id] = true
	}
	return known
}
