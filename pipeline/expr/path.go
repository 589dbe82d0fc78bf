package expr

import (
	"errors"

	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// maxPath bounds a path in bytes, and with that how deep the functions of paths go.
const maxPath = 1000

const errPath = fault("a path of more than 1,000 bytes")

// A pathCall is a function some of whose arguments are paths. paths has one for each argument,
// nil for those that are none.
type pathCall func(m *machine, args []value, paths []jsontext.Path) (value, error)

// onPaths makes the binder of a function whose arguments from first to last (-1: all that follow)
// are paths. Constant ones are read when the call is compiled.
func onPaths(first, last int, call pathCall) binder {
	return func(c *compiler, name string, parts []code) caller { return c.pathCall(name, first, last, parts, call) }
}

// pathCall gives the call of a function on paths with these arguments.
func (c *compiler) pathCall(name string, first, last int, parts []code, call pathCall) caller {
	known, all := make([]jsontext.Path, len(parts)), true
	isPath := func(i int) bool { return i >= first && (last < 0 || i <= last) }
	for i, p := range parts {
		switch {
		case !isPath(i):
		case p.constant == nil:
			all = false
		case p.constant.kind == kString:
			known[i] = c.path(name, p)
		}
	}
	if all {
		return func(m *machine, args []value) (value, error) { return call(m, args, known) }
	}
	return func(m *machine, args []value) (value, error) {
		paths := make([]jsontext.Path, len(args))
		for i, v := range args {
			switch {
			case known[i] != nil:
				paths[i] = known[i]
			case isPath(i) && v.kind == kString:
				var err error
				if paths[i], err = pathOf(m, v); err != nil {
					return vNil, err
				}
			}
		}
		return call(m, args, paths)
	}
}

// path reads a constant path.
func (c *compiler) path(name string, k code) jsontext.Path {
	text := string(k.constant.plainText())
	if len(text) > maxPath {
		c.fail(k.at, name+": "+string(errPath), "")
	}
	path, err := settings.FieldPath(text).Path()
	var wrong *settings.NameError
	if errors.As(err, &wrong) {
		c.fail(k.at, wrong.Message, wrong.Suggestion)
	}
	return path
}

// pathOf reads a path that comes from a record.
func pathOf(m *machine, v value) (jsontext.Path, error) {
	text, err := m.text(v)
	if err != nil {
		return nil, err
	}
	if len(text) > maxPath {
		return nil, errPath
	}
	if err := m.step(len(text)); err != nil {
		return nil, err
	}
	path, err := jsontext.ParsePath(string(text))
	if err != nil { // which quotes the path
		return nil, fault("a text is no path")
	}
	return path, nil
}

// lead gives the value to which path leads from v, nil when there is none; path leads to one.
func lead(m *machine, v value, path jsontext.Path) (out value, err error) {
	out = v
	for _, s := range path {
		switch {
		case s.Kind == jsontext.Named:
			out, _, err = field(m, out, s.Name)
		case out.is(mArray):
			out, err = element(m, out, int64(s.Index))
		default:
			return vNil, m.step(0)
		}
		if err != nil {
			return vNil, err
		}
	}
	return out, nil
}

// gather appends what path leads to from v, however many, and not what is missing.
func gather(m *machine, out []value, v value, path jsontext.Path) ([]value, error) {
	single := 0
	for single < len(path) && path[single].Kind < jsontext.EveryMember {
		single++
	}
	v, err := lead(m, v, path[:single])
	if err != nil {
		return out, err
	}
	if single == len(path) {
		if v.kind == kNil {
			return out, nil
		}
		return append(out, v), m.grow(valueBytes)
	}
	err = eachItem(m, v, path[single], func(item value) (err error) {
		out, err = gather(m, out, item, path[single+1:])
		return err
	})
	return out, err
}

// eachItem calls f for all to which a step leads that leads to many: for nothing of what is no
// such container.
func eachItem(m *machine, v value, s jsontext.Step, f func(item value) error) error {
	switch {
	case s.Kind == jsontext.EveryElement && v.is(mArray):
		for it := elements(m, v); ; {
			item, ok, err := it.next()
			if err != nil || !ok {
				return err
			}
			if err := f(item); err != nil {
				return err
			}
		}
	case s.Kind == jsontext.EveryMember && v.is(mObject):
		o, err := object(m, v)
		if err != nil {
			return err
		}
		for _, item := range o.items {
			if err := f(item); err != nil {
				return err
			}
		}
	}
	return m.step(0)
}
