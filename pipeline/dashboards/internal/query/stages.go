package query

import (
	"regexp"
	"slices"
	"strings"
)

// parsers are stages that read lines which are no JSON, or make labels of all that they find in one text.
var parsers = []string{"logfmt", "regexp", "pattern", "unpack"}

// stage reads one stage behind its bar.
func (r *reader) stage(s *Selection) {
	t := r.peek()
	if t.kind == operator && t.text == "(" {
		r.labelFilter(s)
		return
	}
	if t.kind != word {
		r.fail("%s stands where a stage belongs", t)
		return
	}
	switch {
	case t.text == "json":
		r.next()
		r.json(s)
	case slices.Contains(parsers, t.text):
		r.fail("the lines are JSON: | json instead of %s", t)
	case t.text == "unwrap":
		r.next()
		r.unwrap(s)
	case t.text == "line_format":
		r.next()
		r.template(s, r.want(text, "a template"))
	case t.text == "label_format":
		r.next()
		r.labelFormat(s)
	case t.text == "drop" || t.text == "keep":
		r.next()
		for r.use(s, r.label()); r.take(","); {
			r.use(s, r.label())
		}
	case t.text == "decolorize":
		r.next()
	default:
		r.labelFilter(s)
	}
}

// json reads `json a="b", c`, or json alone.
func (r *reader) json(s *Selection) {
	if r.peek().kind != word {
		r.bare = true
		return
	}
	for r.err == nil {
		label := r.label()
		key := label
		if r.take("=") {
			key = r.want(text, "a key")
		}
		s.Keys = append(s.Keys, Key{Name: strings.Trim(key.text, `[]"`), Label: label.text})
		if !r.take(",") {
			return
		}
	}
}

// unwrap reads a label, or a function of one.
func (r *reader) unwrap(s *Selection) {
	t := r.label()
	if r.take("(") {
		t = r.label()
		if !r.take(")") {
			r.fail("%s stands where ) belongs", r.peek())
		}
	}
	if k := r.use(s, t); k != nil {
		k.Number, k.Needed = true, true
	}
}

// internal are labels that the log system itself makes.
var internal = []string{"__error__", "__error_details__"}

// use gives the key that a label stands for. nil: none, the label is one of the stream, or made by a stage.
func (r *reader) use(s *Selection, t token) *Key {
	if r.err != nil || slices.Contains(internal, t.text) || slices.Contains(r.made, t.text) || t.kind != word {
		return nil
	}
	if k := s.label(t.text); k != nil {
		return k
	}
	if r.bare && !slices.Contains(s.Labels, t.text) {
		s.Keys = append(s.Keys, Key{Name: t.text, Label: t.text})
		return &s.Keys[len(s.Keys)-1]
	}
	s.Labels = add(s.Labels, t.text)
	return nil
}

var inTemplate = regexp.MustCompile(`\.([A-Za-z_][A-Za-z0-9_]*)`)
var action = regexp.MustCompile(`\{\{(.*?)\}\}`)
var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// template reads which labels a template shows.
func (r *reader) template(s *Selection, t token) {
	for _, a := range action.FindAllStringSubmatch(t.text, -1) {
		for _, m := range inTemplate.FindAllStringSubmatch(quoted.ReplaceAllString(a[1], `""`), -1) {
			r.use(s, token{kind: word, text: m[1], at: t.at})
		}
	}
}

// labelFormat reads a=b, or a="template".
func (r *reader) labelFormat(s *Selection) {
	for r.err == nil {
		label := r.label()
		if !r.take("=") {
			r.fail("%s stands where = belongs", r.peek())
		}
		if from := r.next(); from.kind == text {
			r.template(s, from)
			r.made = add(r.made, label.text)
		} else if k := r.use(s, from); k != nil {
			s.Keys = append(s.Keys, Key{Name: k.Name, Label: label.text})
		} else {
			r.made = add(r.made, label.text)
		}
		if !r.take(",") {
			return
		}
	}
}

var comparisons = []string{"=", "!=", "=~", "!~", "==", ">", ">=", "<", "<="}

// labelFilter reads comparisons of labels with and, or, commas and parentheses. A line passes with a part of
// an or, so that it needs only what each part compares.
func (r *reader) labelFilter(s *Selection) {
	for _, label := range r.anyOf(s) {
		if k := s.label(label); k != nil {
			k.Needed = true
		}
	}
}

// anyOf gives the labels that each of its parts needs.
func (r *reader) anyOf(s *Selection) (needed []string) {
	needed = r.allOf(s)
	for r.err == nil && r.take("or") {
		other := r.allOf(s)
		needed = slices.DeleteFunc(needed, func(l string) bool { return !slices.Contains(other, l) })
	}
	return needed
}

// allOf gives the labels that one of its parts needs: and binds more than or.
func (r *reader) allOf(s *Selection) (needed []string) {
	for r.err == nil {
		if r.take("(") {
			needed = append(needed, r.anyOf(s)...)
			if !r.take(")") {
				r.fail("%s stands where ) belongs", r.peek())
			}
		} else if label, needs := r.comparison(s); needs {
			needed = append(needed, label)
		}
		if !r.take("and") && !r.take(",") {
			break
		}
	}
	return needed
}

// comparison reads one, and says whether lines without the label are lost.
func (r *reader) comparison(s *Selection) (name string, needs bool) {
	label := r.label()
	op := r.next()
	if !slices.Contains(comparisons, op.text) {
		r.failAt(op, "%s stands where a comparison of %s belongs", op, label)
	}
	to := r.next()
	if to.kind == operator && to.text == "-" {
		to = r.next()
	}
	if to.kind != text && to.kind != number && to.kind != word {
		r.failAt(to, "%s stands where a value belongs", to)
	}
	if to.kind == word && r.take("(") { // ip("…")
		r.want(text, "a string")
		r.take(")")
	}
	k := r.use(s, label)
	empty := to.kind == text && to.text == ""
	name, needs = label.text, op.text != "" && op.text[0] != '!' && !empty
	if k == nil {
		return name, needs
	}
	if to.kind == number {
		k.Number = true
	}
	if to.kind != text || empty || strings.Contains(to.text, "$") {
		return name, needs
	}
	values := []string{to.text}
	if strings.HasSuffix(op.text, "~") {
		values = alternatives(to.text)
	}
	k.Values = add(k.Values, values...)
	if k.Name == "event_name" && op.text[0] == '=' {
		r.events(s, to, values)
	}
	return name, needs
}
