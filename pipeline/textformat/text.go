package textformat

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// AppendJSON appends text, which must be one JSON value, without the white space around it.
// Every other byte stays as it is.
func AppendJSON(dst, text []byte) ([]byte, error) {
	if err := CheckJSON(text); err != nil {
		return dst, err
	}
	return append(dst, trim(text)...), nil
}

// CheckJSON says where text stops to be one JSON value, with white space around it at the most.
func CheckJSON(text []byte) error {
	if jsontext.Valid(text) {
		return nil
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return whole("it is empty, and no JSON")
	}
	if jsontext.TooDeep(text) {
		return whole("it is nested deeper than 10,000")
	}
	var wrong *json.SyntaxError
	var ignored json.RawMessage
	if err := json.Unmarshal(text, &ignored); errors.As(err, &wrong) {
		if int(wrong.Offset) >= len(text) && truncated(text) {
			return at(len(text), "the JSON ends too early")
		}
		return at(int(wrong.Offset)-1, "from here on it is no JSON")
	}
	return whole("it is no JSON")
}

// truncated says whether text is the beginning of something that is JSON, as far as the decoder
// can say.
func truncated(text []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(text))
	var ignored json.RawMessage
	var wrong *json.SyntaxError
	err := dec.Decode(&ignored)
	return err != nil && !errors.As(err, &wrong)
}

// AppendText appends text, which must be UTF-8, as a JSON string.
func AppendText(dst, text []byte) ([]byte, error) {
	if i := invalidUTF8(text); i >= 0 {
		return dst, at(i, "it is no UTF-8")
	}
	return appendText(dst, text), nil
}

// invalidUTF8 gives the first byte that belongs to no character, -1 when all do.
func invalidUTF8(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}
	for i := 0; ; {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
}

// AppendPlain appends a value as text: a string's characters, the JSON text of anything else.
func AppendPlain(dst, value []byte) ([]byte, error) {
	value = trim(value)
	if value[0] == '"' {
		value = plain(value)
	}
	return append(dst, value...), nil
}

// AppendCompact appends a value as JSON text without white space.
func AppendCompact(dst, value []byte) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(len(value))
	if err := json.Compact(&b, value); err != nil {
		return dst, whole("the value is nested deeper than 10,000")
	}
	return append(dst, b.Bytes()...), nil
}
