package textformat

import (
	"regexp"
	"slices"
	"strings"
)

// maxPattern bounds a regular expression; those of RE2 take linear time.
const maxPattern = 1000

// A Pattern is a regular expression with groups that have names.
type Pattern struct {
	re    *regexp.Regexp
	names []string // by group; "": none
}

// NewPattern compiles a pattern of RE2: (?P<host>\S+) or (?<host>\S+) is a group.
func NewPattern(pattern string) (*Pattern, error) {
	if len(pattern) > maxPattern {
		return nil, whole("a pattern of more than 1,000 bytes")
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, whole(strings.TrimPrefix(err.Error(), "error parsing regexp: ") + "; patterns are those of RE2: no look-around, no back-references")
	}
	names := re.SubexpNames()
	if !slices.ContainsFunc(names, func(n string) bool { return n != "" }) {
		return nil, whole(`the pattern has no group with a name, like (?P<host>\S+)`)
	}
	return &Pattern{re, names}, nil
}

// AppendObject appends an object with a member for each group that takes part in the first match.
func (p *Pattern) AppendObject(dst, text []byte, numbers bool) ([]byte, error) {
	found := p.re.FindSubmatchIndex(text)
	if found == nil {
		return dst, whole("the pattern does not match")
	}
	o := begin(dst)
	for i, name := range p.names {
		if name != "" && found[2*i] >= 0 {
			o.name([]byte(name)) // which several groups may have
			o.out = appendValue(o.out, text[found[2*i]:found[2*i+1]], numbers)
		}
	}
	return o.end(), nil
}
