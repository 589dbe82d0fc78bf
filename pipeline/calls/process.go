package calls

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// Process is the Process of a stage that is a pipeline.Admitter, for whoever uses it without an engine:
// it admits the record, waits for the entrance, and makes the call and those that follow from it.
func Process(ctx context.Context, s pipeline.Admitter, rec *pipeline.Record) error {
	call, err := s.Admit(rec, 1)
	for err == nil {
		if err = Enter(ctx, call); err != nil {
			call.Leave(pipeline.CallResult{})
			return err
		}
		err = do(ctx, call, rec)
		next, more := pipeline.NextCall(err)
		if !more {
			return err
		}
		call, err = next, nil
	}
	return err
}

// processed counts calls that were made without an engine: each gives its record back at once.
var processed atomic.Int64

// panicked is what a call has come to that has not returned.
var panicked error = &pipeline.PanicError{}

// do makes a call that was let in. A panic in it is one of the caller, behind Leave.
func do(ctx context.Context, call pipeline.Call, rec *pipeline.Record) (err error) {
	began, result := time.Now(), pipeline.CallResult{Begun: true, Err: panicked}
	defer func() {
		result.Took, result.Released = time.Since(began), processed.Add(1)
		call.Leave(result)
	}()
	result.Err = call.Do(ctx, rec)
	return result.Err
}

// Enter waits until a call is let in, or ctx ends. The clock of an attempt stands still meanwhile.
// It is for those who have no engine that waits for them: sinks.
func Enter(ctx context.Context, call pipeline.Call) error {
	gate := call.Gate()
	for gate != nil {
		in, err := enterAt(ctx, call, gate)
		if in || err != nil {
			return err
		}
		gate = call.Gate()
	}
	return ctx.Err()
}

// A refused is a call that was not let in, and when it asks again.
type refused struct {
	pipeline.Call
	until time.Time // zero: that is not known
}

// Host implements pipeline.Hosted.
func (r refused) Host() string {
	if h, ok := r.Call.(pipeline.Hosted); ok {
		return h.Host()
	}
	return ""
}

// Cause says which limit holds the call back.
func (r refused) Cause() string {
	if c, ok := r.Call.(interface{ Cause() string }); ok {
		return c.Cause()
	}
	return ""
}

// Until says when it asks again.
func (r refused) Until() time.Time { return r.until }

// enterAt waits until a call is let in, or goes to another gate, or ctx ends.
func enterAt(ctx context.Context, call pipeline.Call, gate any) (in bool, err error) {
	resume := func() {}
	defer func() { resume() }()
	wake := make(chan struct{}, 1)
	for {
		wait, ok := call.Enter(func() {
			select {
			case wake <- struct{}{}:
			default:
			}
		})
		if ok {
			return true, ctx.Err()
		}
		if call.Gate() != gate {
			return false, ctx.Err()
		}
		by := refused{Call: call}
		if wait > 0 {
			by.until = time.Now().Add(wait)
		}
		before := resume
		resume = pipeline.StopClock(ctx, by)
		before()
		var after <-chan time.Time
		var t *time.Timer
		if wait > 0 {
			t = time.NewTimer(wait)
			after = t.C
		}
		select {
		case <-wake:
		case <-after:
		case <-ctx.Done():
		}
		if t != nil {
			t.Stop()
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
	}
}
