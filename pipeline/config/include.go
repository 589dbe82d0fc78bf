package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxIncludeDepth = 16      // files that include one another
	maxIncludes     = 500     // includes of one pipeline file, those of its included files too
	maxIncluded     = 4 << 20 // bytes of all of them
)

// includes puts what other files hold in place of the includes of a pipeline file, before anything
// else looks at its nodes.
type includes struct {
	r     *reading          // of the pipeline file, where all problems are reported
	texts map[string][]byte // by absolute path
	files int
	bytes int
	deep  bool // maxIncludeDepth has been reported
}

func newIncludes(r *reading) *includes { return &includes{r: r, texts: map[string][]byte{}} }

// An itemShape says what stands in a mapping that names a component.
type itemShape struct {
	section Section
	common  reflect.Type // settings beside the component; nil: none
	listed  bool         // it is an item of a list, and an include there is a list
}

var itemShapes = map[reflect.Type]itemShape{
	reflect.TypeFor[Component]():  {section: SourceSection},
	reflect.TypeFor[Stage]():      {StageSection, reflect.TypeFor[StageSettings](), true},
	reflect.TypeFor[Sink]():       {SinkSection, reflect.TypeFor[SinkSettings](), true},
	reflect.TypeFor[DeadLetter](): {section: SinkSection, common: reflect.TypeFor[DeadLetterSettings]()},
}

var (
	nodeDecoderType = reflect.TypeFor[nodeDecoder]()
	orderType       = reflect.TypeFor[Order]() // a block of settings, where it is a mapping
)

// expand follows the type that n will be read into: include means something in a mapping of
// settings, and is a name like any other where names are the user's.
func (x *includes) expand(n *node, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.kind == sequenceNode && t.Kind() == reflect.Slice {
		x.list(n, t.Elem())
		return
	}
	if n.kind != mappingNode {
		return
	}
	if shape, ok := itemShapes[t]; ok {
		x.item(n, t, shape)
		return
	}
	if elem, ok := isOrdered(t); ok {
		x.members(n, elem)
		return
	}
	if t == orderType {
		x.block(n, t)
		return
	}
	if reflect.PointerTo(t).Implements(nodeDecoderType) || isText(t) {
		return
	}
	switch t.Kind() {
	case reflect.Map:
		x.members(n, t.Elem())
	case reflect.Struct:
		fields := fieldsOf(t)
		if findField(fields, "include") == nil {
			x.block(n, t)
		}
		for i, key := range n.keys {
			if f := findField(fields, key.text); f != nil {
				x.expand(n.items[i], f.typ)
			}
		}
	}
}

func (x *includes) members(n *node, t reflect.Type) {
	for _, item := range n.items {
		x.expand(item, t)
	}
}

func (x *includes) item(n *node, t reflect.Type, shape itemShape) {
	if !shape.listed {
		x.block(n, t)
	}
	var common []field
	if shape.common != nil {
		common = fieldsOf(shape.common)
	}
	for i, key := range n.keys {
		if f := findField(common, key.text); f != nil {
			x.expand(n.items[i], f.typ)
		} else if k := x.r.kinds.Find(shape.section, key.text); k != nil {
			x.expand(n.items[i], reflect.TypeOf(k.Settings()))
		}
	}
}

// list puts the items of an included list in place of the item that includes it.
func (x *includes) list(n *node, elem reflect.Type) {
	shape := itemShapes[elem]
	var items []*node
	for _, item := range n.items {
		if !shape.listed || item.kind != mappingNode || item.get("include") == nil {
			x.expand(item, elem)
			items = append(items, item)
			continue
		}
		for _, key := range item.keys {
			if key.text != "include" && key.text != "with" {
				x.report(key, fmt.Sprintf("an item that includes a file has with: beside include:, and no %q", key.text), "make it a parameter of the file, or a "+string(shape.section)+" of its own")
			}
		}
		body := x.load(item.key("include"), item.get("include"), item.get("with"), string(shape.section)+"s")
		if body == nil {
			continue
		}
		x.list(body, elem)
		items = append(items, body.items...)
	}
	n.items = items
}

// block adds what an included mapping has and n has not.
func (x *includes) block(n *node, t reflect.Type) {
	at, key := n.get("include"), n.key("include")
	if at == nil {
		return
	}
	with := n.get("with")
	n.drop("include")
	n.drop("with")
	body := x.load(key, at, with, "settings")
	if body == nil {
		return
	}
	x.expand(body, t)
	for i, k := range body.keys {
		if n.key(k.text) == nil {
			n.keys, n.items = append(n.keys, k), append(n.items, body.items[i])
		}
	}
}

func (n *node) drop(name string) {
	for i, k := range n.keys {
		if k.text == name {
			n.keys = append(n.keys[:i:i], n.keys[i+1:]...)
			n.items = append(n.items[:i:i], n.items[i+1:]...)
			return
		}
	}
}

func (x *includes) report(n *node, text, suggestion string) {
	x.r.report(n.problem(SeverityError, text, suggestion))
}

// fail says why a file is not included; complaints about what it may hold are then left out.
func (x *includes) fail(n *node, text, suggestion string) {
	x.r.damaged = true
	x.report(n, text, suggestion)
}

// load gives what a file holds, with its parameters put in: the list of wants, stages or sinks, or
// a mapping of settings. It gives nil when there is a mistake, which is reported.
func (x *includes) load(key, at, with *node, wants string) *node {
	path, ok := x.find(key, at)
	if !ok {
		return nil
	}
	text, ok := x.text(at, path)
	if !ok {
		return nil
	}
	main := x.r.src
	r := newReading(x.display(at.text, path), main.order, text, &variables{env: x.r.vars.env, dir: filepath.Dir(path), reads: x.r.vars.reads, included: true}, x.r.kinds)
	r.src.path, r.src.dir, r.src.from = path, filepath.Dir(path), at
	r.nodes, r.tooManyNodes = x.r.nodes, x.r.tooManyNodes
	body := r.fileBody(x, text, with, wants)
	x.r.nodes, x.r.tooManyNodes = r.nodes, r.tooManyNodes
	x.r.secrets, x.r.hidden = append(x.r.secrets, r.secrets...), append(x.r.hidden, r.hidden...)
	for _, p := range r.problems {
		x.r.report(p)
	}
	x.r.damaged = x.r.damaged || r.damaged || body == nil
	return body
}

// display is the name of an included file in messages: relative, when it and that of the pipeline
// file are.
func (x *includes) display(written, path string) string {
	main := x.r.src
	if rel, err := filepath.Rel(main.dir, path); err == nil && !filepath.IsAbs(main.name) && !filepath.IsAbs(written) {
		return filepath.Join(filepath.Dir(main.name), rel)
	}
	return path
}

// find gives the absolute path of the file that an include names.
func (x *includes) find(key, at *node) (path string, ok bool) {
	switch {
	case at.kind == brokenNode:
		x.r.damaged = true
		return "", false
	case at.kind != scalarNode:
		x.fail(at, "include takes the name of one file, not "+at.describe(), "write include: common/clean.yaml; of several, each has an include of its own")
		return "", false
	case at.tag != "":
		x.fail(at, "include begins with the YAML tag "+at.tag, "write include: and the name of a file")
		return "", false
	case at.null || strings.TrimSpace(at.text) == "":
		x.fail(key, "include names no file", "write include: common/clean.yaml")
		return "", false
	case at.secret():
		x.fail(at, "the name of an included file comes from ${file:…}, which is for secrets", "write the name, or a variable: include: common/${NAME}.yaml")
		return "", false
	case strings.Contains(at.text, "://"):
		x.fail(at, "include takes a file of this machine, not an address", "put a copy beside the pipeline file")
		return "", false
	}
	path = at.text
	if !filepath.IsAbs(path) {
		path = filepath.Join(at.folder(x.r.src.dir), path)
	}
	path = filepath.Clean(path)
	if round, ok := at.src.chain(path); ok {
		x.fail(at, "the file includes itself: "+round, "what two files share stands in a third, which includes neither")
		return "", false
	}
	if x.files++; x.files > maxIncludes {
		if x.files == maxIncludes+1 {
			x.fail(at, fmt.Sprintf("more than %d includes in one pipeline", maxIncludes), "")
		}
		return "", false
	}
	if at.src.depth() >= maxIncludeDepth {
		if !x.deep {
			x.fail(at, fmt.Sprintf("files include one another more than %d deep", maxIncludeDepth), "")
		}
		x.deep = true
		return "", false
	}
	return path, true
}

// depth says how many includes lead to a file.
func (s *source) depth() int {
	n := 0
	for ; s.from != nil; s = s.from.src {
		n++
	}
	return n
}

// chain says whether the file at path is s or one that includes it, and how it comes about.
func (s *source) chain(path string) (round string, ok bool) {
	same := func(have string) bool {
		if have == path {
			return true
		}
		a, errA := os.Stat(have)
		b, errB := os.Stat(path)
		return errA == nil && errB == nil && os.SameFile(a, b)
	}
	var names []string
	for ; ; s = s.from.src {
		names = append([]string{s.name}, names...)
		if same(s.path) {
			return strings.Join(append(names, s.name), " → "), true
		}
		if s.from == nil {
			return "", false
		}
	}
}

// text reads an included file.
func (x *includes) text(at *node, path string) ([]byte, bool) {
	if text, ok := x.texts[path]; ok {
		return text, true
	}
	x.r.vars.noteRead(path)
	info, err := os.Stat(path)
	var text []byte
	switch {
	case err != nil:
	case info.IsDir():
		x.fail(at, fmt.Sprintf("reading %s: it is a folder", x.display(at.text, path)), "include one file")
		return nil, false
	case !info.Mode().IsRegular():
		x.fail(at, fmt.Sprintf("reading %s: it is no plain file", x.display(at.text, path)), "")
		return nil, false
	default:
		text, err = readLimited(path)
	}
	if err != nil {
		x.fail(at, fmt.Sprintf("reading %s: %v", x.display(at.text, path), unwrapPath(err)), "the name is relative to the folder of the file in which it stands")
		return nil, false
	}
	if x.bytes += len(text); x.bytes > maxIncluded {
		x.fail(at, fmt.Sprintf("the included files have more than %d MiB together", maxIncluded>>20), "")
		return nil, false
	}
	x.texts[path] = text
	return text, true
}

// fileBody reads an included file: the bare list or mapping, or a mapping that has it beside
// parameters.
func (r *reading) fileBody(x *includes, text []byte, with *node, wants string) *node {
	doc := r.document(text)
	if doc == nil {
		return nil
	}
	declared := entry(doc, "parameters")
	takes := x.parameters(r, declared, with)
	r.vars.params = takes
	wrapped := declared != nil || wants != "settings" && doc.Kind == yaml.MappingNode
	if !wrapped {
		return r.wanted(r.convert(doc, 0, false), wants)
	}
	var body *node
	for i := 0; i+1 < len(doc.Content); i += 2 {
		k := doc.Content[i]
		key := &node{src: r.src, line: k.Line, col: k.Column, text: k.Value, raw: k.Value}
		switch {
		case k.Value == "parameters":
		case k.Value != wants:
			r.report(key.problem(SeverityError, fmt.Sprintf("%q has no place in a file that is included here", k.Value), wrapHint(wants)))
		case body != nil:
			r.report(key.problem(SeverityError, fmt.Sprintf("the key %q stands twice", k.Value), "remove one of them"))
		default:
			body = r.convert(doc.Content[i+1], 1, false)
		}
	}
	if body == nil {
		if len(r.problems) == 0 {
			r.reportFile(fmt.Sprintf("the file holds parameters and no %s", wants), "write "+wants+": below them")
		}
		return nil
	}
	takes.unused(r)
	return r.wanted(body, wants)
}

func wrapHint(wants string) string {
	if wants == "settings" {
		return "beside parameters: stands settings: alone, with what is included below it"
	}
	return "it holds a list of " + wants + ", or parameters: and below them " + wants + ":"
}

// entry gives the value of a key of a mapping, or nil.
func entry(doc *yaml.Node, key string) *yaml.Node {
	if doc.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(doc.Content); i += 2 {
		if doc.Content[i].Value == key {
			return doc.Content[i+1]
		}
	}
	return nil
}

// wanted checks that an included file holds what is included.
func (r *reading) wanted(body *node, wants string) *node {
	switch {
	case body.kind == brokenNode:
		return nil
	case wants == "settings" && body.kind != mappingNode:
		r.report(body.problem(SeverityError, "settings are included here, and the file holds "+body.describe(), "a list is included by an item of stages or sinks"))
		return nil
	case wants != "settings" && body.kind != sequenceNode:
		r.report(body.problem(SeverityError, fmt.Sprintf("a list of %s is included here, and the file holds %s", wants, body.describe()), "begin each with a dash"))
		return nil
	}
	return body
}
