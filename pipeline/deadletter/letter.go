package deadletter

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A Letter is a dead letter that was read: a record, and why it was rejected.
type Letter struct {
	// At is where the letter itself stands: topic, partition and offset, or file, 0 and line.
	At pipeline.Position
	// Record is the record as it came: at the position it was read from, with its own key, time and
	// headers, those of this letter left out. It shares the bytes of what was read.
	Record pipeline.Record

	Pipeline, Step, Reason string
	Error, Detail          string
	Attempts               int // in all its lives
	Replays                int // how often it had been replayed
	Failures               int // parts of a split that failed; 0: it was not split, or one failed
	Time                   time.Time
	Redacted               []string // what was taken out; nil: nothing

	// Changed says that StepValue is there: the value as the step got it, nil for a tombstone.
	// Without it the steps before had changed nothing, or the letter could not have it: see Value.
	Changed   bool
	StepValue []byte
}

// A FormatError says why a record is no dead letter.
type FormatError struct {
	At     pipeline.Position
	Header string
	Err    error
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("reading %v as a dead letter: header %s: %v", e.At, e.Header, e.Err)
}

// Unwrap gives what is wrong with the header.
func (e *FormatError) Unwrap() error { return e.Err }

// Read takes a record of the dead letters apart, which stands at a position. It shares the bytes of
// rec. An error is a *FormatError, and quotes no value.
func Read(rec *pipeline.Record, at pipeline.Position) (*Letter, error) {
	l := &Letter{At: at}
	r := reader{at: at, found: map[string][]byte{}}
	came, own := Split(rec.Headers())
	for _, h := range own {
		r.found[h.Name] = h.Value
	}
	l.Pipeline, l.Step, l.Reason = r.text(Pipeline, true), r.text(Step, true), r.text(Reason, true)
	l.Error, l.Detail = r.text(Error, false), r.text(Detail, false)
	l.Attempts, l.Replays, l.Failures = int(r.count(Attempts, 1)), int(r.count(Replays, 0)), int(r.count(Failures, 0))
	pos := pipeline.Position{Topic: r.text(Topic, true)}
	r.need(Partition)
	r.need(Offset)
	pos.Partition, pos.Offset = int32(r.count(Partition, 0)), r.number(Offset, 0, 0, math.MaxInt64)
	stamp := r.number(Timestamp, pipeline.NoTime, math.MinInt64, math.MaxInt64)
	if text := r.text(Time, false); text != "" {
		var err error
		if l.Time, err = time.Parse(time.RFC3339, text); err != nil {
			r.fail(Time, "it is no time like 2026-11-30T12:00:00.000Z")
		}
	}
	if text := r.text(Redacted, false); text != "" {
		l.Redacted = strings.Split(text, ",")
	}
	l.StepValue, l.Changed = r.found[Value]
	if r.err != nil {
		return nil, r.err
	}
	key := rec.Key()
	if other, ok := r.found[Key]; ok {
		key = other
	}
	l.Record.Init(pos, key, rec.Value(), came, stamp)
	return l, nil
}

// Again gives the one header that says on the way back how often the record has been replayed, this
// time counted, and how often it was tried.
func (l *Letter) Again() pipeline.Header {
	return pipeline.Header{Name: Replayed, Value: []byte(History{Replays: min(l.Replays, math.MaxInt32-1) + 1, Attempts: l.Attempts}.String())}
}

// reader reads the headers of one letter, and remembers what is wrong first.
type reader struct {
	at    pipeline.Position
	found map[string][]byte
	err   error
}

func (r *reader) fail(name, what string) {
	if r.err == nil {
		r.err = &FormatError{At: r.at, Header: name, Err: fmt.Errorf("%s", what)}
	}
}

func (r *reader) need(name string) {
	if _, ok := r.found[name]; !ok {
		r.fail(name, "it is missing")
	}
}

func (r *reader) text(name string, needed bool) string {
	if needed {
		r.need(name)
	}
	return string(r.found[name])
}

// count reads a number of things, which is one of 31 bits.
func (r *reader) count(name string, missing int64) int64 {
	return r.number(name, missing, 0, math.MaxInt32)
}

func (r *reader) number(name string, missing, least, most int64) int64 {
	text, ok := r.found[name]
	if !ok {
		return missing
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		r.fail(name, "it is no whole number")
	case err != nil || n < least || n > most:
		r.fail(name, fmt.Sprintf("it is no whole number from %d to %d", least, most))
	default:
		return n
	}
	return missing
}
