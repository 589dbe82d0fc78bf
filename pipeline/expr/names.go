package expr

import (
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
		c.fail(n, "$env alone is not available", `name a field: $env["flight number"]`)
	case "$":
		c.fail(n, "a name begins at the record by itself, without $", `write user.id for $.user.id; a field of this name is $env["$"]`)
	case "meta":
		c.fail(n, "meta alone is not available",
			`use meta.topic, meta.partition, meta.offset, meta.time or meta.key; a field of this name is $env["meta"]`)
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
var metaFields = []string{"topic", "partition", "offset", "time", "key"}

func (c *compiler) meta(n ast.Node, name string) code {
	switch name {
	case "topic":
		return code{kinds: mString, run: func(m *machine) (value, error) { return vString(m.rec.Topic), nil }}
	case "partition":
		return code{kinds: mInt, run: func(m *machine) (value, error) { return vInt(int64(m.rec.Partition)), nil }}
	case "offset":
		return code{kinds: mInt, run: func(m *machine) (value, error) { return vInt(m.rec.Offset), nil }}
	case "time":
		return code{kinds: mInt | mNil, run: func(m *machine) (value, error) {
			if m.rec.Time == pipeline.NoTime {
				return vNil, nil
			}
			return vInt(m.rec.Time), nil
		}}
	case "key":
		return code{kinds: mString | mNil, run: func(m *machine) (value, error) {
			if m.rec.Key() == nil {
				return vNil, nil
			}
			return vText(m.rec.Key()), nil
		}}
	}
	suggestion := "meta has " + strings.Join(metaFields, ", ")
	if near := nearest(name, metaFields); near != "" {
		suggestion = "did you mean meta." + near + "?"
	}
	c.fail(n, "meta has no "+name, suggestion)
	return code{}
}
