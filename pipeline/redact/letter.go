package redact

import (
	"bytes"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/jsontext"
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
// out if any text that was taken out of the record, or of itself, still stands in it.
//
// A record that was a dead letter before has headers of that one. An old penstock-value goes the way of
// the value as the step got it, an old penstock-key that of the key. An old penstock-detail is left out, as a new one is: nobody
// knows what it quotes. In a message each text that was taken out is masked: hosts are named in
// messages, and may be made of fields.
//
// Not found is what a step has made of such a text, as a hash or a part of it: its field has to be
// named as well.

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

// taken are the texts that were taken out of a record.
type taken struct {
	texts []string
	size  int
	many  bool // there are more, or longer ones, than are looked for
}

const (
	maxTaken = 256     // texts
	maxBytes = 4 << 10 // of all of them
)

func (t *taken) add(text string) {
	if text == "" || t.many {
		return
	}
	if t.size += len(text); len(t.texts) >= maxTaken || t.size > maxBytes {
		t.many = true
		return
	}
	t.texts = append(t.texts, text)
}

// json adds what stands in a JSON text. True, false and null tell next to nothing, and stand
// everywhere.
func (t *taken) json(text []byte) {
	if len(text) > maxBytes {
		t.many = true
		return
	}
	whole := scalars(text, 0, func(s string, name bool) bool {
		if !name && s != "true" && s != "false" {
			t.add(s)
		}
		return !t.many
	})
	t.many = t.many || !whole
}

// in says whether one of the texts stands in a value, or may.
func (t *taken) in(value []byte) bool {
	if t.many {
		return true
	}
	has := func(s string) bool {
		for _, text := range t.texts {
			if strings.Contains(s, text) {
				return true
			}
		}
		return false
	}
	if len(t.texts) == 0 {
		return false
	}
	if has(string(value)) {
		return true
	}
	if !jsontext.Valid(value) {
		return jsontext.TooDeep(value) // else it is a text, and was looked through
	}
	return !scalars(value[jsontext.Space(value, 0):], 0, func(s string, _ bool) bool { return !has(s) })
}

// scalars yields the strings, as their characters, and the other scalars of a JSON text, and the
// names of members, until yield returns false. It gives false then, and where the text is nested
// too deep to be gone through.
func scalars(text []byte, depth int, yield func(s string, name bool) bool) (more bool) {
	if depth > deepest {
		return false
	}
	more = true
	switch text[0] {
	case '{':
		jsontext.Members(text, func(name, value []byte) bool {
			more = yield(jsontext.Unquote(name), true) && scalars(value, depth+1, yield)
			return more
		})
	case '[':
		jsontext.Elements(text, func(element []byte) bool {
			more = scalars(element, depth+1, yield)
			return more
		})
	case 'n':
	default:
		more = yield(plain(text), false)
	}
	return more
}
