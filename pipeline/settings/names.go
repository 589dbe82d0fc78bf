package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A FieldName is a name where no path is taken, like that of a column. In a pipeline file a
// backslash stands before each of its characters that would make a path of it: user\.id is what is
// called user.id. What reads as a path is refused there, for it would name what is hardly ever
// there, and do nothing. Where a path can lead somewhere, the type is FieldPath.
type FieldName string

// UnmarshalText reads the name as a pipeline file has it. The error is a *NameError.
func (n *FieldName) UnmarshalText(text []byte) error {
	parts, err := splitName(string(text))
	if err != nil {
		return err
	}
	reads := ""
	switch {
	case len(text) == 0:
		return &NameError{Message: "the name of a field is empty"}
	case slices.ContainsFunc(parts, func(p namePart) bool { return p.hasUnescaped(",") }):
		reads = "several names"
	case len(parts) > 1 || parts[0].isForeignPath():
		reads = "a path"
	}
	if reads != "" {
		return &NameError{
			Message:    fmt.Sprintf("%q reads as %s, and what is taken here is the name of one field", text, reads),
			Suggestion: "a field that is called so is written '" + asName(string(text)) + "'",
		}
	}
	*n = FieldName(parts[0].name)
	return nil
}

// asName gives a name as a pipeline file has it.
func asName(name string) string { return jsontext.Path{{Name: name}}.String() }

// MarshalText is the reverse of UnmarshalText.
func (n FieldName) MarshalText() ([]byte, error) { return []byte(asName(string(n))), nil }

// A HeaderName is the name of a header of a record. In a pipeline file a backslash
// stands before a character that would make a pattern or an expression of it.
type HeaderName string

// UnmarshalText reads the name as a pipeline file has it. The error is a *NameError.
func (h *HeaderName) UnmarshalText(text []byte) error {
	parts, err := splitName(string(text))
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return &NameError{Message: "the name of a header is empty"}
	}
	if last := parts[len(parts)-1]; blankFirst(string(text)) || last.endsUnescaped && blankLast(string(text)) {
		name := strings.TrimFunc(string(text), jsontext.Blank)
		return &NameError{Message: fmt.Sprintf("white space stands beside the name of the header %q", text), Suggestion: "write '" + name + "'; " + literally}
	}
	names := make([]string, len(parts))
	for i, p := range parts {
		if names[i] = p.name; p.hasUnescaped(patterns) {
			return &NameError{
				Message:    fmt.Sprintf("%q reads as a pattern or an expression, and what is taken here is the name of one header", text),
				Suggestion: `name each header; a header that is called so is written with a \ before each such character`,
			}
		}
	}
	*h = HeaderName(strings.Join(names, "."))
	return nil
}

// MarshalText is the reverse of UnmarshalText.
func (h HeaderName) MarshalText() ([]byte, error) {
	var b []byte
	for i := range len(h) {
		if strings.IndexByte(patterns+`\`, h[i]) >= 0 || jsontext.BlankEnd(string(h), i) {
			b = append(b, '\\')
		}
		b = append(b, h[i])
	}
	return b, nil
}

// A HeaderOrAll is the name of a header of a record, or all headers: that is * in a pipeline file,
// where a header that is called so is written \*.
type HeaderOrAll struct {
	Name HeaderName // "" where it is all
	All  bool
}

// UnmarshalText reads the name as a pipeline file has it. The error is a *NameError.
func (h *HeaderOrAll) UnmarshalText(text []byte) error {
	if string(text) == "*" {
		*h = HeaderOrAll{All: true}
		return nil
	}
	var name HeaderName
	err := name.UnmarshalText(text)
	var wrong *NameError
	if errors.As(err, &wrong) && strings.Contains(string(text), "*") {
		return &NameError{Message: wrong.Message, Suggestion: "* alone stands for all headers; else " + wrong.Suggestion}
	}
	if err != nil {
		return err
	}
	*h = HeaderOrAll{Name: name}
	return nil
}

// MarshalText is the reverse of UnmarshalText.
func (h HeaderOrAll) MarshalText() ([]byte, error) {
	if h.All {
		return []byte("*"), nil
	}
	return h.Name.MarshalText()
}

// patterns are the characters that make a pattern or an expression of a header's name.
const patterns = `*?[](){}"',;|^+%`

// A NameError says why a text is no name or path, and what to do about it.
type NameError struct{ Message, Suggestion string }

func (e *NameError) Error() string { return e.Message }

// A namePart is what stands between two dots.
type namePart struct {
	raw           string // as it is written
	name          string // without the backslashes
	unescaped     string // its characters that have no backslash before them
	endsUnescaped bool   // the last character is one of those
}

// splitName takes a text apart at the dots that have no backslash before them.
func splitName(text string) ([]namePart, error) {
	var parts []namePart
	var p namePart
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\':
			i++
			r, size := utf8.DecodeRuneInString(text[i:])
			if i == len(text) || letter(text[i]) || text[i] >= utf8.RuneSelf && !jsontext.Blank(r) {
				return nil, &NameError{
					Message:    fmt.Sprintf(`the \ in %q stands before nothing that has a meaning`, text),
					Suggestion: `a \ takes the meaning from the character behind it, as in user\.id; the character \ itself is written \\`,
				}
			}
			p.raw += text[i-1 : i+size]
			p.name += text[i : i+size]
			p.endsUnescaped = false
			i += size - 1
		case c == '.':
			parts, p = append(parts, p), namePart{}
		default:
			p.raw += text[i : i+1]
			p.name += text[i : i+1]
			p.unescaped += text[i : i+1]
			p.endsUnescaped = true
		}
	}
	return append(parts, p), nil
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// hasUnescaped says whether one of the characters stands in the part without a backslash.
func (p namePart) hasUnescaped(characters string) bool {
	return strings.ContainsAny(p.unescaped, characters)
}

// isForeignPath says whether a name without a dot reads as a path of another language.
func (p namePart) isForeignPath() bool {
	return p.raw == "$" || p.hasUnescaped("[]*{}") || p.arrow() || strings.HasPrefix(p.raw, "/") || p.quoted() || p.spaced()
}

// arrow says whether an operator of SQL's paths stands in the part.
func (p namePart) arrow() bool { return strings.Contains(p.raw, "->") }

// quoted says whether the part is within quotes.
func (p namePart) quoted() bool {
	n := len(p.raw)
	return n >= 2 && (p.raw[0] == '"' || p.raw[0] == '\'') && p.raw[n-1] == p.raw[0] && p.endsUnescaped
}

// spaced says whether white space stands at an end of the part.
func (p namePart) spaced() bool {
	return blankFirst(p.raw) || p.endsUnescaped && blankLast(p.raw)
}

func blankFirst(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return s != "" && jsontext.Blank(r)
}

func blankLast(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return s != "" && jsontext.Blank(r)
}
