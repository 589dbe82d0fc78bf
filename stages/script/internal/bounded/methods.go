package bounded

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// attr gives x.name. A method counts what it does, also when it is kept and called later.
func (r *Run) attr(x starlark.Value, name string) (starlark.Value, error) {
	v, err := attrOf(x, name)
	if err != nil {
		return nil, err
	}
	if err := r.Take(2 * bytesList); err != nil {
		return nil, err
	}
	if b, ok := v.(*starlark.Builtin); ok && b.Receiver() != nil && !foreign(x) {
		return starlark.NewBuiltin(name, func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			return runOf(thread).callMethod(b, args, kwargs)
		}).BindReceiver(x), nil
	}
	return v, nil
}

// foreign says whether a value is of a type that the host has made, whose methods count by themselves.
func foreign(x starlark.Value) bool {
	switch x.(type) {
	case starlark.String, starlark.Bytes, *starlark.List, starlark.Tuple, *starlark.Dict, *starlark.Set:
		return false
	}
	return true
}

func attrOf(x starlark.Value, name string) (starlark.Value, error) {
	has, ok := x.(starlark.HasAttrs)
	if !ok {
		return nil, say("%s has no .%s field or method", x.Type(), name)
	}
	v, err := has.Attr(name)
	var no starlark.NoSuchAttrError
	if errors.As(err, &no) || err == nil && v == nil {
		return nil, say("%s has no .%s field or method", x.Type(), name)
	}
	return v, err
}

// method calls x.name with the arguments.
func (r *Run) method(x starlark.Value, name string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v, err := attrOf(x, name)
	if err != nil {
		return nil, err
	}
	if b, ok := v.(*starlark.Builtin); ok {
		if b.Receiver() != nil && !foreign(x) {
			return r.callMethod(b, args, kwargs)
		}
		return b.CallInternal(&r.thread, args, kwargs)
	}
	return starlark.Call(&r.thread, v, args, kwargs)
}

// callMethod calls a method of a type of the language, counted.
func (r *Run) callMethod(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var err error
	switch x := b.Receiver().(type) {
	case starlark.String:
		err = r.textMethod(b.Name(), string(x), args, kwargs)
	case starlark.Bytes:
		err = r.Work(int64(len(x)) >> 6)
	case *starlark.List:
		err = r.listMethod(b.Name(), x, args)
	case *starlark.Dict:
		err = r.dictMethod(b.Name(), x, args, kwargs)
	case *starlark.Set:
		err = r.setMethod(b.Name(), x, args)
	}
	if err != nil {
		return nil, err
	}
	x, before := b.Receiver(), starlark.Len(b.Receiver())
	v, err := b.CallInternal(&r.thread, args, kwargs)
	if err != nil {
		return nil, err
	}
	switch b.Name() {
	case "setdefault", "add":
		r.grown(x, args[0], before)
	case "items":
		return v, r.tuples(v.(*starlark.List))
	case "popitem":
		return v, r.tuple(v.(starlark.Tuple))
	}
	return v, nil
}

// tuples looks at tuples that were just made.
func (r *Run) tuples(l *starlark.List) error {
	for i := range l.Len() {
		if t, ok := l.Index(i).(starlark.Tuple); ok {
			if err := r.tuple(t); err != nil {
				return err
			}
		}
	}
	return nil
}

func textArg(args starlark.Tuple, i int) (string, bool) {
	if i >= len(args) {
		return "", false
	}
	s, ok := args[i].(starlark.String)
	return string(s), ok
}

// textMethod counts what a method of a text makes.
func (r *Run) textMethod(name, x string, args starlark.Tuple, kwargs []starlark.Tuple) error {
	if err := r.both(bytesSmall + int64(len(x)>>6)); err != nil {
		return err
	}
	if err := r.Work(int64(len(x)) >> 6); err != nil {
		return err
	}
	switch name {
	case "upper", "lower", "title", "capitalize":
		size := int64(len(x))
		if strings.IndexFunc(x, func(c rune) bool { return c >= utf8.RuneSelf }) >= 0 {
			size *= 3
		}
		return r.both(size)
	case "join":
		return r.join(x, args)
	case "replace":
		before, ok1 := textArg(args, 0)
		after, ok2 := textArg(args, 1)
		if !ok1 || !ok2 {
			return nil // the error is the method's
		}
		times := int64(strings.Count(x, before))
		if times > 0 && int64(len(after)) > r.left()/times {
			r.stopped = ErrMemory
			return ErrMemory
		}
		return r.both(int64(len(x)) + times*int64(len(after)))
	case "format":
		return r.format(x, int64(strings.Count(x, "{")), args, kwargs)
	case "split", "rsplit", "splitlines":
		return r.elements(pieces(name, x, args), bytesSlot+bytesSlot)
	case "strip", "lstrip", "rstrip":
		if set, ok := textArg(args, 0); ok && len(set) > 64 { // each character is looked for in it
			return r.Work(int64(len(x)>>3) * int64(len(set)>>3))
		}
	case "startswith", "endswith":
		if len(args) > 0 {
			if t, ok := args[0].(starlark.Tuple); ok {
				return r.Work(int64(len(t)) * (1 + int64(len(x))>>6))
			}
		}
	case "partition", "rpartition":
		return r.Take(3 * bytesSmall)
	}
	return nil
}

// pieces is how many pieces a text is split into, at most.
func pieces(name, x string, args starlark.Tuple) int64 {
	if name == "splitlines" {
		return int64(strings.Count(x, "\n")) + 1
	}
	if sep, ok := textArg(args, 0); ok {
		return int64(strings.Count(x, sep)) + 1
	}
	n, space := int64(1), false
	for _, c := range x {
		is := unicode.IsSpace(c)
		if is && !space {
			n++
		}
		space = is
	}
	return n
}

func (r *Run) join(sep string, args starlark.Tuple) error {
	if len(args) == 0 {
		return nil
	}
	it := starlark.Iterate(args[0])
	if it == nil {
		return nil
	}
	defer it.Done()
	var v starlark.Value
	size, n := int64(bytesSmall), int64(0)
	for it.Next(&v) {
		s, _ := v.(starlark.String)
		if size += int64(len(sep) + len(s)); size > r.left() {
			return r.Take(size)
		}
		if n++; n%1024 == 0 {
			if err := r.Work(1024); err != nil {
				return err
			}
		}
	}
	return r.both(2 * size) // it is made in a buffer that grows
}

// listMethod counts what a method of a list does.
func (r *Run) listMethod(name string, x *starlark.List, args starlark.Tuple) error {
	switch name {
	case "append":
		r.changed = true
		return r.Take(bytesElement)
	case "insert":
		r.changed = true
		if err := r.Take(bytesElement); err != nil {
			return err
		}
		return r.Work(int64(x.Len()) >> 4)
	case "extend":
		r.changed = true
		if len(args) == 0 {
			return nil
		}
		n, err := r.count(args[0])
		if err != nil {
			return err
		}
		return r.elements(n, each(args[0])+bytesSlot)
	case "index", "remove":
		r.changed = r.changed || name == "remove"
		if len(args) == 0 {
			return nil
		}
		return r.among(args[0], x)
	case "pop":
		r.changed = true
		return r.Work(int64(x.Len()) >> 4)
	}
	r.changed = true
	return nil
}

// dictMethod counts what a method of a dict does.
func (r *Run) dictMethod(name string, x *starlark.Dict, args starlark.Tuple, kwargs []starlark.Tuple) error {
	if len(args) > 0 {
		if err := r.key(args[0]); err != nil {
			return err
		}
	}
	if err := r.looksUp(name, x, args); err != nil {
		return err
	}
	switch name {
	case "keys", "values":
		return r.elements(int64(x.Len()), bytesSlot)
	case "items":
		return r.elements(int64(x.Len()), 2*bytesElement)
	case "get":
		return nil
	}
	r.changed = true
	switch name {
	case "setdefault":
		return r.Take(bytesEntry)
	case "popitem":
		return r.Take(2 * bytesElement)
	case "update":
		n := int64(len(kwargs))
		if len(args) > 0 {
			of, err := r.count(args[0])
			if err != nil {
				return err
			}
			n += of
			if err := r.hashed(args[0], true); err != nil {
				return err
			}
			if err := r.merge(x, args[0], true, true); err != nil {
				return err
			}
		}
		return r.elements(n, bytesEntry)
	}
	return nil
}

// setMethod counts what a method of a set does.
func (r *Run) setMethod(name string, x *starlark.Set, args starlark.Tuple) error {
	r.changed = true
	if err := r.looksUp(name, x, args); err != nil {
		return err
	}
	switch name {
	case "add", "remove", "discard":
		if len(args) > 0 {
			if err := r.key(args[0]); err != nil {
				return err
			}
		}
		return r.Take(bytesEntry)
	case "pop", "clear":
		return nil
	}
	n := int64(x.Len())
	for _, a := range args {
		of, err := r.count(a)
		if err != nil {
			return err
		}
		n += of
		if err := r.hashed(a, false); err != nil {
			return err
		}
		if err := r.merge(x, a, false, stays(name)); err != nil {
			return err
		}
	}
	if err := r.hashed(x, false); err != nil {
		return err
	}
	if err := r.merge(nil, x, false, false); err != nil {
		return err
	}
	return r.elements(n+4, bytesEntry)
}
