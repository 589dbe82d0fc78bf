package settings

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A FieldPath leads to what stands within a value, as a pipeline file has it: user.mail is mail
// within user, items[0] an element, items[-1] the last, items[*] every element, prices.* every
// member. A backslash stands before a character that would have a meaning and has none. See
// jsontext.Path. What can lead to nothing as it is written, because it is of another language, is
// refused: what it should have edited would stay as it is, in silence.
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

// Path takes the path apart. The error is a *NameError.
func (p FieldPath) Path() (jsontext.Path, error) { return p.path(false) }

// Strict is Path for a setting where to miss what is meant does harm: a name alone that hardly is
// one, like 0 or user|mail, is refused too.
func (p FieldPath) Strict() (jsontext.Path, error) { return p.path(true) }

func (p FieldPath) path(strict bool) (jsontext.Path, error) {
	parts, err := splitName(string(p))
	if err != nil {
		return nil, err
	}
	if i, why := wrongPart(parts, strict); why != "" {
		return nil, &NameError{Message: noPath(string(p), why), Suggestion: p.better(parts, parts[i])}
	}
	path, err := jsontext.ParsePath(string(p))
	if err != nil {
		return nil, &NameError{Message: err.Error(), Suggestion: literally}
	}
	return path, nil
}

func noPath(text, why string) string { return (&jsontext.PathError{Text: text, Why: why}).Error() }

// wrongPart gives the first part of a path that can lead to no field, and why; "" when all can.
func wrongPart(parts []namePart, strict bool) (i int, why string) {
	for i, part := range parts {
		if why := part.whyWrong(i, len(parts) == 1 && !strict); why != "" {
			return i, why
		}
	}
	return 0, ""
}

// steps gives the number of steps of a path; 0: it leads to no field.
func steps(text string) int {
	parts, err := splitName(text)
	if err != nil {
		return 0
	}
	if _, why := wrongPart(parts, true); why != "" {
		return 0
	}
	path, err := jsontext.ParsePath(text)
	if err != nil {
		return 0
	}
	return len(path)
}

// Within is Path for a setting that is about values that are objects: the path begins with a name.
func (p FieldPath) Within() (jsontext.Path, error) {
	path, err := p.Path()
	if err == nil && !path[0].InObject() {
		return nil, &NameError{
			Message:    noPath(string(p), "the value is an object, so it begins with a name"),
			Suggestion: "write the name of the array before it, as in items" + path[:1].String(),
		}
	}
	return path, err
}

// One is Path for a setting that takes one place: a path with [*] or * is an error.
func (p FieldPath) One() (jsontext.Path, error) { return p.one(p.Path()) }

// Place is Within for a setting that takes one place.
func (p FieldPath) Place() (jsontext.Path, error) { return p.one(p.Within()) }

func (p FieldPath) one(path jsontext.Path, err error) (jsontext.Path, error) {
	if err == nil && path.Many() {
		return nil, &NameError{
			Message:    fmt.Sprintf("the path %q leads to many places, and what is taken here is one", p),
			Suggestion: "write it without [*] and *; " + literally,
		}
	}
	return path, err
}

const literally = `a character of a name itself has a \ before it`

// subscripts are what may stand behind a name, without a dot between.
var subscripts = regexp.MustCompile(`^(\[(-?[0-9]+|\*)\])*$`)

// cut gives the name of a part, and the brackets that stand behind it.
func (p namePart) cut() (name namePart, brackets string) {
	for i := 0; i < len(p.raw); i++ {
		switch p.raw[i] {
		case '\\':
			i++
		case '[':
			if parts, err := splitName(p.raw[:i]); err == nil {
				return parts[0], p.raw[i:]
			}
		}
	}
	return p, ""
}

// whyWrong says why a part of a path can lead to no field; "" when it can. A part that is alone may
// be a name that would be something else within a path.
func (p namePart) whyWrong(i int, alone bool) string {
	name, brackets := p.cut()
	alone = alone && brackets == ""
	switch {
	case p.raw == "":
		return jsontext.EmptyName
	case name.raw == "$", i == 0 && !alone && (name.raw == "@" || name.raw == "$env"):
		return "it begins at the record by itself, without " + name.raw
	case i == 0 && strings.HasPrefix(p.raw, "/"), p.arrow():
		return "names are parted by dots"
	case name.raw == "" && i > 0 && subscripts.MatchString(brackets):
		return "[ ] stands behind a name without a dot between"
	case name.hasUnescaped("]"):
		return jsontext.NoOpening
	case !subscripts.MatchString(brackets):
		return whyBrackets(brackets)
	case name.raw == "": // the first part is [0] or [*]
		return ""
	case name.raw == "#" && !alone:
		return "every element is written [*]"
	case name.raw == name.unescaped && jsontext.IsIndex(name.raw) && !alone:
		return "an element is written [" + name.raw + "]"
	case name.raw == "**":
		return "* is any name of one level; write one for each"
	case name.hasUnescaped("*") && name.raw != "*":
		return "* stands for a whole name alone"
	case name.quoted():
		return "names stand without quotes"
	case name.hasUnescaped(","), name.hasUnescaped(";") && !alone:
		return "it reads as several"
	case name.hasUnescaped("{}"), name.hasUnescaped("?()|^") && !alone:
		return "it reads as a pattern or an expression"
	case name.spaced():
		return "white space stands beside a name"
	}
	return ""
}

// whyBrackets says what is wrong with what stands behind a name from the first [ on.
func whyBrackets(brackets string) string {
	within, behind, closed := strings.Cut(brackets[1:], "]")
	switch {
	case !closed:
		return jsontext.NoClosing
	case within == "":
		return "every element is written [*]"
	case strings.ContainsAny(within, "?@()"):
		return "it reads as a pattern or an expression"
	case strings.ContainsAny(within, ",;"):
		return "it reads as several"
	case strings.Contains(within, ":") && strings.Trim(within, "-:0123456789 ") == "":
		return "[ ] takes one element or all, no range"
	case !subscripts.MatchString("[" + within + "]"):
		return "names are parted by dots, and " + jsontext.NoElement
	case strings.HasPrefix(behind, "["):
		return whyBrackets(behind)
	}
	return jsontext.NoDot
}

// better says what to write in place of a path whose part wrong is wrong.
func (p FieldPath) better(parts []namePart, wrong namePart) string {
	name, brackets := wrong.cut()
	write := ""
	switch {
	case wrong.hasUnescaped(",;"):
		write = "write an item of the list for each"
	case anyDepth(parts):
		write = "write a path for each level, as in mail, *.mail, *.*.mail"
	case name.hasUnescaped("*") && name.raw != "*":
		write = "write a path for each name, or * for all names of a level, as in user.*"
	case strings.Contains(brackets, ":"):
		write = "write a path for each element, or " + name.raw + "[*] for all"
	default:
		if path := joinPath(readPath(parts)); steps(path) > 0 {
			write = "write '" + path + "'"
		} else if len(parts) > 1 {
			write = "write the names with a dot between them, as in user.mail"
		}
	}
	own := literally
	if called := asName(string(p)); len(parts) == 1 && strings.IndexByte(string(p), '\\') < 0 && steps(called) == 1 {
		own = "a field that is called so is written '" + called + "'"
	}
	return strings.TrimPrefix(write+"; "+own, "; ")
}

// joinPath writes names and brackets as a path.
func joinPath(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 && name[0] != '[' {
			b.WriteByte('.')
		}
		b.WriteString(name)
	}
	return b.String()
}

// anyDepth says whether two dots follow one another, which elsewhere are any way down.
func anyDepth(parts []namePart) bool {
	for i := 1; i < len(parts)-1; i++ {
		if parts[i].raw == "" {
			return true
		}
	}
	return false
}

// readPath reads a path of whatever language as one of ours: names, and [0] or [*] for elements.
// nil: it cannot be read as one.
func readPath(parts []namePart) []string {
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
			names = bracketed(p.raw)
		}
		for _, name := range names {
			name = strings.TrimSuffix(strings.TrimFunc(name, func(r rune) bool { return jsontext.Blank(r) || strings.ContainsRune("\"'{}", r) }), "?")
			switch {
			case name == "", name == "$", name == "$env", name == "@" && i == 0:
			case name == "#":
				path = append(path, "[*]")
			case jsontext.IsIndex(name) && len(path) > 0:
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

// bracketed gives what stands before, within and between brackets.
func bracketed(text string) []string {
	var names []string
	for text != "" {
		name, rest, _ := strings.Cut(text, "[")
		within, behind, _ := strings.Cut(rest, "]")
		names, within = append(names, strings.Trim(name, "]")), strings.Trim(within, " +")
		switch {
		case within == "" && rest != "", within == "*":
			names = append(names, "[*]")
		case within != "" && strings.Trim(within, "-0123456789") == "":
			names = append(names, "["+within+"]")
		default:
			names = append(names, within)
		}
		text = behind
	}
	return names
}
