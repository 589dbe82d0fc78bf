package engine

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

// maxError is the most bytes of an error message in a dead letter.
const maxError = 1 << 10

// takeHistory takes off a record that has just been made what says that it comes from the dead
// letters, and remembers it. Few records do, and each lives on with its piece, so it is kept there:
// another field would make every track a cache line longer.
func (it item) takeHistory() {
	value, ok := records.TakeOff(it.rec, deadletter.Replayed)
	if !ok {
		return
	}
	if h := deadletter.ReadHistory(value); h != (deadletter.History{}) {
		if it.piece.replayed == nil {
			it.piece.replayed = map[uint8]deadletter.History{}
		}
		it.piece.replayed[it.index] = h
	}
}

// letter makes the dead letter of a record of the source: its key, value, headers
// and position as they came, and why it was rejected. of is its splitGroup when it was
// split, and else nil.
//
// Its time is that of the rejection. The record's own may be what is wrong with it: a
// topic refuses a time of more than an hour ahead, as that of a record in microseconds
// is. A dead letter that kept it would be refused like the record, and the pipeline,
// which never drops one, would stop there at every start.
func (p *shared) letter(it item, why *failure, of *splitGroup) item {
	c := p.contents(it.rec, why, of)
	headers := make([]pipeline.Header, 0, len(c.Headers)+15)
	headers = append(headers, c.Headers...)
	headers = p.appendReasons(headers, it, why, c.Error)
	if c.HasGot {
		headers = append(headers, pipeline.Header{Name: deadletter.Value, Value: c.Got})
	}
	if len(c.Redacted) > 0 {
		headers = append(headers, pipeline.Header{Name: deadletter.Redacted, Value: []byte(strings.Join(c.Redacted, ","))})
	}
	d := item{new(pipeline.Record), &track{piece: it.piece, origin: &it, split: of, dead: true}}
	d.rec.Init(it.rec.Position, c.Key, c.Value, headers, why.at.UnixMilli())
	d.measure()
	return d
}

// contents gives what of a record goes into its dead letter.
func (p *shared) contents(r *pipeline.Record, why *failure, of *splitGroup) deadletter.Contents {
	var c deadletter.Contents
	c.Key, c.Value, c.Headers = r.Original()
	c.Error = textOf(why.err.Error)
	if of == nil {
		c.Got, c.HasGot = records.Left(r)
		c.HasGot = c.HasGot && !same(c.Got, c.Value)
	}
	if redact := p.plan().dead.Redact; redact != nil {
		// In a goroutine of its own: it may panic, and the lane is locked.
		if guarded(func() error { redact(&c); return nil }) != nil {
			c = deadletter.Contents{Error: "redacting the letter panicked, and the message is left out", Redacted: []string{deadletter.RedactedHeaders, deadletter.RedactedKey, deadletter.RedactedValue}}
		}
	}
	c.HasGot = c.HasGot && len(c.Got) <= deadletter.MaxValue
	return c
}

// appendReasons appends the headers that say why a record was rejected, where it was read and how
// often it was tried. The message is that of why, redacted.
func (p *shared) appendReasons(headers []pipeline.Header, it item, why *failure, message string) []pipeline.Header {
	r, past := it.rec, it.piece.replayed[it.index]
	add := func(name, value string) { headers = append(headers, pipeline.Header{Name: name, Value: []byte(value)}) }
	add(deadletter.Pipeline, p.opts.Name)
	add(deadletter.Step, why.step)
	add(deadletter.Reason, why.reason)
	add(deadletter.Error, clip(message, maxError))
	var detailer pipeline.Detailer
	if p.plan().dead.Redact == nil && errors.As(why.err, &detailer) {
		if detail := textOf(detailer.Detail); detail != "" {
			add(deadletter.Detail, clip(detail, maxError))
		}
	}
	add(deadletter.Attempts, strconv.Itoa(min(past.Attempts, math.MaxInt32-why.attempts)+why.attempts)) // a larger one could not be read back
	if past.Replays > 0 {
		add(deadletter.Replays, strconv.Itoa(past.Replays))
	}
	add(deadletter.Topic, r.Topic)
	add(deadletter.Partition, strconv.Itoa(int(r.Partition)))
	add(deadletter.Offset, strconv.FormatInt(r.Offset, 10))
	add(deadletter.Time, why.at.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	if came := r.OriginalTime(); came != pipeline.NoTime {
		add(deadletter.Timestamp, strconv.FormatInt(came, 10))
	}
	if why.parts > 1 {
		add(deadletter.Failures, strconv.Itoa(why.parts))
	}
	return headers
}

// same says whether two values are equal; null and empty are not.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// clip cuts a text to at most n bytes, at a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
