package http

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/internal/keptfile"
)

// A keyFile holds Idempotency-Keys over a restart: one line of JSON for each, behind a first line that says what the file is.
//
// What it guarantees. A key that was appended is on disk (fsync), in the file of that name. A line that a crash has torn is dropped when the file is opened. The
// file grows to twice what it has to hold, and is then written anew beside itself and renamed, so that a crash leaves one of both whole.
// One process has it at a time.
//
// How. Those who append while another is at the disk wait and are written together.
type keyFile struct {
	name string
	keep keeper
	lost func() // told when somebody has taken the file away

	mu      sync.Mutex
	idle    *sync.Cond
	lock    *keptfile.Lock
	file    *os.File // nil: it could not be opened again, and is torn
	written int      // lines in the file
	torn    bool     // a write has failed, and may have left a part of a line
	pending [][]byte
	waiting []chan error
	writing bool
	closed  bool // or not open yet
}

// A keeper has what has to be in a file.
type keeper interface {
	lines() [][]byte
	count() int // of them
}

const (
	keyFileHead = `{"penstock":"idempotency keys","version":1}` + "\n"
	mostLine    = 64 << 10
	fewLines    = 4096 // below which a file is not written anew
)

// storedKey is a line of the file.
type storedKey struct {
	Key  string `json:"key"`
	Hash string `json:"hash"`
	result
	Undone bool `json:"undone,omitempty"` // what stands before it of the key does not count
}

func stored(e *entry) storedKey {
	return storedKey{Key: e.key, Hash: hex.EncodeToString(e.hash[:]), result: e.result}
}

func (k storedKey) line() []byte {
	b, err := json.Marshal(k)
	if err != nil {
		panic(err) // texts and numbers
	}
	return append(b, '\n')
}

func newKeyFile(name string, k keeper) *keyFile {
	f := &keyFile{name: name, keep: k, lost: func() {}, closed: true}
	f.idle = sync.NewCond(&f.mu)
	return f
}

func (f *keyFile) wrong(err error) error {
	if e, ok := errors.AsType[*pipeline.EnvironmentError](err); ok {
		return e
	}
	return &pipeline.EnvironmentError{Err: fmt.Errorf("opening the Idempotency-Keys of the http source: %w", err)}
}

// ping says whether the folder is there, and the file is one of keys if it is.
func (f *keyFile) ping() error {
	file, err := os.Open(f.name)
	if errors.Is(err, os.ErrNotExist) {
		_, err = os.Stat(filepath.Dir(f.name))
	}
	if err != nil {
		return f.wrong(err)
	}
	if file == nil {
		return nil
	}
	defer file.Close()
	return f.read(file, func(*entry, bool) {})
}

// open reads the file, or makes it, and writes it anew without what has become old.
func (f *keyFile) open(each func(e *entry, undone bool)) (err error) {
	if f.lock, err = keptfile.Take(f.name + ".lock"); err != nil {
		if errors.Is(err, keptfile.ErrHeld) {
			err = fmt.Errorf("%s: another has it (%s): stop that, or name another file", f.name, keptfile.Holder(f.name+".lock"))
		}
		return f.wrong(err)
	}
	file, err := os.OpenFile(f.name, os.O_RDONLY|os.O_CREATE, 0o600)
	if err == nil {
		err = errors.Join(f.read(file, each), file.Close())
	}
	if err == nil {
		err = f.rewrite()
	}
	if err != nil {
		return errors.Join(f.wrong(err), f.lock.Release())
	}
	f.mu.Lock()
	f.closed = false
	f.mu.Unlock()
	return nil
}

// read gives each key of the file. Lines that are none are left out: a crash may have torn one.
func (f *keyFile) read(file *os.File, each func(e *entry, undone bool)) error {
	in := bufio.NewReaderSize(file, mostLine)
	head, err := in.ReadSlice('\n')
	if err == io.EOF && bytes.HasPrefix([]byte(keyFileHead), head) { // it is new, or its first line was torn
		return nil
	}
	if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
		return f.wrong(err)
	}
	if string(head) != keyFileHead {
		return f.wrong(fmt.Errorf("%s: it is no file of Idempotency-Keys of this version: name one that does not exist", f.name))
	}
	for {
		text, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue // longer than any line that was written
		}
		var k storedKey
		if err == nil && json.Unmarshal(text, &k) == nil {
			if hash, err := hex.DecodeString(k.Hash); err == nil && len(hash) == len(entry{}.hash) && k.Key != "" {
				e := &entry{key: k.Key, hash: [32]byte(hash), result: k.result, ended: make(chan struct{}), stored: true}
				close(e.ended)
				each(e, k.Undone)
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return f.wrong(err)
		}
	}
}

// append has a line on disk when it returns without an error.
func (f *keyFile) append(line []byte) error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return fmt.Errorf("storing an Idempotency-Key: %w", os.ErrClosed)
	}
	done := make(chan error, 1)
	f.pending, f.waiting = append(f.pending, line), append(f.waiting, done)
	if !f.writing {
		f.writing = true
		go f.write()
	}
	f.mu.Unlock()
	return <-done
}

// write writes what waits, until nothing does.
func (f *keyFile) write() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.pending) > 0 {
		lines, waiting := f.pending, f.waiting
		f.pending, f.waiting = nil, nil
		f.mu.Unlock()
		err := f.writeLines(lines)
		if err != nil {
			err = fmt.Errorf("storing an Idempotency-Key: %w", err)
		}
		for _, done := range waiting {
			done <- err
		}
		f.mu.Lock()
	}
	f.writing = false
	f.idle.Broadcast()
}

// writeLines is for one caller at a time.
func (f *keyFile) writeLines(lines [][]byte) error {
	lost := f.file != nil && !f.hasName()
	if lost {
		f.lost()
	}
	if lost || f.written > fewLines && f.written > 2*f.keep.count() || f.torn {
		if err := f.rewrite(); err != nil {
			return err
		}
	}
	_, err := f.file.Write(bytes.Join(lines, nil))
	if err == nil {
		err = f.file.Sync()
	}
	f.written += len(lines)
	f.torn = err != nil
	return err
}

// hasName says whether the file that is open is the one of that name: what is written to another is gone with the process.
func (f *keyFile) hasName() bool {
	mine, err := f.file.Stat()
	if err != nil {
		return true // the write says what is wrong
	}
	named, err := os.Stat(f.name)
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	return os.SameFile(mine, named)
}

// rewrite writes the file anew. It is closed meanwhile: some systems replace no file that is open.
func (f *keyFile) rewrite() error {
	lines := f.keep.lines()
	if f.file != nil {
		_ = f.file.Close() // all that counts has been synced
		f.file = nil
	}
	err := keptfile.Replace(f.name, append([]byte(keyFileHead), bytes.Join(lines, nil)...))
	if err == nil {
		f.file, err = os.OpenFile(f.name, os.O_WRONLY|os.O_APPEND, 0o600)
	}
	f.written, f.torn = len(lines), err != nil
	return err
}

// close waits for what is being written.
func (f *keyFile) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	for f.writing {
		f.idle.Wait()
	}
	err := f.lock.Release()
	if f.file != nil {
		err = errors.Join(f.file.Close(), err)
		f.file = nil
	}
	return err
}
