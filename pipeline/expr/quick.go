package expr

import "bytes"

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
		case len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' && bytes.IndexByte(text, '\\') < 0:
			return not, nil
		}
		return slow(m)
	}
}
