package expr

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/penstockio/penstock/pipeline"
)

// name compiles a bare name: a let variable or a field.
func (c *compiler) name(n *ast.IdentifierNode) code {
	for i := len(c.lets) - 1; i >= 0; i-- {
		if v := c.lets[i]; v.name == n.Value {
			slot := v.slot
			return code{run: func(m *machine) (value, error) { return m.vars[slot], nil }, kinds: v.kinds}
		}
	}
	switch n.Value {
	case "$env":
		return c.record()
	case "$":
		c.fail(n, "a name begins at the record by itself, without $", `write user.id for $.user.id; the whole value is $env, and a field of this name $env["$"]`)
	case "meta":
		c.fail(n, "meta alone is not available",
			"use meta."+strings.Join(metaFields, ", meta.")+`; a field of this name is $env["meta"]`)
	case "header":
		c.fail(n, "header is a function", `call header("name"); a field of this name is $env["header"]`)
	}
	c.doubtName(n)
	return c.field(n.Value)
}

// field compiles the read of a top-level field.
func (c *compiler) field(name string) code {
	c.fields[name] = true
	read := func(m *machine) (value, error) {
		text, err := m.rec.Field(name)
		if err != nil || text == nil {
			return vNil, err
		}
		v, ok := parse(text)
		if !ok {
			return vNil, errText
		}
		return v, nil
	}
	if len(c.predicates) > 0 {
		read = c.once(read)
	}
	return code{kinds: mJSON, field: name, bare: true, run: read}
}

// once makes an eval that reads at most once an evaluation: looking a field up for each element
// of a large array would be quadratic.
func (c *compiler) once(read eval) eval {
	slot, known := c.reserve(), c.reserve() // nil at the start of each evaluation
	return func(m *machine) (v value, err error) {
		if m.vars[known].kind == kNil {
			if m.vars[slot], err = read(m); err != nil {
				return vNil, err
			}
			m.vars[known] = vTrue
		}
		return m.vars[slot], nil
	}
}

// reserve takes a slot of machine.vars.
func (c *compiler) reserve() int {
	c.slots++
	return c.slots - 1
}

func (c *compiler) let(n *ast.VariableDeclaratorNode) code {
	switch n.Name {
	case "meta", "header", "$env":
		c.fail(n, n.Name+" is reserved", "choose another name")
	}
	of, slot := c.node(n.Value), c.reserve()
	c.letValues = append(c.letValues, n.Value)
	c.lets = append(c.lets, variable{n.Name, slot, of.kinds})
	body := c.node(n.Expr)
	c.lets = c.lets[:len(c.lets)-1]
	return code{kinds: body.kinds, run: func(m *machine) (out value, err error) {
		if m.vars[slot], err = of.run(m); err != nil {
			return vNil, err
		}
		return body.run(m)
	}}
}

// metaFields are what meta has.
var metaFields = []string{"topic", "partition", "offset", "time", "key", "tombstone", "headers", "value"}

// Meta gives the names of what meta has, as in meta.topic.
func Meta() []string { return slices.Clone(metaFields) }

// metaReads reads each of them.
var metaReads = map[string]code{
	"topic":     {kinds: mString, run: func(m *machine) (value, error) { return vString(m.rec.Topic), nil }},
	"partition": {kinds: mInt, run: func(m *machine) (value, error) { return vInt(int64(m.rec.Partition)), nil }},
	"offset":    {kinds: mInt, run: func(m *machine) (value, error) { return vInt(m.rec.Offset), nil }},
	"time": {kinds: mInt | mNil, run: func(m *machine) (value, error) {
		if m.rec.Time == pipeline.NoTime {
			return vNil, nil
		}
		return vInt(m.rec.Time), nil
	}},
	"key":       {kinds: mString | mNil, run: func(m *machine) (value, error) { return textOrNil(m.rec.Key()), nil }},
	"tombstone": boolean(func(m *machine) (bool, error) { return m.rec.Tombstone(), nil }),
	"headers":   {kinds: 1 << kMap, run: allHeaders},
	"value":     {kinds: mString | mNil, run: wholeValue},
}

func textOrNil(text []byte) value {
	if text == nil {
		return vNil
	}
	return vText(text)
}

// wholeValue gives the value as text, whatever it is. Edits are put in without the record being
// changed: others may read it.
func wholeValue(m *machine) (value, error) {
	if !m.rec.Edited() {
		return textOrNil(m.rec.Value()), nil
	}
	out := m.rec.AppendValue(nil)
	return vText(out), m.step(len(out) / 64)
}

// record compiles $env: the value as a whole, whatever JSON it is; nil for a tombstone.
func (c *compiler) record() code {
	read := func(m *machine) (value, error) {
		if m.rec.Tombstone() {
			return vNil, nil
		}
		if err := m.rec.CheckJSON(); err != nil {
			return vNil, err
		}
		text, err := wholeValue(m)
		if err != nil {
			return vNil, err
		}
		v, ok := parse(text.text)
		if !ok {
			return vNil, errText
		}
		return v, nil
	}
	if len(c.predicates) > 0 {
		read = c.once(read)
	}
	return code{kinds: mJSON, run: read}
}

// allHeaders gives the headers as an object; of a name that stands several times the last, as
// header does.
func allHeaders(m *machine) (value, error) {
	out := new(built)
	for _, h := range m.rec.Headers() {
		if err := m.grow(valueBytes + len(h.Name)); err != nil {
			return vNil, err
		}
		out.set(h.Name, textOrNil(h.Value))
	}
	return newMap(out), nil
}

// oneHeader gives the last header of a name, without making an object of all.
func oneHeader(m *machine, name []byte) (value, error) {
	all := m.rec.Headers()
	if err := m.step(len(all)); err != nil {
		return vNil, err
	}
	for _, h := range slices.Backward(all) {
		if h.Name == string(name) {
			return textOrNil(h.Value), nil
		}
	}
	return vNil, nil
}

// isMetaHeaders says whether n is meta.headers.
func (c *compiler) isMetaHeaders(n ast.Node) bool {
	of, ok := n.(*ast.MemberNode)
	if !ok || c.isLet("meta") {
		return false
	}
	base, isName := of.Node.(*ast.IdentifierNode)
	property, isText := of.Property.(*ast.StringNode)
	return isName && isText && base.Value == "meta" && property.Value == "headers"
}

func (c *compiler) meta(n ast.Node, name string) code {
	read, ok := metaReads[name]
	switch {
	case !ok:
		suggestion := "meta has " + strings.Join(metaFields, ", ")
		if near := Nearest(name, metaFields); near != "" {
			suggestion = "did you mean meta." + near + "?"
		}
		c.fail(n, "meta has no "+name, suggestion)
	case name == "value" && len(c.predicates) > 0:
		read.run = c.once(read.run)
	}
	return read
}
