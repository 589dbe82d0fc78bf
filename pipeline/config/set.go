package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// overrides are the --set flags. They are located as --set:N:column.
type overrides struct {
	src       *source
	sets      []override
	malformed Problems // of arguments that are no path=value
}

type override struct {
	line     int
	segments []segment
	value    string
	column   int // of the value
	applied  bool
	failed   Problem
}

type segment struct {
	name   string
	index  int // in a list; -1: by name
	column int
	rest   string // of a name: the path from there on, as it is written
}

var (
	segmentForm = regexp.MustCompile(`^([^\[\]]*)((?:\[[0-9]{1,6}\])*)$`)
	pathForm    = regexp.MustCompile(`^([^\[\]]+(?:\[(?:-?[0-9]{1,6}|\*)\])+)()$`) // a part of the path of a field
)

func newOverrides(args []string) *overrides {
	o := &overrides{src: &source{name: "--set", lines: args, order: 1 << 30}}
	for i, arg := range args {
		path, value, ok := strings.Cut(arg, "=")
		segments := splitPath(path)
		if !ok || segments == nil {
			at := strings.IndexAny(arg, "= :") + 1
			if at > 0 {
				o.src.hideAt(i+1, utf8.RuneCountInString(arg[:at])+1, utf8.RuneCountInString(arg[at:]))
			}
			o.malformed = append(o.malformed, o.src.problem(SeverityError, i+1, 1, utf8.RuneCountInString(path), "this is no path=value", "write --set stages.weather.workers=8"))
			continue
		}
		o.sets = append(o.sets, override{line: i + 1, segments: segments, value: value, column: utf8.RuneCountInString(path) + 2})
	}
	return o
}

// splitPath takes "stages[2].http.url" apart; nil when it is no path. A dot behind a
// backslash belongs to the name of a field, which is written so in the file too.
func splitPath(path string) []segment {
	var segments []segment
	column := 1
	rest := path
	parts := strings.Split(path, ".")
	for i := 0; i < len(parts); i++ {
		part := parts[i]
		for ; strings.HasSuffix(part, `\`) && i+1 < len(parts); i++ {
			part += "." + parts[i+1]
		}
		m := segmentForm.FindStringSubmatch(part)
		if m == nil {
			m = pathForm.FindStringSubmatch(part)
		}
		if m == nil || part == "" {
			return nil
		}
		if m[1] != "" {
			segments = append(segments, segment{m[1], -1, column, rest})
		}
		for ix := range strings.SplitSeq(strings.Trim(m[2], "[]"), "][") {
			if n, err := strconv.Atoi(ix); err == nil {
				segments = append(segments, segment{"", n, column + utf8.RuneCountInString(m[1]), ""})
			}
		}
		rest = rest[min(len(rest), len(part)+1):]
		column += utf8.RuneCountInString(part) + 1
	}
	return segments
}

// apply puts the overrides into the nodes of a file.
func (o *overrides) apply(r *reading, root *node) {
	if root.kind != mappingNode {
		return
	}
	for i := range o.sets {
		s := &o.sets[i]
		if p := o.set(r, root, s); p != nil {
			s.failed = *p
			continue
		}
		s.applied = true
	}
}

// unused gives the problems of overrides that no file has a place for.
func (o *overrides) unused(files int) Problems {
	problems := o.malformed
	for _, s := range o.sets {
		if !s.applied && files > 0 && s.failed.Text != "" {
			problems = append(problems, s.failed)
		}
	}
	return problems
}

func (o *overrides) set(r *reading, root *node, s *override) *Problem {
	at := root
	fail := func(g segment, text, suggestion string) *Problem {
		p := o.src.problem(SeverityError, s.line, g.column, max(1, utf8.RuneCountInString(g.name)), text, suggestion)
		o.src.hideAt(s.line, s.column, utf8.RuneCountInString(s.value)) // of which nobody knows what it was meant for
		return &p
	}
	for i := 0; i < len(s.segments); i++ {
		g := s.segments[i]
		for at != root && at.kind == mappingNode && at.indexOf(g.name) < 0 && i+1 < len(s.segments) && s.segments[i+1].index >= 0 {
			i++ // the element belongs to the path of a field that is not there yet
			g.name += s.segments[i].String()
		}
		last := i == len(s.segments)-1
		if key := at.indexOf(g.rest); !last && key >= 0 { // a key of the file that is a path itself
			at.items[key] = o.node(r, s)
			return nil
		}
		switch {
		case at.kind == sequenceNode:
			names := itemNames(at, root, s.segments[0].name)
			n := findItem(at, g, names)
			if n < 0 {
				return fail(g, fmt.Sprintf("there is no %s", g), didYouMean(g.name, names))
			}
			if last {
				at.items[n] = o.node(r, s)
				return nil
			}
			at = at.items[n]
		case g.index >= 0:
			return fail(g, fmt.Sprintf("%s stands behind what is no list", g), "")
		default:
			at = o.memberValue(r, at, g, s, last)
			if last {
				return nil
			}
		}
	}
	return nil
}

func (g segment) String() string {
	if g.index >= 0 {
		return fmt.Sprintf("[%d]", g.index)
	}
	return g.name
}

// memberValue gives the value of a key of a mapping, made when it is not there, and replaced
// by the override's value when it is the last. A short form becomes what it stands for.
func (o *overrides) memberValue(r *reading, at *node, g segment, s *override, last bool) *node {
	if at.kind != mappingNode {
		*at = node{kind: mappingNode, src: at.src, line: at.line, col: at.col, origin: at.origin}
	}
	var value *node
	if last {
		value = o.node(r, s)
	}
	for i, k := range at.keys {
		if k.text != g.name {
			continue
		}
		if last {
			at.items[i] = value
		}
		return at.items[i]
	}
	if value == nil {
		value = &node{kind: mappingNode, src: o.src, line: s.line, col: g.column, origin: "--set", implied: true}
	}
	at.keys = append(at.keys, &node{src: o.src, line: s.line, col: g.column, text: g.name, raw: g.name})
	at.items = append(at.items, value)
	return value
}

// node makes the value of an override: a list or a mapping in YAML's flow form, else
// the text as it stands.
func (o *overrides) node(r *reading, s *override) *node {
	if v := strings.TrimSpace(s.value); strings.HasPrefix(v, "[") || strings.HasPrefix(v, "{") {
		doc, _, err := decodeYAML([]byte(s.value))
		if err == nil && len(doc.Content) == 1 {
			return o.converted(r, s, doc.Content[0])
		}
	}
	n := &node{src: o.src, line: s.line, col: s.column, raw: s.value, origin: "--set"}
	if s.value == "" {
		n.style = quotedStyle
	}
	var faults []fault
	n.text, n.pieces, faults = r.vars.substitute(s.value)
	for _, p := range n.pieces {
		if p.secret && p.text != "" {
			r.secrets = append(r.secrets, p.text)
		}
	}
	for _, f := range faults {
		r.report(o.src.problem(SeverityError, s.line, s.column+utf8.RuneCountInString(s.value[:f.offset]), f.length, f.text, f.suggestion))
		n.kind = brokenNode
	}
	return n
}

// converted makes a node of the YAML in an override; problems in it have their place there.
func (o *overrides) converted(r *reading, s *override, doc *yaml.Node) *node {
	file, before := r.src, len(r.problems)
	r.src = &source{name: o.src.name, order: o.src.order, lines: []string{s.value}}
	n := r.convert(doc, 0, true)
	r.src = file
	for i := before; i < len(r.problems); i++ {
		p := &r.problems[i]
		p.Line, p.Column = s.line, p.Column+s.column-1
		p.Source, p.from = excerpt(o.src.line(s.line), p.Column)
		p.src = o.src
	}
	n.move(o.src, s.line, s.column-1)
	return n
}

// move places n and all within it into an argument.
func (n *node) move(src *source, line, columns int) {
	n.src, n.line, n.col, n.origin = src, line, n.col+columns, "--set"
	for _, k := range n.keys {
		k.src, k.line, k.col = src, line, k.col+columns
	}
	for _, i := range n.items {
		i.move(src, line, columns)
	}
	if n.dropped != nil {
		n.dropped.move(src, line, columns)
	}
}

// withPaths gives a mapping whose keys are paths: what --set has made a mapping within a mapping
// of, user.id, is one key.
func (n *node) withPaths() *node {
	if !slices.ContainsFunc(n.items, func(item *node) bool { return item.implied }) {
		return n
	}
	whole := *n
	whole.keys, whole.items = nil, nil
	for i, key := range n.keys {
		if item := n.items[i].withPaths(); n.items[i].implied {
			for j, below := range item.keys {
				path := *key
				path.text += "." + below.text
				path.raw = path.text
				whole.keys, whole.items = append(whole.keys, &path), append(whole.items, item.items[j])
			}
			continue
		}
		whole.keys, whole.items = append(whole.keys, key), append(whole.items, n.items[i])
	}
	return &whole
}

// findItem gives the index of the item that a segment names: by index, by its name, or
// by its kind as default names count it.
func findItem(list *node, g segment, names []string) int {
	if g.index >= 0 {
		if g.index < len(list.items) {
			return g.index
		}
		return -1
	}
	for i, name := range names {
		if name == g.name {
			return i
		}
	}
	if n, err := strconv.Atoi(g.name); err == nil && n >= 0 && n < len(list.items) {
		return n
	}
	return -1
}

// itemNames gives the names of items of stages or sinks, as check will give them.
func itemNames(list, root *node, section string) []string {
	names := make([]string, len(list.items))
	taken := map[string]bool{}
	if stages := root.get("stages"); section == "sinks" && stages != nil {
		for _, name := range itemNames(stages, root, "stages") {
			taken[name] = true
		}
	}
	for i, item := range list.items {
		if n := item.get("name"); n != nil {
			names[i] = n.text
			taken[n.text] = true
		}
	}
	for i, item := range list.items {
		if names[i] != "" {
			continue
		}
		kind := ""
		for _, k := range item.keys {
			if !commonKeys[k.text] {
				kind = k.text
				break
			}
		}
		names[i] = kind
		for n := 2; taken[names[i]]; n++ {
			names[i] = fmt.Sprintf("%s-%d", kind, n)
		}
		taken[names[i]] = true
	}
	return names
}

// commonKeys are those that stand beside a component.
var commonKeys = func() map[string]bool {
	keys := map[string]bool{}
	for _, f := range append(fieldsOf(reflect.TypeFor[StageSettings]()), fieldsOf(reflect.TypeFor[SinkSettings]())...) {
		keys[f.name] = true
	}
	return keys
}()
