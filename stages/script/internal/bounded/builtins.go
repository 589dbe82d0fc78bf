package bounded

import (
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	starmath "go.starlark.net/lib/math"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A function is what a builtin does in a run.
type function func(r *Run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error)

// Builtin makes a function of the host, which counts what it makes with Take and Work.
func Builtin(name string, do func(r *Run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error)) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		return do(runOf(thread), args, kwargs)
	})
}

// after gives a builtin of the language that is called when count has counted what it does.
func after(name string, count func(r *Run, args starlark.Tuple) error) *starlark.Builtin {
	of := starlark.Universe[name].(*starlark.Builtin)
	return Builtin(name, func(r *Run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if err := count(r, args); err != nil {
			return nil, err
		}
		v, err := of.CallInternal(&r.thread, args, kwargs)
		if err != nil {
			return nil, err
		}
		if t, ok := v.(starlark.Tuple); ok {
			return t, r.tuple(t)
		}
		return v, nil
	})
}

// visible are the names that code has.
func visible() starlark.StringDict {
	names := starlark.StringDict{"json": jsonModule, "math": starmath.Module}
	for _, name := range []string{"None", "True", "False", "bool", "chr", "hasattr", "len", "ord", "range", "type"} {
		names[name] = starlark.Universe[name]
	}
	for name, count := range map[string]func(r *Run, args starlark.Tuple) error{
		"abs":       func(r *Run, _ starlark.Tuple) error { return r.both(maxBits / 4) },
		"all":       ofEach(0),
		"any":       ofEach(0),
		"bytes":     func(r *Run, args starlark.Tuple) error { return r.ofFirst(args, 4) },
		"dict":      hashing(true),
		"dir":       func(r *Run, _ starlark.Tuple) error { return r.both(4 << 10) },
		"enumerate": ofEach(4 * bytesElement),
		"hash":      func(r *Run, args starlark.Tuple) error { return r.ofFirst(args, 0) },
		"int":       number10,
		"list":      ofEach(bytesElement + bytesSlot),
		"repr":      printed,
		"reversed":  ofEach(bytesElement + bytesSlot),
		"set":       hashing(false),
		"str":       printed,
		"tuple":     ofEach(bytesElement + bytesSlot),
		"zip":       zipped,
	} {
		names[name] = after(name, count)
	}
	for _, name := range []string{"enumerate", "zip"} {
		names[name] = pairs(names[name].(*starlark.Builtin))
	}
	names["sorted"], names["max"], names["min"] = Builtin("sorted", sorted), extreme("max", syntax.GT), extreme("min", syntax.LT)
	names["float"] = Builtin("float", float)
	names["getattr"], names["fail"] = Builtin("getattr", getattr), Builtin("fail", fail)
	return names
}

// pairs gives a builtin that makes a list of tuples, which are looked at.
func pairs(of *starlark.Builtin) *starlark.Builtin {
	return Builtin(of.Name(), func(r *Run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		v, err := of.CallInternal(&r.thread, args, kwargs)
		if err != nil {
			return nil, err
		}
		return v, r.tuples(v.(*starlark.List))
	})
}

func ofEach(bytes int64) func(r *Run, args starlark.Tuple) error {
	return func(r *Run, args starlark.Tuple) error {
		if err := r.Take(bytesDict); err != nil || len(args) == 0 {
			return err
		}
		n, err := r.count(args[0])
		if err != nil {
			return err
		}
		return r.elements(n, bytes)
	}
}

// hashing counts what makes a set or a dict of an iterable.
func hashing(pairs bool) func(r *Run, args starlark.Tuple) error {
	return func(r *Run, args starlark.Tuple) error {
		if err := ofEach(bytesEntry)(r, args); err != nil || len(args) == 0 {
			return err
		}
		if err := r.hashed(args[0], pairs); err != nil {
			return err
		}
		return r.merge(nil, args[0], pairs, false)
	}
}

// ofFirst counts so many bytes for each of the first argument, if it is a text or a list.
func (r *Run) ofFirst(args starlark.Tuple, each int64) error {
	if len(args) == 0 {
		return nil
	}
	n := max(0, int64(starlark.Len(args[0])))
	switch v := args[0].(type) {
	case starlark.String:
		n = int64(len(v))
	case starlark.Bytes:
		n = int64(len(v))
	}
	if n > r.limits.Memory {
		r.stopped = ErrMemory
		return ErrMemory
	}
	if err := r.Work(n >> 6); err != nil {
		return err
	}
	return r.both(bytesSmall + n*each)
}

// float is the function of the language, which rounds a Decimal too.
func float(r *Run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := r.ofFirst(args, 4); err != nil { // an error may quote a text
		return nil, err
	}
	if len(args) == 1 && len(kwargs) == 0 {
		if d, ok := args[0].(Decimal); ok {
			f, err := strconv.ParseFloat(string(d), 64)
			if err != nil {
				return nil, say("float: the number is larger than a float can be")
			}
			return starlark.Float(f), nil
		}
	}
	return starlark.Universe["float"].(*starlark.Builtin).CallInternal(&r.thread, args, kwargs)
}

const maxDigits = 20_000 // of an integer that is read

func number10(r *Run, args starlark.Tuple) error {
	if len(args) > 0 {
		if s, ok := args[0].(starlark.String); ok && len(s) > maxDigits {
			return say("int: a text of more than %d characters is no integer that can be used", maxDigits)
		}
	}
	return r.both(maxBits / 4)
}

func printed(r *Run, args starlark.Tuple) error {
	if len(args) != 1 {
		return nil
	}
	_, err := r.print(args[0])
	return err
}

func zipped(r *Run, args starlark.Tuple) error {
	if len(args) == 0 {
		return nil
	}
	least := int64(math.MaxInt64)
	for _, a := range args {
		n, err := r.count(a)
		if err != nil {
			return err
		}
		least = min(least, n)
	}
	return r.elements(least, 2*bytesList+2*bytesSmall*int64(len(args)))
}

// sorted is the function of the language, with what its comparisons take counted first.
func sorted(r *Run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var of starlark.Iterable
	var key starlark.Callable
	var reverse bool
	if err := starlark.UnpackArgs("sorted", args, kwargs, "iterable", &of, "key?", &key, "reverse?", &reverse); err != nil {
		return nil, err
	}
	keys, values, err := r.keyed(of, key)
	if err != nil {
		return nil, err
	}
	n := len(values)
	total, err := r.weigh(keys)
	if err != nil {
		return nil, err
	}
	if err := r.Work((total>>4 + int64(n)) * int64(bits.Len(uint(n)))); err != nil {
		return nil, err
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var failed error
	compared := 0
	less := syntax.LT
	if reverse {
		less = syntax.GT
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if compared++; compared%often == 0 && failed == nil {
			failed = r.ctx.Err()
		}
		if failed != nil {
			return 0
		}
		for _, swapped := range []int{1, -1} {
			is, err := starlark.Compare(less, keys[a], keys[b])
			if failed = err; is || err != nil {
				return -swapped
			}
			a, b = b, a
		}
		return 0
	})
	if failed != nil {
		return nil, r.ended(failed)
	}
	out := make([]starlark.Value, n)
	for i, at := range order {
		out[i] = values[at]
	}
	return starlark.NewList(out), nil
}

// keyed gives the elements of an iterable, and what each is compared by.
func (r *Run) keyed(of starlark.Iterable, key starlark.Callable) (keys, values []starlark.Value, err error) {
	n, err := r.count(of)
	if err == nil {
		err = r.elements(n, bytesElement+4*bytesSlot)
	}
	if err != nil {
		return nil, nil, err
	}
	it := of.Iterate()
	defer it.Done()
	values = make([]starlark.Value, 0, n)
	var v starlark.Value
	for it.Next(&v) {
		values = append(values, v)
	}
	if key == nil {
		return values, values, nil
	}
	keys = make([]starlark.Value, 0, len(values))
	for _, v := range values {
		k, err := starlark.Call(&r.thread, key, starlark.Tuple{v}, nil)
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, k)
	}
	return keys, values, nil
}

// weigh gives what it takes to look at all of the values once.
func (r *Run) weigh(all []starlark.Value) (int64, error) {
	most := r.stepsLeft() * 16
	total := int64(0)
	for _, v := range all {
		w, err := weight(v, most)
		if err != nil {
			return 0, err
		}
		if total += w; total > most {
			r.stopped = ErrSteps
			return 0, ErrSteps
		}
	}
	return total, nil
}

// extreme is max or min, counted.
func extreme(name string, better syntax.Token) *starlark.Builtin {
	return Builtin(name, func(r *Run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var key starlark.Callable
		if err := starlark.UnpackArgs(name, nil, kwargs, "key?", &key); err != nil {
			return nil, err
		}
		var of starlark.Iterable = args
		if len(args) == 0 {
			return nil, say("%s requires at least one positional argument", name)
		} else if len(args) == 1 {
			var ok bool
			if of, ok = args[0].(starlark.Iterable); !ok {
				return nil, say("%s: %s value is not iterable", name, args[0].Type())
			}
		}
		keys, values, err := r.keyed(of, key)
		if err != nil {
			return nil, err
		}
		if len(values) == 0 {
			return nil, say("%s: argument is an empty sequence", name)
		}
		best := 0
		for i := 1; i < len(values); i++ {
			if err := r.compare(keys[i], keys[best]); err != nil {
				return nil, err
			}
			is, err := starlark.Compare(better, keys[i], keys[best])
			if err != nil {
				return nil, err
			}
			if is {
				best = i
			}
		}
		return values[best], nil
	})
}

func getattr(r *Run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var x, otherwise starlark.Value
	var name string
	if err := starlark.UnpackPositionalArgs("getattr", args, kwargs, 2, &x, &name, &otherwise); err != nil {
		return nil, err
	}
	if err := r.key(args[1]); err != nil {
		return nil, err
	}
	v, err := r.attr(x, name)
	if err != nil && r.stopped == nil {
		if otherwise != nil {
			return otherwise, nil
		}
		return nil, &saying{what: "a " + x.Type() + " has no field or method of that name", quoted: err.Error()}
	}
	return v, err
}

// Failed is what an error says of a call of fail. The text that it was called with is the quoted part.
const Failed = "it called fail"

// fail ends the call with a text, which may quote the record.
func fail(r *Run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	sep := " "
	if err := starlark.UnpackArgs("fail", nil, kwargs, "sep?", &sep); err != nil {
		return nil, err
	}
	text, err := r.Text(args, sep)
	if err != nil {
		return nil, err
	}
	return nil, &saying{what: Failed, quoted: text}
}

// Text gives values as one text, parted by sep: a text itself, anything else as it is printed.
func (r *Run) Text(args starlark.Tuple, sep string) (string, error) {
	var b strings.Builder
	for i, v := range args {
		if _, err := r.print(v); err != nil {
			return "", err
		}
		if err := r.both(int64(len(sep))); err != nil {
			return "", err
		}
		if i > 0 {
			b.WriteString(sep)
		}
		if s, ok := starlark.AsString(v); ok {
			b.WriteString(s)
		} else {
			b.WriteString(v.String())
		}
	}
	return b.String(), nil
}
