package config

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Show gives the effective settings as a pipeline file: defaults filled in and marked,
// variables put in, secrets as ***.
func (p *Pipeline) Show() ([]byte, error) {
	s := yamlWriter{p: p, origins: true}
	return s.bytes()
}

// hash fills in the hashes of a set and its pipelines, and what they are compared by with others.
func (s *Set) hash() {
	whole := sha256.New()
	for _, p := range s.Pipelines {
		sh := yamlWriter{p: p, relative: true}
		text, err := sh.bytes()
		if err != nil {
			text = []byte(err.Error())
		}
		sum := sha256.Sum256(text)
		p.Hash = hex.EncodeToString(sum[:])[:12]
		p.identity = p.identify()
		whole.Write(sum[:])
	}
	s.Hash = hex.EncodeToString(whole.Sum(nil))[:12]
	if len(s.Pipelines) == 1 {
		s.Hash = s.Pipelines[0].Hash
	}
}

// A yamlWriter writes a Pipeline back as YAML.
type yamlWriter struct {
	p        *Pipeline
	origins  bool // mark defaults, variables and overrides by comments
	relative bool // for the hash: file names relative to the file's folder, nothing of this machine, and files that are read at the start with a sum of what they hold
	whole    bool // nothing is hidden, and such files have that sum too, those of one machine included: for compare.go alone
}

func (s *yamlWriter) bytes() ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	p := s.p
	s.add(root, "pipeline", "pipeline", s.text("pipeline", p.Name))
	s.add(root, "source", "source", s.component(p.Source, "source"))
	s.add(root, "order", "order", s.order())
	s.add(root, "delivery", "delivery", s.text("delivery", string(p.Delivery)))
	s.add(root, "stages", "stages", s.sequence(len(p.Stages), func(i int) *yaml.Node { return s.stage(i) }))
	s.add(root, "sinks", "sinks", s.sequence(len(p.Sinks), func(i int) *yaml.Node { return s.sink(i) }))
	if p.DeadLetter != nil {
		n := s.component(p.DeadLetter.Component, "dead_letter")
		s.fields(n, reflect.ValueOf(p.DeadLetter.DeadLetterSettings), "dead_letter", nil)
		s.add(root, "dead_letter", "dead_letter", n)
	}
	s.fields(root, reflect.ValueOf(p.Process), "", nil)
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return nil, fmt.Errorf("writing the settings of %s: %w", p.Name, err)
	}
	return b.Bytes(), e.Close()
}

func (s *yamlWriter) add(to *yaml.Node, key, path string, value *yaml.Node) {
	if value == nil {
		return
	}
	to.Content = append(to.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Style: styleOf(key)}, value)
}

func (s *yamlWriter) sequence(n int, item func(int) *yaml.Node) *yaml.Node {
	if n == 0 {
		return nil
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range n {
		list.Content = append(list.Content, item(i))
	}
	return list
}

func (s *yamlWriter) stage(i int) *yaml.Node {
	st, path := &s.p.Stages[i], fmt.Sprintf("stages[%d]", i)
	n := &yaml.Node{Kind: yaml.MappingNode}
	s.add(n, "name", path, s.text(path+".name", st.Name))
	n.Content = append(n.Content, s.component(st.Component, path).Content...)
	skip := []string{"name"}
	if st.Kind != nil {
		skip = append(skip, st.Kind.never()...)
	}
	if st.Workers == 0 {
		skip = append(skip, "workers")
		workers := s.text(path+".workers", "GOMAXPROCS")
		if !s.relative {
			workers = s.text(path+".workers", strconv.Itoa(runtime.GOMAXPROCS(0)))
		}
		if s.origins {
			workers.LineComment = "default: GOMAXPROCS"
		}
		s.add(n, "workers", path, workers)
	}
	s.fields(n, reflect.ValueOf(st.StageSettings), path, skip)
	return n
}

func (s *yamlWriter) sink(i int) *yaml.Node {
	sk, path := &s.p.Sinks[i], fmt.Sprintf("sinks[%d]", i)
	n := &yaml.Node{Kind: yaml.MappingNode}
	s.add(n, "name", path, s.text(path+".name", sk.Name))
	if sk.When != nil {
		s.add(n, "when", path, s.value(reflect.ValueOf(sk.When), path+".when"))
	}
	n.Content = append(n.Content, s.component(sk.Component, path).Content...)
	s.fields(n, reflect.ValueOf(sk.SinkSettings), path, []string{"name", "when"})
	return n
}

func (s *yamlWriter) component(c Component, path string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	if c.Kind == nil {
		return n
	}
	inner := &yaml.Node{Kind: yaml.MappingNode}
	s.fields(inner, reflect.ValueOf(c.Settings).Elem(), path+"."+c.Kind.Name, nil)
	s.add(n, c.Kind.Name, path, inner)
	return n
}

func (s *yamlWriter) order() *yaml.Node {
	switch {
	case s.p.Order.Key != nil:
		n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		s.add(n, "key", "order", s.value(reflect.ValueOf(s.p.Order.Key), "order.key"))
		return n
	case s.p.Order.Keep == engine.OrderKey:
		return s.text("order", "key")
	case s.p.Order.Keep == engine.OrderNone:
		return s.text("order", "none")
	}
	return s.text("order", "partition")
}

// fields adds the settings of a struct.
func (s *yamlWriter) fields(to *yaml.Node, v reflect.Value, path string, skip []string) {
	for _, f := range fieldsOf(v.Type()) {
		if slices.Contains(skip, f.name) {
			continue
		}
		at, fv := join(path, f.name), v.FieldByIndex(f.index)
		if _, given := s.p.origins[at]; !given && f.typ == durationType && f.tags.min != "" && fv.IsZero() {
			continue // none, which no file can say in words
		}
		value := s.value(fv, at)
		if f.tags.start && value != nil && (s.whole || s.relative && !f.tags.own) {
			value.Value += contentOf(fv.String())
		}
		if f.tags.query && value != nil && !s.whole {
			value.Value = concealQuery(value.Value)
		}
		s.add(to, f.name, at, value)
	}
}

// value gives the node of a value; nil when it is empty and the file does not have it.
func (s *yamlWriter) value(v reflect.Value, path string) *yaml.Node {
	_, given := s.p.origins[path]
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if v.Type() == secretType {
		return s.secret(v.Interface().(settings.Secret), path)
	}
	if m, ok := marshaler(v); ok {
		text, err := m.MarshalText()
		if err != nil || len(text) == 0 && !given {
			return nil
		}
		if isExpression(v.Type()) && !s.whole {
			return s.scalar(path, concealCode(string(text), v.Type() == templateType, s.p.secrets))
		}
		return s.text(path, string(text))
	}
	if elem, ok := isOrdered(v.Type()); ok && elem != nil {
		return s.pairs(v, path)
	}
	switch {
	case v.Type() == durationType:
		return s.text(path, shortDuration(time.Duration(v.Int())))
	case isOff(v):
		return s.text(path, "off")
	case v.Kind() == reflect.Struct:
		n := &yaml.Node{Kind: yaml.MappingNode}
		s.fields(n, v, path, nil)
		if len(n.Content) == 0 {
			return nil
		}
		return n
	case v.Kind() == reflect.Slice && v.Len() == 0 && given: // none, which need not be the default
		return &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	case v.Kind() == reflect.Slice:
		return s.sequence(v.Len(), func(i int) *yaml.Node {
			if n := s.value(v.Index(i), fmt.Sprintf("%s[%d]", path, i)); n != nil {
				return n
			}
			return s.text(path, "")
		})
	case v.Kind() == reflect.Map:
		return s.dictionary(v, path)
	case v.Kind() == reflect.Interface:
		return s.anything(v, path, given)
	}
	if v.IsZero() && !given && v.Kind() != reflect.Bool {
		return nil
	}
	n := s.text(path, fmt.Sprint(v.Interface()))
	if v.Kind() == reflect.String && v.Type() != reflect.TypeFor[json.Number]() {
		n.Tag = "!!str"
	}
	return n
}

// secret gives the node of a secret, nil when there is none.
func (s *yamlWriter) secret(v settings.Secret, path string) *yaml.Node {
	switch {
	case v == "":
		return nil
	case s.whole:
		return s.scalar(path, v.Reveal())
	}
	return s.text(path, v.String())
}

// anything gives the node of a value of type any, in which nothing is left out that stands in the
// file.
func (s *yamlWriter) anything(v reflect.Value, path string, given bool) *yaml.Node {
	switch {
	case v.IsNil() && given:
		n := s.text(path, "null")
		n.Tag = "!!null"
		return n
	case v.IsNil():
		return nil
	case v.Elem().Kind() == reflect.Map && v.Elem().Len() == 0:
		return &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	}
	return s.value(v.Elem(), path)
}

func marshaler(v reflect.Value) (encoding.TextMarshaler, bool) {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		return m, true
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	m, ok := p.Interface().(encoding.TextMarshaler)
	return m, ok
}

func (s *yamlWriter) pairs(v reflect.Value, path string) *yaml.Node {
	if v.Len() == 0 {
		return nil
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := range v.Len() {
		name, err := writeKey(v.Index(i))
		if err != nil {
			continue
		}
		s.add(n, name, path, s.value(v.Index(i).FieldByName("Value"), join(path, name)))
	}
	return n
}

func (s *yamlWriter) dictionary(v reflect.Value, path string) *yaml.Node {
	if v.Len() == 0 {
		return nil
	}
	keys := v.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range keys {
		s.add(n, k.String(), path, s.value(v.MapIndex(k), join(path, k.String())))
	}
	return n
}

// otherYAML is what YAML 1.1 reads as a boolean or a number, and YAML 1.2 as text. The
// library that writes the file goes by YAML 1.2, and puts no quotes around it.
var otherYAML = regexp.MustCompile(`^(?:[yYnN]|[yY]es|YES|[nN]o|NO|[oO]n|ON|[oO]ff|OFF|[-+]?0[0-7_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)$`)

// styleOf asks for quotes around a text that a reader of YAML 1.1 would take for something else.
func styleOf(text string) yaml.Style {
	if otherYAML.MatchString(text) {
		return yaml.DoubleQuotedStyle
	}
	return 0
}

// text makes a scalar, with what must not be seen taken out.
func (s *yamlWriter) text(path, text string) *yaml.Node {
	if s.whole {
		return s.scalar(path, text)
	}
	return s.scalar(path, conceal(text, s.p.secrets))
}

// scalar makes a scalar of a text without secrets, marked with where it comes from.
func (s *yamlWriter) scalar(path, text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: strings.ReplaceAll(text, "${", "$${")}
	if s.relative {
		n.Value = strings.ReplaceAll(n.Value, s.p.Dir+string(filepath.Separator), "")
		for dir := range s.p.folders { // which may stand beside that of the file
			if dir == string(filepath.Separator) {
				continue
			}
			if rel, err := filepath.Rel(s.p.Dir, dir); err == nil {
				n.Value = strings.ReplaceAll(n.Value, dir+string(filepath.Separator), filepath.ToSlash(rel)+"/")
			}
		}
	}
	n.Style = styleOf(n.Value)
	if s.origins {
		origin, given := s.p.origins[path]
		switch {
		case !given && !s.inGivenList(path):
			n.LineComment = "default"
		case origin != "":
			n.LineComment = "from " + concealKnown(origin, s.p.secrets)
		}
	}
	return n
}

// inGivenList says whether path is an entry of a list that the file has.
func (s *yamlWriter) inGivenList(path string) bool {
	if !strings.HasSuffix(path, "]") {
		return false
	}
	_, given := s.p.origins[path[:strings.LastIndexByte(path, '[')]]
	return given
}

// shortDuration is Duration.String without parts that are zero: 1m, not 1m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
