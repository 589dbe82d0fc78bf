package settings

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A FieldName is the name of one field at the top of a record, or of one column. In a
// pipeline file a backslash stands before each of its characters that would make a path
// of it: user\.id is the field that is called user.id. What reads as a path is refused
// there, for it would name a field that is hardly ever there, and do nothing.
type FieldName string

// UnmarshalText reads the name as a pipeline file has it. The error is a *NameError.
func (n *FieldName) UnmarshalText(text []byte) error {
	parts, err := splitName(string(text))
	if err != nil {
		return err
	}
	switch {
	case len(text) == 0:
		return &NameError{Message: "the name of a field is empty"}
	case slices.ContainsFunc(parts, func(p namePart) bool { return p.hasUnescaped(",") }):
		return &NameError{
			Message:    fmt.Sprintf("%q reads as several names, and what is taken here is the name of one field", text),
			Suggestion: "a field that is called so is written '" + escapeName(string(text)) + "'",
		}
	case len(parts) > 1 || parts[0].isForeignPath():
		return &NameError{
			Message:    fmt.Sprintf("%q reads as a path, and what is taken here is the name of one field", text),
			Suggestion: "a field that is called so is written '" + escapeName(string(text)) + "'",
			Path:       readPath(parts),
		}
	}
	*n = FieldName(parts[0].name)
	return nil
}

// MarshalText is the reverse of UnmarshalText.
func (n FieldName) MarshalText() ([]byte, error) { return []byte(escapeName(string(n))), nil }

// A FieldPath leads to what stands within a value, as a pipeline file has it: user.mail is mail
// within user, items[0] an element, items[-1] the last, items[*] every element, prices.* every
// member. A backslash stands before a character that would have a meaning and has none. See
// jsontext.Path.
type FieldPath string

// UnmarshalText checks the path. The error is a *NameError.
func (p *FieldPath) UnmarshalText(text []byte) error {
	if _, err := FieldPath(text).Path(); err != nil {
		return err
	}
	*p = FieldPath(text)
	return nil
}

// MarshalText is the reverse of UnmarshalText.
func (p FieldPath) MarshalText() ([]byte, error) { return []byte(p), nil }

// Path takes the path apart. What can lead to no field as it is written, because it is
// of another language, is a *NameError.
func (p FieldPath) Path() (jsontext.Path, error) {
	parts, err := splitName(string(p))
	if err != nil {
		return nil, err
	}
	for i, part := range parts {
		if why := part.whyWrong(i); why != "" {
			suggestion := betterPath(parts)
			switch {
			case part.hasUnescaped(",;"):
				suggestion = "write an item of the list for each; " + literally
			case anyDepth(parts):
				suggestion = "write a path for each level, as in mail, *.mail, *.*.mail; " + literally
			}
			if part.hasUnescaped("*") && part.raw != "*" && !part.hasUnescaped("[]") {
				suggestion = "write a path for each name, or * for all names of a level, as in user.*; " + literally
			}
			return nil, &NameError{Message: fmt.Sprintf("the path %q leads to no field: %s", p, why), Suggestion: suggestion}
		}
	}
	path, err := jsontext.ParsePath(string(p))
	if err != nil {
		return nil, &NameError{Message: err.Error(), Suggestion: literally}
	}
	return path, nil
}

// betterPath says what to write in place of a path that is wrong.
func betterPath(parts []namePart) string {
	var names []string
	for _, name := range readPath(parts) {
		if name[0] != '[' && !index(name) {
			names = append(names, name)
		}
	}
	path := strings.Join(names, ".")
	better, err := splitName(path)
	if wrong := func(p namePart) bool { return p.whyWrong(1) != "" }; err != nil || slices.ContainsFunc(better, wrong) { // or nothing could be read
		return "write the names with a dot between them, as in user.mail; " + literally
	}
	return "write '" + path + "'; " + literally
}

const literally = `a character of a name itself has a \ before it`

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
		name := strings.TrimFunc(string(text), blank)
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
		if strings.IndexByte(patterns+`\`, h[i]) >= 0 || blankEnd(string(h), i) {
			b = append(b, '\\')
		}
		b = append(b, h[i])
	}
	return b, nil
}

// patterns are the characters that make a pattern or an expression of a header's name.
const patterns = `*?[](){}"',;|^+%`

// A NameError says why a text is no name or path, and what to do about it. Path is the
// path as which it can be read, when that is why it is no name: each name as a FieldPath
// has it, and [0] or [*] for elements of an array; nil: it cannot be read as one.
type NameError struct {
	Message, Suggestion string
	Path                []string
}

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
			if i == len(text) || letter(text[i]) || text[i] >= utf8.RuneSelf && !blank(r) {
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

// anyDepth says whether two dots follow one another, which elsewhere are any way down.
func anyDepth(parts []namePart) bool {
	for i := 1; i < len(parts)-1; i++ {
		if parts[i].raw == "" {
			return true
		}
	}
	return false
}

// quoted says whether the part is within quotes.
func (p namePart) quoted() bool {
	n := len(p.raw)
	return n >= 2 && (p.raw[0] == '"' || p.raw[0] == '\'') && p.raw[n-1] == p.raw[0] && p.endsUnescaped
}

// spaced says whether white space stands at an end of the part.
func (p namePart) spaced() bool {
	return blankFirst(p.raw) || p.endsUnescaped && blankLast(p.raw)
}

// blank says whether a character is invisible, like a no-break space or one without width. At an
// end of a name it was copied along from a page, and the field is not called so.
func blank(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

func blankFirst(s string) bool { r, _ := utf8.DecodeRuneInString(s); return s != "" && blank(r) }

func blankLast(s string) bool { r, _ := utf8.DecodeLastRuneInString(s); return s != "" && blank(r) }

// blankEnd says whether a blank character begins at i that is the first or the last of s.
func blankEnd(s string, i int) bool {
	r, size := utf8.DecodeRuneInString(s[i:])
	return (i == 0 || i+size == len(s)) && blank(r) && utf8.RuneStart(s[i])
}

// whyWrong says why a part of a path can lead to no field; "" when it can.
func (p namePart) whyWrong(i int) string {
	switch {
	case p.raw == "":
		return "a name in it is empty"
	case i == 0 && (p.raw == "@" || p.raw == "$env"), p.raw == "$":
		return "it begins at the record by itself, without " + p.raw
	case i == 0 && strings.HasPrefix(p.raw, "/"), p.arrow():
		return "names are parted by dots"
	case p.hasUnescaped("[]"), p.raw == "#":
		return "arrays are gone through by themselves, without [ ]"
	case p.raw == p.unescaped && index(p.raw):
		return "arrays are gone through by themselves, without a number"
	case p.raw == "**":
		return "* is any name of one level; write one for each"
	case p.hasUnescaped("*") && p.raw != "*":
		return "* stands for a whole name alone"
	case p.quoted():
		return "names stand without quotes"
	case p.hasUnescaped(",;"):
		return "it reads as several"
	case p.hasUnescaped("?{}()|^"):
		return "it reads as a pattern or an expression"
	case p.spaced():
		return "white space stands beside a name"
	}
	return ""
}

// readPath reads a path of whatever language as one of ours, for NameError.Path.
func readPath(parts []namePart) []string {
	if anyDepth(parts) {
		return nil
	}
	var path []string
	for i, p := range parts {
		if strings.Count(p.unescaped, "[") != strings.Count(p.unescaped, "]") {
			return nil // a dot within quotes
		}
		names := []string{p.raw}
		if i == 0 && strings.HasPrefix(p.raw, "/") {
			names = strings.Split(p.raw, "/")
		} else if p.arrow() {
			names = strings.Split(strings.ReplaceAll(p.raw, "->>", "->"), "->")
		} else if p.hasUnescaped("[]") {
			names = subscripts(p.raw)
		}
		for _, name := range names {
			name = strings.TrimSuffix(strings.TrimFunc(name, func(r rune) bool { return blank(r) || strings.ContainsRune("\"'{}", r) }), "?")
			switch {
			case name == "", name == "$", name == "$env", name == "@" && i == 0:
			case name == "#":
				path = append(path, "[*]")
			case index(name) && i > 0:
				path = append(path, "["+name+"]")
			case strings.ContainsAny(name, "?{}()|^,;") || strings.HasSuffix(name, `\`):
				return nil // it is more than a name, or its end was cut off
			case strings.Contains(name, "*") && name != "*" && name != "[*]" && !strings.Contains(name, `\`):
				return nil // it means several
			default:
				path = append(path, name)
			}
		}
	}
	return path
}

// subscripts gives what stands before, within and between brackets.
func subscripts(text string) []string {
	var names []string
	for text != "" {
		name, rest, _ := strings.Cut(text, "[")
		within, behind, _ := strings.Cut(rest, "]")
		names = append(names, strings.Trim(name, "]"))
		switch {
		case within == "" && rest != "", within == "*":
			names = append(names, "[*]")
		case within != "" && strings.Trim(within, "-:0123456789") == "": // one, or several in a row
			names = append(names, "["+within+"]")
		default:
			names = append(names, within)
		}
		text = behind
	}
	return names
}

// index says whether s is the number of an element.
func index(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// escapeName gives a name as a pipeline file has it.
func escapeName(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		end := i == 0 || i == len(name)-1
		switch {
		case strings.IndexByte(`.[]*{},\`, c) >= 0, c == '>' && i > 0 && name[i-1] == '-',
			end && (c == '"' || c == '\''), blankEnd(name, i),
			i == 0 && c == '/', c == '$' && len(name) == 1:
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}
