package letters

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/fixture"
	"github.com/penstockio/penstock/pipeline/internal/keptfile"
)

// A File is a file of fixture lines. Its position stands in a file beside it, FILE.READER.position: to
// each reader the letters of others are done. It says by the first line which file it is about: one that
// was moved away, and begun anew under its name, begins with nothing done. By the last line that was done it
// says that the lines in front of it still have their numbers.
type File struct {
	path     string
	reader   string
	file     *os.File // from the first use on, so that all is about one file
	identity string   // of file when it was opened
	size     int64    // of its whole lines then
	r        *fixture.Reader
	read     int64  // bytes
	line     int64  // of the last record
	rest     bool   // behind these is a line without an end
	torn     int64  // the number of that, when it was met; 0: none
	saved    []byte // the text of the position file as it was loaded or saved last; nil: there was none
	last     lastLine
	lock     *keptfile.Lock // from the first Save on
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
	f.size, f.rest, err = wholeLines(file)
	if err == nil {
		f.identity, err = identity(file)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file = file
	return nil
}

// wholeLines gives where the last line that has an end ends, and whether there is something behind it.
func wholeLines(file *os.File) (int64, bool, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, false, err
	}
	block := make([]byte, 64<<10)
	for end := info.Size(); end > 0; {
		from := max(end-int64(len(block)), 0)
		part := block[:end-from]
		if _, err := file.ReadAt(part, from); err != nil {
			return 0, false, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			last := from + int64(i) + 1
			return last, last < info.Size(), nil
		}
		end = from
	}
	return 0, info.Size() > 0, nil
}

// Torn gives the number of the last line when that has no end, and is left out for it; 0: there is none, or the end
// was not reached.
func (f *File) Torn() int64 { return f.torn }

// Next implements Log.
func (f *File) Next(ctx context.Context) (*pipeline.Record, pipeline.Position, error) {
	at := pipeline.Position{Topic: f.Name()}
	if err := ctx.Err(); err != nil {
		return nil, at, err
	}
	rec := new(pipeline.Record)
	line, err := f.r.Next(rec)
	at.Offset = line
	var wrong *fixture.Error
	switch {
	case err == io.EOF:
		f.read = f.size // the blank lines, too
		if f.rest {
			f.torn = line
		}
		return nil, at, err
	case errors.As(err, &wrong):
		return nil, at, fmt.Errorf("reading dead letters: %w; what stands behind it is not reached: mend the line, or take it out", err)
	case err != nil:
		return nil, at, fmt.Errorf("reading dead letters: %w", err)
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

// Close implements Log.
func (f *File) Close() error {
	var err error
	if f.lock != nil {
		err, f.lock = f.lock.Release(), nil
	}
	if f.file != nil {
		err = errors.Join(err, f.file.Close())
	}
	return err
}
