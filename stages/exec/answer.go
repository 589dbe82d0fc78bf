package execstage

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A verdict is what a process says of a record: one of these.
type verdict struct {
	value  []byte  // the answer, as JSON
	text   *string // the same, as text that is none
	filter bool
	reject *string
	retry  *string
	more   string // what it says of reject and retry besides
}

// An answerLine is a line of a process.
type answerLine struct {
	id      *uint64
	ready   *int
	verdict verdict
}

var (
	errNoJSON = errors.New("it wrote a line that is no JSON object")
	errNoUTF8 = errors.New("it wrote a line that is no UTF-8")
	errNoID   = errors.New("it wrote a line without an id")
	errNoWord = errors.New("it wrote a line that has none of value, text, filter, reject and retry, or several of them")
	errHalf   = errors.New(`it wrote a text with half of a character, one of \ud800 to \udfff alone`)
)

// A keyError is a key that an answer may have, but not so. It says nothing of what stands there.
type keyError struct{ key, is string }

func (e *keyError) Error() string { return fmt.Sprintf("it wrote a line whose %s %s", e.key, e.is) }

// readAnswer reads a line. What it gives shares no memory with line. ready says that it is that a process is
// ready, in which version of the protocol.
func readAnswer(line []byte) (id uint64, v verdict, ready int, err error) {
	if !utf8.Valid(line) {
		return 0, v, 0, errNoUTF8
	}
	line = bytes.TrimSpace(line)
	if !jsontext.Valid(line) || line[0] != '{' {
		return 0, v, 0, errNoJSON
	}
	var a answerLine
	var seen [len(answerKeys)]bool
	jsontext.Members(line, func(name, value []byte) bool {
		for i, key := range answerKeys {
			if jsontext.Unquote(name) != key {
				continue
			}
			if seen[i] {
				err = &keyError{key, "stands there twice"}
			} else {
				seen[i], err = true, a.set(key, value)
			}
		}
		return err == nil
	})
	switch {
	case err != nil:
		return 0, v, 0, err
	case a.ready != nil && a.id == nil:
		return 0, v, *a.ready, nil
	case a.id == nil:
		return 0, v, 0, errNoID
	}
	v = a.verdict
	words := 0
	for _, is := range []bool{v.value != nil, v.text != nil, v.filter, v.reject != nil, v.retry != nil} {
		if is {
			words++
		}
	}
	if words != 1 {
		return *a.id, verdict{}, 0, errNoWord
	}
	return *a.id, v, 0, nil
}

// answerKeys are the keys that say something, in just these letters. Others may come with a later version.
var answerKeys = [...]string{"id", "ready", "value", "text", "filter", "reject", "retry", "message"}

// set takes a member of a line. Null stands for a key that is not there, but for value.
func (a *answerLine) set(key string, value []byte) error {
	if key == "value" {
		a.verdict.value = bytes.Clone(value)
		return nil
	}
	if string(value) == "null" {
		return nil
	}
	switch key {
	case "id":
		id, err := strconv.ParseUint(string(value), 10, 64)
		if err != nil {
			return &keyError{key, "is not the whole number that it was asked with"}
		}
		a.id = &id
		return nil
	case "ready":
		version, err := strconv.Atoi(string(value))
		if err != nil {
			return &keyError{key, "is no whole number"}
		}
		a.ready = &version
		return nil
	case "filter":
		if a.verdict.filter = string(value) == "true"; !a.verdict.filter && string(value) != "false" {
			return &keyError{key, "is neither true nor false"}
		}
		return nil
	}
	if value[0] != '"' {
		return &keyError{key, "is no string"}
	}
	text := jsontext.Unquote(value)
	switch key {
	case "text":
		a.verdict.text = &text
		if !whole(value) {
			return errHalf
		}
	case "reject":
		a.verdict.reject = &text
	case "retry":
		a.verdict.retry = &text
	case "message":
		a.verdict.more = text
	}
	return nil
}

// whole says that a JSON string has no half of a pair of escapes: Unquote would put another character in its place.
func whole(quoted []byte) bool {
	for i := 0; i < len(quoted); i++ {
		if quoted[i] != '\\' {
			continue
		}
		if i++; quoted[i] != 'u' {
			continue
		}
		r := escaped(quoted[i-1:])
		i += 4
		if !utf16.IsSurrogate(r) {
			continue
		}
		if utf16.DecodeRune(r, escaped(quoted[i+1:])) == utf8.RuneError {
			return false
		}
		i += 6
	}
	return true
}

// escaped gives what the escape says that text begins with, -1 when that is none of four digits.
func escaped(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
