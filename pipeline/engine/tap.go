package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// This file is taps: somebody looks at records that pass a step while the pipeline runs.
//
// What it guarantees. A tap changes nothing: no worker waits for it, no record is held, none is
// edited, no order changes. What is shown are copies, of at most tapBytes a record, redacted before
// they are handed out, and the condition of a tap is asked about the redacted copy: whether it
// holds says nothing of a value that is not shown. What is beyond its rate, or finds no room as
// nobody reads, is counted as skipped. A condition or a redaction that panics costs its own tap
// one record.
//
// How. Each place has a pointer to the taps there, nil mostly: one load for each chunk. A worker
// that finds some copies what they want (tap_record.go) and puts it into a queue that it never
// waits for. Whoever reads the tap redacts, asks the condition, and counts.
//
// Not chosen. Asking the condition in the worker: an expression that somebody types then costs
// the pipeline time for each record, and may panic there. The price is that a condition sees at
// most tapLooks records a second.

// A TapSide says at which end of a step a record is seen, or what became of it there.
type TapSide uint8

// The sides. A tap may have several.
const (
	TapBefore   TapSide = 1 << iota // as it comes to the step, or to the sink
	TapAfter                        // as it leaves the step, or when the sink has stored it
	TapRejected                     // the step or sink rejects it
	TapFiltered                     // the step filters it
)

// TapSides are the names of the sides.
var TapSides = map[string]TapSide{"before": TapBefore, "after": TapAfter, "rejected": TapRejected, "filtered": TapFiltered}

// String gives the names, with commas.
func (s TapSide) String() string {
	var names []string
	for _, name := range [...]string{"before", "after", "rejected", "filtered"} {
		if s&TapSides[name] != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// TapSource is the name under which what the source gives is tapped: before the first step.
const TapSource = "source"

// TapOptions say what a Tap shows.
type TapOptions struct {
	Step  string        // the name of a step or sink, or TapSource
	Sides TapSide       // one at least
	Rate  settings.Rate // most records that are shown; both sides of one count once
	Limit int64         // the tap ends after so many records; 0: it does not

	// Values says that keys, headers and values are shown. Without it a record is where it stands, when
	// it was made, and how large its value is.
	Values bool
	// Redact takes out what must not be seen, of each record before it is shown. A record that it
	// panics about is not shown. nil: nothing is taken out.
	Redact func(*TapContents)
	// Where says which records are shown, by what is shown of them. Of a record that is seen on both sides it
	// is enough that it holds for one. A record for which it fails is not shown. nil: all are.
	Where func(*pipeline.Record) (bool, error)
}

// TapContents are what is to be redacted of a record. Slices may be replaced, but not written to.
type TapContents struct {
	CameKey, CameValue []byte            // as the source gave them: they are not shown
	CameHeaders        []pipeline.Header //
	Key, Value         []byte            // as they are
	Headers            []pipeline.Header //
	Error              string            // why it was rejected
	Redacted           []string          // what was taken out, as in deadletter.Contents
	LeftOut            []string          // which of key, headers and value cannot be redacted, and are not shown
}

// A TapRecord is a record that a tap has seen. It is a copy.
type TapRecord struct {
	Number   uint64 // of the record within the tap: what was seen of it on several sides has the same
	Side     TapSide
	Time     time.Time       // when it was seen
	Record   pipeline.Record // Key, Headers and Value as they may be shown
	Bytes    int             // of the value, as it is
	Cut      bool            // the value is longer than what is shown of it
	LeftOut  []string        // which of key, headers and value are not shown: they are too long to be looked through, or cannot be redacted
	Redacted []string        // what was taken out, as in deadletter.Contents
	Parts    int             // how many parts a split has made, which may be more than are shown; 0: it is no part
	Became   string          // of one seen before: passed, filtered, rejected or abandoned; "": not known yet
	Reason   string          // of a rejected one
	Error    string          //
	Skipped  int64           // how many records the tap has skipped so far
}

// TapCounts are what a tap has come to.
type TapCounts struct {
	Shown   int64 // records
	Skipped int64 // records that came by and were not looked at: beyond the rate, or as nobody has read
	Failed  int64 // records for which Where or Redact has failed
}

// What Next gives when there will be no more records.
var (
	ErrTapOver = errors.New("the pipeline has ended")
	ErrTapGone = errors.New("the pipeline goes on without the step or sink of this name") // after a Change
)

const (
	tapQueue = 256      // records that wait for whoever reads the tap
	tapHeld  = 8 << 20  // bytes of them, and of those that are still in the step
	tapBytes = 64 << 10 // of one record, on one side
	tapLooks = 2000     // records a second that are copied for a condition
	tapParts = 16       // of the parts of a record that are shown
)

// A Tap shows records that pass a place in a pipeline. Next is for one goroutine, Close and Counts for any.
type Tap struct {
	o     TapOptions
	at    *tapPoint
	of    *taps
	queue chan *tapped
	quit  chan struct{} // closed by Close

	mu     sync.Mutex
	closed bool
	looks  bucket // of what workers take
	number uint64

	rate    bucket // of what is shown, where there is a condition; the reader's
	shown   atomic.Int64
	skipped atomic.Int64
	failed  atomic.Int64
	held    atomic.Int64
}

// Tap opens a tap, which sees records from now on. It may be called while the pipeline runs, or before; Close ends it.
// The error is ErrNoStep when there is no place of the name, ErrTapOver when the pipeline has ended, or says what is
// wrong with the options.
func (p *Pipeline) Tap(o TapOptions) (*Tap, error) {
	at, sides := p.taps.find(o.Step)
	switch {
	case at == nil:
		return nil, ErrNoStep
	case o.Sides == 0 || o.Sides&^sides != 0:
		return nil, fmt.Errorf("tapping %s: it has the sides %s, not %q", o.Step, sides, o.Sides)
	case !(o.Rate.N > 0) || o.Rate.Per <= 0:
		return nil, fmt.Errorf("tapping %s: a rate above 0 is needed", o.Step)
	}
	t := &Tap{o: o, at: at, of: &p.taps, queue: make(chan *tapped, tapQueue), quit: make(chan struct{})}
	t.looks = newBucket(o.Rate.PerSecond())
	if o.Where != nil {
		t.rate, t.looks = t.looks, newBucket(max(tapLooks, o.Rate.PerSecond()))
	}
	if err := p.taps.add(t); err != nil {
		return nil, err
	}
	return t, nil
}

// Places gives the names of what can be tapped, in the order in which records come there.
func (p *Pipeline) Places() []string {
	names := []string{TapSource}
	c := p.chain()
	for _, s := range c.steps {
		names = append(names, s.core().conf.Name)
	}
	for _, s := range c.sinks {
		names = append(names, s.conf.Name)
	}
	return names
}

// Next waits for the next record, and gives what was seen of it, in the order of the sides and the parts. It gives
// io.EOF when Limit is reached or the tap is closed, and the error of ctx. ErrTapOver, when the pipeline has ended, and
// ErrTapGone come when all was shown that was seen.
func (t *Tap) Next(ctx context.Context) ([]TapRecord, error) {
	for {
		if t.o.Limit > 0 && t.shown.Load() >= t.o.Limit {
			return nil, io.EOF
		}
		var seen *tapped
		select { // first without the rest: what was seen is shown, also when the pipeline has ended
		case seen = <-t.queue:
		default:
			select {
			case seen = <-t.queue:
			case <-t.quit:
				return nil, io.EOF
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-t.of.over:
				if seen = t.left(); seen == nil {
					return nil, ErrTapOver
				}
			case <-t.at.gone:
				if seen = t.left(); seen == nil {
					return nil, ErrTapGone
				}
			}
		}
		t.held.Add(-seen.bytes)
		if all := t.show(seen); len(all) > 0 {
			t.shown.Add(1)
			return all, nil
		}
	}
}

// left gives what was seen and waits; nil: nothing.
func (t *Tap) left() *tapped {
	select {
	case seen := <-t.queue:
		return seen
	default:
		return nil
	}
}

// Close ends the tap: nothing is copied for it any more. It may be called again.
func (t *Tap) Close() {
	if t.of.remove(t) {
		close(t.quit)
	}
}

// Counts gives what the tap has come to so far.
func (t *Tap) Counts() TapCounts {
	return TapCounts{Shown: t.shown.Load(), Skipped: t.skipped.Load(), Failed: t.failed.Load()}
}

// A bucket holds tokens, which come at a rate.
type bucket struct {
	perSecond, most, have float64
	at                    time.Time // up to when tokens have come; zero: the bucket was never looked into
}

// newBucket holds what comes in a second, one at least.
func newBucket(perSecond float64) bucket {
	most := max(1, math.Floor(perSecond))
	return bucket{perSecond: perSecond, most: most, have: most}
}

// has says whether a token is there.
func (b *bucket) has(now time.Time) bool {
	if !b.at.IsZero() && now.After(b.at) {
		b.have = min(b.most, b.have+now.Sub(b.at).Seconds()*b.perSecond)
	}
	if b.at.Before(now) {
		b.at = now
	}
	return b.have >= 1
}

// take takes a token, if one is there.
func (b *bucket) take(now time.Time) bool {
	if !b.has(now) {
		return false
	}
	b.have--
	return true
}
