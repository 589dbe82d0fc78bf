package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// An AbandonedError is returned by Run when the drain budget ran out, or Abort was
// called, before everything that was begun had an outcome. What was abandoned is
// uncommitted and will be read again, unless the source cannot; what a stop has handed
// back unbegun is not counted here.
type AbandonedError struct {
	Abandoned int  // records without an outcome
	Running   int  // calls that had not returned when Run did
	Forced    bool // by Abort
	Once      bool // the source cannot read them again (pipeline.ReadOncer)
	// Holder says what held the record that had been in flight longest: the step or sink, and its last error, as a Hold does.
	// "": not known.
	Holder string
}

func (e *AbandonedError) Error() string {
	then := "they are uncommitted and will be read again"
	if e.Once {
		then = "their source cannot be read again, so they are lost unless whoever gave them gives them once more"
	}
	s := fmt.Sprintf("abandoned %d records in flight; %s", e.Abandoned, then)
	if e.Holder != "" {
		s += "; held longest by " + e.Holder
	}
	if e.Running > 0 {
		s += fmt.Sprintf("; %d calls had not returned", e.Running)
	}
	return s
}

// An OpenError is returned by Run when a sink could not be opened (pipeline.Opener).
type OpenError struct {
	Sink string // its name
	Err  error
}

func (e *OpenError) Error() string { return "opening sink " + e.Sink + ": " + textOf(e.Err.Error) }
func (e *OpenError) Unwrap() error { return e.Err }

// A tooLateError is the error of a call whose time ran out. It says how long that was, which the
// error of a context does not.
type tooLateError struct {
	err   error
	limit time.Duration
}

// NoAnswer puts a call's time limit into the message of its error, if the error says that the
// time was over: "no answer within 500ms" in place of "context deadline exceeded". Any other
// error, and nil, it gives back as it is.
func NoAnswer(err error, limit time.Duration) error {
	if err == nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(textOf(err.Error), context.DeadlineExceeded.Error()) {
		return err
	}
	if limit > 10*time.Millisecond {
		limit = limit.Round(time.Millisecond)
	}
	return &tooLateError{err, limit}
}

func (e *tooLateError) Error() string {
	return strings.ReplaceAll(textOf(e.err.Error), context.DeadlineExceeded.Error(), "no answer within "+e.limit.String())
}

func (e *tooLateError) Unwrap() error { return e.err }
