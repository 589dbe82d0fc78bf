package textformat

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// Pairs is text of pairs of a key and a value: level=info msg="two words". A key or a value may
// stand in double quotes, with the escapes of JSON; in single ones too, without escapes, unless
// it is logfmt. A key without a value is true.
type Pairs struct {
	Separator    string // between pairs; "": white space
	KeySeparator string // between key and value; "": =
	Logfmt       bool   // logfmt: white space and =, and a value may hold a single quote
	Numbers      bool   // a value without quotes that is written as a number becomes one
}

// PairSeparator gives the Separator of Pairs for what a file has: spaces alone are any white space.
func PairSeparator(text string) (string, error) {
	if strings.ContainsAny(text, `"'\`) {
		return "", whole("a quote or backslash cannot part keys and values")
	}
	if strings.Trim(text, " ") == "" {
		return "", nil
	}
	return text, nil
}

// CheckKeySeparator says what is wrong with the KeySeparator of Pairs.
func CheckKeySeparator(key, separator string) error {
	switch {
	case strings.ContainsAny(key, `"'\`):
		return whole("a quote or backslash cannot part keys and values")
	case key != "" && strings.TrimSpace(key) == "" && separator == "":
		return whole("white space parts the pairs already: name another separator of these")
	case key != "" && key == separator || key == "" && separator == "=":
		return whole("pairs are parted by that already")
	}
	return nil
}

// AppendObject appends an object with a member for each pair. Text without pairs is an empty one.
func (p Pairs) AppendObject(dst, text []byte) ([]byte, error) {
	o := begin(dst)
	for i := skip(text, 0); i < len(text); i = skip(text, i) {
		key, end, quoted, err := p.token(text, i, true)
		if err != nil {
			return dst, err
		}
		if len(key) == 0 && !quoted {
			if !bytes.HasPrefix(text[end:], []byte(p.keySeparator())) {
				i = p.behind(text, end)
				continue // nothing between two separators
			}
			return dst, at(i, "a key is missing")
		}
		o.name(key)
		behind := p.blanks(text, end, false)
		if !bytes.HasPrefix(text[behind:], []byte(p.keySeparator())) {
			if behind < len(text) && !p.ends(text, behind) {
				return dst, at(end, "behind the closing quote stands neither a separator nor the end")
			}
			o.out = append(o.out, "true"...)
			i = p.behind(text, behind)
			continue
		}
		from := p.blanks(text, behind+len(p.keySeparator()), true)
		value, end, quoted, err := p.token(text, from, false)
		if err != nil {
			return dst, err
		}
		if quoted {
			o.out = appendText(o.out, value)
		} else {
			o.out = appendValue(o.out, value, p.Numbers)
		}
		if end = p.blanks(text, end, true); end < len(text) && !p.ends(text, end) {
			return dst, at(end, "behind the closing quote stands neither a separator nor the end")
		}
		i = p.behind(text, end)
	}
	return o.end(), nil
}

func (p Pairs) keySeparator() string {
	if p.KeySeparator == "" {
		return "="
	}
	return p.KeySeparator
}

func blank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// skip gives the first byte from i on that is no white space.
func skip(text []byte, i int) int {
	for i < len(text) && blank(text[i]) {
		i++
	}
	return i
}

// blanks is skip within a pair: white space that parts it from the next one stays, and, before
// the value, that which parts it from its key.
func (p Pairs) blanks(text []byte, i int, value bool) int {
	for p.Separator != "" && i < len(text) && blank(text[i]) && !p.ends(text, i) && (value || !bytes.HasPrefix(text[i:], []byte(p.keySeparator()))) {
		i++
	}
	return i
}

// ends says whether a pair ends at i.
func (p Pairs) ends(text []byte, i int) bool {
	if p.Separator == "" {
		return blank(text[i])
	}
	return bytes.HasPrefix(text[i:], []byte(p.Separator))
}

// behind gives the place behind the separator at i, if there is one.
func (p Pairs) behind(text []byte, i int) int {
	i = p.blanks(text, i, true)
	if i < len(text) && p.ends(text, i) {
		return i + max(len(p.Separator), 1)
	}
	return i
}

// token gives the key or value that begins at i, and where it ends.
func (p Pairs) token(text []byte, i int, key bool) (is []byte, end int, quoted bool, err error) {
	if i < len(text) && (text[i] == '"' || text[i] == '\'' && !p.Logfmt) {
		is, end, err = unquoted(text, i)
		return is, end, true, err
	}
	between := p.keySeparator()
	for end = i; end < len(text); end++ {
		c := text[end]
		if p.Separator == "" && blank(c) || p.Separator != "" && c == p.Separator[0] && p.ends(text, end) ||
			key && c == between[0] && bytes.HasPrefix(text[end:], []byte(between)) {
			break
		}
	}
	is = text[i:end]
	if p.Separator != "" {
		is = bytes.TrimRight(is, " \t\n\v\f\r")
	}
	return is, end, false, nil
}

// unquoted gives the characters of what begins with the quote at i, and the end behind the
// closing one.
func unquoted(text []byte, i int) (is []byte, end int, err error) {
	quote, escapes := text[i], false
	for end = i + 1; end < len(text) && text[end] != quote; end++ {
		if text[end] == '\\' && quote == '"' {
			escapes = true
			end++
		}
	}
	if end >= len(text) {
		return nil, 0, at(i, "the quote that opens here has no end")
	}
	if !escapes {
		return text[i+1 : end], end + 1, nil
	}
	is, err = unescaped(text[i+1:end], i+1)
	return is, end + 1, err
}

// unescaped decodes the escapes of JSON, and takes any other character behind a backslash as it
// is. from is where text begins, for errors.
func unescaped(text []byte, from int) ([]byte, error) {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		i++ // there is one: the quote is behind it
		switch c := text[i]; c {
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case 'r':
			out = append(out, '\r')
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'u':
			end := i + 5
			if end+6 <= len(text) && text[end] == '\\' && text[end+1] == 'u' { // the second half of a pair, perhaps
				end += 6
			}
			for ; end >= i+5; end -= 6 {
				quoted := append(append([]byte{'"', '\\'}, text[i:min(end, len(text))]...), '"')
				if end <= len(text) && jsontext.Valid(quoted) {
					out = append(out, jsontext.Unquote(quoted)...)
					break
				}
			}
			if end < i+5 {
				return nil, at(from+i-1, `behind \u stand no four hexadecimal digits`)
			}
			i = end - 1
		default:
			out = append(out, c)
		}
	}
	return out, nil
}

// AppendPairs appends an object as pairs. A value that is no string is written as JSON.
func (p Pairs) AppendPairs(dst, value []byte) ([]byte, error) {
	out := dst
	err := members(value, func(i int, name, v []byte) error {
		if !p.canBeKey(name) {
			return whole(fmt.Sprintf("member %d has a name that cannot be a key", i))
		}
		if i > 1 {
			out = append(out, p.separator()...)
		}
		out = append(append(out, name...), p.keySeparator()...)
		if is := plain(v); v[0] == 'n' {
			out = append(out, "null"...)
		} else {
			out = p.appendValue(out, is)
		}
		return nil
	})
	if err != nil {
		return dst, err
	}
	return out, nil
}

func (p Pairs) separator() string {
	if p.Separator == "" {
		return " "
	}
	return p.Separator
}

// canBeKey says whether a name can stand without quotes, which some readers do not take there.
func (p Pairs) canBeKey(name []byte) bool {
	s := string(name)
	return s != "" && !strings.Contains(s, p.keySeparator()) && (p.Separator == "" || !strings.Contains(s, p.Separator)) &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r == '\'' || r == 0x7f || r == '\ufffd' || r == '\\' }) // also bytes that are no UTF-8
}

// appendValue appends a value, in quotes where it needs them.
func (p Pairs) appendValue(dst, value []byte) []byte {
	for i, c := range value {
		if c <= ' ' || c == '"' || c == '\'' || c == '\\' || c == '=' || c == 0x7f || p.Separator != "" && p.ends(value, i) ||
			bytes.HasPrefix(value[i:], []byte(p.keySeparator())) {
			return jsontext.AppendString(dst, string(value))
		}
	}
	if len(value) == 0 {
		return append(dst, `""`...)
	}
	return append(dst, value...)
}
