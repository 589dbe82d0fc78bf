package redact

import (
	"bytes"
	"slices"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// This file redacts records that somebody looks at on their way through a pipeline.
//
// What it guarantees is what it does for dead letters (letter.go): redacted places are not shown as they are, neither
// as they came nor as they are by now, and what stood there is nowhere in what steps have made of the rest: it is masked where it stands in a text of the value.
// Steps may change the key and the headers as well as the value, so all three are looked through where they are not as
// they came. What cannot be redacted is left out as a whole. The same text in a place that the record came with,
// and that is not named, stays.

// A Seen is a record as it is somewhere on its way, and as it came. Redacting puts other slices in place of those that it
// changes.
type Seen struct {
	CameKey, CameValue []byte
	CameHeaders        []pipeline.Header
	Key, Value         []byte
	Headers            []pipeline.Header
	Error              string   // a message about it
	Redacted           []string // what was taken out, as in deadletter.Contents
	LeftOut            []string // what cannot be redacted and is left out: deadletter.RedactedHeaders, RedactedKey, RedactedValue
}

// Seen redacts a record that is to be looked at. What it came with is only looked into.
func (r *Redactor) Seen(s *Seen) {
	var t taken
	unchanged := same(s.Value, s.CameValue)
	came, unreadable := s.CameValue, false
	if r.root != nil && came != nil {
		value, err := r.value(came, &t)
		if err != nil {
			value, unreadable = nil, true
			t.many = t.many || err == errNotUTF8 || err == errTooDeep || err == errTooMuch
		}
		came = value
	}
	t.shows(came)
	r.seenPlaces(s, &t)
	if !unchanged && r.root != nil && s.Value != nil {
		r.seenValue(s, unreadable, &t)
	}
	r.seenHeaders(s, unreadable, &t)
	r.seenKey(s, unreadable, &t)
	switch {
	case s.Value == nil:
	case unchanged && unreadable:
		s.Value = nil
		s.LeftOut = append(s.LeftOut, deadletter.RedactedValue)
	case unchanged:
		if !bytes.Equal(came, s.Value) {
			s.Value, s.Redacted = came, append(s.Redacted, deadletter.RedactedFields)
		}
	default:
		r.changedValue(s, unreadable, &t)
	}
	s.Error = t.masked(s.Error)
	slices.Sort(s.Redacted)
	slices.Sort(s.LeftOut)
}

// changedValue masks what was taken out where steps have put it into the value, or leaves the value out where that is not all.
func (r *Redactor) changedValue(s *Seen, unreadable bool, t *taken) {
	value := r.maskStanding(s.Value, t)
	switch {
	case unreadable || t.in(value):
		s.Value = nil
		s.LeftOut = append(s.LeftOut, deadletter.RedactedValue)
		s.Redacted = slices.DeleteFunc(s.Redacted, func(what string) bool { return what == deadletter.RedactedFields })
	case !bytes.Equal(value, s.Value):
		if s.Value = value; !slices.Contains(s.Redacted, deadletter.RedactedFields) {
			s.Redacted = append(s.Redacted, deadletter.RedactedFields)
		}
	}
}

// seenPlaces notes what stands in headers and keys that are redacted.
func (r *Redactor) seenPlaces(s *Seen, t *taken) {
	for _, headers := range [...][]pipeline.Header{s.CameHeaders, s.Headers} {
		for _, h := range headers {
			if r.redactsHeader(h) {
				t.add(string(h.Value))
			}
		}
	}
	if r.s.Key {
		t.add(string(s.CameKey))
		t.add(string(s.Key))
	}
}

// seenValue redacts the fields of a value that steps have changed, and notes what stood there.
func (r *Redactor) seenValue(s *Seen, unreadable bool, t *taken) {
	value, err := r.value(s.Value, t)
	switch {
	case err != nil || unreadable:
		t.many = true // nobody knows what of it is in the rest
		s.Value = []byte{}
	case !bytes.Equal(value, s.Value):
		s.Value, s.Redacted = value, append(s.Redacted, deadletter.RedactedFields)
	}
}

// seenHeaders redacts the headers, and leaves out those that steps have set from what is redacted.
func (r *Redactor) seenHeaders(s *Seen, unreadable bool, t *taken) {
	was := s.Headers
	if r.Redacts(was) {
		s.Headers = r.Headers(was)
		s.Redacted = append(s.Redacted, deadletter.RedactedHeaders)
	}
	had := len(s.Headers)
	var changed bool
	s.Headers, changed = r.old(s.Headers, unreadable, t)
	kept := make([]pipeline.Header, 0, len(s.Headers))
	for _, h := range s.Headers {
		came := r.redactsHeader(h) || slices.ContainsFunc(s.CameHeaders, func(c pipeline.Header) bool { return c.Name == h.Name && same(c.Value, h.Value) })
		if came || !unreadable && !t.in(h.Value) && !t.in([]byte(h.Name)) {
			kept = append(kept, h)
		}
	}
	s.Headers = kept
	if len(kept) < had || changed {
		s.LeftOut = append(s.LeftOut, deadletter.RedactedHeaders)
	}
}

// seenKey redacts the key, or leaves it out where a step has set it from what is redacted.
func (r *Redactor) seenKey(s *Seen, unreadable bool, t *taken) {
	switch {
	case s.Key == nil:
	case r.s.Key:
		s.Key, s.Redacted = r.Key(s.Key), append(s.Redacted, deadletter.RedactedKey)
	case !same(s.Key, s.CameKey) && (unreadable || t.in(s.Key)):
		s.Key, s.LeftOut = nil, append(s.LeftOut, deadletter.RedactedKey)
	}
}

// same says whether two texts are equal; null and empty are not.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// maskStanding puts the mask in place of each text and number of a JSON value in which something stands that was taken out: where a step has
// copied it. Names stay, so the value has to be looked through again.
func (r *Redactor) maskStanding(value []byte, t *taken) []byte {
	if t.many || len(t.texts) == 0 || !jsontext.Valid(value) {
		return value
	}
	m := standing{text: value, mask: r.mask, wanted: newWanted(t.texts)}
	m.value(jsontext.Space(value, 0), 0)
	if m.out == nil {
		return value
	}
	return append(m.out, value[m.copied:]...)
}

// A standing edits one value.
type standing struct {
	text, mask []byte
	wanted     *wanted
	out        []byte // nil: nothing has changed
	copied     int    // how much of the text is in out
}

// value goes through the value that begins at from, and gives where it ends. What is too deep stays as it is.
func (m *standing) value(from, depth int) (end int) {
	switch c := m.text[from]; {
	case depth > deepest:
	case c == '{' || c == '[':
		i := jsontext.Space(m.text, from+1)
		for m.text[i] != '}' && m.text[i] != ']' {
			if c == '{' {
				i = jsontext.Space(m.text, jsontext.Space(m.text, jsontext.End(m.text, i))+1) // behind the colon
			}
			if i = jsontext.Space(m.text, m.value(i, depth+1)); m.text[i] == ',' {
				i = jsontext.Space(m.text, i+1)
			}
		}
		return i + 1
	case c == 'n', c == 't', c == 'f':
	default:
		end = jsontext.End(m.text, from)
		if m.wanted.stands(plain(m.text[from:end])) {
			m.out = append(append(m.out, m.text[m.copied:from]...), m.mask...)
			m.copied = end
		}
		return end
	}
	return jsontext.End(m.text, from)
}
