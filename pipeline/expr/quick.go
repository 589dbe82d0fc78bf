package expr

import (
	"bytes"
	"slices"

	"github.com/penstockio/penstock/pipeline"
)

// This file decides on the JSON text of a field what it can, without making a value of
// it: a value is six words, which are handed over in memory, and the processor waits
// for them there (BenchmarkCondition, BenchmarkLateFlights).

// plainField says whether k reads a field of the record each time, and does nothing
// else.
func (c *compiler) plainField(k code) bool { return k.bare && len(c.preds) == 0 }

// smallInteger reads an integer of at most 18 digits: larger ones may not fit 64 bits.
func smallInteger(text []byte) (n int64, ok bool) {
	digits := text
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	for _, c := range digits {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	if len(digits) < len(text) {
		n = -n
	}
	return n, true
}

// quickOrder is a comparison of a field with an integer. All but an integer is for slow.
func quickOrder(field string, k int64, less, same, more bool, slow test) test {
	return func(m *machine) (bool, error) {
		text, err := m.rec.Field(field)
		if err != nil {
			return false, err
		}
		n, ok := smallInteger(text)
		switch {
		case !ok:
			return slow(m)
		case n < k:
			return less, nil
		case n > k:
			return more, nil
		}
		return same, nil
	}
}

// quickEqual is == of a field and a string, or != when not is set. A text that is
// another may stand for the same characters, or be no string: it is for slow, unless it
// is a string without escapes.
func quickEqual(field string, k value, not bool, slow test) test {
	quoted := appendScalar(nil, k)
	return func(m *machine) (bool, error) {
		text, err := m.rec.Field(field)
		switch {
		case err != nil:
			return false, err
		case bytes.Equal(text, quoted):
			return !not, nil
		case simpleString(text):
			return not, nil
		}
		return slow(m)
	}
}

// simpleString says whether text is a string whose characters are those between its
// quotes.
func simpleString(text []byte) bool {
	return len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' && bytes.IndexByte(text, '\\') < 0
}

// A quickPart is one of what + joins: a field, or a string as it stands in JSON.
type quickPart struct {
	field string
	text  []byte // nil: the field
}

// quickParts gives what a + b joins; nil when that is not only fields and strings.
func (c *compiler) quickParts(a, b code) []quickPart {
	x, y := c.partsOf(a), c.partsOf(b)
	if x == nil || y == nil {
		return nil
	}
	return slices.Concat(x, y)
}

func (c *compiler) partsOf(k code) []quickPart {
	switch {
	case c.plainField(k):
		return []quickPart{{field: k.field}}
	case k.konst != nil && k.konst.kind == kString:
		quoted := appendScalar(nil, *k.konst)
		return []quickPart{{text: quoted[1 : len(quoted)-1]}}
	}
	return k.joins
}

// quickJoin appends a string of parts as JSON text. ok is false when one of them is no
// simple string, or it gets long: then the evaluation finds out what is to be done.
func quickJoin(dst []byte, rec *pipeline.Record, parts []quickPart) (out []byte, ok bool) {
	out = append(dst, '"')
	for i := range parts {
		text := parts[i].text
		if text == nil {
			field, err := rec.Field(parts[i].field)
			if err != nil || !simpleString(field) || len(field) > maxResult/2/len(parts) {
				return dst, false
			}
			text = field[1 : len(field)-1]
		}
		out = append(out, text...)
	}
	return append(out, '"'), true
}
