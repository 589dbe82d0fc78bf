package pipeline

import (
	"errors"
	"fmt"
	"time"
)

// Filtered is returned by a Stage to end a record on purpose. It is an outcome,
// not a failure.
//
//lint:ignore ST1012 it is no error of anything: stages say return pipeline.Filtered
var Filtered = errors.New("filtered")

// Reasons for which a record is rejected. They appear in dead letters, in events
// and in counters; a component may use others of its own, lower case with
// underscores, from a small closed set.
const (
	ReasonPermanent   = "permanent"    // the stage or sink said so
	ReasonAttempts    = "attempts"     // the last allowed attempt failed
	ReasonDeadline    = "deadline"     // the record's time in the step ran out
	ReasonMaxWait     = "max_wait"     // limits held the record back in the step for longer than it allows
	ReasonHostDown    = "host_down"    // the host has not answered for longer than the step waits for it
	ReasonSkipped     = "skipped"      // a command skips its key, or it alone
	ReasonPanic       = "panic"        // the stage or sink panicked
	ReasonInvalidJSON = "invalid_json" // the value is not JSON, or is nested deeper than 10,000, and a field was asked for
	ReasonNotObject   = "not_object"   // the value is no JSON object, and a field was to be read or edited
	ReasonNoPath      = "no_path"      // a field within the value was to be set, and something that is no object or array stands on the way
	ReasonExpression  = "expression"   // an expression failed on this record
	ReasonTooLarge    = "too_large"    // larger than the output allows, or than an edit may make it
)

type kind uint8

const (
	transient kind = iota
	permanent
	fatal
)

// classified carries how the engine has to treat an error.
type classified struct {
	kind   kind
	reason string
	after  time.Duration
	err    error
}

func (c *classified) Error() string { return c.err.Error() }
func (c *classified) Unwrap() error { return c.err }

// Permanent marks an error that trying again cannot cure: the record is rejected
// now, with ReasonPermanent.
func Permanent(err error) error { return Reject(ReasonPermanent, err) }

// Reject is Permanent with a reason of its own.
func Reject(reason string, err error) error {
	if err == nil {
		return nil
	}
	return &classified{kind: permanent, reason: reason, err: err}
}

// Fatal marks an error after which the pipeline must stop. Marks already earned
// are committed; the record is abandoned.
func Fatal(err error) error {
	if err == nil {
		return nil
	}
	return &classified{kind: fatal, err: err}
}

// RetryAfter marks a transient error that should be tried again no sooner than d
// from now. Of the call of an Admitter it is up to its gate, which may hold back all calls to the same
// host: see Call.Leave.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &classified{kind: transient, after: d, err: err}
}

// A Detailer is an error that knows more than may stand in a log: what a server answered,
// say, which may quote the record. The detail goes into the record's dead letter alone, at
// most 1 KiB of it.
type Detailer interface{ Detail() string }

// IsPermanent says whether err was marked by Permanent or Reject, or is a panic,
// and gives the reason.
func IsPermanent(err error) (reason string, ok bool) {
	if err == nil { // as nearly always
		return "", false
	}
	if _, ok := errors.AsType[*PanicError](err); ok {
		return ReasonPanic, true
	}
	if c, ok := errors.AsType[*classified](err); ok && c.kind == permanent {
		return c.reason, true
	}
	return "", false
}

// IsFatal says whether err was marked by Fatal.
func IsFatal(err error) bool {
	c, ok := errors.AsType[*classified](err)
	return ok && c.kind == fatal
}

// RetryHint gives the wait that RetryAfter asked for, or zero.
func RetryHint(err error) time.Duration {
	if c, ok := errors.AsType[*classified](err); ok && c.kind == transient {
		return c.after
	}
	return 0
}

// A PanicError is a panic, or a call of runtime.Goexit, inside a component. It is
// a permanent error of the record at hand.
type PanicError struct {
	Value any // nil for Goexit
	Stack []byte
}

func (e *PanicError) Error() string {
	if e.Value == nil {
		return "ended its goroutine (runtime.Goexit)"
	}
	return fmt.Sprintf("panic: %v", e.Value)
}

// A Failure is one record that a Sink has not stored: its index in the slice given
// to Write, and why.
type Failure struct {
	Index int
	Err   error
}

// A WriteError is what Sink.Write returns when some of the records are durable and
// others, listed in ascending order, are not.
type WriteError struct {
	Failed []Failure
}

func (e *WriteError) Error() string {
	if len(e.Failed) == 0 {
		return "no record failed"
	}
	if len(e.Failed) == 1 {
		return e.Failed[0].Err.Error()
	}
	return fmt.Sprintf("%d records not stored, the first: %v", len(e.Failed), e.Failed[0].Err)
}

// Unwrap gives the first failure.
func (e *WriteError) Unwrap() error {
	if len(e.Failed) == 0 {
		return nil
	}
	return e.Failed[0].Err
}

// An EnvironmentError says that something outside the process refused to work at
// start-up: a broker, a database, a port, a credential. The command line turns it
// into exit code 3.
type EnvironmentError struct {
	Err error
}

func (e *EnvironmentError) Error() string { return e.Err.Error() }
func (e *EnvironmentError) Unwrap() error { return e.Err }
