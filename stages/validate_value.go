package stages

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// Bounds of what is validated. Numbers are compared as fractions: one of few bytes could ask for
// more memory than the machine has.
const (
	deepest     = 1000 // bounds the recursion
	maxDigits   = 1000
	maxExponent = 1000
)

// A boundError says that a value is not validated, as it would take too much.
type boundError struct {
	path  jsontext.Path
	shown jsontext.Path // without the names of the data
	why   string
}

func (e *boundError) Error() string {
	return fmt.Sprintf("validating: %s %s", placeIn(e.shown), e.why)
}

// Detail implements pipeline.Detailer: the names on the way.
func (e *boundError) Detail() string {
	if slices.Equal(e.path, e.shown) {
		return ""
	}
	return fmt.Sprintf("%s %s", placeIn(e.path), e.why)
}

// A valueReader makes Go values of JSON text that is known to be valid. Unlike encoding/json it
// keeps the first member of a name, as all of penstock does.
type valueReader struct {
	text []byte
	all  string // text once more: what it gives are parts of it
	i    int
}

// decodeValue gives what the validator takes: numbers as json.Number.
func decodeValue(text []byte) (any, *boundError) {
	r := valueReader{text: text, all: string(text)}
	return r.value(0)
}

func (r *valueReader) value(depth int) (any, *boundError) {
	if depth > deepest {
		return nil, &boundError{why: fmt.Sprintf("is nested deeper than %d", deepest)}
	}
	switch r.text[r.i] {
	case '{':
		return r.object(depth)
	case '[':
		return r.array(depth)
	case '"':
		return r.str(), nil
	case 't':
		r.i += len("true")
		return true, nil
	case 'f':
		r.i += len("false")
		return false, nil
	case 'n':
		r.i += len("null")
		return nil, nil
	}
	from := r.i
	for r.i < len(r.text) && isNumberByte(r.text[r.i]) {
		r.i++
	}
	if number := r.text[from:r.i]; tooLarge(number) {
		return nil, &boundError{why: fmt.Sprintf("is a number of more than %d digits, or with an exponent above %d", maxDigits, maxExponent)}
	}
	return json.Number(r.all[from:r.i]), nil
}

func isNumberByte(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// tooLarge says whether a number is above the bounds.
func tooLarge(number []byte) bool {
	if len(number) > maxDigits {
		return true
	}
	e := slices.IndexFunc(number, func(c byte) bool { return c == 'e' || c == 'E' })
	if e < 0 {
		return false
	}
	exponent := 0
	for _, c := range number[e+1:] {
		if c >= '0' && c <= '9' {
			if exponent = exponent*10 + int(c-'0'); exponent > maxExponent {
				return true
			}
		}
	}
	return false
}

// str reads a string.
func (r *valueReader) str() string {
	from := r.i
	escapes := false
	for r.i++; r.text[r.i] != '"'; r.i++ {
		if r.text[r.i] == '\\' {
			escapes = true
			r.i++
		}
	}
	r.i++
	if escapes {
		return jsontext.Unquote(r.text[from:r.i])
	}
	return r.all[from+1 : r.i-1]
}

func (r *valueReader) object(depth int) (any, *boundError) {
	m := map[string]any{}
	for r.i = jsontext.Space(r.text, r.i+1); r.text[r.i] != '}'; {
		name := r.str()
		r.i = jsontext.Space(r.text, jsontext.Space(r.text, r.i)+1)
		v, err := r.value(depth + 1)
		if err != nil {
			err.path = append(jsontext.Path{{Name: name}}, err.path...)
			return nil, err
		}
		if _, twice := m[name]; !twice {
			m[name] = v
		}
		r.comma()
	}
	r.i++
	return m, nil
}

func (r *valueReader) array(depth int) (any, *boundError) {
	list := []any{}
	for r.i = jsontext.Space(r.text, r.i+1); r.text[r.i] != ']'; {
		v, err := r.value(depth + 1)
		if err != nil {
			err.path = append(jsontext.Path{{Kind: jsontext.Indexed, Index: len(list)}}, err.path...)
			return nil, err
		}
		list = append(list, v)
		r.comma()
	}
	r.i++
	return list, nil
}

// comma goes to what follows a member or an element.
func (r *valueReader) comma() {
	if r.i = jsontext.Space(r.text, r.i); r.text[r.i] == ',' {
		r.i = jsontext.Space(r.text, r.i+1)
	}
}
