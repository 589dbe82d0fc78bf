package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/expr"
)

// An item is a mapping of common settings and exactly one component.
type item struct {
	section Section
	what    string        // "a stage"
	common  reflect.Value // struct of the common settings; the zero Value: none
	into    *Component
}

func (c *Component) decodeNode(d *decoder, n *node, path string) bool {
	return d.item(n, path, item{section: SourceSection, what: "the source", into: c})
}

func (s *Stage) decodeNode(d *decoder, n *node, path string) bool {
	s.StageSettings = defaultStage()
	return d.item(n, path, item{StageSection, "a stage", reflect.ValueOf(&s.StageSettings).Elem(), &s.Component})
}

func (s *Sink) decodeNode(d *decoder, n *node, path string) bool {
	s.SinkSettings = SinkSettings{OutputSettings: defaultOutput(d.sinkKind(n))}
	return d.item(n, path, item{SinkSection, "a sink", reflect.ValueOf(&s.SinkSettings).Elem(), &s.Component})
}

func (s *DeadLetter) decodeNode(d *decoder, n *node, path string) bool {
	s.OutputSettings = defaultOutput(d.sinkKind(n))
	return d.item(n, path, item{SinkSection, "dead_letter", reflect.ValueOf(&s.DeadLetterSettings).Elem(), &s.Component})
}

// sinkKind finds the kind of the sink in an item; nil: none is named. It is needed before the
// common settings are decoded, which may come first in the file: their defaults are the kind's.
func (d *decoder) sinkKind(n *node) *Kind {
	for _, key := range n.keys {
		if k := d.kinds.Find(SinkSection, key.text); k != nil {
			return k
		}
	}
	return nil
}

// item decodes the common settings of a mapping, and the component in it.
func (d *decoder) item(n *node, path string, it item) bool {
	if n.kind != mappingNode {
		suggestion := ""
		if k := d.kinds.Find(it.section, n.text); n.kind == scalarNode && k != nil {
			suggestion = "write " + k.Name + ": and its settings (penstock list " + k.Name + ")"
		}
		return d.errorAt(n, fmt.Sprintf("%s takes a mapping with the name of a %s, not %s", it.what, it.section, n.describe()), suggestion)
	}
	var fields []field
	if it.common.IsValid() {
		fields = fieldsOf(it.common.Type())
	}
	ok := true
	found := ""
	for i, key := range n.keys {
		at := join(path, key.text)
		if f := findField(fields, key.text); f != nil {
			d.keys[at] = key
			ok = d.value(n.items[i], it.common.FieldByIndex(f.index), f.tags, at) && ok
			continue
		}
		k := d.kinds.Find(it.section, key.text)
		switch {
		case k == nil:
			d.unknownValue(key, n.items[i], fields)
			ok = d.unknownComponent(key, fields, it)
			if len(n.keys) == 1 {
				return false
			}
			if found == "" && !d.looksCommon(key, fields) {
				found = key.text
			}
		case found != "" && it.into.Kind != nil:
			d.misspelt(n.items[i], false)
			ok = d.errorAt(key, fmt.Sprintf("%s is one component, and this is a second: %s and %s", it.what, found, key.text), "give it an item of its own")
		default:
			found = key.text
			d.keys[at] = key
			if !d.component(n.items[i], k, it, at, fields) {
				ok, d.bad[at] = false, true
			}
		}
	}
	if found == "" && !d.damaged {
		return d.errorAt(d.where(path), fmt.Sprintf("no %s is named here", it.section), "one of: "+strings.Join(d.kinds.Names(it.section), ", "))
	}
	return ok
}

// looksCommon says whether a key is rather a misspelt common setting than a component.
func (d *decoder) looksCommon(key *node, fields []field) bool {
	return nearest(key.text, fieldNames(fields)) != ""
}

func (d *decoder) unknownComponent(key *node, fields []field, it item) bool {
	kinds := d.kinds.Names(it.section)
	if key.text == "with" {
		return d.errorAt(key, fmt.Sprintf("unknown key %q in %s", key.text, it.what), besideInclude)
	}
	if topKeys[key.text] {
		return d.errorAt(key, fmt.Sprintf("unknown key %q in %s", key.text, it.what), atMargin(key.text))
	}
	for _, s := range []Section{SourceSection, StageSection, SinkSection} {
		if s != it.section && d.kinds.Find(s, key.text) != nil {
			return d.errorAt(key, fmt.Sprintf("%s is a %s, and no %s", key.text, s, it.section), "one of: "+strings.Join(kinds, ", "))
		}
	}
	for i := range d.kinds {
		if hint := d.kinds[i].Foreign[key.text]; hint != "" && d.kinds[i].Section == it.section {
			return d.errorAt(key, fmt.Sprintf("unknown %s %q", it.section, key.text), hint)
		}
	}
	if n := nearest(key.text, append(kinds, fieldNames(fields)...)); n != "" {
		return d.errorAt(key, fmt.Sprintf("unknown key %q in %s", key.text, it.what), "did you mean "+n+"?")
	}
	if nearest(key.text, includeName) != "" {
		return d.errorAt(key, fmt.Sprintf("unknown key %q in %s", key.text, it.what), "did you mean include?")
	}
	if it.what == "dead_letter" && (key.text == "when" || key.text == "name") {
		return d.errorAt(key, "dead_letter has no "+key.text, "it takes every rejected record, and its name is dead_letter")
	}
	if commonKeys[key.text] {
		return d.errorAt(key, fmt.Sprintf("%s has no %s", it.what, key.text), standsBeside(key.text))
	}
	for _, k := range d.kinds {
		if k.Section == it.section && slices.Contains(settingNames(&k), key.text) {
			return d.errorAt(key, fmt.Sprintf("unknown key %q in %s", key.text, it.what), "it belongs into "+k.Name+": "+k.Name+": {"+key.text+": …}")
		}
	}
	return d.errorAt(key, fmt.Sprintf("unknown %s %q", it.section, key.text), "one of: "+strings.Join(kinds, ", "))
}

// standsBeside says where a common setting stands that does not stand here.
func standsBeside(key string) string {
	at := "it stands beside a stage that waits"
	if findField(fieldsOf(reflect.TypeFor[SinkSettings]()), key) != nil {
		if at = "it stands beside a sink"; findField(fieldsOf(reflect.TypeFor[StageSettings]()), key) != nil {
			at = "it stands beside a stage or a sink"
		}
	}
	if key == "when" {
		return at + "; a stage takes each record that comes to it: take out with filter what it is not to have"
	}
	return at + "; remove it"
}

func settingNames(k *Kind) []string {
	return fieldNames(fieldsOf(reflect.TypeOf(k.Settings()).Elem()))
}

// component decodes the settings of a component of kind k.
func (d *decoder) component(n *node, k *Kind, it item, path string, common []field) bool {
	it.into.Kind, it.into.Settings = k, k.Settings()
	d.kind, d.kindPath = k, path
	v := reflect.ValueOf(it.into.Settings).Elem()
	if n.kind == scalarNode && !n.null || n.kind == scalarNode && k.Short != "" {
		f := findField(fieldsOf(v.Type()), k.Short)
		if f == nil {
			return d.errorAt(n, fmt.Sprintf("%s takes a mapping, not %s", k.Name, n.describe()), d.hint(path, known(fieldsOf(v.Type()))))
		}
		if !d.value(n, v.FieldByIndex(f.index), f.tags, path) {
			return false
		}
		d.places[join(path, f.name)] = n
		return d.validate(v, path, nil)
	}
	elsewhere := map[string]string{}
	for _, f := range common {
		elsewhere[f.name] = f.name + " stands beside " + k.Name + ", not within it"
	}
	d.places[path] = n
	if n.kind == brokenNode {
		return false
	}
	return d.structure(n, v, path, container{what: k.Name, elsewhere: elsewhere})
}

// decodeNode reads partition, key, none, or {key: EXPR}.
func (o *Order) decodeNode(d *decoder, n *node, path string) bool {
	const takes = "order takes partition, key, none, or {key: EXPRESSION}"
	switch n.kind {
	case scalarNode:
		keep := map[string]engine.Order{"partition": engine.OrderPartition, "key": engine.OrderKey, "none": engine.OrderNone}
		k, ok := keep[n.text]
		if !ok {
			return d.errorAt(n, takes+", not "+n.shown(), didYouMeanOnly(n.text, []string{"partition", "key", "none"}))
		}
		o.Keep = k
		return true
	case mappingNode:
		var s struct {
			Key *expr.Expr `yaml:"key" required:"true" doc:"expression that gives the key"`
		}
		ok := d.structure(n, reflect.ValueOf(&s).Elem(), path, container{what: "order"})
		o.Keep, o.Key = engine.OrderKey, s.Key
		return ok
	}
	return d.errorAt(n, takes+", not "+n.describe(), "")
}
