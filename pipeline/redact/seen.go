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
// The same text in a place that the record came with, and that is not named, is masked or left out just so, on every side of
// every step: a key is often the copy of a field, and whoever looks knows no rule by which it would not be one. Dead letters
// differ there, since they are to be sent again.
//
// Short texts, as 1 or no, stand everywhere by chance. So in a text that the record came with, one of less than leastText
// bytes is found only where it is the whole of that. In what steps have made it is found in every case: what a text is made
// of is no chance. What cannot be redacted is left out as a whole.

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
	t := taken{most: mostSeen}
	if r.s.How == HowMask {
		t.mask = r.s.Mask
	}
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
	lost := unreadable // nobody knows what of the redacted fields is in what steps have made
	switch {
	case unchanged:
		if !unreadable && !same(came, s.Value) {
			s.Value, s.Redacted = came, append(s.Redacted, deadletter.RedactedFields)
		}
	case r.root != nil && s.Value != nil:
		lost = r.seenValue(s, &t) || lost
	}
	f := t.finder(came)
	r.seenHeaders(s, lost, &t, f)
	r.seenKey(s, lost, f)
	if s.Value != nil {
		r.restOfValue(s, lost, unchanged, f)
	}
	t.many = t.many || lost && !unchanged
	s.Error = t.masked(s.Error)
	slices.Sort(s.Redacted)
	slices.Sort(s.LeftOut)
}

// mostSeen bounds the texts that are looked for. No more than that is shown of a record.
const mostSeen = 64 << 10

// restOfValue masks what was taken out where it stands in the rest of the value, or leaves the value out where that is not all.
func (r *Redactor) restOfValue(s *Seen, lost, unchanged bool, f *finder) {
	value := r.maskStanding(s.Value, f)
	switch {
	case lost || f.inValue(value, unchanged):
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

// seenValue redacts the fields of a value that steps have changed, and notes what stood there. lost: that is not known.
func (r *Redactor) seenValue(s *Seen, t *taken) (lost bool) {
	value, err := r.value(s.Value, t)
	switch {
	case err != nil:
		return true
	case !bytes.Equal(value, s.Value):
		s.Value, s.Redacted = value, append(s.Redacted, deadletter.RedactedFields)
	}
	return false
}

// seenHeaders redacts the headers, and leaves out the others in which stands what is redacted.
func (r *Redactor) seenHeaders(s *Seen, lost bool, t *taken, f *finder) {
	was := s.Headers
	if r.Redacts(was) {
		s.Headers = r.Headers(was)
		s.Redacted = append(s.Redacted, deadletter.RedactedHeaders)
	}
	had := len(s.Headers)
	var changed bool
	s.Headers, changed = r.old(s.Headers, lost, t)
	kept := make([]pipeline.Header, 0, len(s.Headers))
	for _, h := range s.Headers {
		came := slices.ContainsFunc(s.CameHeaders, func(c pipeline.Header) bool { return c.Name == h.Name && same(c.Value, h.Value) })
		named := r.redactsHeader(h)
		if named || (came || !lost) && !f.in(h.Value, came) && !f.in([]byte(h.Name), came) {
			kept = append(kept, h)
		}
	}
	s.Headers = kept
	if len(kept) < had || changed {
		s.LeftOut = append(s.LeftOut, deadletter.RedactedHeaders)
	}
}

// seenKey redacts the key, or leaves it out where what is redacted stands in it.
func (r *Redactor) seenKey(s *Seen, lost bool, f *finder) {
	came := same(s.Key, s.CameKey)
	switch {
	case s.Key == nil:
	case r.s.Key:
		s.Key, s.Redacted = r.Key(s.Key), append(s.Redacted, deadletter.RedactedKey)
	case lost && !came, f.in(s.Key, came):
		s.Key, s.LeftOut = nil, append(s.LeftOut, deadletter.RedactedKey)
	}
}

// same says whether two texts are equal; null and empty are not.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// maskStanding puts the mask in place of each text and number of a JSON value in which something stands that was taken out: where a step has
// copied it. Names stay, so the value has to be looked through again.
func (r *Redactor) maskStanding(value []byte, f *finder) []byte {
	if f.many || f.none() || !jsontext.Valid(value) {
		return value
	}
	m := standing{text: value, mask: r.mask, find: f}
	m.value(jsontext.Space(value, 0), 0)
	if m.out == nil {
		return value
	}
	return append(m.out, value[m.copied:]...)
}

// A standing edits one value.
type standing struct {
	text, mask []byte
	find       *finder
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
		if m.find.inText(plain(m.text[from:end])) {
			m.out = append(append(m.out, m.text[m.copied:from]...), m.mask...)
			m.copied = end
		}
		return end
	}
	return jsontext.End(m.text, from)
}
