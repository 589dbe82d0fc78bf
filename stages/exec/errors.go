package execstage

import (
	"context"
	"fmt"

	"github.com/penstockio/penstock/pipeline"
)

// ReasonRejected is the reason of records that a process has rejected.
const ReasonRejected = "child_rejected" // the process of an exec step has rejected it

// A kind is what went wrong with a process.
type kind uint8

const (
	died    kind = iota // it ended, or closed its input or output
	junk                // it wrote what is no answer
	late                // it did not answer in time
	failed              // it says that the record may be tried again
	refused             // it says that the record may not
	unready             // it did not start, or was not ready in time
)

// An Error is a process that has not done what it was asked to. Its text holds nothing that the process
// wrote: that may quote the record, and stands in the dead letter alone.
type Error struct {
	kind   kind
	text   string
	detail string
}

func (e *Error) Error() string { return e.text }

// Detail gives what the process wrote, for a dead letter: it may quote the record.
func (e *Error) Detail() string { return e.detail }

// ErrorType gives the type for events and counters.
func (e *Error) ErrorType() string {
	switch e.kind {
	case junk:
		return "bad_answer"
	case late:
		return "timeout"
	case failed:
		return "child_retry"
	case refused:
		return ReasonRejected
	case unready:
		return "child_unready"
	}
	return "child_died"
}

// NotAsked says that the failure is no sign that others will fail too (package calls): a process that dies
// of a record, or hangs, is started again, and what it had is tried again as often as the step allows. That
// a process says retry is such a sign: it asks somebody else that fails.
func (e *Error) NotAsked() bool { return e.kind != failed && e.kind != refused }

func newError(k kind, detail, format string, args ...any) *Error {
	return &Error{kind: k, text: "asking a child process: " + fmt.Sprintf(format, args...), detail: detail}
}

// refusal is the error of a record that a process has rejected.
func refusal(v verdict) error {
	return pipeline.Reject(ReasonRejected, newError(refused, said(*v.reject, v.more), "it rejects the record"))
}

// said joins what a process says with what it says besides.
func said(word, more string) string {
	if word != "" && more != "" {
		return word + ": " + more
	}
	return word + more
}

// A canceledError is a record that the pipeline has given up.
type canceledError struct{}

func (*canceledError) Error() string     { return "asking a child process: given up" }
func (*canceledError) Unwrap() error     { return context.Canceled }
func (*canceledError) ErrorType() string { return "canceled" }
