package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

const (
	maxFile     = 1 << 20 // bytes of a pipeline file
	maxLine     = 32 << 10
	maxNodes    = 50_000 // values in it, aliases followed
	maxDepth    = 64
	maxProblems = 200
	maxProbed   = 8 << 20 // bytes read again and again to find where YAML stops
)

// A reading is one file on its way from text to nodes.
type reading struct {
	src          *source
	vars         *variables
	kinds        Kinds
	problems     Problems
	secrets      []string
	hidden       []string // what lines of the file are shown without, beside secrets
	nodes        int
	tooManyNodes bool              // maxNodes has been reported
	broken       map[position]bool // values that were taken out because YAML could not read them
	damaged      bool              // whole lines were taken out: what is missing may stand there
	probed       int               // see maxProbed
}

type position struct{ line, col int }

func newReading(name string, order int, text []byte, vars *variables, kinds Kinds) *reading {
	lines := splitLines(strings.TrimPrefix(string(text), "\ufeff"))
	for i := range lines {
		lines[i] = withoutEnd(lines[i])
	}
	return &reading{
		src:    &source{name: name, order: order, lines: lines},
		vars:   vars,
		kinds:  kinds,
		broken: map[position]bool{},
	}
}

func (r *reading) report(p Problem) {
	switch {
	case len(r.problems) < maxProblems:
		r.problems = append(r.problems, p)
	case len(r.problems) == maxProblems:
		r.problems = append(r.problems, Problem{File: r.src.name, order: r.src.order, Line: len(r.src.lines), Column: 1, Severity: SeverityError,
			Text: fmt.Sprintf("more than %d problems: the rest is left out", maxProblems)})
	}
}

func (r *reading) reportFile(text, suggestion string) {
	r.report(r.src.problem(SeverityError, 0, 0, 0, text, suggestion))
}

// parse reads the text into nodes; nil when nothing could be read.
func (r *reading) parse(text []byte) *node {
	doc := r.document(text)
	if doc == nil {
		return nil
	}
	return r.convert(doc, 0, false)
}

// document reads the text as YAML; nil when nothing could be read.
func (r *reading) document(text []byte) *yaml.Node {
	if len(text) > maxFile {
		r.reportFile(fmt.Sprintf("the file has %d bytes; a pipeline file has at most %d", len(text), maxFile), "")
		return nil
	}
	for i, line := range r.src.lines {
		if len(line) > maxLine {
			r.report(r.src.problem(SeverityError, i+1, 1, 1, fmt.Sprintf("the line has %d bytes; a line of a pipeline file has at most %d", len(line), maxLine), "break it"))
			return nil
		}
	}
	if !utf8.Valid(text) {
		r.notUTF8(text)
		return nil
	}
	return r.readYAML(bytes.TrimPrefix(text, []byte("\ufeff")))
}

func (r *reading) notUTF8(text []byte) {
	for i, line := range r.src.lines {
		if !utf8.ValidString(line) {
			col := 1
			for _, c := range line {
				if c == utf8.RuneError {
					break
				}
				col++
			}
			r.src.lines[i] = strings.ToValidUTF8(line, "\uFFFD")
			r.report(r.src.problem(SeverityError, i+1, col, 1, "the file is no valid UTF-8 here", "save the file as UTF-8"))
			return
		}
	}
}

// decodeYAML reads one document. It turns a panic of the YAML library into an error.
func decodeYAML(text []byte) (doc *yaml.Node, rest *yaml.Decoder, err error) {
	defer func() {
		if p := recover(); p != nil {
			doc, rest, err = nil, nil, fmt.Errorf("yaml: %v", p)
		}
	}()
	rest = yaml.NewDecoder(bytes.NewReader(text))
	doc = new(yaml.Node)
	err = rest.Decode(doc)
	return doc, rest, err
}

// readYAML parses text and gives the root value. What YAML cannot read is reported and taken out,
// and the text is parsed once more, so that everything else is checked too.
func (r *reading) readYAML(text []byte) *yaml.Node {
	const rounds = 20
	for range rounds {
		doc, rest, err := decodeYAML(text)
		if errors.Is(err, io.EOF) {
			r.empty()
			return nil
		}
		if err != nil {
			if text = r.removeUnreadable(text, err); text == nil {
				return nil
			}
			continue
		}
		var second yaml.Node
		if err := rest.Decode(&second); !errors.Is(err, io.EOF) {
			r.secondDocument(text)
		}
		if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
			doc = doc.Content[0]
		}
		if doc.Kind == yaml.ScalarNode && doc.Tag == "!!null" {
			r.empty()
			return nil
		}
		return doc
	}
	return nil
}

func (r *reading) empty() {
	if len(r.problems) > 0 {
		return
	}
	if r.vars.included {
		r.reportFile("the included file is empty", "it holds a list of stages or sinks, or settings")
		return
	}
	r.reportFile("the file is empty", "`penstock init` writes one to begin with")
}

func (r *reading) secondDocument(text []byte) {
	content := false
	for i, line := range splitLines(string(text)) {
		line = withoutEnd(line)
		if content && (line == "---" || strings.HasPrefix(line, "--- ")) {
			text, suggestion := "a second document begins here; a file holds one pipeline", "give it a file of its own and run both: penstock run FILE FILE"
			if r.vars.included {
				text, suggestion = "a second document begins here; a file that is included holds one list or one block", "remove the line, or include a file of its own"
			}
			r.report(r.src.problem(SeverityError, i+1, 1, 3, text, suggestion))
			return
		}
		if t := strings.TrimSpace(line); t != "" && t != "---" && t[0] != '#' && t[0] != '%' {
			content = true
		}
	}
	r.reportFile("the file holds several documents; a file holds one pipeline", "")
}

// convert makes nodes of what the YAML library gives: aliases followed, merge keys
// applied, variables put in, duplicate keys reported.
func (r *reading) convert(y *yaml.Node, depth int, flow bool) *node {
	n := &node{src: r.src, line: y.Line, col: y.Column, anchor: y.Anchor != "", flow: flow}
	if y.Kind == yaml.AliasNode && y.Alias != nil {
		return r.convert(y.Alias, depth+1, flow)
	}
	r.nodes++
	if r.nodes > maxNodes || depth > maxDepth {
		if !r.tooManyNodes {
			r.tooManyNodes = true
			r.report(n.problem(SeverityError, "too many values, or too deeply nested: aliases that multiply one another are refused", ""))
		}
		n.kind = brokenNode
		return n
	}
	flow = flow || y.Style&yaml.FlowStyle != 0
	switch y.Kind {
	case yaml.ScalarNode:
		r.scalar(n, y)
	case yaml.SequenceNode:
		n.kind = sequenceNode
		for _, c := range y.Content {
			if r.tooManyNodes {
				break
			}
			n.items = append(n.items, r.convert(c, depth+1, flow))
		}
	case yaml.MappingNode:
		n.kind = mappingNode
		r.mapping(n, y, depth, flow)
	default:
		n.kind = brokenNode
	}
	if n.kind != scalarNode && y.Style&yaml.TaggedStyle != 0 && !strings.HasPrefix(y.Tag, "!!") {
		r.report(r.src.problem(SeverityError, n.line, n.col, len(y.Tag), "the YAML tag "+y.Tag+" means nothing here", "remove it"))
	}
	return n
}

func (r *reading) scalar(n *node, y *yaml.Node) {
	n.kind = scalarNode
	if r.broken[position{y.Line, y.Column}] {
		n.kind = brokenNode
		return
	}
	n.raw = y.Value
	switch {
	case y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		n.style = quotedStyle
	case y.Style&yaml.LiteralStyle != 0:
		n.style = literalStyle
	case y.Style&yaml.FoldedStyle != 0:
		n.style = foldedStyle
	}
	if y.Style&yaml.TaggedStyle != 0 && y.Tag != "" {
		n.tag = y.Tag
	}
	n.null = y.Tag == "!!null" && n.style == plainStyle
	if p := r.vars.params.whole(n.raw); p != nil && (n.style == plainStyle || n.style == quotedStyle) {
		p.put(n)
		return
	}
	var faults []fault
	n.text, n.pieces, faults = r.vars.substitute(n.raw)
	if n.style == literalStyle || n.style == foldedStyle {
		n.text = strings.TrimSuffix(n.text, "\n")
	}
	for _, p := range n.pieces {
		if n.origin = p.name; p.given != nil {
			n.origin = p.given.origin
		}
		if p.secret && p.text != "" {
			r.secrets = append(r.secrets, p.text)
		}
		if p.broken {
			n.kind = brokenNode
		}
	}
	for _, f := range faults {
		saved := n.pieces
		n.pieces = nil
		line, col := n.place(f.offset)
		n.pieces = saved
		r.report(r.src.problem(SeverityError, line, col, utf8.RuneCountInString(n.raw[f.offset:f.offset+f.length]), f.text, f.suggestion))
		n.kind = brokenNode
	}
}

func (r *reading) mapping(n *node, y *yaml.Node, depth int, flow bool) {
	var merges []*node
	first := map[string]*node{}
	for i := 0; i+1 < len(y.Content) && !r.tooManyNodes; i += 2 {
		k := y.Content[i]
		for k.Kind == yaml.AliasNode && k.Alias != nil {
			k = k.Alias
		}
		key := &node{src: r.src, line: y.Content[i].Line, col: y.Content[i].Column, text: k.Value, raw: k.Value}
		if k.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
			key.style = quotedStyle
		}
		r.vars.params.key(r, key)
		if k.Kind != yaml.ScalarNode {
			r.report(key.problem(SeverityError, "a key must be a text", "quote it"))
			n.drops(key, r.convert(k, depth+1, flow))
			continue
		}
		value := r.convert(y.Content[i+1], depth+1, flow)
		if flow {
			if more := cutAtComma(y.Content[i+1:]); more > 0 {
				r.reportComma(value)
				i += 2 * more
			}
		}
		if k.Tag == "!!merge" {
			merges = append(merges, value)
			continue
		}
		if before := first[key.text]; before != nil {
			r.report(key.problem(SeverityError, fmt.Sprintf("the key %q stands twice", key.text), fmt.Sprintf("it stands at line %d already: remove one of them", before.line)))
			n.drops(key, value)
			continue
		}
		first[key.text] = key
		n.keys, n.items = append(n.keys, key), append(n.items, value)
	}
	for _, m := range merges {
		r.merge(n, m)
	}
}

// drops keeps what does not count of a mapping: a secret in it is one.
func (n *node) drops(key, value *node) {
	if n.dropped == nil {
		n.dropped = &node{kind: mappingNode, src: n.src, line: n.line, col: n.col}
	}
	n.dropped.keys, n.dropped.items = append(n.dropped.keys, key), append(n.dropped.items, value)
}

func (r *reading) merge(n, from *node) {
	switch from.kind {
	case mappingNode:
		for i, k := range from.keys {
			if n.key(k.text) == nil {
				n.keys, n.items = append(n.keys, k), append(n.items, from.items[i])
			}
		}
	case sequenceNode:
		for _, m := range from.items {
			r.merge(n, m)
		}
	case scalarNode:
		r.report(from.problem(SeverityError, "<< takes a mapping, not "+from.describe(), "write <<: *anchor"))
	}
}

// unwrapPath takes the operation and the file name off an error, when the message
// names the file already.
func unwrapPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
