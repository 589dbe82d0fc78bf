package textformat

import (
	"regexp"
	"slices"
	"strings"
)

// A Pattern is a regular expression with groups that have names.
type Pattern struct {
	re    *regexp.Regexp
	names []string // by group; "": none
}

// CompilePattern compiles a regular expression of RE2, which takes linear time, of at most 1,000
// bytes. Otherwise it says what is wrong, and what to do about it.
func CompilePattern(pattern string) (re *regexp.Regexp, wrong, instead string) {
	const most = 1000
	if len(pattern) > most {
		return nil, "a pattern of more than 1,000 bytes", "split it into several"
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, "an invalid pattern: " + strings.TrimPrefix(err.Error(), "error parsing regexp: "), "patterns are those of RE2: no look-around, no back-references"
	}
	return re, "", ""
}

// NewPattern compiles a pattern of RE2: (?P<host>\S+) or (?<host>\S+) is a group.
func NewPattern(pattern string) (*Pattern, error) {
	re, wrong, instead := CompilePattern(pattern)
	if wrong != "" {
		return nil, whole(wrong + "; " + instead)
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
