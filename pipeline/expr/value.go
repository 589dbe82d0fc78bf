package expr

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// A kind is what a value is at run time.
type kind uint8

const (
	kNil kind = iota
	kBool
	kInt
	kFloat
	kBig // an integer beyond 64 bits; text is its JSON number
	kString
	kArray  // JSON text of a record
	kObject // JSON text of a record
	kList   // an array that the expression built
	kMap    // an object that the expression built
	kTime   // nanoseconds since 1970
	kDuration
)

// A mask is a set of kinds: what a piece of an expression can give, as far as it is
// known when it is compiled.
type mask uint16

const (
	mNil      mask = 1 << kNil
	mBool     mask = 1 << kBool
	mInt      mask = 1<<kInt | 1<<kBig
	mNumber   mask = mInt | 1<<kFloat
	mString   mask = 1 << kString
	mArray    mask = 1<<kArray | 1<<kList
	mObject   mask = 1<<kObject | 1<<kMap
	mTime     mask = 1 << kTime
	mDuration mask = 1 << kDuration
	mJSON     mask = mNil | mBool | mNumber | mString | 1<<kArray | 1<<kObject
	mAny      mask = math.MaxUint16
)

// String names the kinds of m for people.
func (m mask) String() string {
	if m|mNil == mAny || m|mNil == mJSON {
		return "a value"
	}
	var names []string
	for _, k := range []struct {
		mask mask
		name string
	}{
		{mNil, "nil"}, {mBool, "a boolean"}, {mNumber, "a number"}, {mString, "a string"}, {mArray, "an array"},
		{mObject, "an object"}, {mTime, "a date"}, {mDuration, "a duration"},
	} {
		if m&k.mask != 0 {
			names = append(names, k.name)
		}
	}
	return strings.Join(names, " or ")
}

// String gives the kind as messages name it.
func (k kind) String() string {
	if k == kNil {
		return "a missing value"
	}
	return mask(1 << k).String()
}

// A form says how the text of a string is written.
type form uint8

const (
	plain   form = iota // the characters themselves
	clean               // the same, and nothing in them needs an escape in JSON
	escaped             // between the quotes of a JSON string, escapes and all
)

// A value is what evaluation works on. Numbers that came from a record keep their
// text, strings and containers are slices of the record: nothing is copied or
// decoded before an operation asks for it.
type value struct {
	kind  kind
	form  form
	num   int64  // bool 0 or 1, int, float bits, nanoseconds
	text  []byte // of strings and containers; of numbers the JSON text, or nil
	built *built // of kList and kMap
}

// built is an array or an object that an expression made.
type built struct {
	names []string // of an object, unique
	items []value
	index map[string]int // from the 17th member on
}

var (
	vNil   = value{}
	vTrue  = value{kind: kBool, num: 1}
	vFalse = value{kind: kBool}
)

func vBool(b bool) value {
	if b {
		return vTrue
	}
	return vFalse
}

func vInt(n int64) value     { return value{kind: kInt, num: n} }
func vFloat(f float64) value { return value{kind: kFloat, num: int64(math.Float64bits(f))} }
func vText(b []byte) value   { return value{kind: kString, text: b} }
func vString(s string) value { return value{kind: kString, text: []byte(s)} }

func (v value) float() float64 { return math.Float64frombits(uint64(v.num)) }
func (v value) is(m mask) bool { return m&(1<<v.kind) != 0 }

// plainText gives the characters of a string.
func (v value) plainText() []byte {
	if v.form == escaped {
		return unescape(v.text)
	}
	return v.text
}

// set adds or replaces a member.
func (b *built) set(name string, v value) {
	if i, ok := b.find(name); ok {
		b.items[i] = v
		return
	}
	b.names, b.items = append(b.names, name), append(b.items, v)
	if b.index != nil {
		b.index[name] = len(b.names) - 1
	} else if len(b.names) > 16 {
		b.index = make(map[string]int, 64)
		for i, n := range b.names {
			b.index[n] = i
		}
	}
}

func (b *built) find(name string) (int, bool) {
	if b.index != nil {
		i, ok := b.index[name]
		return i, ok
	}
	for i, n := range b.names {
		if n == name {
			return i, true
		}
	}
	return 0, false
}

// parse reads JSON text. ok is false when it is none, which only a stage that sets
// what is not JSON can bring about. Containers are not looked into.
func parse(b []byte) (v value, ok bool) {
	b = trim(b)
	if len(b) == 0 {
		return vNil, false
	}
	switch c := b[0]; {
	case c == '"':
		return parseString(b)
	case c == '-' || c >= '0' && c <= '9':
		return parseNumber(b)
	case c == '{':
		return value{kind: kObject, text: b}, true
	case c == '[':
		return value{kind: kArray, text: b}, true
	case c == 't':
		return vTrue, string(b) == "true"
	case c == 'f':
		return vFalse, string(b) == "false"
	default:
		return vNil, string(b) == "null"
	}
}

func parseString(b []byte) (value, bool) {
	if len(b) < 2 || b[len(b)-1] != '"' {
		return vNil, false
	}
	b = b[1 : len(b)-1]
	for _, c := range b {
		if c == '\\' {
			return value{kind: kString, form: escaped, text: b}, true
		}
	}
	return value{kind: kString, form: clean, text: b}, true
}

func parseNumber(b []byte) (value, bool) {
	if n, ok := smallInteger(b); ok {
		return value{kind: kInt, num: n, text: b}, true
	}
	digits := bytes.TrimPrefix(b, []byte("-"))
	if len(digits) == 0 {
		return vNil, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return parseFloat(b)
		}
	}
	if len(digits) <= 19 {
		if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
			return value{kind: kInt, num: n, text: b}, true
		}
	}
	return value{kind: kBig, text: b}, true
}

// parseFloat gives an infinity for what is beyond float64: it still orders right
// against every number that is not, and arithmetic refuses it.
func parseFloat(b []byte) (value, bool) {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil && !math.IsInf(f, 0) || math.IsNaN(f) {
		return vNil, false
	}
	return value{kind: kFloat, num: int64(math.Float64bits(f)), text: b}, true
}
