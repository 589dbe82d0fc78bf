// SPDX-License-Identifier: Apache-2.0

// Package filesink appends records to files, one line each, and returns when they are on
// disk.
package filesink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/sinks/lines"
)

// ReasonFileName rejects a record whose file name cannot be one.
const ReasonFileName = "file_name" // the template of the path makes no name of a file of it

// Settings are the settings of a file sink.
type Settings struct {
	Path expr.Template `yaml:"path" path:"true" required:"true" doc:"file to append to; parts in braces are filled in from the record"`
	As   string        `yaml:"as" enum:"value|fixture" doc:"value (default, except for dead letters): the record's value as a line; fixture: the whole record as a fixture line"`
	Open int           `yaml:"open" min:"1" doc:"most files open at once (default 256); others are closed and opened again when needed"`
}

// Defaults gives the settings of a file sink before a file is read.
func Defaults() Settings { return Settings{Open: 256} }

// Validate implements the check of settings.
func (s *Settings) Validate() error {
	var errs []error
	if s.Path.String() == "" {
		errs = append(errs, &settings.FieldError{Field: "path", Err: errors.New("no path")})
	} else if strings.HasSuffix(s.Path.String(), "/") {
		errs = append(errs, &settings.FieldError{Field: "path", Err: errors.New("it ends in a slash: name a file, not a folder")})
	}
	if s.Open < 0 {
		errs = append(errs, &settings.FieldError{Field: "open", Err: errors.New("below zero")})
	}
	_, err := lines.New(s.As, "")
	return errors.Join(append(errs, err)...)
}

// A Sink appends one line a record to files. Write returns when every file that it
// touched, and the folder of every file that it made, is on disk (fsync).
//
// The path may depend on the record. Its literal folder (what stands before the last
// slash before the first brace) is made if it is missing; below it nothing, no record
// and no symbolic link, leads out. Files are made with mode 0640, folders with 0750. A
// file that has been renamed or removed, or whose folder has been, is made anew: every
// write looks where the path leads, links included, before it appends.
//
// When a file is opened and its last line has no end, it depends on who has written that. What a
// crash has left of a write of ours is cut off: the record comes again, because its mark has not
// passed. An extended attribute of the file (Linux) says which bytes the last write was to be;
// zeros that a power failure has left are cut off too. Everything else is taken for somebody
// else's: it is kept, and gets its line end, as a whole JSON object or array does. Where a file
// system keeps no attributes, the beginning of a JSON object or array (of a fixture line, with
// as: fixture) is taken for ours, and the beginning of a text stays as a line of its own.
//
// A write that fails leaves no part of itself behind: the file is truncated to where the write
// began, at the latest before the next write of it, and all records of that write for the
// file come again; it is not truncated when another program has written behind it.
//
// One process at a time writes a file; in another, writes fail until the first one closes it. It
// does when every lane that wrote the file has ended, which is before another process can get
// their partitions, and when nothing has been written to it for five seconds. Where lanes of
// several processes write one file at once, all but one of them wait.
//
// As a value, JSON with line breaks is written on one line, a tombstone as null, and
// text with line breaks is rejected with not_one_line. A name that no file can have is
// rejected with file_name.
type Sink struct {
	form       lines.Form
	path       func(*pipeline.Record) (string, error)
	base       string // the literal folder
	baseLength int    // length of the literal folder in what path gives
	static     string // the name, when it is the same for all records
	emit       *event.Emitter

	slots chan struct{} // one is held by whoever uses a file

	mu    sync.Mutex // guards what follows
	dir   *folder    // nil: not open yet
	files map[string]*file
	idle  []*file     // files with no user, the longest idle first
	timer *time.Timer // closes them; nil: none is open
}

// maxWorkers is how many files one Write works on at a time: the time goes into
// waiting for the disk, which gathers what comes at once.
const maxWorkers = 8

// New makes a file sink.
func New(s Settings) (*Sink, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	f, err := newSink(s, literal(s.Path.String()), s.Path.Path)
	if err == nil && s.Path.Static() {
		f.static = literal(s.Path.String())[f.baseLength:]
	}
	return f, err
}

func newSink(s Settings, prefix string, path func(*pipeline.Record) (string, error)) (*Sink, error) {
	form, err := lines.New(s.As, "")
	if err != nil {
		return nil, err
	}
	if s.Open == 0 {
		s.Open = 256
	}
	f := &Sink{
		form: form, path: path, slots: make(chan struct{}, s.Open),
		files: map[string]*file{},
	}
	f.baseLength = strings.LastIndexByte(prefix, '/') + 1
	f.base = prefix[:f.baseLength]
	if f.base == "" {
		f.base = "."
	}
	return f, nil
}

// literal gives what stands before the first part of a template.
func literal(template string) string {
	var b strings.Builder
	for i := 0; i < len(template); i++ {
		c := template[i]
		if c == '{' || c == '}' {
			if i+1 == len(template) || template[i+1] != c {
				break
			}
			i++
		}
		b.WriteByte(c)
	}
	return b.String()
}

// Attach implements pipeline.Attacher.
func (f *Sink) Attach(e *event.Emitter) { f.emit = e }

// Ping implements pipeline.Pinger: the folder is there, or can be made, and one file for
// all records is nothing else, and can be written, or made. Of files that depend on the record
// it says what it can: that nothing is in their folder, and nothing can be made there.
func (f *Sink) Ping(context.Context) error {
	dir, err := f.enter()
	if err != nil {
		return &pipeline.EnvironmentError{Err: err}
	}
	defer f.exit(dir)
	if f.static != "" {
		if err := checkName(dir.root, f.static); err != nil {
			return &pipeline.EnvironmentError{Err: fmt.Errorf("looking at %s: %w", f.where(), err)}
		}
	} else if err := checkFolder(dir.root, ".", true); err != nil {
		return &pipeline.EnvironmentError{Err: fmt.Errorf("looking at %s: %w", f.where(), err)}
	}
	return nil
}

var _ pipeline.LaneEnder = (*Sink)(nil)

// A fileWrite is what one Write has for one file.
type fileWrite struct {
	name    string
	lane    laneID
	text    []byte
	records []int // indexes
	err     error
}

// Write implements pipeline.Sink.
func (f *Sink) Write(ctx context.Context, recs []*pipeline.Record) error {
	if err := ctx.Err(); err != nil || len(recs) == 0 {
		return err
	}
	writes, failed := f.byFile(recs)
	if len(writes) == 1 {
		writes[0].err = f.write(ctx, writes[0])
	} else {
		workers := pool.New().WithMaxGoroutines(min(maxWorkers, len(writes)+1))
		for _, p := range writes {
			workers.Go(func() { p.err = f.write(ctx, p) })
		}
		workers.Wait()
	}
	for _, p := range writes {
		if p.err != nil {
			for _, i := range p.records {
				failed = append(failed, pipeline.Failure{Index: i, Err: p.err})
			}
		}
	}
	slices.SortFunc(failed, func(x, y pipeline.Failure) int { return x.Index - y.Index })
	if len(failed) == 0 {
		return nil
	}
	return &pipeline.WriteError{Failed: failed}
}

// byFile sorts the records by file, in order within each.
func (f *Sink) byFile(recs []*pipeline.Record) (writes []*fileWrite, failed []pipeline.Failure) {
	byName := map[string]*fileWrite{}
	for i, rec := range recs {
		name, err := f.name(rec)
		p := byName[name]
		if err == nil && p == nil {
			p = &fileWrite{name: name, lane: laneID{rec.Topic, rec.Partition}}
			writes, byName[name] = append(writes, p), p
		}
		if err == nil {
			p.text, err = f.form.Append(p.text, rec)
		}
		if err != nil {
			failed = append(failed, pipeline.Failure{Index: i, Err: err})
			continue
		}
		p.records = append(p.records, i)
	}
	return slices.DeleteFunc(writes, func(p *fileWrite) bool { return len(p.records) == 0 }), failed
}

// name gives the record's file, as a path below the literal folder.
func (f *Sink) name(rec *pipeline.Record) (string, error) {
	path, err := f.path(rec)
	if err != nil {
		return "", err
	}
	name := path[min(f.baseLength, len(path)):]
	if !filepath.IsLocal(name) || strings.HasSuffix(name, "/") {
		return "", pipeline.Reject(ReasonFileName, errors.New("naming the file: the name leads out of its folder, or to no file"))
	}
	return filepath.Clean(name), nil
}

// write appends the page to its file and waits for the disk.
func (f *Sink) write(ctx context.Context, p *fileWrite) error {
	err := f.store(ctx, p)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		f.dropIdle() // the system allows fewer files than open does
		err = f.store(ctx, p)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, errName) {
		return pipeline.Reject(ReasonFileName, f.failed(err))
	}
	return f.failed(err)
}

func (f *Sink) store(ctx context.Context, p *fileWrite) error {
	file, err := f.acquire(ctx, p.name, p.lane)
	if err == nil {
		err = f.append(file, p.text)
		f.release(file, err == nil)
	}
	return err
}

// failed says where the error is. A name that comes from records is left out.
func (f *Sink) failed(err error) error {
	var p *fs.PathError
	var folder folderError
	switch {
	case errors.As(err, &folder):
	case errors.As(err, &p):
		err = p.Err
	}
	return fmt.Errorf("writing %s: %w", f.where(), err)
}

func (f *Sink) where() string {
	if f.static == "" {
		return "a file in " + filepath.Clean(f.base)
	}
	return filepath.Join(f.base, f.static)
}

// Close implements pipeline.Sink.
func (f *Sink) Close(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for name, file := range f.files {
		if file.f != nil {
			errs = append(errs, file.closeFile())
		}
		delete(f.files, name)
	}
	f.idle = nil
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	if f.dir != nil {
		errs = append(errs, f.dir.root.Close())
		f.dir = nil
	}
	return errors.Join(errs...)
}
