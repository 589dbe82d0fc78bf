package replay

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/fixture"
)

// standardInput is how files name standard input. Its names in the file system stand for the same:
// opening one of them would make a second reader of the same pipe.
const standardInput = "-"

func isStandardInput(path string) bool {
	switch path {
	case standardInput, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0":
		return true
	}
	return false
}

// StandardInput names the field of the settings that reads standard input, "" for none.
// A process has one.
func (s *Settings) StandardInput() string {
	for i, f := range s.Files {
		if isStandardInput(string(f)) {
			return fmt.Sprintf("files[%d]", i)
		}
	}
	return ""
}

// title is what people are told a file is called.
func title(path string) string {
	if isStandardInput(path) {
		return "standard input"
	}
	return path
}

const (
	streamBlock = 64 << 10 // what a pipe holds
	streamAhead = 2        // blocks that wait to be taken
)

// A stream is an input that may keep its reader waiting: a pipe, a FIFO, a terminal, a
// socket. What it has given is taken by a Read that waits no longer than a context, or
// not at all.
//
// A goroutine of its own opens and reads it. A read that does not return keeps that goroutine
// until the process ends; what it reads after that, one block at most, is lost. The other way,
// reads that do not block, would have to be switched on for the open pipe itself, which standard
// input shares with the program that started us and with the other end of a terminal: their reads
// and writes would fail too, even after our end. And a FIFO that nobody writes looks to such a
// reader as if it were at its end.
type stream struct {
	open    func() (io.ReadCloser, error)
	blocks  chan block
	empty   chan []byte
	stop    chan struct{}
	started bool
	at      block           // the one that Read gives out
	rest    []byte          // what it has not given out of it
	wait    context.Context // how long Read may wait; nil: not at all
	given   int64           // bytes that Read has given out
	taken   atomic.Int64    // bytes that were read from the input

	mu     sync.Mutex
	file   io.Closer // nil: not open, or closed
	closed bool
}

// A block is what one read has given.
type block struct {
	bytes []byte
	err   error
}

func newStream(open func() (io.ReadCloser, error)) *stream {
	s := &stream{
		open: open, blocks: make(chan block, streamAhead), empty: make(chan []byte, streamAhead+2), stop: make(chan struct{}),
	}
	for range cap(s.empty) {
		s.empty <- nil
	}
	return s
}

// Read implements io.Reader. It gives fixture.ErrNotYet where it would have to wait and
// may not.
func (s *stream) Read(p []byte) (int, error) {
	if !s.started {
		s.started = true
		go s.fill()
	}
	for len(s.rest) == 0 {
		if s.at.err != nil {
			return 0, s.at.err
		}
		if s.at.bytes != nil {
			s.empty <- s.at.bytes[:cap(s.at.bytes)]
			s.at.bytes = nil
		}
		if !s.next() {
			return 0, fixture.ErrNotYet
		}
		s.rest = s.at.bytes
	}
	n := copy(p, s.rest)
	s.rest, s.given = s.rest[n:], s.given+int64(n)
	return n, nil
}

// next takes the next block, when there is one.
func (s *stream) next() bool {
	select {
	case s.at = <-s.blocks:
		return true
	default:
	}
	if s.wait == nil {
		return false
	}
	select {
	case s.at = <-s.blocks:
		return true
	case <-s.wait.Done():
		return false
	}
}

// fill opens and reads until the end, an error, or Close.
func (s *stream) fill() {
	f, err := s.open()
	if err == nil {
		err = s.keepFile(f)
	}
	if err != nil {
		s.send(block{err: err})
		return
	}
	for {
		var b block
		select {
		case b.bytes = <-s.empty:
		case <-s.stop:
			return
		}
		if b.bytes == nil {
			b.bytes = make([]byte, streamBlock)
		}
		n, err := f.Read(b.bytes)
		s.taken.Add(int64(n))
		b.bytes, b.err = b.bytes[:n], err
		if !s.send(b) || err != nil {
			return
		}
	}
}

func (s *stream) send(b block) bool {
	select {
	case s.blocks <- b:
		return true
	case <-s.stop:
		return false
	}
}

// keepFile keeps what was opened, for Close to close. After Close it is closed at once.
func (s *stream) keepFile(f io.Closer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = f.Close() // nothing was written
		return os.ErrClosed
	}
	s.file = f
	return nil
}

// untaken counts the bytes that were read and that Read has not given out, those of a block that has found no place yet too. It is not
// called beside Read.
func (s *stream) untaken() int64 { return s.taken.Load() - s.given }

// Close ends the reading. Closing the file ends a read that is under way, where the system lets it.
// It is not called beside Read.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	close(s.stop)
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// openInput opens a file for reading: one that may keep its reader waiting as a stream,
// which is opened at its first Read.
func openInput(path string) (io.ReadCloser, error) {
	wrong := func(err error) error {
		return &pipeline.EnvironmentError{Err: fmt.Errorf("opening a fixture: %w", err)}
	}
	info, err := statInput(path)
	if err != nil {
		return nil, wrong(err)
	}
	switch {
	case info.IsDir():
		return nil, wrong(fmt.Errorf("%s is a folder", title(path)))
	case info.Mode().IsRegular() && isStandardInput(path):
		return io.NopCloser(os.Stdin), nil
	case isStandardInput(path):
		return newStream(func() (io.ReadCloser, error) { return io.NopCloser(os.Stdin), nil }), nil
	case info.Mode().IsRegular():
		f, err := os.Open(path)
		if err != nil {
			return nil, wrong(err)
		}
		return f, nil
	}
	return newStream(func() (io.ReadCloser, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, wrong(err)
		}
		return f, nil
	}), nil
}

func statInput(path string) (os.FileInfo, error) {
	if !isStandardInput(path) {
		return os.Stat(path)
	}
	info, err := os.Stdin.Stat()
	if err != nil {
		return nil, fmt.Errorf("looking at standard input: %w", err)
	}
	return info, nil
}

// waitFor has reads of a stream wait for ctx.
func (f *input) waitFor(ctx context.Context) {
	if s, ok := f.f.(*stream); ok {
		s.wait = ctx
	}
}

// waitNoMore has reads of a stream give what is there, without waiting.
func (f *input) waitNoMore() {
	if s, ok := f.f.(*stream); ok {
		s.wait = nil
	}
}
