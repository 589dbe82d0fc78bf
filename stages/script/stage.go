package script

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/stages/script/internal/bounded"
)

// Reasons for which a Stage rejects a record.
const (
	ReasonRejected = "script_rejected" // the script called reject
	ReasonFailed   = "script_failed"   // the script failed on it: an error of the language, or a call of fail
	ReasonSteps    = "script_steps"    // the script took more steps than it may: a loop without end, or too much work
	ReasonMemory   = "script_memory"   // the script asked for more memory than it may
	ReasonTime     = "script_timeout"  // the script took longer than the timeout of its step
)

// A Stage calls a function of a script with each record. What the function returns becomes the value; None, or the record itself, leaves it
// with the edits that were made in place. The script may filter and reject the record; then, and when it fails, no edit is left.
// Tombstones pass without a call.
//
// A call ends with its context, within some ten thousand steps. Calls run at the same time, each with bounds of its own.
type Stage struct {
	script  *compiled
	records sync.Pool
	tell    atomic.Pointer[func(bytes int64)]
}

// New makes a Stage. It reads the script's file, and compiles it.
func New(s Settings) (*Stage, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	c, err := compile(&s)
	if err != nil {
		return nil, err
	}
	stage := &Stage{script: c}
	stage.records.New = func() any { return &record{run: bounded.NewRun(c.limits, stage.account)} }
	return stage, nil
}

// Account implements pipeline.Accounter: what scripts have allocated counts in the budget while they run.
func (s *Stage) Account(add func(bytes int64)) { s.tell.Store(&add) }

func (s *Stage) account(bytes int64) {
	if add := s.tell.Load(); add != nil {
		(*add)(bytes)
	}
}

// Process implements pipeline.Stage.
func (s *Stage) Process(ctx context.Context, rec *pipeline.Record) error {
	if rec.Tombstone() {
		return nil
	}
	r := s.records.Get().(*record)
	run := r.run
	run.Begin(ctx)
	r.begin(rec)
	returned := false
	defer func() {
		run.End()
		if returned { // what a panic leaves behind is not used again
			r.begin(nil)
			s.records.Put(r)
		}
	}()
	result, err := run.Call(s.script.function, r)
	var o outcome
	if err == nil {
		o, err = r.outcome(result)
	}
	if err != nil {
		err = s.failed(ctx, err)
	} else {
		err = r.apply(&o)
	}
	returned = true
	return err
}

// failed says what becomes of a record when the script has not returned.
func (s *Stage) failed(ctx context.Context, err error) error {
	var filter errFilter
	if errors.As(err, &filter) {
		return pipeline.Filtered
	}
	e := s.script.explain(err)
	var reject *errReject
	switch {
	case errors.As(err, &reject):
		return pipeline.Reject(ReasonRejected, s.script.rejected(reject, e))
	case errors.Is(err, bounded.ErrSteps):
		return pipeline.Reject(ReasonSteps, e)
	case errors.Is(err, bounded.ErrMemory):
		return pipeline.Reject(ReasonMemory, e)
	case errors.Is(err, context.DeadlineExceeded):
		return pipeline.Reject(ReasonTime, e)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if _, ok := pipeline.IsPermanent(err); ok { // of the record: its value is no JSON, or no object
		return fmt.Errorf("running the script: %w%s", innermost(err), e.where)
	}
	return pipeline.Reject(ReasonFailed, e)
}

// A scriptError says what a script did and where, and in its detail what may quote the record.
type scriptError struct{ text, detail, where string }

func (e *scriptError) Error() string  { return e.text }
func (e *scriptError) Detail() string { return e.detail }

// explain makes an error of what a call gave.
func (c *compiled) explain(err error) *scriptError {
	var what, where, detail string
	var e *bounded.Error
	if errors.As(err, &e) {
		what, detail = e.What, e.Quoted
		if len(e.Stack) > 0 {
			where = " (" + c.inFile(e) + ")"
		}
	} else {
		what, detail = bounded.Sayable(err)
	}
	if what == bounded.Failed && c.program.Literal(detail) {
		what, detail = what+": "+detail, ""
	}
	switch {
	case errors.Is(err, bounded.ErrSteps):
		what = fmt.Sprintf("it takes more than %d steps", c.limits.Steps)
	case errors.Is(err, bounded.ErrMemory):
		what = fmt.Sprintf("it allocates more than %d bytes", c.limits.Memory)
	case errors.Is(err, context.DeadlineExceeded):
		what = "it takes longer than the timeout"
	}
	if detail != "" {
		detail += where
	}
	return &scriptError{"running the script: " + what + where, detail, where}
}

func (c *compiled) inFile(e *bounded.Error) string {
	text := "in "
	if c.name != "" {
		text = c.name + ": in "
	}
	for i, s := range e.Stack {
		if i > 0 {
			text += ", called by "
		}
		text += s
	}
	return text
}

// innermost gives the error that a function of this package has given the interpreter.
func innermost(err error) error {
	var e *bounded.Error
	for errors.As(err, &e) && e.Cause != nil {
		err = e.Cause
	}
	return err
}

// rejected makes an error of a call of reject. A text that stands in the script as it is quotes nothing of the record.
func (c *compiled) rejected(r *errReject, e *scriptError) *scriptError {
	if c.program.Literal(r.text) {
		return &scriptError{"the script rejects the record: " + r.text + e.where, "", ""}
	}
	return &scriptError{"the script rejects the record" + e.where, r.text, ""}
}
