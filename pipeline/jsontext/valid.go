package jsontext

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// maxDepth is how deep values may be nested. Deeper ones are invalid: they would
// take the stack of whoever reads them.
const maxDepth = 10_000

// Valid says whether text is one JSON value, with white space around it at the most. Of
// what RFC 8259 leaves open it is as strict as encoding/json, but for the depth.
func Valid(text []byte) bool {
	i := Value(text, Space(text, 0), 0)
	return i >= 0 && Space(text, i) == len(text)
}

// TooDeep says whether text, which Valid refuses, may be JSON that is nested deeper than 10,000.
func TooDeep(text []byte) bool {
	depth := 0
	for i := Space(text, 0); i < len(text) && (depth > 0 || i == Space(text, 0)); i++ {
		switch text[i] {
		case '"':
			if i, _ = validString(text, i+1); i < 0 {
				return false
			}
			i--
		case '{', '[':
			if depth++; depth > maxDepth {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// Value gives the index behind the JSON value that starts at i, -1 when there is
// none. depth is how many arrays and objects it stands in.
func Value(v []byte, i, depth int) int {
	if i >= len(v) || depth > maxDepth {
		return -1
	}
	switch c := v[i]; c {
	case '"':
		end, _ := validString(v, i+1)
		return end
	case '{':
		return validObject(v, i, depth)
	case '[':
		return validArray(v, i, depth)
	case 't':
		return validLiteral(v, i, jsonTrue)
	case 'f':
		return validLiteral(v, i, jsonFalse)
	case 'n':
		return validLiteral(v, i, jsonNull)
	default:
		return validNumber(v, i)
	}
}

func validObject(v []byte, i, depth int) int {
	i = Space(v, i+1)
	if i < len(v) && v[i] == '}' {
		return i + 1
	}
	for {
		if _, _, i, _ = Member(v, i, depth+1); i < 0 {
			return -1
		}
		if i = Space(v, i); i >= len(v) {
			return -1
		}
		if v[i] == '}' {
			return i + 1
		}
		if v[i] != ',' {
			return -1
		}
		i = Space(v, i+1)
	}
}

// Member gives where the field whose key starts at i has its parts: the closing
// quote of its key, its text, and the end of that; -1 for the end when there is none.
// It gives single numbers: a struct of five is handed over in memory, and waiting for
// it took a quarter of the time (BenchmarkField/check). depth is how many arrays and
// objects the field's text stands in.
func Member(v []byte, i, depth int) (keyEnd, text, end int, escapes bool) {
	if i >= len(v) || v[i] != '"' {
		return 0, 0, -1, false
	}
	// Fields have the names that they had in the record before, so the processor guesses
	// right where each one ends, and does not wait as it does in validString
	// (BenchmarkField/check).
	i++
	for i < len(v) && ordinary[v[i]] {
		i++
	}
	if i < len(v) && v[i] == '"' {
		i++
	} else if i, escapes = validString(v, i); i < 0 {
		return 0, 0, -1, false
	}
	keyEnd = i - 1
	if i < len(v) && v[i] != ':' {
		i = Space(v, i)
	}
	if i >= len(v) || v[i] != ':' {
		return 0, 0, -1, false
	}
	if i++; i < len(v) && v[i] <= ' ' {
		i = Space(v, i)
	}
	if i < len(v) && v[i] == '"' { // as Value has it, without the call
		end, _ = validString(v, i+1)
	} else {
		end = Value(v, i, depth)
	}
	return keyEnd, i, end, escapes
}

func validArray(v []byte, i, depth int) int {
	i = Space(v, i+1)
	if i < len(v) && v[i] == ']' {
		return i + 1
	}
	for {
		if i = Value(v, i, depth+1); i < 0 {
			return -1
		}
		if i = Space(v, i); i >= len(v) {
			return -1
		}
		if v[i] == ']' {
			return i + 1
		}
		if v[i] != ',' {
			return -1
		}
		i = Space(v, i+1)
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special has the high bit of each byte of x set that is a quote, a backslash or a
// control character; above the lowest such byte there may be false ones. One
// comparison finds quotes and control characters: what is left of x^2 below 33 is them
// (BenchmarkField/check).
func special(x uint64) uint64 {
	return (((x ^ 2*ones) - 33*ones) | ((x ^ '\\'*ones) - ones)) &^ x & highs
}

// noDigit has the high bit of each byte of x set that is no digit; above the lowest
// such byte there may be wrong ones.
func noDigit(x uint64) uint64 {
	x ^= '0' * ones
	return ((x + (128-10)*ones) | x) & highs
}

// ordinary are the bytes that stand for themselves in a string.
var ordinary = func() (is [256]bool) {
	for c := range is {
		is[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return is
}()

// validString gives the index behind the closing quote of the string whose characters
// start at i, -1 when there is none.
func validString(v []byte, i int) (end int, escapes bool) {
	for {
		for i+8 <= len(v) {
			m := special(binary.LittleEndian.Uint64(v[i:]))
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) >> 3
			if v[i] == '"' {
				return i + 1, escapes
			}
			break
		}
		for i < len(v) && ordinary[v[i]] {
			i++
		}
		if i >= len(v) || v[i] < ' ' {
			return -1, escapes
		}
		if v[i] == '"' {
			return i + 1, escapes
		}
		escapes = true
		if i = validEscape(v, i+1); i < 0 {
			return -1, true
		}
	}
}

// validEscape gives the index behind the escape whose backslash is before i.
func validEscape(v []byte, i int) int {
	if i >= len(v) {
		return -1
	}
	switch v[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if i+5 > len(v) {
			return -1
		}
		for _, c := range v[i+1 : i+5] {
			if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f') {
				return -1
			}
		}
		return i + 5
	}
	return -1
}

func validNumber(v []byte, i int) int {
	if v[i] == '-' {
		i++
	}
	switch {
	case i >= len(v):
		return -1
	case v[i] == '0':
		i++
	case v[i] >= '1' && v[i] <= '9':
		i = skipDigits(v, i)
	default:
		return -1
	}
	if i < len(v) && v[i] == '.' {
		from := i + 1
		if i = skipDigits(v, from); i == from {
			return -1
		}
	}
	if i < len(v) && v[i]|0x20 == 'e' {
		i++
		if i < len(v) && (v[i] == '+' || v[i] == '-') {
			i++
		}
		from := i
		if i = skipDigits(v, from); i == from {
			return -1
		}
	}
	return i
}

// skipDigits looks at eight bytes at a time: how many digits a number has differs from
// record to record, and each wrong guess of the processor costs more than the look
// (BenchmarkLateFlights).
func skipDigits(v []byte, i int) int {
	for i+8 <= len(v) {
		if m := noDigit(binary.LittleEndian.Uint64(v[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(v) && v[i]-'0' <= 9 {
		i++
	}
	return i
}

var jsonTrue, jsonFalse, jsonNull = []byte("true"), []byte("false"), []byte("null")

func validLiteral(v []byte, i int, literal []byte) int {
	if bytes.HasPrefix(v[i:], literal) {
		return i + len(literal)
	}
	return -1
}
