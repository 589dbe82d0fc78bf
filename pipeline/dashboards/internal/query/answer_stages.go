package query

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// A selected is a stream selector with the stages behind it.
type selected struct {
	matchers []func(labels map[string]string) bool
	stages   []func(*entry) bool // false: the line is dropped
	unwraps  bool
}

// selection reads a selector from its brace on, up to the range or the end.
func (p *metrics) selection() *selected {
	s := &selected{}
	if !p.take("{") {
		p.fail("%s stands where a stream selector belongs", p.peek())
	}
	for p.err == nil && !p.take("}") {
		name, op := p.label().text, p.next().text
		is := p.compare(op, p.want(text, "a string").text)
		s.matchers = append(s.matchers, func(labels map[string]string) bool { return is(labels[name]) })
		p.take(",")
	}
	for p.err == nil && p.peek().text != "[" && p.peek().kind != end {
		t := p.next()
		switch {
		case t.kind == operator && t.text == "|":
			p.stageOf(s)
		case t.kind == operator && slices.Contains(lineFilters[:4], t.text):
			s.stages = append(s.stages, p.filterOf(t.text))
		default:
			p.failAt(t, "%s stands where a stage belongs", t)
		}
	}
	return s
}

// compare gives the test of a text for an operator. Patterns are about the whole text.
func (p *metrics) compare(op, to string) func(string) bool {
	switch op {
	case "=", "==":
		return func(s string) bool { return s == to }
	case "!=":
		return func(s string) bool { return s != to }
	case "=~", "!~":
		re, err := regexp.Compile("^(?s:" + to + ")$")
		if err != nil {
			p.fail("%v", err)
			return nil
		}
		return func(s string) bool { return re.MatchString(s) == (op == "=~") }
	}
	p.fail("%s is no comparison of texts", op)
	return nil
}

// filterOf reads the text of a line filter.
func (p *metrics) filterOf(op string) func(*entry) bool {
	to := p.want(text, "a string").text
	has := func(line string) bool { return strings.Contains(line, to) }
	if op[1] == '~' {
		re, err := regexp.Compile(to)
		if err != nil {
			p.fail("%v", err)
			return nil
		}
		has = re.MatchString
	}
	return func(e *entry) bool { return has(e.line) == (op[0] == '|') }
}

// stageOf reads one stage behind its bar.
func (p *metrics) stageOf(s *selected) {
	stage := func(f func(*entry) bool) { s.stages = append(s.stages, f) }
	switch {
	case p.take("json"):
		for more := true; more && p.err == nil; more = p.take(",") {
			name := p.label().text
			of := name
			if p.take("=") {
				of = p.want(text, "a key").text
			}
			stage(func(e *entry) bool { e.labels[name] = e.keys[of]; return true })
		}
	case p.take("unwrap"):
		name := p.label().text
		s.unwraps = true
		stage(func(e *entry) bool { return e.unwrap(name) })
	case p.take("line_format"):
		t := p.next()
		show := p.template(t)
		stage(func(e *entry) bool { e.line = show(e); return true })
	case p.take("label_format"):
		for more := true; more && p.err == nil; more = p.take(",") {
			stage(p.formatOf())
		}
	default:
		stage(p.anyOf())
	}
}

// unwrap takes a label as the value of the line. A line without it is dropped, and one with a label that is no
// number has an error, as in Loki.
func (e *entry) unwrap(name string) bool {
	s := e.labels[name]
	delete(e.labels, name)
	if s == "" {
		return false
	}
	f, err := strconv.ParseFloat(s, 64)
	if e.value = f; err != nil {
		e.labels["__error__"] = "SampleExtractionErr"
	}
	return true
}

// formatOf reads a="template", or a=b.
func (p *metrics) formatOf() func(*entry) bool {
	name := p.label().text
	if !p.take("=") {
		p.fail("%s stands where = belongs", p.peek())
	}
	from := p.next()
	if from.kind == word {
		return func(e *entry) bool { e.labels[name] = e.labels[from.text]; delete(e.labels, from.text); return true }
	}
	show := p.template(from)
	return func(e *entry) bool { e.labels[name] = show(e); return true }
}

// template gives what makes a text of a line's labels. A label that is not there is empty.
func (p *metrics) template(from token) func(*entry) string {
	t, err := template.New("").Option("missingkey=zero").Parse(from.text)
	if err != nil {
		p.failAt(from, "%v", err)
		return nil
	}
	return func(e *entry) string {
		var b strings.Builder
		if err := t.Execute(&b, e.labels); err != nil {
			e.labels["__error__"] = "TemplateFormatErr"
		}
		return b.String()
	}
}

// anyOf reads comparisons of labels: or binds less than and, which may be a comma.
func (p *metrics) anyOf() func(*entry) bool {
	is := p.allOf()
	for p.err == nil && p.take("or") {
		left, right := is, p.allOf()
		is = func(e *entry) bool { return left(e) || right(e) }
	}
	return is
}

func (p *metrics) allOf() func(*entry) bool {
	is := p.oneOf()
	for p.err == nil && (p.take("and") || p.take(",")) {
		left, right := is, p.oneOf()
		is = func(e *entry) bool { return left(e) && right(e) }
	}
	return is
}

func (p *metrics) oneOf() func(*entry) bool {
	if p.take("(") {
		is := p.anyOf()
		if !p.take(")") {
			p.fail("%s stands where ) belongs", p.peek())
		}
		return is
	}
	name, op, to := p.label().text, p.next(), p.next()
	if to.kind == text {
		is := p.compare(op.text, to.text)
		return func(e *entry) bool { return is(e.labels[name]) }
	}
	n, err := strconv.ParseFloat(to.text, 64)
	if err != nil {
		p.failAt(to, "%s is no number", to)
	}
	is := comparison(op.text)
	if is == nil {
		p.failAt(op, "%s is no comparison", op)
	}
	return func(e *entry) bool {
		f, err := strconv.ParseFloat(e.labels[name], 64)
		if err != nil { // it goes on, with an error, as in Loki
			e.labels["__error__"] = "LabelFilterErr"
			return true
		}
		return is(f, n)
	}
}

// comparison gives what an operator says of two numbers; nil: it compares none.
func comparison(op string) func(a, b float64) bool {
	return map[string]func(a, b float64) bool{
		"=": func(a, b float64) bool { return a == b }, "==": func(a, b float64) bool { return a == b },
		"!=": func(a, b float64) bool { return a != b },
		">":  func(a, b float64) bool { return a > b }, ">=": func(a, b float64) bool { return a >= b },
		"<": func(a, b float64) bool { return a < b }, "<=": func(a, b float64) bool { return a <= b },
	}[op]
}
