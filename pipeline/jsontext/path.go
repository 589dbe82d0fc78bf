package jsontext

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Path leads from a JSON value to values within it, the outermost step first. The empty path is
// the value itself. As text it is written user.mail, items[0].sku, items[-1], items[*].sku or
// prices.*, with a backslash before a character that has no meaning: user\.id is one name.
type Path []Step

// A Step leads one level down. Steps are comparable.
type Step struct {
	Kind  StepKind
	Name  string // of a Named step: the member's name, decoded
	Index int    // of an Indexed step: from 0, or from the end when negative: -1 is the last
}

// A StepKind says to what a Step leads.
type StepKind uint8

// The kinds of steps.
const (
	Named        StepKind = iota // the member of that name; of several the first
	Indexed                      // the element of that number
	EveryMember                  // every member of an object
	EveryElement                 // every element of an array
)

// InObject says whether the step leads from an object, to its members; else it leads from an array.
func (s Step) InObject() bool { return s.Kind == Named || s.Kind == EveryMember }

// Many says whether the step can lead to several values.
func (s Step) Many() bool { return s.Kind >= EveryMember }

// Many says whether the path can lead to several values.
func (p Path) Many() bool { return slices.ContainsFunc(p, Step.Many) }

// String gives the path as ParsePath reads it and a pipeline file takes it: what would read as of
// another language has a backslash before it too. A name that is empty cannot be written, and is
// left out.
func (p Path) String() string {
	var b []byte
	for i, s := range p {
		switch s.Kind {
		case Indexed:
			b = append(strconv.AppendInt(append(b, '['), int64(s.Index), 10), ']')
		case EveryElement:
			b = append(b, "[*]"...)
		default:
			if i > 0 {
				b = append(b, '.')
			}
			if s.Kind == EveryMember {
				b = append(b, '*')
			} else {
				b = appendEscaped(b, s.Name)
			}
		}
	}
	return string(b)
}

// meanings are the characters that have a meaning in a path here or elsewhere.
const meanings = `.[]*\{},?()|^;`

func appendEscaped(b []byte, name string) []byte {
	if IsIndex(name) || name == "#" || name == "@" || name == "$" || name == "$env" {
		return append(append(b, '\\'), name...)
	}
	for i := range len(name) {
		c, last := name[i], len(name)-1
		switch {
		case strings.IndexByte(meanings, c) >= 0, c == '>' && i > 0 && name[i-1] == '-', // an operator of SQL
			(c == '"' || c == '\'') && (i == 0 || i == last), c == '/' && i == 0, BlankEnd(name, i):
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return b
}

// IsIndex says whether s is the number of an element.
func IsIndex(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Blank says whether a character is invisible, like a no-break space or one without width. At an
// end of a name it was copied along from a page, and nothing is called so.
func Blank(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

// BlankEnd says whether a blank character begins at i that is the first or the last of s.
func BlankEnd(s string, i int) bool {
	r, size := utf8.DecodeRuneInString(s[i:])
	return (i == 0 || i+size == len(s)) && Blank(r) && utf8.RuneStart(s[i])
}

// A PathError says why a text is no path.
type PathError struct{ Text, Why string }

func (e *PathError) Error() string {
	return fmt.Sprintf("the path %q leads to no field: %s", e.Text, e.Why)
}

// Why a text is no path, as those say too who look at it more closely.
const (
	EmptyName = "a name in it is empty"
	NoDot     = "a dot is missing behind a ]"
	NoOpening = "the ] in it has no ["
	NoClosing = "a [ in it has no ]"
	NoElement = "in [ ] stands the number of an element or *"
)

// maxSteps is how many steps ParsePath takes: more are a mistake, and what follows a path goes as
// deep as it is long.
const maxSteps = 1000

// ParsePath reads a path. It takes the syntax alone: what is written as in another language may
// be read as a name here, and package settings refuses that in a pipeline file. The error is a
// *PathError.
func ParsePath(text string) (Path, error) { return parsePath(text, nil) }

// ParseSteps is ParsePath that also says where in text each step begins: a name behind its dot, an
// element at its bracket.
func ParseSteps(text string) (path Path, begins []int, err error) {
	path, err = parsePath(text, func(i int) { begins = append(begins, i) })
	return path, begins, err
}

// parsePath calls begin, if there is one, for each step.
func parsePath(text string, begin func(i int)) (Path, error) {
	wrong := func(why string) (Path, error) { return nil, &PathError{text, why} }
	var path Path
	for i := 0; i < len(text); {
		bracket := text[i] == '['
		switch {
		case len(path) == maxSteps:
			return wrong(fmt.Sprintf("it has more than %d steps", maxSteps))
		case !bracket && len(path) > 0 && text[i] != '.': // a name ends before a dot or a bracket
			return wrong(NoDot)
		case !bracket && len(path) > 0:
			i++
		}
		if begin != nil {
			begin(i)
		}
		parse := parseName
		if bracket {
			parse = parseElement
		}
		step, end, why := parse(text, i)
		if why != "" {
			return wrong(why)
		}
		path, i = append(path, step), end
	}
	if len(path) == 0 {
		return wrong(EmptyName)
	}
	return path, nil
}

// parseElement reads the brackets of a path that begin at i, and gives where they end.
func parseElement(text string, i int) (step Step, end int, why string) {
	n := strings.IndexByte(text[i:], ']')
	if n < 0 {
		return step, 0, NoClosing
	}
	within, end := text[i+1:i+n], i+n+1
	if within == "*" {
		return Step{Kind: EveryElement}, end, ""
	}
	index, err := strconv.Atoi(within)
	if err != nil || within[0] == '+' {
		return step, 0, NoElement
	}
	return Step{Kind: Indexed, Index: index}, end, ""
}

// parseName reads the name of a path that begins at i, and gives where it ends.
func parseName(text string, i int) (step Step, end int, why string) {
	var name []byte
	escaped := false
	for ; i < len(text) && text[i] != '.' && text[i] != '['; i++ {
		switch c := text[i]; {
		case c == ']':
			return step, 0, NoOpening
		case c != '\\':
			name = append(name, c)
		case i+1 == len(text) || text[i+1]|0x20 >= 'a' && text[i+1]|0x20 <= 'z':
			return step, 0, `the \ in it stands before nothing that has a meaning`
		default:
			i++
			name, escaped = append(name, text[i]), true
		}
	}
	switch {
	case len(name) == 0:
		return step, 0, EmptyName
	case string(name) == "*" && !escaped:
		return Step{Kind: EveryMember}, i, ""
	}
	return Step{Name: string(name)}, i, ""
}
