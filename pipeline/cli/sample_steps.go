package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/fixture"
)

// This file holds what eval and check --sample have in common: reading records, and taking them
// through the steps of a file one at a time, where what each does to each can be seen.

// inputForms are what --as takes.
var inputForms = []string{"fixture", "value"}

// inputForm is what the lines of a file are.
type inputForm struct{ as, key string }

// check gives the expression of the key, if there is one.
func (f inputForm) check() (*expr.Expr, error) {
	if !slices.Contains(inputForms, f.as) {
		return nil, usagef("--as %s: it is fixture or value", f.as)
	}
	if f.key == "" {
		return nil, nil
	}
	if f.as != "value" {
		return nil, usagef("--key: a fixture line carries its own key; give --as value, or leave it out")
	}
	key := new(expr.Expr)
	if err := key.UnmarshalText([]byte(f.key)); err != nil {
		return nil, usagef("--key %s: %w", f.key, err)
	}
	return key, nil
}

// eachRecord reads files, "-" being in, and calls yield for each record, which it may keep. It
// ends at io.EOF from yield.
func (f inputForm) eachRecord(in io.Reader, files []string, yield func(rec *pipeline.Record) error) error {
	key, err := f.check()
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := f.eachOf(in, name, key, yield); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
	return nil
}

func (f inputForm) eachOf(from io.Reader, name string, key *expr.Expr, yield func(rec *pipeline.Record) error) error {
	in, title, err := openInput(from, name, "reading records")
	if err != nil {
		return err
	}
	defer in.Close()
	topic := filepath.Base(name) // as that of a replay
	r := fixture.NewReader(in, topic)
	if f.as == "value" {
		var bytes func(*pipeline.Record) ([]byte, error)
		if key != nil {
			bytes = key.Bytes
		}
		r = fixture.NewValueReader(in, topic, bytes)
	}
	for {
		rec := new(pipeline.Record)
		_, err := r.Next(rec)
		if err == io.EOF {
			return nil
		}
		var at *fixture.Error
		if errors.As(err, &at) {
			at.File = title
		}
		if err != nil {
			return fmt.Errorf("reading records: %w", err)
		}
		if err := yield(rec); err != nil {
			return err
		}
	}
}

// A trial takes records through the steps of a file, one at a time.
type trial struct {
	file    *config.Pipeline
	options engine.Options
}

// newTrial makes the steps of a file. The caller closes it.
func newTrial(p *config.Pipeline) (*trial, error) {
	o, err := catalog.Build(p, catalog.Env{
		Stdout: io.Discard, Source: noSource{},
		Sink: func(string, string) (pipeline.Sink, error) { return noSink{}, nil },
	})
	if err != nil {
		var env *pipeline.EnvironmentError
		if !errors.As(err, &env) {
			err = &buildError{err}
		}
		return nil, err
	}
	return &trial{p, o}, nil
}

func (t *trial) close() { _ = catalog.Close(context.Background(), t.options) } // nothing was written

// An outcome is what a step made of a record.
type outcome struct {
	out      []*pipeline.Record // that go on
	filtered bool
	reason   string // why it is rejected; "": it is not
	err      error  // with which it is rejected, or passed on because the file says so
}

// step takes a record through step i. The record stays as it is.
func (t *trial) step(ctx context.Context, i int, rec *pipeline.Record) outcome {
	s, o := t.options.Steps[i], outcome{}
	if s.Wait == nil {
		o = attempt(ctx, s, rec)
	} else {
		o = t.attempts(ctx, s, rec)
	}
	if o.reason != "" && s.OnError == engine.OnErrorPass {
		return outcome{out: []*pipeline.Record{rec}, err: o.err}
	}
	return o
}

// attempts tries a step that waits for somebody as often as the file says.
func (t *trial) attempts(ctx context.Context, s engine.Step, rec *pipeline.Record) outcome {
	ctx, cancel := context.WithTimeout(ctx, s.Wait.Deadline)
	defer cancel()
	wait := s.Wait.Retry.Backoff
	for n := 1; ; n++ {
		within, done := context.WithTimeout(ctx, s.Wait.Timeout)
		o := attempt(within, s, rec)
		done()
		if _, permanent := pipeline.IsPermanent(o.err); o.err == nil || permanent || n >= s.Wait.Retry.Attempts {
			return o
		}
		select {
		case <-ctx.Done():
			o.reason = pipeline.ReasonDeadline
			return o
		case <-time.After(max(wait, pipeline.RetryHint(o.err))):
		}
		wait = min(2*wait, s.Wait.Retry.MaxBackoff)
	}
}

// attempt calls a step once.
func attempt(ctx context.Context, s engine.Step, rec *pipeline.Record) (o outcome) {
	defer func() {
		if r := recover(); r != nil {
			err := &pipeline.PanicError{Value: r, Stack: debug.Stack()}
			o = outcome{reason: pipeline.ReasonPanic, err: err}
		}
	}()
	work := rec.Clone()
	var err error
	if s.Splitter != nil {
		err = s.Splitter.Split(ctx, work, func(part *pipeline.Record) {
			c := part.Clone()
			c.Position, c.Part = rec.Position, int32(len(o.out)+1)
			o.out = append(o.out, c)
		})
		o.filtered = err == nil && len(o.out) == 0
	} else if err = s.Stage.Process(ctx, work); err == nil {
		o.out = []*pipeline.Record{work}
	}
	switch reason, permanent := pipeline.IsPermanent(err); {
	case err == nil:
		return o
	case errors.Is(err, pipeline.Filtered):
		return outcome{filtered: true}
	case permanent:
		return outcome{reason: reason, err: err}
	case s.Wait == nil:
		return outcome{reason: pipeline.ReasonPermanent, err: err}
	}
	return outcome{reason: pipeline.ReasonAttempts, err: err}
}

// noSource and noSink stand in for what a trial does not use.
type noSource struct{}

func (noSource) Open(context.Context, pipeline.Feed) error     { return nil }
func (noSource) Read(context.Context) (*pipeline.Batch, error) { return nil, io.EOF }
func (noSource) Commit(context.Context, []pipeline.Mark) error { return nil }
func (noSource) Close(context.Context) error                   { return nil }

type noSink struct{}

func (noSink) Write(context.Context, []*pipeline.Record) error { return nil }
func (noSink) Close(context.Context) error                     { return nil }
