package event

import (
	"math"
	"strconv"
	"unicode/utf8"
)

const (
	timestampLayout = "2006-01-02T15:04:05.000Z"
	maxString       = 4096 // bytes of a string that has no bound of its own
)

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string of valid UTF-8, cut at a whole character
// when it is longer than most bytes. It is like jsontext.AppendString, which this package is
// below, but escapes all that isControl finds: log lines are read in terminals.
func appendString(b []byte, s string, most int) []byte {
	s = truncate(s, most)
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), "\uFFFD"...)
				from = i + 1
			} else if isControl(r) {
				b = append(append(b, s[from:i]...), '\\', 'u', hexDigits[r>>12], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
				from = i + n
			}
			i += n
			continue
		}
		if c < ' ' || c == '"' || c == '\\' || c == 0x7f {
			b = append(b, s[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\t':
				b = append(b, '\\', 't')
			case '\r':
				b = append(b, '\\', 'r')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			from = i + 1
		}
		i++
	}
	return append(append(b, s[from:]...), '"')
}

// truncate shortens s to most bytes at a whole character, and says so with an ellipsis.
func truncate(s string, most int) string {
	const ellipsis = "…"
	if len(s) <= most {
		return s
	}
	n := most - len(ellipsis)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + ellipsis
}

// appendFloat appends f with three decimals. f must be a number.
func appendFloat(b []byte, f float64) []byte { return strconv.AppendFloat(b, f, 'f', 3, 64) }

func isNumber(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// token makes s one of a set of names: lower case, digits and underscores, at most
// 64 bytes. "" is Other.
func token(s string) string {
	if s == "" {
		return Other
	}
	ok := len(s) <= maxToken
	for i := 0; ok && i < len(s); i++ {
		ok = isTokenByte(s[i])
	}
	if ok {
		return s
	}
	b := []byte(s[:min(len(s), maxToken)])
	for i, c := range b {
		switch {
		case c >= 'A' && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case !isTokenByte(c):
			b[i] = '_'
		}
	}
	return string(b)
}

const maxToken = 64

func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_'
}
