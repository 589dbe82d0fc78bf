package expr

import (
	"unicode/utf16"
	"unicode/utf8"
)

// The text that is walked here was checked as JSON with its record, or set by a stage, which has
// to set valid JSON. When one has set something else, these functions give some part of it, but
// do not read beyond it.

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func trim(b []byte) []byte {
	for len(b) > 0 && space(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && space(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// skip gives the index behind the JSON value that starts at i.
func skip(b []byte, i int) int {
	if i >= len(b) {
		return i
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				i = skipString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return i
	}
	for i < len(b) {
		switch b[i] {
		case ',', '}', ']', ' ', '\t', '\n', '\r':
			return i
		}
		i++
	}
	return i
}

// skipString gives the index behind the JSON string that starts at i.
func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(b)
}

// A walker goes through the elements of an array or the members of an object.
type walker struct {
	b []byte
	i int
}

func walk(container []byte) walker { return walker{b: container, i: 1} }

// gap skips what stands between two elements.
func (w *walker) gap() (more bool) {
	for w.i < len(w.b) {
		switch c := w.b[w.i]; {
		case c == ',' || c == ':' || space(c):
			w.i++
		case c == ']' || c == '}':
			return false
		default:
			return true
		}
	}
	return false
}

// value gives the next element.
func (w *walker) value() (text []byte, ok bool) {
	if !w.gap() {
		return nil, false
	}
	start := w.i
	w.i = skip(w.b, w.i)
	return w.b[start:w.i], w.i > start
}

// member gives the next name, without quotes but with its escapes, and its value.
func (w *walker) member() (name, text []byte, ok bool) {
	name, ok = w.value()
	if !ok || len(name) < 2 || name[0] != '"' {
		return nil, nil, false
	}
	text, ok = w.value()
	return name[1 : len(name)-1], text, ok
}

// member finds a field of an object; of equal names the first counts.
func member(object []byte, name string) (text []byte, ok bool) {
	w := walk(object)
	for {
		n, text, ok := w.member()
		if !ok {
			return nil, false
		}
		if sameName(n, name) {
			return text, true
		}
	}
}

func sameName(raw []byte, name string) bool {
	if string(raw) == name {
		for i := 0; i < len(name); i++ {
			if name[i] == '\\' {
				return string(unescape(raw)) == name
			}
		}
		return true
	}
	for _, c := range raw {
		if c == '\\' {
			return string(unescape(raw)) == name
		}
	}
	return false
}

// unescape decodes what stands between the quotes of a JSON string.
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			out = append(out, b[i])
			continue
		}
		i++
		switch b[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(b, i+1)
			i = min(i+4, len(b)-1)
			if utf16.IsSurrogate(r) {
				if i+2 < len(b) && b[i+1] == '\\' && b[i+2] == 'u' {
					if pair := utf16.DecodeRune(r, hex4(b, i+3)); pair != utf8.RuneError {
						out, i = utf8.AppendRune(out, pair), min(i+6, len(b)-1)
						continue
					}
				}
				r = utf8.RuneError
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, b[i])
		}
	}
	return out
}

func hex4(b []byte, i int) rune {
	if i+4 > len(b) {
		return utf8.RuneError
	}
	r := rune(0)
	for _, c := range b[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return utf8.RuneError
		}
	}
	return r
}
