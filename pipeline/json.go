package pipeline

// This file walks through JSON text that is known to be valid, without decoding it.

// JSONSpace gives the first place from i on that is no white space.
func JSONSpace(text []byte, i int) int { return skipSpace(text, i) }

// JSONEnd gives the end of the value that starts at i.
func JSONEnd(text []byte, i int) int {
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
			for i < len(text) && text[i] != ',' && text[i] != '}' && text[i] != ']' && JSONSpace(text, i) == i {
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

// JSONElements calls yield for each element of the array that text begins with, until it
// returns false.
func JSONElements(text []byte, yield func(element []byte) bool) {
	for i := JSONSpace(text, 1); text[i] != ']'; {
		end := JSONEnd(text, i)
		if !yield(text[i:end:end]) {
			return
		}
		if i = JSONSpace(text, end); text[i] == ',' {
			i = JSONSpace(text, i+1)
		}
	}
}

// JSONMembers calls yield for each member of the object that text begins with, until it
// returns false. name is JSON text too: quoted, with its
// escapes.
func JSONMembers(text []byte, yield func(name, value []byte) bool) {
	for i := JSONSpace(text, 1); text[i] != '}'; {
		end := JSONEnd(text, i)
		name := text[i:end:end]
		i = JSONSpace(text, end)
		i = JSONSpace(text, i+1) // the colon
		end = JSONEnd(text, i)
		if !yield(name, text[i:end:end]) {
			return
		}
		if i = JSONSpace(text, end); text[i] == ',' {
			i = JSONSpace(text, i+1)
		}
	}
}
