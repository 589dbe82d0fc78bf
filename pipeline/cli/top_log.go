package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/top"
)

// This file has the logs that top reads: standard input, files, and files that grow.

// keepOfStream is how far back one can move in a log that has no end.
const keepOfStream = time.Hour

// ofInput looks at a log that comes on standard input.
func (t *topSession) ofInput(g *globals) (*topFeed, error) {
	if isTerminal(g.in) {
		return nil, usagef("top - reads a log from standard input, which is the terminal: kubectl logs -f deploy/x | penstock top -")
	}
	store := top.NewStore("standard input", keepOfStream)
	log := top.NewLog(store)
	read := func(ctx context.Context) error {
		if err := log.ReadFrom(ctx, g.in); err != nil && ctx.Err() == nil {
			return &exitError{exitEnvironment, err}
		}
		return t.someOf(log, "standard input")
	}
	feed := &topFeed{store: store, fromLog: true, first: read}
	if t.asJSON && !t.once { // it may be a log without an end
		feed.first = func(context.Context) error { return nil }
		feed.proceed = func(ctx context.Context) { store.End(read(ctx)) }
	}
	return feed, nil
}

// someOf is the error of a log that has no line of penstock's.
func (t *topSession) someOf(log *top.Log, name string) error {
	n := log.Count()
	if n.Events > 0 {
		return nil
	}
	return &exitError{exitExpectation, fmt.Errorf("%s has %s, and none of penstock's: a log has them with log.format: json, or where standard error is no terminal",
		name, counted(int(n.Lines), "line"))}
}

// ofLogs looks at log files, one after the other.
func (t *topSession) ofLogs() (*topFeed, error) {
	for _, name := range t.logs {
		if info, err := os.Stat(name); err != nil {
			return nil, &exitError{exitEnvironment, fmt.Errorf("reading a log: %w", err)}
		} else if info.IsDir() {
			return nil, usagef("reading a log: %s is a folder: name its files, the oldest first", name)
		}
	}
	keep := time.Duration(0)
	if t.follow {
		keep = 24 * time.Hour
		if last := t.logs[len(t.logs)-1]; isCompressed(last) {
			return nil, usagef("--follow reads on as a log grows, and %s is compressed: leave --follow out, or name the log that is written to as the last --file", last)
		}
	}
	store := top.NewStore(strings.Join(t.logs, ", "), keep)
	log := top.NewLog(store)
	last := &followed{name: t.logs[len(t.logs)-1]}
	feed := &topFeed{store: store, fromLog: true}
	feed.first = func(ctx context.Context) error {
		for i, name := range t.logs {
			err := error(nil)
			if t.follow && i == len(t.logs)-1 {
				err = last.read(ctx, log)
			} else {
				err = readLog(ctx, log, name)
			}
			if err != nil {
				return &exitError{exitEnvironment, err}
			}
		}
		if t.follow {
			return nil
		}
		return t.someOf(log, store.View(top.ViewOf{}).Source)
	}
	if t.follow {
		feed.proceed = func(ctx context.Context) {
			for ctx.Err() == nil {
				select {
				case <-ctx.Done():
				case <-time.After(followEvery):
				}
				if err := last.read(ctx, log); err != nil && ctx.Err() == nil {
					store.End(err)
					return
				}
			}
		}
	}
	return feed, nil
}

// isCompressed says whether a file begins as gzip does. What is no file is not read for that.
func isCompressed(name string) bool {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return false
	}
	file, err := os.Open(name)
	if err != nil {
		return false // it is told when it is read
	}
	defer file.Close()
	return hasGzip(bufio.NewReader(file))
}

// hasGzip says whether what comes is compressed. It takes nothing away.
func hasGzip(in *bufio.Reader) bool {
	head, _ := in.Peek(2)
	return len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b
}

// readLog reads a log file to its end, plain or with gzip.
func readLog(ctx context.Context, log *top.Log, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("reading a log: %w", err)
	}
	defer file.Close()
	in := bufio.NewReader(file)
	if hasGzip(in) {
		unzipped, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("reading the log %s: %w", name, err)
		}
		err = log.ReadFrom(ctx, unzipped)
		if errors.Is(err, io.ErrUnexpectedEOF) { // it is still being written, or was cut off: what it has counts
			return nil
		}
		return inFile(name, err)
	}
	return inFile(name, log.ReadFrom(ctx, in))
}

func inFile(name string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// followEvery is how often a file is looked at for what has been written to it.
const followEvery = 250 * time.Millisecond

// A followed file is read on as it grows. It is plain.
type followed struct {
	name string
	file *os.File
	at   int64  // how far it was read
	rest []byte // of its last line, which has no end yet
}

// mostRest is how much of a line without an end is kept.
const mostRest = 1 << 20

// read reads what has come. A file that was renamed is read to its end, and then the one of its name.
func (f *followed) read(ctx context.Context, log *top.Log) error {
	for ctx.Err() == nil {
		if f.file == nil {
			file, err := os.Open(f.name)
			if errors.Is(err, os.ErrNotExist) && f.at >= 0 {
				return nil // it is being rotated
			}
			if err != nil {
				return fmt.Errorf("reading a log: %w", err)
			}
			f.file, f.at, f.rest = file, 0, nil
		}
		if info, err := f.file.Stat(); err == nil && info.Size() < f.at { // it was cut
			if _, err := f.file.Seek(0, io.SeekStart); err != nil {
				return fmt.Errorf("reading the log %s: %w", f.name, err)
			}
			f.at, f.rest = 0, nil
		}
		if err := f.lines(ctx, log); err != nil {
			return err
		}
		now, err := os.Stat(f.name)
		mine, mineErr := f.file.Stat()
		if err != nil || mineErr != nil || os.SameFile(now, mine) {
			return nil
		}
		if mine.Size() > f.at {
			continue // it has grown meanwhile
		}
		if len(f.rest) > 0 {
			log.Line(f.rest)
		}
		_ = f.file.Close() // it was only read
		f.file = nil
	}
	return nil
}

// lines reads the lines whose end is there.
func (f *followed) lines(ctx context.Context, log *top.Log) error {
	part := make([]byte, 64<<10)
	for ctx.Err() == nil {
		n, err := f.file.Read(part)
		f.at += int64(n)
		f.rest = append(f.rest, part[:n]...)
		for {
			at := bytes.IndexByte(f.rest, '\n')
			if at < 0 {
				break
			}
			log.Line(f.rest[:at])
			f.rest = f.rest[at+1:]
		}
		if len(f.rest) > mostRest {
			f.rest = f.rest[:0]
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading the log %s: %w", f.name, err)
		}
	}
	return nil
}
