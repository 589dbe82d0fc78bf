package letters

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/fixture"
	"github.com/penstockio/penstock/pipeline/internal/keptfile"
)

// This file is about the position of a File: what was replayed of it, and whether that is still about the
// lines that are there.

// A filePosition is what stands in the position file.
type filePosition struct {
	FirstLine string    `json:"first_line"`          // its SHA-256: which file this is about
	LastLine  *lastLine `json:"last_line,omitempty"` // the last that was replayed: the file is as it was up to there
	Replayed  []string  `json:"replayed"`            // lines: 1-1000, 1003
}

// A lastLine is a line by which a position knows that those in front of it still have their numbers. The zero
// value is none.
type lastLine struct {
	Line int64  `json:"line"`
	At   int64  `json:"at"`     // the byte where it begins
	Hash string `json:"sha256"` // of it, its end included
}

// A ChangedError says that a position is not about the lines that a file has now: letters would be taken for
// replayed that were not, or the other way round.
type ChangedError struct {
	File, Position string
	Line           int64 // the last that was replayed
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("reading what was replayed: %s is not as it was: line %d, the last that %s says was replayed, does not stand where it stood. "+
		"Lines in front of it were taken out or changed, or the file was cut, so nobody knows which of its letters were replayed, and nothing is sent. "+
		"Put the lines back; or --again sends what the flags choose, sent before or not, and begins the position anew (--since TIME chooses the letters that came later)",
		e.File, e.Line, e.Position)
}

// identity is the hash of the first line of a file; "": there is none yet.
func identity(file *os.File) (string, error) {
	_, hash, err := hashLine(bufio.NewReader(io.NewSectionReader(file, 0, fixture.MaxLine)))
	if err == io.EOF {
		return "", nil
	}
	return hash, err
}

// hashLine reads a line, and gives its length and its hash; io.EOF: it has no end.
func hashLine(r *bufio.Reader) (n int64, hash string, err error) {
	sum := sha256.New()
	for {
		part, err := r.ReadSlice('\n')
		n += int64(len(part))
		_, _ = sum.Write(part) // it never fails
		if err == nil {
			return n, hex.EncodeToString(sum.Sum(nil)), nil
		}
		if err != bufio.ErrBufferFull {
			return n, "", err
		}
	}
}

// hashAt gives the hash of the line that begins at a byte; "": there is no whole one.
func (f *File) hashAt(at int64) (string, error) {
	if at < 0 || at >= f.size {
		return "", nil
	}
	_, hash, err := hashLine(bufio.NewReader(io.NewSectionReader(f.file, at, f.size-at)))
	if err == io.EOF {
		return "", nil
	}
	return hash, err
}

// contains says whether a line with a hash is anywhere in the file.
func (f *File) contains(hash string) (bool, error) {
	r := bufio.NewReaderSize(io.NewSectionReader(f.file, 0, f.size), 64<<10)
	for {
		_, is, err := hashLine(r)
		if err == io.EOF {
			return false, nil
		}
		if err != nil || is == hash {
			return err == nil, err
		}
	}
}

// follow gives a line behind another, or that itself. It counts line ends from there. io.EOF: there is no such line.
func (f *File) follow(l lastLine, line int64) (lastLine, error) {
	if l.Line == 0 {
		l = lastLine{Line: 1}
	}
	block := make([]byte, 64<<10)
	for l.Line < line {
		n, err := f.file.ReadAt(block[:min(int64(len(block)), f.size-l.At)], l.At)
		if n == 0 {
			return l, cmp.Or(err, io.EOF)
		}
		for part := block[:n]; len(part) > 0; {
			end := bytes.IndexByte(part, '\n') + 1
			if end == 0 {
				l.At += int64(len(part))
				break
			}
			part = part[end:]
			l.At += int64(end)
			if l.Line++; l.Line == line {
				break
			}
		}
	}
	hash, err := f.hashAt(l.At)
	if err == nil && hash == "" {
		err = io.EOF
	}
	l.Hash = hash
	return l, err
}

// Load implements Log. The error is a *ChangedError when what is stored is not about the lines that are there.
func (f *File) Load(context.Context) (Progress, error) {
	text, err := os.ReadFile(f.PositionName())
	if errors.Is(err, fs.ErrNotExist) {
		f.saved = nil
		return Progress{}, nil
	}
	if err != nil {
		return nil, &pipeline.EnvironmentError{Err: fmt.Errorf("reading what was replayed: %w", err)}
	}
	f.saved = text
	var p filePosition
	done := Progress{}
	if err := json.Unmarshal(text, &p); err == nil {
		err = done.Of(0).addLines(p.Replayed)
		if err == nil {
			return f.ifSame(p, done)
		}
	}
	return nil, fmt.Errorf("reading what was replayed: %s is not what a replay has written; remove it to begin anew, or put it right", f.PositionName())
}

// ifSame gives what was done when the position is about this file.
func (f *File) ifSame(p filePosition, done Progress) (Progress, error) {
	if err := f.open(); errors.Is(err, fs.ErrNotExist) {
		return Progress{}, nil
	} else if err != nil {
		return nil, &pipeline.EnvironmentError{Err: fmt.Errorf("reading dead letters: %w", err)}
	}
	changed, err := f.changed(p)
	switch {
	case err != nil:
		return nil, &pipeline.EnvironmentError{Err: fmt.Errorf("reading dead letters: %w", err)}
	case changed:
		return nil, &ChangedError{File: f.Name(), Position: f.PositionName(), Line: p.LastLine.Line}
	case f.identity != p.FirstLine:
		return Progress{}, nil
	}
	if p.LastLine != nil {
		f.last = *p.LastLine
	}
	if line := done.Of(0).last(); line > f.last.Line { // the position was written by hand, or before it had a last line
		last, err := f.follow(f.last, line)
		if err == io.EOF {
			return nil, &ChangedError{File: f.Name(), Position: f.PositionName(), Line: line}
		}
		if err != nil {
			return nil, &pipeline.EnvironmentError{Err: fmt.Errorf("reading dead letters: %w", err)}
		}
		f.last = last
	}
	return done, nil
}

// changed says whether lines of the file were taken out since a position of it was stored. Where the first line is
// another, it is another file, but for one that still has the last line: that has lost its first.
func (f *File) changed(p filePosition) (bool, error) {
	switch {
	case p.LastLine == nil: // nothing was done yet
		return false, nil
	case f.identity != p.FirstLine:
		return f.contains(p.LastLine.Hash)
	}
	hash, err := f.hashAt(p.LastLine.At)
	return hash == "" || hash != p.LastLine.Hash, err
}

// Fits implements Log.
func (f *File) Fits(int32, *Done) error { return nil }

// Save implements Log. It writes a file beside the position file, syncs it, and puts it in its place.
// What it stores is about the file that was opened, whatever has its name now.
func (f *File) Save(_ context.Context, done Progress) error {
	if err := f.take(); err != nil {
		return err
	}
	now, err := os.ReadFile(f.PositionName())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("storing what was replayed: %w", err)
	}
	if !bytes.Equal(now, f.saved) {
		return ErrTaken
	}
	p := filePosition{Replayed: done.Of(0).Lines()}
	if err := f.describe(&p, done.Of(0).last()); errors.Is(err, ErrBegunAnew) {
		return err
	} else if err != nil {
		return fmt.Errorf("storing what was replayed: %w", err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if err := keptfile.Replace(f.PositionName(), text); err != nil {
		return fmt.Errorf("storing what was replayed: %w", err)
	}
	f.saved = text
	return nil
}

// A HeldError says that another replay has the dead letters for itself, and who that is.
type HeldError struct {
	Log    string // the name of the log
	Holder string // who has it; "": it does not say
}

func (e *HeldError) Error() string {
	who := e.Holder
	if who == "" {
		who = "it does not say who it is"
	}
	return fmt.Sprintf("another replay of the dead letters in %s is under way (%s): this one sends nothing; start it again when the other has ended", e.Log, who)
}

// Unwrap gives ErrTaken.
func (e *HeldError) Unwrap() error { return ErrTaken }

// take sees to it that nobody else replays these letters until the file is closed.
func (f *File) take() error {
	if f.lock != nil {
		return nil
	}
	name := f.PositionName() + ".lock"
	h, err := keptfile.Take(name)
	switch {
	case errors.Is(err, keptfile.ErrHeld):
		return &HeldError{Log: f.Name(), Holder: keptfile.Holder(name)}
	case err != nil:
		return fmt.Errorf("keeping other replays from the dead letters: %w", err)
	}
	f.lock = h
	return nil
}

// describe writes down which file a position is about, and the last line that is done; 0: none. The error is
// ErrBegunAnew when the file is not as it was.
func (f *File) describe(p *filePosition, line int64) error {
	if err := f.open(); err != nil {
		return err
	}
	is, err := identity(f.file)
	if err != nil {
		return err
	}
	if is != f.identity && f.identity != "" { // cut, and begun anew in its place, while it was read
		return ErrBegunAnew
	}
	p.FirstLine = f.identity
	if f.last.Line > 0 {
		hash, err := f.hashAt(f.last.At)
		if err != nil {
			return err
		}
		if hash != f.last.Hash {
			return ErrBegunAnew
		}
	}
	if line > f.last.Line {
		last, err := f.follow(f.last, line)
		if err == io.EOF { // it was read
			return ErrBegunAnew
		}
		if err != nil {
			return err
		}
		f.last = last
	}
	if f.last.Line > 0 {
		last := f.last
		p.LastLine = &last
	}
	return nil
}
