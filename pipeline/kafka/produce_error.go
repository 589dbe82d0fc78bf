package kafka

import "fmt"

// A MessageError is one message that was not stored, by its index.
type MessageError struct {
	Index int
	Err   error
}

// A ProduceError lists the messages that were not stored, in ascending order. All others were
// stored, in order. A message with a *RefusedError will never be stored, and those behind it are
// not affected; behind any other that is listed, none of the same partition was stored.
type ProduceError struct {
	Failed []MessageError
}

func (e *ProduceError) Error() string {
	if len(e.Failed) == 1 {
		return e.Failed[0].Err.Error()
	}
	return fmt.Sprintf("%d messages not stored, the first: %v", len(e.Failed), e.Failed[0].Err)
}

// Unwrap gives the first error.
func (e *ProduceError) Unwrap() error { return e.Failed[0].Err }

// Reasons of a RefusedError.
const (
	RefusedTooLarge  = "too_large"         // it is larger than the topic takes
	RefusedInvalid   = "invalid_record"    // the broker's own check refuses it: a compacted topic and no key, for one
	RefusedTimestamp = "invalid_timestamp" // its time is outside of what the topic takes: an hour ahead, by default
)

// A RefusedError says that the topic does not take this message, whenever it is
// sent; Reason is one of the constants above.
type RefusedError struct {
	Reason string
	Err    error
}

func (e *RefusedError) Error() string { return e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }

// ErrorType is the short name under which logs count the error.
func (e *RefusedError) ErrorType() string { return e.Reason }

// errHeldBack is the error of messages that were not sent because one in front of
// them was not stored.
var errHeldBack error = heldBack{}

type heldBack struct{}

func (heldBack) Error() string     { return "held back, because a record in front of it was not stored" }
func (heldBack) ErrorType() string { return "held_back" }
