package expr

import (
	"bytes"
	"slices"

	"github.com/penstockio/penstock/pipeline"
)

// This file evaluates on the JSON text of fields what it can, without making values of them: a
// value is six words, which are handed over in memory, and the processor waits for them
// there (BenchmarkCondition, BenchmarkLateFlights).

// plainField says whether k reads a field of the record each time, and does nothing
// else. One whose evaluation is watched is read as a value.
func (c *compiler) plainField(k code) bool {
	return k.bare && len(c.predicates) == 0 && c.places == nil
}

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

// A quick is a condition on the text of fields. When it does not know the answer, the test that it
// goes with is evaluated. It needs no machine, and fails only when the record's value is invalid.
type quick func(rec *pipeline.Record) (ok, known bool, err error)

// with makes a code of q and of slow, for what q does not know.
func (q quick) with(slow test) code {
	k := boolean(func(m *machine) (bool, error) {
		if ok, known, err := q(m.rec); known || err != nil {
			return ok, err
		}
		return slow(m)
	})
	k.quick = q
	return k
}

// quickOrder is a comparison of a field with an integer. It knows of integers.
func quickOrder(field string, k int64, less, same, more bool) quick {
	return func(rec *pipeline.Record) (bool, bool, error) {
		text, err := rec.Field(field)
		n, known := smallInteger(text)
		switch {
		case n < k:
			return less, known, err
		case n > k:
			return more, known, err
		}
		return same, known, err
	}
}

// quickEqual is == of a field and a string, or != when not is set. Of a text that is another one
// it knows the answer when that is a string without escapes: with some it may stand for the same.
func quickEqual(field string, k value, not bool) quick {
	quoted := appendScalar(nil, k)
	return func(rec *pipeline.Record) (bool, bool, error) {
		text, err := rec.Field(field)
		same := bytes.Equal(text, quoted)
		return same != not, same || simpleString(text), err
	}
}

// quickLogical is and, or or when stop is set; nil when a or b is none.
func quickLogical(a, b quick, stop bool) quick {
	if a == nil || b == nil {
		return nil
	}
	return func(rec *pipeline.Record) (bool, bool, error) {
		if ok, known, err := a(rec); !known || err != nil || ok == stop {
			return ok, known, err
		}
		return b(rec)
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
	case k.constant != nil && k.constant.kind == kString:
		quoted := appendScalar(nil, *k.constant)
		return []quickPart{{text: quoted[1 : len(quoted)-1]}}
	}
	return k.joins
}

// quickJoin appends a string of parts as JSON text. ok is false when one of them is no
// simple string, or it gets long: then the expression is evaluated.
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
