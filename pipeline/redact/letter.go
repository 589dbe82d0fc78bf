package redact

import (
	"bytes"
	"slices"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

// This file redacts dead letters.
//
// What it guarantees. Redacted fields, redacted headers and a redacted key are not in the letter as they
// came, and what stood there is not in what the letter has beside the record: the value as the step got it,
// and messages. A value that cannot be redacted is left out as a whole. The same text in a field or header of
// the record that is not named stays: it is a place of its own, and has to be named as well.
//
// How. The value as it came is redacted by its fields. The value as the step got it may have a
// redacted text under another name, where a step has put it. So it is redacted too, and then left
// out if any text that was taken out of the record, or of itself, still stands in it (search.go).
// The names in a redacted object are such texts, too: objects have accounts and addresses for names.
// Those that the letter shows anyway, as names elsewhere in the value, hide nothing.
//
// A record that was a dead letter before has headers of that one. An old penstock-value goes the way of
// the value as the step got it, an old penstock-key that of the key. An old penstock-detail is left out, as a new one is: nobody
// knows what it quotes. In a message each text that was taken out is masked: hosts are named in
// messages, and may be made of fields.
//
// Not found is what a step has made of such a text, as a hash, a part of it or something computed: its
// field has to be named as well.

// Letter redacts what is to go into a dead letter.
func (r *Redactor) Letter(c *deadletter.Contents) {
	var t taken
	unreadable := false
	if r.root != nil && c.Value != nil {
		switch value, err := r.value(c.Value, &t); {
		case err != nil:
			c.Value, unreadable = nil, true
			t.many = t.many || err == errNotUTF8 || err == errTooDeep || err == errTooMuch // steps may have read its fields all the same
		case !bytes.Equal(value, c.Value):
			c.Value, c.Redacted = value, append(c.Redacted, deadletter.RedactedFields)
		}
	}
	t.shows(c.Value)
	inHeaders := r.Redacts(c.Headers)
	if inHeaders {
		for _, h := range c.Headers {
			if r.redactsHeader(h) {
				t.add(string(h.Value))
			}
		}
		c.Headers = r.Headers(c.Headers)
	}
	hasKey := r.s.Key && c.Key != nil
	if hasKey {
		t.add(string(c.Key))
	}
	var ofOld bool
	if c.Headers, ofOld = r.old(c.Headers, unreadable, &t); inHeaders || ofOld {
		c.Redacted = append(c.Redacted, deadletter.RedactedHeaders)
	}
	if hasKey {
		c.Key, c.Redacted = r.Key(c.Key), append(c.Redacted, deadletter.RedactedKey)
	}
	if unreadable {
		c.Redacted = append(c.Redacted, deadletter.RedactedValue)
	}
	if c.HasGot {
		c.Got, c.HasGot = r.got(c.Got, unreadable, &t)
	}
	c.Error = t.masked(c.Error)
}

// old redacts the headers that the record has of a dead letter that it was before, and says whether any
// has changed.
func (r *Redactor) old(headers []pipeline.Header, unreadable bool, t *taken) (kept []pipeline.Header, changed bool) {
	if !slices.ContainsFunc(headers, func(h pipeline.Header) bool { return deadletter.IsHeader(h.Name) }) {
		return headers, false
	}
	for _, h := range headers { // first: it may stand in what comes before it
		if r.s.Key && h.Name == deadletter.Key {
			t.add(string(h.Value))
		}
	}
	kept = make([]pipeline.Header, 0, len(headers))
	for _, h := range headers {
		stays := true
		was := h.Value
		switch h.Name {
		case deadletter.Value:
			h.Value, stays = r.got(h.Value, unreadable, t)
		case deadletter.Key:
			h.Value = r.Key(h.Value)
		case deadletter.Detail:
			stays = false
		}
		changed = changed || !stays || !bytes.Equal(h.Value, was)
		if stays {
			kept = append(kept, h)
		}
	}
	for i, h := range kept { // last: by now all is known that was taken out
		if h.Name != deadletter.Error {
			continue
		}
		if text := t.masked(string(h.Value)); text != string(h.Value) {
			kept[i].Value, changed = []byte(text), true
		}
	}
	return kept, changed
}

// value gives a value with its fields redacted, and notes what was taken out.
func (r *Redactor) value(value []byte, t *taken) ([]byte, error) {
	var rec pipeline.Record
	rec.Init(pipeline.Position{}, nil, value, nil, pipeline.NoTime)
	err := r.fields(&rec, t.json)
	return rec.Value(), err
}

// got gives the value as the step got it, redacted; false: it has to be left out.
func (r *Redactor) got(value []byte, unreadable bool, t *taken) ([]byte, bool) {
	if value == nil {
		return nil, true
	}
	if len(value) > deadletter.MaxValue {
		return nil, false
	}
	if r.root != nil {
		var err error
		if value, err = r.value(value, t); err != nil {
			return nil, false
		}
	}
	if unreadable || t.in(value) { // of an unreadable one nobody knows which texts came out of redacted fields
		return nil, false
	}
	return value, true
}
