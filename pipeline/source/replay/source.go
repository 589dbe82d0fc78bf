// SPDX-License-Identifier: Apache-2.0

// Package replay reads fixture files and standard input as a source.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/fixture"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings are the settings of a replay.
type Settings struct {
	Files []settings.Path `yaml:"files" required:"true" doc:"fixture files, read one after another; - is standard input, and like a FIFO or a terminal it is read as it comes, each record at once, to its end"`
	As    string          `yaml:"as" enum:"fixture|value" doc:"fixture (default): a fixture line a record; value: each line is a value as it stands"`
	Key   *expr.Expr      `yaml:"key" doc:"expression that gives the key of a record, with as: value"`
}

// Validate implements the check of settings.
func (s *Settings) Validate() error {
	var errs []error
	wrong := func(field, text string) {
		errs = append(errs, &settings.FieldError{Field: field, Err: errors.New(text)})
	}
	if len(s.Files) == 0 {
		wrong("files", "no file to replay")
	}
	for i, f := range s.Files {
		for _, g := range s.Files[:i] {
			switch {
			case isStandardInput(string(f)) && isStandardInput(string(g)):
				wrong(fmt.Sprintf("files[%d]", i), "standard input stands twice: it can be read once")
			case f == g:
				wrong("files", fmt.Sprintf("%s stands twice", filepath.Base(string(f))))
			}
		}
	}
	if s.As != "" && s.As != "fixture" && s.As != "value" {
		wrong("as", fmt.Sprintf("%q is neither fixture nor value", s.As))
	}
	if s.Key != nil && s.As != "value" {
		wrong("key", "a fixture line carries its own key; write as: value, or leave key out")
	}
	return errors.Join(errs...)
}

// Options say how a Source reads.
type Options struct {
	// Speed is how fast time passes between the records, by their own times: 1 as it
	// did, 10 ten times as fast. 0: as fast as the pipeline takes them. A record without
	// a time, or with an earlier one than those before it, is due at once.
	Speed float64
	// Count has Open count the records of regular files, for Progress.
	Count bool
}

// Bounds of a batch: what the engine works on at a time; see pipeline.Batch.
const (
	batchRecords = 256
	batchBytes   = 256 << 10
)

// A Source reads fixture files, one after another. Each is one lane, named by the file,
// whose offset is the line number. What a record says of itself (topic, partition,
// offset, time) comes from its line; where the line is silent, the topic is the file's
// name, the partition 0 and the offset the line number. The name is the last part of
// the path, or as many as tell the files apart. A line that is no fixture ends the
// source with an error that names file and line; the records before it are handed over.
//
// The file "-" is standard input. It, and every other file that may keep its reader
// waiting (a FIFO, a terminal, a socket), is opened when the files before it have been read,
// and read as it comes: a record is handed over as soon as its line is whole, whatever comes
// behind it. When the source is stopped it does not wait for the rest of a line; what has been
// read and is no record yet is lost, and a warning says how much that was.
//
// Nothing is kept between runs: a replay starts at line 1, or where the pipeline's
// Transactor says.
type Source struct {
	key    func(*pipeline.Record) ([]byte, error)
	values bool
	o      Options
	engine pipeline.Feed
	spare  chan []pipeline.Record
	clock  pace
	emit   *event.Emitter

	mu    sync.Mutex // guards files' fields that Commit and Report use
	files []*input
	at    int // the file that is read

	done, expected  atomic.Int64
	open, readsOnce atomic.Bool
}

type input struct {
	path, name  string
	lane        pipeline.Lane
	f           io.ReadCloser
	r           *fixture.Reader
	pending     pipeline.Record // read, and not handed over yet
	ready       bool            // pending is there
	line        int64           // of pending
	size        int64           // of pending: the bytes of its line
	held        int64           // of pending: the bytes of memory that it keeps
	next        int64           // the first line that has not been handed over
	lines       int64           // of the whole file, if counted
	committed   int64
	committedAt time.Time
	end         bool
	err         error // what comes behind the records handed over
}

// New makes a Source.
func New(s Settings, o Options) (*Source, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if o.Speed < 0 {
		return nil, fmt.Errorf("replaying at speed %v: a speed is 0 (as fast as possible) or above", o.Speed)
	}
	r := &Source{
		values: s.As == "value", o: o, clock: pace{speed: o.Speed},
		spare: make(chan []pipeline.Record, 8),
	}
	if s.Key != nil {
		r.key = s.Key.Bytes
	}
	for i, name := range shortNames(s.Files) {
		r.files = append(r.files, &input{path: string(s.Files[i]), name: name, committed: 1, next: 1})
	}
	return r, nil
}

// shortNames gives the last part of each path, or as many as tell it from the others.
func shortNames(paths []settings.Path) []string {
	names := make([]string, len(paths))
	for parts := 1; ; parts++ {
		seen := map[string]int{}
		whole := true
		for i, p := range paths {
			all := strings.Split(filepath.ToSlash(string(p)), "/")
			if parts < len(all) {
				all, whole = all[len(all)-parts:], false
			}
			names[i] = strings.Join(all, "/")
			seen[names[i]]++
		}
		if whole || len(seen) == len(paths) {
			return names
		}
	}
}

// Open implements pipeline.Source: it opens all files, so that one that is missing is
// known at once, and a lane for each.
func (r *Source) Open(ctx context.Context, e pipeline.Feed) error {
	r.engine = e
	for _, f := range r.files {
		if err := r.openFile(f); err != nil {
			return errors.Join(err, r.Close(ctx))
		}
		if _, once := f.f.(*stream); once {
			r.readsOnce.Store(true)
		}
		if r.o.Count {
			records, lines, err := f.count()
			if err != nil {
				return errors.Join(err, r.Close(ctx))
			}
			if records < 0 || r.expected.Load() < 0 {
				r.expected.Store(-1)
			} else {
				r.expected.Add(records)
			}
			r.mu.Lock()
			f.lines = lines
			r.mu.Unlock()
		}
	}
	for _, f := range r.files {
		if err := r.openLane(ctx, f); err != nil {
			return errors.Join(err, r.Close(ctx))
		}
	}
	r.open.Store(true)
	return nil
}

// Ping implements pipeline.Pinger: every file is there and can be opened. One that may keep
// its reader waiting is only looked at: a FIFO that is opened and closed again ends its
// writer.
func (r *Source) Ping(context.Context) error {
	for _, f := range r.files {
		g, err := openInput(f.path)
		if err != nil {
			return err
		}
		_ = g.Close() // nothing was written
	}
	return nil
}

// Attach implements pipeline.Attacher.
func (r *Source) Attach(e *event.Emitter) { r.emit = e }

func (r *Source) openFile(f *input) error {
	g, err := openInput(f.path)
	if err != nil {
		return err
	}
	if f.f != nil {
		_ = f.f.Close() // nothing was written
	}
	f.f = g
	if r.values {
		f.r = fixture.NewValueReader(g, f.name, r.key)
	} else {
		f.r = fixture.NewReader(g, f.name)
	}
	f.ready, f.end, f.err = false, false, nil
	return nil
}

// openLane opens the file's lane and goes to the line where it has to start.
func (r *Source) openLane(ctx context.Context, f *input) error {
	r.mu.Lock()
	committed, handed := f.committed, f.next
	r.mu.Unlock()
	lane, from, err := r.engine.Lane(ctx, f.name, committed)
	if err != nil {
		return fmt.Errorf("opening lane %s: %w", f.name, err)
	}
	r.mu.Lock()
	f.lane, f.committed, f.next = lane, from, from
	r.mu.Unlock()
	if _, once := f.f.(*stream); once {
		if from != handed {
			return fmt.Errorf("opening lane %s: it has to go on at line %d and stands at %d, and %s can be read once: store it in a file, and read that",
				f.name, from, handed, title(f.path))
		}
		return nil // its first line may take for ever to come
	}
	for !f.end && f.err == nil && (!f.ready || f.line < from) {
		if err := ctx.Err(); err != nil {
			return err
		}
		f.advance()
		if from <= 1 {
			break
		}
	}
	return nil
}

// advance reads the next record of the file into pending, or finds its end or error. It
// finds nothing when the next one has not come yet.
func (f *input) advance() {
	line, err := f.r.Next(&f.pending)
	f.ready = err == nil
	switch {
	case err == nil:
		f.line, f.size, f.held = line, f.r.Bytes(), f.r.Held()
	case err == fixture.ErrNotYet:
	case err == io.EOF:
		f.end = true
	default:
		var at *fixture.Error
		if errors.As(err, &at) {
			at.File = title(f.path)
		}
		f.err = fmt.Errorf("replaying: %w", err)
	}
}

// count gives the number of lines, and of those that are not blank, and goes back to
// the start. Both are -1 for what can be read once.
func (f *input) count() (records, lines int64, err error) {
	g, ok := f.f.(*os.File)
	if !ok {
		return -1, -1, nil
	}
	buf := make([]byte, 256<<10)
	blank := true
	for {
		n, err := g.Read(buf)
		for _, c := range buf[:n] {
			switch c {
			case '\n':
				if lines++; !blank {
					records++
				}
				blank = true
			case ' ', '\t', '\r':
			default:
				blank = false
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, 0, fmt.Errorf("counting the records of %s: %w", f.path, err)
		}
	}
	if !blank {
		lines, records = lines+1, records+1
	}
	_, err = g.Seek(0, io.SeekStart)
	return records, lines, err
}

// Progress gives the records handed over so far and, if they were counted, how many
// there are in all: -1 when a file is among them that can be read once, and so not counted.
func (r *Source) Progress() (done, expected int64) { return r.done.Load(), r.expected.Load() }
