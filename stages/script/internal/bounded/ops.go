package bounded

import (
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// binary gives the builtin of an operator, which counts what it makes before it does.
func binary(op syntax.Token) *starlark.Builtin {
	switch op {
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.LE, syntax.GT, syntax.GE:
		return operator(op, func(r *Run, x, y starlark.Value) (starlark.Value, error) {
			if err := r.compare(x, y); err != nil {
				return nil, err
			}
			is, err := starlark.Compare(op, x, y)
			return starlark.Bool(is), err
		})
	case syntax.IN, syntax.NOT_IN:
		return operator(op, func(r *Run, x, y starlark.Value) (starlark.Value, error) {
			if err := r.in(x, y); err != nil {
				return nil, err
			}
			return starlark.Binary(op, x, y)
		})
	}
	return operator(op, func(r *Run, x, y starlark.Value) (starlark.Value, error) { return r.binary(op, x, y) })
}

func operator(op syntax.Token, do func(r *Run, x, y starlark.Value) (starlark.Value, error)) *starlark.Builtin {
	return starlark.NewBuiltin(op.String(), func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return do(runOf(thread), args[0], args[1])
	})
}

// inPlace gives the builtin of x op= y: what += changes, it changes.
func inPlace(op, of syntax.Token) *starlark.Builtin {
	return operator(op, func(r *Run, x, y starlark.Value) (starlark.Value, error) { return r.inPlace(of, x, y) })
}

func (r *Run) inPlace(op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	switch x := x.(type) {
	case *starlark.List:
		if _, ok := y.(starlark.Iterable); ok && op == syntax.PLUS {
			return x, r.extend(x, y)
		}
	case *starlark.Dict:
		if y, ok := y.(*starlark.Dict); ok && op == syntax.PIPE {
			return x, r.update(x, y)
		}
	}
	return r.binary(op, x, y)
}

func (r *Run) extend(x *starlark.List, y starlark.Value) error {
	n, err := r.count(y)
	if err != nil {
		return err
	}
	if err := r.elements(n, each(y)+bytesSlot); err != nil {
		return err
	}
	r.changed = true
	extend, _ := x.Attr("extend")
	_, err = extend.(*starlark.Builtin).CallInternal(&r.thread, starlark.Tuple{y}, nil)
	return err
}

func (r *Run) update(x, y *starlark.Dict) error {
	if err := r.elements(int64(y.Len()), bytesEntry); err != nil {
		return err
	}
	if err := r.hashed(y, false); err != nil {
		return err
	}
	if err := r.merge(x, y, false, true); err != nil {
		return err
	}
	r.changed = true
	for k, v := range y.Entries() {
		if err := x.SetKey(k, v); err != nil {
			return err
		}
	}
	return nil
}

// elements counts n elements that are gone through and stored.
func (r *Run) elements(n, each int64) error {
	if n > r.limits.Memory { // the product would not fit
		r.stopped = ErrMemory
		return ErrMemory
	}
	if err := r.Take(bytesList + n*each); err != nil {
		return err
	}
	return r.Work(n)
}

// in counts what it takes to find x in y.
func (r *Run) in(x, y starlark.Value) error {
	switch y := y.(type) {
	case starlark.String:
		return r.Work(int64(len(y)) >> 6)
	case starlark.Bytes:
		return r.Work(int64(len(y)) >> 6)
	case *starlark.List, starlark.Tuple:
		return r.among(x, y.(starlark.Indexable))
	}
	if err := r.key(x); err != nil {
		return err
	}
	return r.find(y, x)
}

// among counts what it takes to compare x with each element of y.
func (r *Run) among(x starlark.Value, y starlark.Indexable) error {
	if scalar(x) {
		return r.Work(int64(y.Len()) * (1 + bytesOf(x)>>6))
	}
	for i := range y.Len() {
		if err := r.compare(x, y.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) binary(op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	var err error
	switch x := x.(type) {
	case starlark.Int:
		if y, ok := y.(starlark.Int); ok {
			return r.integers(op, x, y)
		}
		if op == syntax.STAR {
			err = r.repeat(y, x)
		}
	case starlark.Float:
	case starlark.String:
		err = r.ofText(op, string(x), y)
	case starlark.Bytes:
		if y, ok := y.(starlark.Bytes); ok {
			err = r.both(int64(len(x)) + int64(len(y)) + bytesSmall)
		}
	case *starlark.List, starlark.Tuple:
		if n := starlark.Len(y); n >= 0 && op == syntax.PLUS {
			err = r.elements(int64(starlark.Len(x))+int64(n), bytesSlot)
		}
	case *starlark.Dict, *starlark.Set:
		err = r.elements(int64(starlark.Len(x))+max(0, int64(starlark.Len(y))), bytesEntry)
		if err == nil {
			err = r.Take(bytesDict)
		}
		for _, v := range []starlark.Value{x, y} { // what is made hashes all of them anew
			if err == nil {
				err = r.hashed(v, false)
			}
			if err == nil && keysOf(v) != nil {
				err = r.merge(nil, v, false, false)
			}
		}
		if err == nil && keysOf(y) != nil {
			err = r.merge(x, y, false, false)
		}
	}
	if err != nil {
		return nil, err
	}
	if n, ok := y.(starlark.Int); ok && op == syntax.STAR {
		if err := r.repeat(x, n); err != nil {
			return nil, err
		}
	}
	z, err := starlark.Binary(op, x, y)
	if err != nil {
		return nil, err
	}
	if t, ok := z.(starlark.Tuple); ok {
		return t, r.tuple(t)
	}
	return r.made(z)
}

func (r *Run) integers(op syntax.Token, x, y starlark.Int) (starlark.Value, error) {
	if _, small := x.Int64(); !small && op == syntax.STAR {
		if x.BigInt().BitLen()+y.BigInt().BitLen() > 2*maxBits {
			return nil, say("an integer of more than %d bits", maxBits)
		}
	}
	if _, small := x.Int64(); !small {
		if err := r.Work(int64(x.BigInt().BitLen()) >> 6); err != nil {
			return nil, err
		}
	}
	z, err := starlark.Binary(op, x, y)
	if err != nil {
		return nil, err
	}
	return r.made(z)
}

// repeat counts what a text, a list or a tuple takes n times.
func (r *Run) repeat(v starlark.Value, n starlark.Int) error {
	each := int64(1)
	switch v.(type) {
	case starlark.String, starlark.Bytes:
	case *starlark.List, starlark.Tuple:
		each = bytesSlot
	default:
		return nil
	}
	size := int64(starlark.Len(v)) * each
	times, ok := n.Int64()
	if n.Sign() <= 0 || size == 0 {
		return nil
	}
	if !ok || times > r.limits.Memory/size {
		r.stopped = ErrMemory
		return ErrMemory
	}
	return r.both(bytesList + size*times)
}

// ofText counts what an operator on a text makes.
func (r *Run) ofText(op syntax.Token, x string, y starlark.Value) error {
	switch op {
	case syntax.PLUS:
		if y, ok := y.(starlark.String); ok {
			return r.both(int64(len(x)) + int64(len(y)) + bytesSmall)
		}
	case syntax.PERCENT:
		args := starlark.Tuple{y}
		if t, ok := y.(starlark.Tuple); ok {
			args = t
		}
		return r.format(x, int64(strings.Count(x, "%")), args, nil)
	}
	return nil
}

// format counts a text in which there are places for the arguments. Each may stand in all of them.
func (r *Run) format(text string, places int64, args starlark.Tuple, kwargs []starlark.Tuple) error {
	largest, all := int64(0), int64(0)
	for _, v := range args {
		w, err := r.weight(v)
		if err != nil {
			return err
		}
		largest, all = max(largest, w), all+w
	}
	for _, kv := range kwargs {
		w, err := r.weight(kv[1])
		if err != nil {
			return err
		}
		largest, all = max(largest, w), all+w
	}
	if err := r.Work(all >> 6); err != nil {
		return err
	}
	if places > 0 && largest > r.left()/places {
		r.stopped = ErrMemory
		return ErrMemory
	}
	return r.both(2*int64(len(text)) + places*largest + bytesSmall)
}

func unary(op syntax.Token) *starlark.Builtin {
	return starlark.NewBuiltin(op.String(), func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		v, err := starlark.Unary(op, args[0])
		if err != nil {
			return nil, err
		}
		return runOf(thread).made(v)
	})
}
