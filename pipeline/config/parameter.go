package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A param is a value that an included file takes, called ${name} in it.
type param struct {
	at    *node // its name in the included file
	value *node // nil: there is none, which has been reported
	used  bool
	bad   bool // something about it has been reported
}

type params map[string]*param

// parameters reads what an included file takes and gives it the values of with, which stands in
// the file that includes it.
func (x *includes) parameters(r *reading, declared *yaml.Node, with *node) params {
	takes := params{}
	docs := map[string]string{}
	given := map[string]bool{}
	if with != nil {
		for _, key := range with.keys {
			given[key.text] = true
		}
	}
	if declared != nil {
		r.vars.declaring = map[string]bool{}
		for i := 0; declared.Kind == yaml.MappingNode && i < len(declared.Content); i += 2 {
			r.vars.declaring[declared.Content[i].Value] = true
		}
		r.declare(takes, docs, r.convert(withoutDefaults(declared, given), 1, false))
		r.vars.declaring = nil
	}
	switch {
	case with == nil || with.kind == brokenNode || with.null && with.kind == scalarNode:
	case with.kind != mappingNode:
		x.report(with, "with takes a mapping of parameters to values, not "+with.describe(), "write with: {name: value}")
	default:
		for i, key := range with.keys {
			x.give(r, takes, key, with.items[i])
		}
	}
	for _, name := range takes.names() {
		if p := takes[name]; p.value == nil && !p.bad && !given[name] {
			p.used = true
			hint := "write with: {" + name + ": …}"
			if docs[name] != "" {
				hint += "; it is " + docs[name]
			}
			x.report(r.src.from, fmt.Sprintf("%s needs the parameter %q", r.src.name, name), hint)
		}
	}
	return takes
}

// withoutDefaults gives what declares parameters without the defaults of those that are given: a
// default may be a variable that is not set then.
func withoutDefaults(declared *yaml.Node, given map[string]bool) *yaml.Node {
	if declared.Kind != yaml.MappingNode {
		return declared
	}
	all := *declared
	all.Content = slices.Clone(declared.Content)
	for i := 0; i+1 < len(all.Content); i += 2 {
		spec := all.Content[i+1]
		if !given[all.Content[i].Value] || spec.Kind != yaml.MappingNode {
			continue
		}
		one := *spec
		one.Content = slices.Clone(spec.Content)
		for j := 0; j+1 < len(one.Content); j += 2 {
			if v := one.Content[j+1]; one.Content[j].Value == "default" && v.Kind == yaml.ScalarNode {
				one.Content[j+1] = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "given", Line: v.Line, Column: v.Column}
			}
		}
		all.Content[i+1] = &one
	}
	return &all
}

func (x *includes) give(r *reading, takes params, key, value *node) {
	p := takes[key.text]
	switch {
	case p == nil:
		hint := didYouMean(key.text, takes.names())
		if len(takes) == 0 {
			hint = "it takes none; what a file takes stands in it under parameters:"
		}
		x.r.unknownValue(key, value, nil)
		x.report(key, fmt.Sprintf("%s has no parameter %q", r.src.name, key.text), hint)
	case value.kind == scalarNode && value.null && value.raw == "":
		p.value, p.used = nil, true
		x.report(key, fmt.Sprintf("the parameter %q is empty", key.text), "give it a value, or leave it out for its default")
	case value.kind == brokenNode:
		p.value, p.used = nil, true
	default:
		p.value = value
	}
}

// declare reads the mapping below parameters: {name: {default: …, doc: …}}.
func (r *reading) declare(takes params, docs map[string]string, n *node) {
	wrong := func(n *node, text, suggestion string) { r.report(n.problem(SeverityError, text, suggestion)) }
	if n.kind != mappingNode {
		if n.kind != brokenNode {
			wrong(n, "parameters takes a mapping of names, not "+n.describe(), "write parameters: {name: {default: value}}")
		}
		return
	}
	for i, key := range n.keys {
		name, spec := key.text, n.items[i]
		if !isVariable(name) {
			wrong(key, fmt.Sprintf("%q is no name of a parameter", name), "it is written ${name}: a-z, A-Z, 0-9 and _, no digit first")
			continue
		}
		p := &param{at: key}
		takes[name] = p
		switch {
		case spec.kind == brokenNode:
			p.bad = true
			continue
		case spec.kind == scalarNode && spec.null && spec.raw == "":
			continue
		case spec.kind != mappingNode:
			p.bad = true
			wrong(spec, fmt.Sprintf("the parameter %q takes default: and doc:, not %s", name, spec.describe()), "write "+name+": {default: …}, or "+name+": and nothing when it must be given")
			continue
		}
		for j, k := range spec.keys {
			v := spec.items[j]
			switch k.text {
			case "default":
				if v.kind == scalarNode && v.null && v.raw == "" {
					p.bad = true
					wrong(k, "default is empty", `a parameter without default must be given; an empty text is ""`)
					continue
				}
				p.value = v
			case "doc":
				docs[name] = strings.TrimSpace(v.text)
			default:
				p.bad = true
				wrong(k, fmt.Sprintf("unknown key %q in the parameter %q", k.text, name), "known here: default, doc; a parameter without default must be given")
			}
		}
	}
}

func (ps params) names() []string {
	var names []string
	for name := range ps {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// unused reports parameters that the file takes and does not use.
func (ps params) unused(r *reading) {
	for _, name := range ps.names() {
		if p := ps[name]; !p.used && !r.damaged {
			r.report(p.at.problem(SeverityError, fmt.Sprintf("the parameter %q is used nowhere in the file", name), "write ${"+name+"} where its value belongs, or remove it"))
		}
	}
}

// whole gives the parameter that a text is from end to end.
func (ps params) whole(text string) *param {
	if inner, ok := strings.CutPrefix(text, "${"); ok {
		if name, ok := strings.CutSuffix(inner, "}"); ok {
			return ps[name]
		}
	}
	return nil
}

// piece gives what stands in a text in place of a parameter.
func (p *param) piece(name string) (_ piece, problem, suggestion string) {
	p.used = true
	switch {
	case p.value == nil || p.value.kind == brokenNode:
		return piece{name: name, broken: true}, "", ""
	case p.value.kind != scalarNode:
		return piece{name: name, broken: true}, fmt.Sprintf("%s is %s, which stands alone and not within a text", name, p.value.describe()),
			fmt.Sprintf("it is given at %s:%d:%d", p.value.src.name, p.value.line, p.value.col)
	}
	open := true
	for _, q := range p.value.pieces {
		open = open && q.open
	}
	return piece{name: name, text: p.value.text, secret: p.value.secret(), open: open, given: p.value, written: p.value.written()}, "", ""
}

// put makes n what the parameter is, typed as it was written where it was given.
func (p *param) put(n *node) {
	p.used = true
	switch {
	case p.value == nil:
		n.kind = brokenNode
	case p.value.kind != scalarNode:
		used := fmt.Sprintf("%s is used at %s:%d:%d", n.raw, n.src.name, n.line, n.col)
		*n = *p.value.copy()
		n.usedAt(used)
	default:
		one, _, _ := p.piece(n.raw)
		v := p.value
		n.text, n.pieces, n.origin = v.text, []piece{one}, v.origin
		n.null, n.tag = v.null, v.tag
		n.quoted = v.quoted || v.style != plainStyle && len(v.pieces) == 0
		n.base = v.folder("")
	}
}

// key puts parameters into the text of a key. Variables of the environment do not stand there.
func (ps params) key(r *reading, key *node) {
	if !strings.Contains(key.text, "${") {
		return
	}
	escaped := false
	for _, name := range ps.names() {
		p, whole := ps[name], "${"+name+"}"
		escaped = escaped || strings.Contains(key.text, "$"+whole)
		if !strings.Contains(strings.ReplaceAll(key.text, "$${", " "), whole) { // $${ is the text ${
			continue
		}
		one, problem, suggestion := p.piece(whole)
		switch {
		case problem != "":
			r.report(key.problem(SeverityError, problem, suggestion))
		case one.secret:
			r.report(key.problem(SeverityError, whole+" is a secret, and a key is shown", "write it where a value stands"))
		case !one.broken:
			key.pieces = append(key.pieces, one)
		}
	}
	if len(key.pieces) == 0 && !escaped {
		return
	}
	pairs := []string{"$${", "${"}
	for _, one := range key.pieces {
		pairs = append(pairs, one.name, one.text)
	}
	key.text = strings.NewReplacer(pairs...).Replace(key.text)
}
