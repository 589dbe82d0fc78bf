package config

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Summary gives in one line what the file says about a component, secrets as ***: at
// most most characters.
func (p *Pipeline) Summary(c Component, most int) string {
	if c.Kind == nil {
		return ""
	}
	s := yamlWriter{p: p, relative: true}
	path := p.path(c) + "." + c.Kind.Name
	n := &yaml.Node{Kind: yaml.MappingNode}
	fresh := reflect.ValueOf(c.Kind.Settings()).Elem()
	v := reflect.ValueOf(c.Settings).Elem()
	fields := fieldsOf(v.Type())
	for _, f := range fields {
		have := v.FieldByIndex(f.index)
		if _, given := p.origins[join(path, f.name)]; !given && f.name != c.Kind.Short {
			continue // filled in, because of the rest of the file
		}
		if reflect.DeepEqual(have.Interface(), fresh.FieldByIndex(f.index).Interface()) {
			continue
		}
		s.add(n, f.name, "", s.value(have, ""))
	}
	if len(n.Content) == 2 && n.Content[0].Value == c.Kind.Short {
		n = n.Content[1]
	}
	return shorten(flow(n, true), most)
}

// path says where a component stands in the file.
func (p *Pipeline) path(c Component) string {
	if p.DeadLetter != nil && p.DeadLetter.Settings == c.Settings {
		return "dead_letter"
	}
	for i := range p.Stages {
		if p.Stages[i].Settings == c.Settings {
			return fmt.Sprintf("stages[%d]", i)
		}
	}
	for i := range p.Sinks {
		if p.Sinks[i].Settings == c.Settings {
			return fmt.Sprintf("sinks[%d]", i)
		}
	}
	return "source"
}

func shorten(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// flow writes a node on one line, for people.
func flow(n *yaml.Node, outer bool) string {
	var parts []string
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			parts = append(parts, n.Content[i].Value+": "+flow(n.Content[i+1], false))
		}
		if outer {
			return strings.Join(parts, ", ")
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case yaml.SequenceNode:
		for _, c := range n.Content {
			parts = append(parts, flow(c, false))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return strings.Join(strings.Fields(n.Value), " ")
}
