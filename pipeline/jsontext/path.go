package jsontext

import (
	"fmt"
	"strconv"
	"strings"
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

// Many says whether the path can lead to several values.
func (p Path) Many() bool {
	for _, s := range p {
		if s.Kind >= EveryMember {
			return true
		}
	}
	return false
}

// String gives the path as ParsePath reads it.
func (p Path) String() string {
	var b strings.Builder
	for i, s := range p {
		switch s.Kind {
		case Indexed:
			b.WriteString("[" + strconv.Itoa(s.Index) + "]")
		case EveryElement:
			b.WriteString("[*]")
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			if s.Kind == EveryMember {
				b.WriteByte('*')
			} else {
				b.WriteString(escapeName(s.Name))
			}
		}
	}
	return b.String()
}

// meanings are the characters that have a meaning in a path.
const meanings = `.[]*\`

func escapeName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if strings.IndexByte(meanings, name[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

// maxSteps is how many steps ParsePath takes: more are a mistake, and what follows a path goes as
// deep as it is long.
const maxSteps = 1000

// ParsePath reads a path. It takes the syntax alone: what is written as in another language may
// be read as a name here, and package settings refuses that in a pipeline file.
func ParsePath(text string) (Path, error) {
	var path Path
	for i := 0; i < len(text); {
		if len(path) == maxSteps {
			return nil, fmt.Errorf("a path has more than %d steps", maxSteps)
		}
		if text[i] == '[' {
			end := strings.IndexByte(text[i:], ']')
			if end < 0 {
				return nil, fmt.Errorf("the [ in the path %q has no ]", text)
			}
			step := Step{Kind: EveryElement}
			if within := text[i+1 : i+end]; within != "*" {
				n, err := strconv.Atoi(within)
				if err != nil || within[0] == '+' {
					return nil, fmt.Errorf("in the path %q an element is written [0], and all of them [*]", text)
				}
				step = Step{Kind: Indexed, Index: n}
			}
			path, i = append(path, step), i+end+1
			if i < len(text) && text[i] != '.' && text[i] != '[' {
				return nil, fmt.Errorf("in the path %q a dot is missing behind a ]", text)
			}
			continue
		}
		if len(path) > 0 {
			if text[i] != '.' {
				return nil, fmt.Errorf("in the path %q a dot is missing", text)
			}
			i++
		}
		step, end, err := parseName(text, i)
		if err != nil {
			return nil, err
		}
		path, i = append(path, step), end
	}
	if len(path) == 0 {
		return nil, fmt.Errorf("the path is empty")
	}
	return path, nil
}

// parseName reads the name of a path that begins at i, and gives where it ends.
func parseName(text string, i int) (step Step, end int, err error) {
	var name []byte
	escaped := false
	for ; i < len(text) && text[i] != '.' && text[i] != '['; i++ {
		switch c := text[i]; {
		case c == ']':
			return step, 0, fmt.Errorf(`the ] in the path %q has no [; one that belongs to a name is written \]`, text)
		case c != '\\':
			name = append(name, c)
		case i+1 == len(text) || text[i+1]|0x20 >= 'a' && text[i+1]|0x20 <= 'z':
			return step, 0, fmt.Errorf(`the \ in %q stands before nothing that has a meaning`, text)
		default:
			i++
			name, escaped = append(name, text[i]), true
		}
	}
	switch {
	case len(name) == 0:
		return step, 0, fmt.Errorf("a name in the path %q is empty", text)
	case string(name) == "*" && !escaped:
		return Step{Kind: EveryMember}, i, nil
	}
	return Step{Name: string(name)}, i, nil
}
