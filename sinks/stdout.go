package sinks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/sinks/lines"
)

// StdoutSettings are the settings of a Stdout.
type StdoutSettings struct {
	As string `yaml:"as" enum:"value|fixture" doc:"value (default): the record's value as a line; fixture: the whole record as a fixture line"`
}

// Validate implements the check of settings.
func (s *StdoutSettings) Validate() error {
	_, err := lines.New(s.As, "")
	return err
}

// A Stdout writes one line a record. Its promise is that of the writer behind it: a
// record is stored when the writer has taken its line. As a value, JSON with line
// breaks is written on one line, a tombstone as null, and text with line breaks is
// rejected with not_one_line. A reader that has gone away stops the pipeline.
type Stdout struct {
	form lines.Form
	w    io.Writer
	busy chan struct{} // capacity 1: taken while the writer or rest is in use
	rest []byte        // what is missing of a line that was written in part
}

// NewStdout makes a Stdout on w. sink, when not "", is stamped on fixture lines. One
// Write of the sink is one call of w at a time; w is not closed.
func NewStdout(s StdoutSettings, w io.Writer, sink string) (*Stdout, error) {
	form, err := lines.New(s.As, sink)
	if err != nil {
		return nil, err
	}
	return &Stdout{form: form, w: w, busy: make(chan struct{}, 1)}, nil
}

// Write implements pipeline.Sink. The writer runs on its own goroutine, so that Write
// returns at the end of ctx also when nobody reads the pipe. A line that has begun is finished
// before the next one.
func (s *Stdout) Write(ctx context.Context, recs []*pipeline.Record) error {
	if err := ctx.Err(); err != nil || len(recs) == 0 {
		return err
	}
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("writing to standard output: %w", ctx.Err())
	}
	b := &block{text: s.rest, rest: len(s.rest)}
	for i, rec := range recs {
		var err error
		if b.text, err = s.form.Append(b.text, rec); err != nil {
			b.failed = append(b.failed, pipeline.Failure{Index: i, Err: err})
			continue
		}
		b.lines = append(b.lines, line{index: i, end: len(b.text)})
	}
	done := make(chan error, 1)
	go func() {
		n, err := s.w.Write(b.text)
		if err == nil && n < len(b.text) {
			err = io.ErrShortWrite
		}
		s.rest = b.torn(n)
		if err != nil {
			b.failAfter(n, stdoutError(err))
		}
		<-s.busy
		if len(b.failed) > 0 {
			done <- &pipeline.WriteError{Failed: b.failed}
		} else {
			done <- nil
		}
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("writing to standard output: %w", ctx.Err())
	}
}

// A block is the text of one call of a writer.
type block struct {
	text   []byte
	rest   int // how much of text is the rest of an earlier line
	lines  []line
	failed []pipeline.Failure
}

// A line is where the line of a record ends in a block.
type line struct{ index, end int }

// torn gives what is missing of the line of which only a part is within the first n bytes, as a
// copy.
func (b *block) torn(n int) []byte {
	if n < b.rest {
		return slices.Clone(b.text[n:b.rest])
	}
	start := b.rest
	for _, l := range b.lines {
		if start < n && n < l.end {
			return slices.Clone(b.text[n:l.end])
		}
		start = l.end
	}
	return nil
}

// failAfter adds the records whose lines do not end within n bytes to those that failed.
func (b *block) failAfter(n int, err error) {
	for _, l := range b.lines {
		if l.end > n {
			b.failed = append(b.failed, pipeline.Failure{Index: l.index, Err: err})
		}
	}
	slices.SortFunc(b.failed, func(x, y pipeline.Failure) int { return x.Index - y.Index })
}

func stdoutError(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		return pipeline.Fatal(errors.New("writing to standard output: nobody reads it any more"))
	}
	return fmt.Errorf("writing to standard output: %w", err)
}

// Close implements pipeline.Sink.
func (s *Stdout) Close(context.Context) error { return nil }
