package query

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Read says what a LogQL text names. It knows the parts of the language that queries over a log of JSON
// lines need, and fails for others: nothing that names a key is passed over. That a text is LogQL
// through and through is for a real grammar to say.
func Read(logql string) (*Query, error) {
	all, err := scan(logql)
	if err != nil {
		return nil, err
	}
	r := &reader{tokens: all, q: &Query{}}
	for r.err == nil && r.peek().kind != end {
		r.outside()
	}
	if r.err == nil && len(r.q.Selections) == 0 {
		r.fail("no stream is selected: {service_name=…}")
	}
	if r.err != nil {
		return nil, r.err
	}
	return r.q, nil
}

// A reader goes through the tokens of one text. After a failure its methods do nothing of worth.
type reader struct {
	tokens []token
	q      *Query
	err    error
	// made are labels that label_format computes in the present selection, and bare says that a stage
	// makes a label of every key.
	made []string
	bare bool
}

func (r *reader) peek() token { return r.tokens[0] }

func (r *reader) next() token {
	t := r.tokens[0]
	if t.kind != end {
		r.tokens = r.tokens[1:]
	}
	return t
}

// take takes the next token if it is this word or operator.
func (r *reader) take(s string) bool {
	t := r.peek()
	if t.text != s || t.kind != word && t.kind != operator {
		return false
	}
	r.next()
	return true
}

func (r *reader) want(k kind, what string) token {
	t := r.next()
	if t.kind != k {
		r.failAt(t, "%s stands where %s belongs", t, what)
	}
	return t
}

// reserved are words of LogQL that no label may have as its name, although a key of a line may.
var reserved = []string{"on", "ignoring", "group_left", "group_right", "or", "and", "unless", "by", "without", "bool", "offset",
	"unwrap", "json", "regexp", "logfmt", "pattern", "unpack", "label_format", "line_format", "decolorize", "drop", "keep"}

func (r *reader) label() token {
	t := r.want(word, "a label")
	if slices.Contains(reserved, t.text) {
		r.failAt(t, "%s is a word of LogQL: give the label another name, as in | json at=\"%s\"", t, t.text)
	}
	return t
}

func (r *reader) fail(format string, args ...any) { r.failAt(r.peek(), format, args...) }

func (r *reader) failAt(t token, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("at %d: %s", t.at, fmt.Sprintf(format, args...))
	}
}

// grouping are the words that a list of labels follows.
var grouping = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}

// outside reads what stands around selections: aggregations, functions, arithmetic.
func (r *reader) outside() {
	t := r.next()
	switch {
	case t.text == "{" && t.kind == operator:
		r.selection()
	case t.text == "[" && t.kind == operator:
		for r.peek().kind != end && !r.take("]") {
			r.next()
		}
	case t.kind == word && slices.Contains(grouping, t.text) && r.take("("):
		r.q.Groups = add(r.q.Groups, r.names(")")...)
	case t.kind == word && t.text == "label_replace":
		r.failAt(t, "label_replace is not read here: name the label in | json")
	}
}

// names reads names with commas between them, up to what closes the list.
func (r *reader) names(closing string) (names []string) {
	for r.err == nil && !r.take(closing) {
		names = append(names, r.label().text)
		if !r.take(",") && r.peek().text != closing {
			r.fail("%s stands in a list of labels", r.peek())
		}
	}
	return names
}

// selection reads a stream selector behind its brace, and the stages behind it.
func (r *reader) selection() {
	s := Selection{}
	r.made, r.bare = nil, false
	for r.err == nil && !r.take("}") {
		s.Labels = add(s.Labels, r.label().text)
		if t := r.next(); !slices.Contains([]string{"=", "!=", "=~", "!~"}, t.text) {
			r.failAt(t, "%s stands where =, !=, =~ or !~ belongs", t)
		}
		r.want(text, "a string")
		if !r.take(",") && r.peek().text != "}" {
			r.fail("%s stands in a stream selector", r.peek())
		}
	}
	for r.err == nil {
		switch t := r.peek(); {
		case t.kind != operator:
			r.q.Selections = append(r.q.Selections, s)
			return
		case t.text == "|":
			r.next()
			r.stage(&s)
		case slices.Contains(lineFilters, t.text):
			r.next()
			r.lineFilter(&s, t)
		default:
			r.q.Selections = append(r.q.Selections, s)
			return
		}
	}
}

var lineFilters = []string{"|=", "|~", "!=", "!~", "|>", "!>"}

// lineFilter reads the strings of a filter over whole lines.
func (r *reader) lineFilter(s *Selection, op token) {
	for first := true; r.err == nil && (first || r.take("or")); first = false {
		t := r.want(text, "a string")
		if r.err != nil {
			return
		}
		named := pairs(t.text)
		if len(named) == 0 && !strings.Contains(t.text, "$") {
			r.failAt(t, "the line filter %s names no key: what a message says is no contract", t)
		}
		for _, p := range named {
			if p.key == "event_name" && op.text[0] == '|' {
				r.events(s, t, p.values)
			}
			s.Keys = append(s.Keys, Key{Name: p.key, Values: p.values, Needed: op.text[0] == '|'})
		}
	}
}

// events takes in which events a filter lets through.
func (r *reader) events(s *Selection, t token, names []string) {
	if len(names) == 0 {
		r.failAt(t, "which events %s lets through cannot be read: write them out, (a.b|c.d)", t)
	}
	s.Events = add(s.Events, names...)
}

// A namedPair is a key with the values that a text names for it.
type namedPair struct {
	key    string
	values []string
}

var (
	pairInText  = regexp.MustCompile(`"([a-z0-9_]+)":("([^"]*)"?)?`)
	alternative = regexp.MustCompile(`^[A-Za-z0-9_./:-]*$`)
)

// pairs gives what a text of JSON, or a pattern of one, names.
func pairs(s string) (all []namedPair) {
	for _, m := range pairInText.FindAllStringSubmatch(s, -1) {
		p := namedPair{key: m[1]}
		if m[2] != "" {
			p.values = alternatives(m[3])
		}
		all = append(all, p)
	}
	return all
}

// alternatives gives the texts that a pattern of the form a|b stands for; none if it is more than that.
func alternatives(pattern string) []string {
	pattern = strings.TrimSuffix(strings.TrimPrefix(pattern, "^"), "$")
	if inner, ok := strings.CutPrefix(pattern, "("); ok && strings.HasSuffix(inner, ")") {
		pattern = strings.TrimPrefix(strings.TrimSuffix(inner, ")"), "?:")
	}
	list := strings.Split(strings.ReplaceAll(pattern, `\.`, "."), "|")
	for _, s := range list {
		if !alternative.MatchString(s) {
			return nil
		}
	}
	return list
}
