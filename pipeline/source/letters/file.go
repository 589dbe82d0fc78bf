package letters

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/fixture"
)

// A File is a file of fixture lines. Its position stands in a file beside it, FILE.READER.position: to
// each reader the letters of others are done. It says by the first line which file it is about: one that
// was moved away, and begun anew under its name, begins with nothing done.
type File struct {
	path     string
	reader   string
	file     *os.File // from the first use on, so that all is about one file
	identity string   // of file when it was opened
	size     int64    // of its whole lines then
	r        *fixture.Reader
	read     int64  // bytes
	line     int64  // of the last record
	saved    []byte // the text of the position file as it was loaded or saved last; nil: there was none
}

// NewFile makes the log of a file, for the pipeline that reads it: each has its own position. It opens
// nothing.
func NewFile(path, reader string) *File { return &File{path: path, reader: reader} }

// Name implements Log.
func (f *File) Name() string { return filepath.Base(f.path) }

// PositionName implements Log.
func (f *File) PositionName() string { return f.path + "." + f.reader + ".position" }

// Ping implements Log.
func (f *File) Ping(context.Context) error {
	file, err := os.Open(f.path)
	if err == nil {
		var info fs.FileInfo
		if info, err = file.Stat(); err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("opening %s: it is no regular file; dead letters are read from one that can be read again", f.path)
		}
		_ = file.Close() // nothing was written
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no %s: no record was rejected yet, or the dead letters are somewhere else (--from)", f.path)
	}
	if err != nil {
		return &pipeline.EnvironmentError{Err: fmt.Errorf("reading dead letters: %w", err)}
	}
	return nil
}

// Open implements Log. Lines are read from the first on: only they know where the next begins. A
// last line without an end is about to be written: it is not there yet.
func (f *File) Open(ctx context.Context, _ Progress) error {
	if err := f.Ping(ctx); err != nil {
		return err
	}
	if err := f.open(); err != nil {
		return &pipeline.EnvironmentError{Err: fmt.Errorf("reading dead letters: %w", err)}
	}
	f.read, f.line = 0, 0
	f.r = fixture.NewReader(io.NewSectionReader(f.file, 0, f.size), f.Name())
	return nil
}

// open opens the file, once, and looks which one it is and where it ends.
func (f *File) open() error {
	if f.file != nil {
		return nil
	}
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	f.size, err = wholeLines(file)
	if err == nil {
		f.identity, err = identity(file)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file = file
	return nil
}

// wholeLines gives where the last line that has an end ends.
func wholeLines(file *os.File) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	block := make([]byte, 64<<10)
	for end := info.Size(); end > 0; {
		from := max(end-int64(len(block)), 0)
		part := block[:end-from]
		if _, err := file.ReadAt(part, from); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return from + int64(i) + 1, nil
		}
		end = from
	}
	return 0, nil
}

// Next implements Log.
func (f *File) Next(ctx context.Context) (*pipeline.Record, pipeline.Position, error) {
	at := pipeline.Position{Topic: f.Name()}
	if err := ctx.Err(); err != nil {
		return nil, at, err
	}
	rec := new(pipeline.Record)
	line, err := f.r.Next(rec)
	at.Offset = line
	if err != nil && err != io.EOF {
		err = fmt.Errorf("reading dead letters: %w", err)
	}
	if err != nil {
		return nil, at, err
	}
	f.read += f.r.Bytes() + 1
	f.line = line
	return rec, at, nil
}

// Left implements Log. It goes by the length of the lines that were read.
func (f *File) Left() int64 {
	if f.line == 0 {
		return 0
	}
	return max((f.size-f.read)/max(f.read/f.line, 1), 0)
}

// A filePosition is what stands in the position file.
type filePosition struct {
	FirstLine string   `json:"first_line"` // its SHA-256: which file this is about
	Replayed  []string `json:"replayed"`   // lines: 1-1000, 1003
}

// identity is the hash of the first line of a file; "": there is none yet.
func identity(file *os.File) (string, error) {
	line, err := bufio.NewReader(io.NewSectionReader(file, 0, fixture.MaxLine)).ReadBytes('\n')
	if err == io.EOF {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:]), nil
}

// Load implements Log.
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
	err := f.open()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Progress{}, nil
	case err != nil:
		return nil, &pipeline.EnvironmentError{Err: fmt.Errorf("reading dead letters: %w", err)}
	case f.identity != p.FirstLine:
		return Progress{}, nil
	}
	return done, nil
}

// Fits implements Log.
func (f *File) Fits(int32, *Done) error { return nil }

// Save implements Log. It writes a file beside the position file, syncs it, and puts it in its place.
// What it stores is about the file that was opened, whatever has its name now.
func (f *File) Save(_ context.Context, done Progress) error {
	name := f.PositionName()
	now, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("storing what was replayed: %w", err)
	}
	if !bytes.Equal(now, f.saved) {
		return ErrTaken
	}
	if err := f.open(); err != nil {
		return fmt.Errorf("storing what was replayed: %w", err)
	}
	is, err := identity(f.file)
	if err != nil {
		return fmt.Errorf("storing what was replayed: %w", err)
	}
	if is != f.identity && f.identity != "" { // cut, and begun anew in its place, while it was read
		return ErrBegunAnew
	}
	text, err := json.Marshal(filePosition{f.identity, done.Of(0).Lines()})
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if err := replaceFile(name, text); err != nil {
		return fmt.Errorf("storing what was replayed: %w", err)
	}
	f.saved = text
	return nil
}

// replaceFile puts a text in the place of a file, whole or not at all, and on disk.
func replaceFile(name string, text []byte) error {
	folder := filepath.Dir(name)
	t, err := os.CreateTemp(folder, filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = t.Write(text)
	err = errors.Join(err, t.Sync(), t.Close())
	if err == nil {
		err = os.Rename(t.Name(), name)
	}
	if err != nil {
		_ = os.Remove(t.Name())
		return err
	}
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	_ = dir.Sync() // not every system can; the file itself is whole
	return dir.Close()
}

// Close implements Log.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}
