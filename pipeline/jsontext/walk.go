package jsontext

// This file walks through JSON text that is known to be valid, without decoding it.

// Space gives the first place from i on that is no white space.
func Space(v []byte, i int) int {
	for i < len(v) && v[i] <= ' ' {
		if c := v[i]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			break
		}
		i++
	}
	return i
}

// End gives the end of the value that starts at i.
func End(text []byte, i int) int {
	switch text[i] {
	case '"':
		i, _ = validString(text, i+1)
		return i
	case '{', '[':
		return closing(text, i)
	}
	for i = skipDigits(text, i); i < len(text) && !endsScalar[text[i]]; { // most are whole numbers
		i++
	}
	return i
}

// endsScalar are the bytes that may stand behind a number, true, false or null.
var endsScalar = [256]bool{',': true, '}': true, ']': true, ' ': true, '\n': true, '\r': true, '\t': true}

// closing gives the end of the array or object that begins at i.
func closing(text []byte, i int) int {
	for depth := 0; ; i++ {
		switch text[i] {
		case '"':
			end, _ := validString(text, i+1)
			i = end - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

// Elements calls yield for each element of the array that text begins with, until it
// returns false.
func Elements(text []byte, yield func(element []byte) bool) {
	for i := Space(text, 1); text[i] != ']'; {
		end := End(text, i)
		if !yield(text[i:end:end]) {
			return
		}
		if i = Space(text, end); text[i] == ',' {
			i = Space(text, i+1)
		}
	}
}

// Members calls yield for each member of the object that text begins with, until it
// returns false. name is JSON text too: quoted, with its escapes.
func Members(text []byte, yield func(name, value []byte) bool) {
	for i := Space(text, 1); text[i] != '}'; {
		end := End(text, i)
		name := text[i:end:end]
		i = Space(text, end)
		i = Space(text, i+1) // the colon
		end = End(text, i)
		if !yield(name, text[i:end:end]) {
			return
		}
		if i = Space(text, end); text[i] == ',' {
			i = Space(text, i+1)
		}
	}
}
