package engine

import (
	"bytes"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

// This file is what workers copy of records for taps (tap.go), and what is shown of that. Everything is
// called by the owner of the record (I2), but for show.

// A tapped record is what one tap has seen of it.
type tapped struct {
	tap    *Tap
	number uint64
	bytes  int64 // charged to the tap: what the images hold
	images []tapImage
	became string
}

// A tapImage is a copy of a record on one side.
type tapImage struct {
	side     TapSide
	seen     time.Time
	at       pipeline.Position
	part     int32
	parts    int
	time     int64
	is, came tapFields // came: only where there is a Redact
	size     int       // of the value
	cut      bool
	leftOut  bool // it is too long to be redacted: fields are empty
	reason   string
	err      string
}

type tapFields struct {
	key, value []byte
	headers    []pipeline.Header
}

// A tapping is a record on its way through a place, and what the taps there have seen of it. The
// zero value is of one that nobody looks at.
type tapping struct {
	taps []*Tap
	seen []*tapped // by each of the taps; nil: nothing yet
}

// watched says whether somebody looks. It is asked once for each chunk or write.
func (at *tapPoint) watched() bool { return at.set.Load() != nil }

// due gives the taps that look at some of n records that come to the place; nil mostly.
func (at *tapPoint) due(now time.Time, n int64) []*Tap {
	set := at.set.Load()
	if set == nil || n == 0 {
		return nil
	}
	var due []*Tap
	for _, t := range *set {
		if t.due(now, n) {
			due = append(due, t)
		}
	}
	return due
}

// due says whether the tap may look at one of n records. If not they count as skipped, unless it looks only for
// what becomes of few of them.
func (t *Tap) due(now time.Time, n int64) bool {
	if t.o.Sides&(TapBefore|TapAfter) == 0 {
		return true
	}
	t.mu.Lock()
	has := t.looks.has(now) && t.held.Load() < tapHeld
	t.mu.Unlock()
	if !has {
		t.skipped.Add(n)
	}
	return has
}

// begin gives what the tap sees of one more record; nil: it is skipped.
func (t *Tap) begin(now time.Time) *tapped {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	if t.held.Load() >= tapHeld || len(t.queue) == cap(t.queue) || !t.looks.take(now) {
		t.skipped.Add(1)
		return nil
	}
	t.number++
	return &tapped{tap: t, number: t.number}
}

// before shows the record to the taps that want it as it comes.
func (g *tapping) before(it item, now time.Time) {
	g.seen = slices.Grow(g.seen[:0], len(g.taps))[:len(g.taps)]
	clear(g.seen)
	for i, t := range g.taps {
		if t.o.Sides&TapBefore == 0 {
			continue
		}
		if seen := t.begin(now); seen != nil {
			seen.add(it, TapBefore, nil, now)
			if g.seen[i] = seen; t.o.Sides == TapBefore { // it may hang in the step: it is shown now
				g.seen[i] = nil
				seen.deliver()
			}
		}
	}
}

// end shows what became of the record on a side, 0 for one that is abandoned: itself, or its parts. They number them from 1, as
// they are numbered when they leave; parts of a part are numbered later, all together, and have no number here.
func (g *tapping) end(side TapSide, of item, recs []item, split bool, now time.Time) {
	if len(g.seen) != len(g.taps) { // it has come to nothing before a tap could see it
		return
	}
	for i, t := range g.taps {
		seen, wants := g.seen[i], t.o.Sides&side != 0
		if seen == nil && wants && t.o.Sides&TapBefore == 0 {
			seen = t.begin(now)
		}
		if seen == nil {
			continue
		}
		if wants {
			for n, it := range recs[:min(len(recs), tapParts)] {
				seen.add(it, side, of.fail, now)
				if image := &seen.images[len(seen.images)-1]; split {
					image.parts, image.part = len(recs), 0
					if of.rec.Part == 0 {
						image.part = int32(n + 1)
					}
				}
			}
		}
		seen.became = becomes[side]
		seen.deliver()
	}
	g.seen = g.seen[:0]
}

var becomes = map[TapSide]string{0: "abandoned", TapAfter: "passed", TapFiltered: "filtered", TapRejected: "rejected"}

// drop forgets the record: nobody hears of it.
func (g *tapping) drop() {
	if g == nil {
		return
	}
	for _, seen := range g.seen {
		if seen != nil {
			seen.tap.held.Add(-seen.bytes)
		}
	}
	g.seen = nil
}

// tap has the taps of a waiting step see a record at its first attempt. now may be zero: then it is looked up.
func (c *call) tap(at *tapPoint, first bool, now time.Time) {
	if !first || !at.watched() || c.tapping != nil {
		return
	}
	if now.IsZero() {
		now = time.Now()
	}
	if due := at.due(now, 1); due != nil {
		c.tapping = &tapping{taps: due}
		c.tapping.before(c.rec, now)
	}
}

// untap has them see what became of it.
func (c *call) untap(v verdict, now time.Time) {
	g := c.tapping
	if g == nil {
		return
	}
	c.tapping = nil
	switch v {
	case pass:
		if c.parts != nil {
			g.end(TapAfter, c.rec, c.parts, true, now)
			return
		}
		g.end(TapAfter, c.rec, []item{c.rec}, false, now)
	case drop:
		g.end(TapFiltered, c.rec, []item{c.rec}, false, now)
	case fail:
		g.end(TapRejected, c.rec, []item{c.rec}, false, now)
	default:
		g.end(0, c.rec, nil, false, now)
	}
}

// look shows records to the taps of a place that they do not come to and leave, but stand at. why is why all of them are rejected
// there; nil: each has its own reason, or none.
func (at *tapPoint) look(side TapSide, recs []item, why *failure, now time.Time) {
	set := at.set.Load()
	if set == nil {
		return
	}
	for _, t := range *set {
		if t.o.Sides&(side|TapRejected) == 0 {
			continue
		}
		for _, it := range recs {
			side, why := side, why
			if it.fail != nil {
				side, why = TapRejected, it.fail
			}
			if t.o.Sides&side == 0 {
				continue
			}
			if seen := t.begin(now); seen != nil {
				seen.add(it, side, why, now)
				seen.deliver()
			}
		}
	}
}

// deliver hands what was seen to whoever reads the tap.
func (s *tapped) deliver() {
	if len(s.images) == 0 {
		return
	}
	select {
	case s.tap.queue <- s:
	default:
		s.tap.held.Add(-s.bytes)
		s.tap.skipped.Add(1)
	}
}

// add copies the record.
func (s *tapped) add(it item, side TapSide, why *failure, now time.Time) {
	rec, o := it.rec, &s.tap.o
	image := tapImage{side: side, seen: now, at: rec.Position, part: rec.Part, time: rec.Time}
	image.at.Topic = strings.Clone(rec.Topic)
	if why != nil && side == TapRejected {
		image.reason, image.err = why.reason, clip(textOf(why.err.Error), maxError)
	}
	if o.Values {
		image.copy(rec, o.Redact != nil)
	} else {
		_, image.size = records.Shown(rec, 0)
	}
	n := int64(image.is.size() + image.came.size())
	s.bytes += n
	s.tap.held.Add(n)
	s.images = append(s.images, image)
}

// copy copies key, headers and value, tapBytes at most. Where that is to be redacted it is all or nothing: of a text that is cut nobody
// can tell what it is the beginning of.
func (m *tapImage) copy(rec *pipeline.Record, redact bool) {
	value, size := records.Shown(rec, tapBytes)
	m.size = size
	is := tapFields{rec.Key(), value, rec.Headers()}
	m.cut = is.size() > tapBytes || len(value) < size
	if !redact {
		if is.size() > tapBytes {
			is = is.cut(tapBytes)
		}
		m.is = is.clone()
		return
	}
	var came tapFields
	came.key, came.value, came.headers = rec.Original()
	if m.cut || came.size() > tapBytes {
		m.cut, m.leftOut = true, true
		return
	}
	m.is, m.came = is.clone(), came.clone()
}

func (f tapFields) size() int {
	n := len(f.key) + len(f.value)
	for _, h := range f.headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

// cut gives the first bytes of it: the key, the headers that fit, and what is left of the value.
func (f tapFields) cut(most int) tapFields {
	if len(f.key) > most {
		f.key = f.key[:most]
	}
	most -= len(f.key)
	for i, h := range f.headers {
		if n := len(h.Name) + len(h.Value); n <= most {
			most -= n
			continue
		}
		f.headers = f.headers[:i]
		break
	}
	if len(f.value) > most {
		f.value = wholeRunes(f.value[:most])
	}
	return f
}

// wholeRunes takes off the beginning of a character at the end of a text that was cut.
func wholeRunes(b []byte) []byte {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if r := b[len(b)-n]; utf8.RuneStart(r) {
			if !utf8.FullRune(b[len(b)-n:]) {
				return b[:len(b)-n]
			}
			break
		}
	}
	return b
}

// clone copies all of it: what a record has may be written over once it has its outcome.
func (f tapFields) clone() tapFields {
	headers := make([]pipeline.Header, 0, len(f.headers))
	for _, h := range f.headers {
		headers = append(headers, pipeline.Header{Name: strings.Clone(h.Name), Value: bytes.Clone(h.Value)})
	}
	return tapFields{bytes.Clone(f.key), bytes.Clone(f.value), headers}
}

// show gives what may be seen of a record, none when the tap does not show it.
func (t *Tap) show(seen *tapped) (all []TapRecord) {
	holds := t.o.Where == nil
	err := guarded(func() error {
		for i := range seen.images {
			out := t.redacted(&seen.images[i])
			out.Number = seen.number
			if i == 0 && out.Side == TapBefore {
				out.Became = seen.became
			}
			if all = append(all, out); holds {
				continue
			}
			yes, err := t.o.Where(&all[i].Record)
			if err != nil {
				return err
			}
			holds = yes
		}
		return nil
	})
	switch {
	case err != nil:
		t.failed.Add(1)
		return nil
	case !holds:
		return nil
	case t.o.Where != nil && !t.rate.take(time.Now()):
		t.skipped.Add(1)
		return nil
	}
	for i := range all {
		all[i].Skipped = t.skipped.Load()
	}
	return all
}

// redacted gives what may be seen of a copy.
func (t *Tap) redacted(m *tapImage) TapRecord {
	out := TapRecord{Side: m.side, Time: m.seen, Bytes: m.size, Cut: m.cut, Parts: m.parts, Reason: m.reason}
	c := TapContents{CameKey: m.came.key, CameValue: m.came.value, CameHeaders: m.came.headers,
		Key: m.is.key, Value: m.is.value, Headers: m.is.headers, Error: m.err}
	switch {
	case m.leftOut, !t.o.Values: // nor is the message shown, which may name a host that is made of them
		c.LeftOut, c.Error = []string{deadletter.RedactedHeaders, deadletter.RedactedKey, deadletter.RedactedValue}, ""
	case t.o.Redact != nil:
		t.o.Redact(&c)
	}
	out.Record.Init(m.at, c.Key, c.Value, c.Headers, m.time)
	out.Record.Part = m.part
	out.Error, out.Redacted, out.LeftOut = c.Error, c.Redacted, c.LeftOut
	return out
}
