package stages

import "encoding/json"

// What follows walks through JSON text that is known to be valid.

func blank(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n') {
		i++
	}
	return i
}

// valueEnd gives the end of the JSON value that starts at i.
func valueEnd(text []byte, i int) int {
	depth := 0
	for ; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth > 0 {
				continue
			}
			for i < len(text) && text[i] != ',' && text[i] != '}' && text[i] != ']' && blank(text, i) == i {
				i++
			}
			return i
		}
		if depth == 0 {
			return i + 1
		}
	}
	return i
}

// elements calls yield for each element of the array that text begins with, until it
// returns false.
func elements(text []byte, yield func(element []byte) bool) {
	for i := blank(text, 1); text[i] != ']'; {
		end := valueEnd(text, i)
		if !yield(text[i:end:end]) {
			return
		}
		if i = blank(text, end); text[i] == ',' {
			i = blank(text, i+1)
		}
	}
}

// members calls yield for each member of the object that text begins with, until it
// returns false. name is JSON text too.
func members(text []byte, yield func(name, value []byte) bool) {
	for i := blank(text, 1); text[i] != '}'; {
		end := valueEnd(text, i)
		name := text[i:end:end]
		i = blank(text, end)
		i = blank(text, i+1) // the colon
		end = valueEnd(text, i)
		if !yield(name, text[i:end:end]) {
			return
		}
		if i = blank(text, end); text[i] == ',' {
			i = blank(text, i+1)
		}
	}
}

// unquote gives the characters of a JSON string.
func unquote(text []byte) string {
	for _, c := range text {
		if c == '\\' {
			var s string
			_ = json.Unmarshal(text, &s) // it is valid
			return s
		}
	}
	return string(text[1 : len(text)-1])
}

// plain gives a value as text: a string's own characters, the JSON text of anything
// else.
func plain(text []byte) string {
	if text[0] == '"' {
		return unquote(text)
	}
	return string(text)
}
