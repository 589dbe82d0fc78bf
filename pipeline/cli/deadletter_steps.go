package cli

import (
	"context"
	"io"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

// This file has records begin in the middle of a pipeline: each step is wrapped by one that lets a
// record pass untouched that is to begin behind it, and each sink wants those that are for it.

// A letterTarget says where the record of a letter goes on.
type letterTarget struct {
	step   int    // its index; behind the last: at the sinks
	sink   string // the one sink that gets it; "": each that wants it
	letter *deadletter.Letter
}

// targetOf gives where the record goes on that was read at a position.
type targetOf func(pipeline.Position) (letterTarget, bool)

// beginWithin changes the options of a pipeline so that each record goes on where of says.
func beginWithin(o *engine.Options, of targetOf) {
	for i := range o.Steps {
		s := &o.Steps[i]
		if s.Stage == nil { // a splitter: nothing is known of how a record was behind it, so none begins there
			continue
		}
		skip := &skipping{stage: s.Stage, index: i, of: of}
		if a, ok := s.Stage.(pipeline.Admitter); ok {
			s.Stage = &skippingAdmitter{skip, a}
		} else {
			s.Stage = skip
		}
	}
	for i := range o.Sinks {
		s := &o.Sinks[i]
		when := s.When
		s.When = func(rec *pipeline.Record) (bool, error) {
			if t, ok := of(rec.Position); ok && t.sink != "" && t.sink != s.Name {
				return false, nil
			}
			if when == nil {
				return true, nil
			}
			return when(rec)
		}
	}
}

// skipping is a stage that records pass untouched which are to begin behind it. What else the stage
// can do, it can still.
type skipping struct {
	stage pipeline.Stage
	index int
	of    targetOf
}

// passes says whether a record is to pass.
func (s *skipping) passes(rec *pipeline.Record) bool {
	t, ok := s.of(rec.Position)
	return ok && s.index < t.step
}

// arrive gives a record that passes the last step in front of the one where it begins the value that it had there.
func (s *skipping) arrive(rec *pipeline.Record) {
	if t, ok := s.of(rec.Position); ok && s.index == t.step-1 && t.letter.Changed {
		rec.SetValue(t.letter.StepValue)
	}
}

// Process implements pipeline.Stage.
func (s *skipping) Process(ctx context.Context, rec *pipeline.Record) error {
	if s.passes(rec) {
		s.arrive(rec)
		return nil
	}
	return s.stage.Process(ctx, rec)
}

// Undone implements pipeline.Undoer. A stage is told of records alone that it was called with.
func (s *skipping) Undone(pos pipeline.Position, part int32) {
	u, ok := s.stage.(pipeline.Undoer)
	if t, known := s.of(pos); !ok || known && s.index < t.step {
		return
	}
	u.Undone(pos, part)
}

// Ping implements pipeline.Pinger.
func (s *skipping) Ping(ctx context.Context) error {
	if p, ok := s.stage.(pipeline.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

// Attach implements pipeline.Attacher.
func (s *skipping) Attach(e *event.Emitter) {
	if a, ok := s.stage.(pipeline.Attacher); ok {
		a.Attach(e)
	}
}

// Account implements pipeline.Accounter.
func (s *skipping) Account(add func(bytes int64)) {
	if a, ok := s.stage.(pipeline.Accounter); ok {
		a.Account(add)
	}
}

// Report implements pipeline.Reporter.
func (s *skipping) Report() (r pipeline.Report) {
	if reporter, ok := s.stage.(pipeline.Reporter); ok {
		r = reporter.Report()
	}
	return r
}

// Close implements io.Closer.
func (s *skipping) Close() error {
	if c, ok := s.stage.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// skippingAdmitter is skipping for a stage whose calls may have to wait.
type skippingAdmitter struct {
	*skipping
	admitter pipeline.Admitter
}

// Admit implements pipeline.Admitter.
func (s *skippingAdmitter) Admit(rec *pipeline.Record, attempt int) (pipeline.Call, error) {
	if s.passes(rec) {
		return passing{s.skipping}, nil
	}
	return s.admitter.Admit(rec, attempt)
}

// passing is the call of a record that passes: none.
type passing struct{ s *skipping }

func (passing) Gate() any                                          { return nil }
func (passing) Enter(func()) (wait time.Duration, ok bool)         { return 0, true }
func (passing) Waits() string                                      { return "" }
func (passing) Leave(pipeline.CallResult) (counts bool)            { return true }
func (p passing) Do(_ context.Context, rec *pipeline.Record) error { p.s.arrive(rec); return nil }
