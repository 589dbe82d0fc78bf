package textformat

import (
	"bytes"
	"strconv"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// An object is a JSON object that is being written: members are appended to out as they come.
type object struct {
	out     []byte
	from    int // where the object begins in out
	n       int
	names   [16]span // of the first members: their names in out, quotes and all
	repeats bool     // a name may have come before
}

type span struct{ from, to int }

func begin(dst []byte) object { return object{out: append(dst, '{'), from: len(dst)} }

// name appends the name of the next member, up to the colon.
func (o *object) name(name []byte) {
	if o.n > 0 {
		o.out = append(o.out, ',')
	}
	from := len(o.out)
	o.out = appendText(o.out, name)
	written := o.out[from:]
	if o.n >= len(o.names) {
		o.repeats = true // not known: merged looks
	} else {
		for _, s := range o.names[:o.n] {
			if s.to-s.from == len(written) && bytes.Equal(o.out[s.from:s.to], written) {
				o.repeats = true
				break
			}
		}
		o.names[o.n] = span{from, len(o.out)}
	}
	o.n++
	o.out = append(o.out, ':')
}

// unique appends the name of the next member, up to the colon, where no name comes twice.
func (o *object) unique(name []byte) {
	if o.out[len(o.out)-1] != '{' {
		o.out = append(o.out, ',')
	}
	o.out = append(appendText(o.out, name), ':')
}

// known appends a name that comes once and needs no escapes, up to the colon.
func (o *object) known(name string) {
	if o.out[len(o.out)-1] != '{' {
		o.out = append(o.out, ',')
	}
	o.out = append(append(append(o.out, '"'), name...), '"', ':')
}

// text appends a member that comes once, if its value is not empty.
func (o *object) text(name string, value []byte) {
	if len(value) > 0 {
		o.known(name)
		o.out = appendText(o.out, value)
	}
}

// end closes the object, and puts the values of a name that comes several times into an array.
func (o *object) end() []byte {
	o.out = append(o.out, '}')
	if !o.repeats {
		return o.out
	}
	type member struct {
		name   []byte
		values [][]byte
	}
	text := bytes.Clone(o.out[o.from:])
	var members []member
	index := make(map[string]int, o.n)
	jsontext.Members(text, func(name, value []byte) bool {
		i, ok := index[string(name)]
		if !ok {
			i = len(members)
			index[string(name)] = i
			members = append(members, member{name: name})
		}
		members[i].values = append(members[i].values, value)
		return true
	})
	out := append(o.out[:o.from], '{')
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(out, m.name...), ':')
		if len(m.values) == 1 {
			out = append(out, m.values[0]...)
			continue
		}
		out = append(append(append(out, '['), bytes.Join(m.values, []byte{','})...), ']')
	}
	return append(out, '}')
}

// appendText appends text as a JSON string. Text that needs no escapes takes no memory.
func appendText(dst, text []byte) []byte {
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			return jsontext.AppendString(dst, string(text))
		}
	}
	return append(append(append(dst, '"'), text...), '"')
}

// appendValue appends text as a JSON string, or, with numbers, as the number that it is.
func appendValue(dst, text []byte, numbers bool) []byte {
	if numbers && isNumber(text) {
		return append(dst, text...)
	}
	return appendText(dst, text)
}

// isNumber says whether text is a number as JSON has it, and as programs write one: 7, -0.5,
// 1e+09. What may be a code stays text, for it does not come back from a number: 007, and 12e456,
// an exponent without its sign, and whole numbers of more than 18 digits.
func isNumber(text []byte) bool {
	if len(text) == 0 {
		return false
	}
	first, last := text[0], text[len(text)-1]
	if first != '-' && (first < '0' || first > '9') || last < '0' || last > '9' || !jsontext.Valid(text) {
		return false
	}
	if e := bytes.IndexAny(text, "eE"); e >= 0 {
		if text[e+1] != '+' && text[e+1] != '-' {
			return false
		}
		_, err := strconv.ParseFloat(string(text), 64) // an error where it is beyond that
		return err == nil
	}
	const longest = 18
	return bytes.IndexByte(text, '.') >= 0 || len(bytes.TrimPrefix(text, []byte{'-'})) <= longest
}

// plain gives a value as text: a string's characters, nothing for null, the JSON text of anything
// else.
func plain(value []byte) []byte {
	switch {
	case value[0] == 'n':
		return nil
	case value[0] != '"':
		return value
	case bytes.IndexByte(value, '\\') < 0:
		return value[1 : len(value)-1]
	}
	return jsontext.AppendUnquoted(make([]byte, 0, len(value)), value)
}

// trim gives valid JSON text without white space around it.
func trim(value []byte) []byte {
	from := jsontext.Space(value, 0)
	return value[from:jsontext.End(value, from)]
}

// members calls yield for each member of an object, of one name the first alone; not an object:
// an error.
func members(value []byte, yield func(i int, name, value []byte) error) error {
	value = trim(value)
	if value[0] != '{' {
		return whole("the value is no object")
	}
	var err error
	i := 0
	seen := make(map[string]bool)
	jsontext.Members(value, func(name, v []byte) bool {
		is := plain(name)
		if seen[string(is)] {
			return true
		}
		seen[string(is)] = true
		i++
		err = yield(i, is, v)
		return err == nil
	})
	return err
}
