package expr

import (
	"slices"

	"github.com/expr-lang/expr/ast"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// This file has what get, with, without and pick do with paths; the paths are compiled in path.go.

// get compiles get(value, path) and get(value, path, default). The default is evaluated when it
// is needed.
func (c *compiler) get(n ast.Node, name string, args []ast.Node) code {
	f := functions[name]
	parts := c.arguments(n, name, f, args)
	f.call = c.pathCall(name, 1, 1, parts[:2], func(m *machine, args []value, paths []jsontext.Path) (value, error) {
		switch path := paths[1]; {
		case path == nil && args[1].kind == kBig:
			return vNil, m.step(0)
		case path == nil:
			return element(m, args[0], args[1].num)
		case path.Many():
			out, err := gather(m, nil, args[0], path)
			return newList(out), err
		default:
			return lead(m, args[0], path)
		}
	})
	run := func(m *machine) (value, error) { return invoke(m, name, f, parts[:2]) }
	if len(parts) < 3 {
		return c.fold(n, code{kinds: f.kinds, run: run}, parts...)
	}
	return c.fold(n, code{kinds: f.kinds, run: func(m *machine) (value, error) {
		if v, err := run(m); err != nil || v.kind != kNil {
			return v, err
		}
		return parts[2].run(m)
	}}, parts...)
}

// with gives the first argument with the third at a path.
func with(m *machine, args []value, paths []jsontext.Path) (value, error) {
	return put(m, args[0], paths[1], args[2])
}

// put gives v with new at path: the JSON text of a record is edited and keeps its other bytes,
// and what the expression built is copied as far as it changes.
func put(m *machine, v value, path jsontext.Path, new value) (value, error) {
	if len(path) == 0 {
		return new, nil
	}
	switch step := path[0]; {
	case v.kind == kObject || v.kind == kArray:
		return putText(m, v, path, new)
	case v.kind == kNil:
		return putNothing(m, path, new)
	case v.kind == kMap && (step.Kind == jsontext.Named || step.Kind == jsontext.EveryMember):
		return putMembers(m, v, path, new)
	case v.kind == kList && (step.Kind == jsontext.Indexed || step.Kind == jsontext.EveryElement):
		return putElements(m, v, path, new)
	case step.Kind == jsontext.Named || step.Kind == jsontext.EveryMember:
		return vNil, fault("what stands on the path is no object")
	}
	return vNil, fault("what stands on the path is no array")
}

// putText is put for JSON text of the record.
func putText(m *machine, v value, path jsontext.Path, new value) (value, error) {
	text, err := appendJSON(m, nil, new)
	if err != nil {
		return vNil, err
	}
	if !jsontext.Valid(v.text) {
		return vNil, errText
	}
	added := len(text) + maxPath
	if path.Many() {
		added = max(0, jsontext.Growth(v.text, path, len(text)))
	}
	if err := m.grow(len(v.text) + added); err != nil {
		return vNil, err
	}
	out, err := jsontext.Set(make([]byte, 0, len(v.text)+added), v.text, path, text)
	if e, ok := err.(*jsontext.NoPathError); ok { // whose path may come from the record
		return vNil, fault("what stands on the path " + e.Why)
	}
	return value{kind: v.kind, text: out}, m.step(len(v.text) / 16)
}

// putNothing is put where nothing is: the objects that lead to new. Nothing comes of a path that
// leads to many.
func putNothing(m *machine, path jsontext.Path, new value) (value, error) {
	for _, s := range path {
		switch s.Kind {
		case jsontext.Indexed:
			return vNil, fault("what stands on the path is no array")
		case jsontext.EveryMember, jsontext.EveryElement:
			return vNil, nil
		}
	}
	for _, s := range slices.Backward(path) {
		if err := m.grow(valueBytes + len(s.Name)); err != nil {
			return vNil, err
		}
		new = newMap(&built{names: []string{s.Name}, items: []value{new}})
	}
	return new, nil
}

func putMembers(m *machine, v value, path jsontext.Path, new value) (value, error) {
	out, err := copiedMap(m, v)
	if err != nil {
		return vNil, err
	}
	if path[0].Kind == jsontext.EveryMember {
		for i := range out.items {
			if out.items[i], err = put(m, out.items[i], path[1:], new); err != nil {
				return vNil, err
			}
		}
		return newMap(out), nil
	}
	i, there := out.find(path[0].Name)
	if !there && path[1:].Many() {
		_, err := putNothing(m, path[1:], new) // says whether that is wrong
		return v, err
	}
	var item value
	if there {
		item = out.items[i]
	}
	if item, err = put(m, item, path[1:], new); err != nil {
		return vNil, err
	}
	out.set(path[0].Name, item)
	return newMap(out), m.grow(valueBytes)
}

func putElements(m *machine, v value, path jsontext.Path, new value) (value, error) {
	all, err := copied(m, v)
	if err != nil {
		return vNil, err
	}
	from, to := 0, len(all)
	if step := path[0]; step.Kind == jsontext.Indexed {
		if from = step.Index; from < 0 {
			from += len(all)
		}
		if to = from + 1; from < 0 || from >= len(all) {
			return vNil, fault("what stands on the path has no such element")
		}
	}
	for i := from; i < to; i++ {
		if all[i], err = put(m, all[i], path[1:], new); err != nil {
			return vNil, err
		}
	}
	return newList(all), nil
}

// copiedMap gives the members of an object, to be changed.
func copiedMap(m *machine, v value) (*built, error) {
	o, err := object(m, v)
	if err != nil {
		return nil, err
	}
	if err := m.grow(valueBytes * len(o.items)); err != nil {
		return nil, err
	}
	out := new(built)
	for i, name := range o.names {
		out.set(name, o.items[i])
	}
	return out, nil
}

// without gives the first argument without what the paths lead to.
func without(m *machine, args []value, paths []jsontext.Path) (v value, err error) {
	v = args[0]
	for _, path := range paths[1:] {
		if v, err = drop(m, v, path); err != nil {
			return vNil, err
		}
	}
	return v, nil
}

// drop gives v without what path leads to, as put gives it with it.
func drop(m *machine, v value, path jsontext.Path) (value, error) {
	switch step := path[0]; {
	case v.kind == kObject || v.kind == kArray:
		if !jsontext.Valid(v.text) {
			return vNil, errText
		}
		if err := m.grow(len(v.text)); err != nil {
			return vNil, err
		}
		return value{kind: v.kind, text: jsontext.Remove(make([]byte, 0, len(v.text)), v.text, path)}, m.step(len(v.text) / 16)
	case v.kind == kMap && (step.Kind == jsontext.Named || step.Kind == jsontext.EveryMember):
		out := new(built)
		err := m.grow(valueBytes * len(v.built.items))
		for i, name := range v.built.names {
			item := v.built.items[i]
			if step.Kind == jsontext.EveryMember || name == step.Name {
				if len(path) == 1 {
					continue
				}
				if item, err = drop(m, item, path[1:]); err != nil {
					return vNil, err
				}
			}
			out.set(name, item)
		}
		return newMap(out), err
	case v.kind == kList && (step.Kind == jsontext.Indexed || step.Kind == jsontext.EveryElement):
		if step.Index < 0 {
			step.Index += len(v.built.items)
		}
		var out []value
		err := m.grow(valueBytes * len(v.built.items))
		for i, item := range v.built.items {
			if step.Kind == jsontext.EveryElement || i == step.Index {
				if len(path) == 1 {
					continue
				}
				if item, err = drop(m, item, path[1:]); err != nil {
					return vNil, err
				}
			}
			out = append(out, item)
		}
		return newList(out), err
	}
	return v, m.step(0)
}

// pick gives of the first argument what the paths lead to.
func pick(m *machine, args []value, paths []jsontext.Path) (value, error) {
	v, ok, err := picked(m, args[0], paths[1:])
	if !ok && err == nil { // an array of which nothing is kept, say
		if v = newMap(new(built)); args[0].is(mArray) {
			v = newList(nil)
		}
	}
	return v, err
}

// picked gives of v what the paths lead to, and says whether there is anything.
func picked(m *machine, v value, paths []jsontext.Path) (value, bool, error) {
	if slices.ContainsFunc(paths, func(p jsontext.Path) bool { return len(p) == 0 }) {
		return v, true, m.step(0)
	}
	// below gives the rest of the paths whose first step leads to an item.
	below := func(leads func(jsontext.Step) bool) (rest []jsontext.Path, err error) {
		for _, p := range paths {
			if leads(p[0]) {
				rest = append(rest, p[1:])
			}
		}
		return rest, m.step(len(paths))
	}
	switch {
	case v.is(mObject):
		return pickedMembers(m, v, below)
	case v.is(mArray):
		return pickedElements(m, v, below)
	}
	return vNil, false, m.step(0)
}

type pathsBelow func(leads func(jsontext.Step) bool) ([]jsontext.Path, error)

func pickedMembers(m *machine, v value, below pathsBelow) (value, bool, error) {
	o, err := object(m, v)
	if err != nil {
		return vNil, false, err
	}
	out := new(built)
	for i, name := range o.names {
		rest, err := below(func(s jsontext.Step) bool {
			return s.Kind == jsontext.EveryMember || s.Kind == jsontext.Named && s.Name == name
		})
		if err != nil {
			return vNil, false, err
		}
		if len(rest) == 0 {
			continue
		}
		item, ok, err := picked(m, o.items[i], rest)
		if err == nil {
			err = m.grow(valueBytes)
		}
		if err != nil {
			return vNil, false, err
		}
		if ok {
			out.set(name, item)
		}
	}
	return newMap(out), len(out.items) > 0, nil
}

func pickedElements(m *machine, v value, below pathsBelow) (value, bool, error) {
	n, err := length(m, []value{v})
	if err != nil {
		return vNil, false, err
	}
	var out []value
	it := elements(m, v)
	for i := 0; ; i++ {
		item, more, err := it.next()
		if err != nil || !more {
			return newList(out), len(out) > 0, err
		}
		rest, err := below(func(s jsontext.Step) bool {
			return s.Kind == jsontext.EveryElement || s.Kind == jsontext.Indexed && (s.Index == i || s.Index == i-int(n.num))
		})
		if err != nil {
			return vNil, false, err
		}
		if len(rest) == 0 {
			continue
		}
		item, ok, err := picked(m, item, rest)
		if err == nil {
			err = m.grow(valueBytes)
		}
		if err != nil {
			return vNil, false, err
		}
		if ok {
			out = append(out, item)
		}
	}
}
