package engine

import (
	"errors"
	"strconv"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
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
	add(deadletter.Pipeline, p.opts.Name)
	add(deadletter.Step, why.step)
	add(deadletter.Reason, why.reason)
	add(deadletter.Error, clip(textOf(why.err.Error), maxError))
	var detailer pipeline.Detailer
	if errors.As(why.err, &detailer) {
		if detail := textOf(detailer.Detail); detail != "" {
			add(deadletter.Detail, clip(detail, maxError))
		}
	}
	add(deadletter.Attempts, strconv.Itoa(why.attempts))
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
