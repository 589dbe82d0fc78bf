package engine

import (
	"errors"
	"strconv"

	"github.com/penstockio/penstock/pipeline"
)

// The headers of a dead letter, behind those that the record came with. They are a
// public format.
const (
	headerPipeline  = "penstock-pipeline"
	headerStep      = "penstock-step"      // the step or sink that rejected it
	headerReason    = "penstock-reason"    // see the Reason constants
	headerError     = "penstock-error"     // the message, at most 1 KiB
	headerDetail    = "penstock-detail"    // what the server said that refused it, which may quote the record; missing when it said nothing
	headerAttempts  = "penstock-attempts"  // how often it was tried
	headerTopic     = "penstock-topic"     // where it was read
	headerPartition = "penstock-partition" //
	headerOffset    = "penstock-offset"    //
	headerTime      = "penstock-time"      // when it was rejected, RFC 3339 with ms, UTC
	headerTimestamp = "penstock-timestamp" // the record's own time as it came, in ms since 1970; not there when it had none
	headerFailures  = "penstock-failures"  // parts of a split that failed, when more than one
)

// maxError is the most bytes of an error message in a dead letter.
const maxError = 1 << 10

// letter makes the dead letter of a record of the source: its key, value, headers
// and position as they came, and why it was rejected. of is its splitGroup when it was
// split, and else nil.
//
// Its time is that of the rejection. The record's own may be what is wrong with it: a
// topic refuses a time of more than an hour ahead, as that of a record in microseconds
// is. A dead letter that kept it would be refused like the record, and the pipeline,
// which never drops one, would stop there at every start.
func (p *shared) letter(it item, why *failure, of *splitGroup) item {
	r := it.rec
	key, value, came := r.Original()
	headers := make([]pipeline.Header, 0, len(came)+12)
	headers = append(headers, came...)
	add := func(name, value string) { headers = append(headers, pipeline.Header{Name: name, Value: []byte(value)}) }
	add(headerPipeline, p.opts.Name)
	add(headerStep, why.step)
	add(headerReason, why.reason)
	add(headerError, clip(textOf(why.err.Error), maxError))
	var detailer pipeline.Detailer
	if errors.As(why.err, &detailer) {
		if detail := textOf(detailer.Detail); detail != "" {
			add(headerDetail, clip(detail, maxError))
		}
	}
	add(headerAttempts, strconv.Itoa(why.attempts))
	add(headerTopic, r.Topic)
	add(headerPartition, strconv.Itoa(int(r.Partition)))
	add(headerOffset, strconv.FormatInt(r.Offset, 10))
	add(headerTime, why.at.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	if came := r.OriginalTime(); came != pipeline.NoTime {
		add(headerTimestamp, strconv.FormatInt(came, 10))
	}
	if why.parts > 1 {
		add(headerFailures, strconv.Itoa(why.parts))
	}
	d := item{new(pipeline.Record), &track{piece: it.piece, origin: &it, split: of, dead: true}}
	d.rec.Init(r.Position, key, value, headers, why.at.UnixMilli())
	d.measure()
	return d
}

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
