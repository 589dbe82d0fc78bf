package bounded

import (
	"context"
	"fmt"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// MaxSource is how many bytes of code are taken.
const MaxSource = 256 << 10

var options = &syntax.FileOptions{Set: true, While: true, TopLevelControl: true}

// A Program is code that was compiled and whose top level was run. What it has made there is frozen: functions may be called in
// several runs at once.
type Program struct {
	globals  starlark.StringDict
	literals map[string]bool
}

// Literal says whether a text stands in the code as it is.
func (p *Program) Literal(text string) bool { return p.literals[text] }

// Compile compiles code and runs its top level within the limits. own are names that the code has beside those of the language. A
// mistake in the code is a *CodeError, what the top level did an *Error.
func Compile(name string, source []byte, own starlark.StringDict, limits Limits) (*Program, error) {
	return compile(name, source, own, NewRun(limits, nil))
}

func compile(name string, source []byte, own starlark.StringDict, r *Run) (*Program, error) {
	predeclared := visible()
	for k, v := range own {
		predeclared[k] = v
	}
	file, literals, err := parse(name, source, predeclared)
	if err != nil {
		return nil, err
	}
	addInternal(predeclared)
	compiled, err := starlark.FileProgram(file, predeclared.Has)
	if err != nil {
		return nil, codeError(err)
	}
	r.Begin(context.Background())
	globals, err := compiled.Init(&r.thread, predeclared)
	if err != nil {
		return nil, r.wrap(err)
	}
	for name, v := range globals {
		// To freeze goes through all that the values hold.
		if _, err := r.print(v); err != nil {
			return nil, &Error{Cause: err, What: fmt.Sprintf("%s: %v", name, err)}
		}
	}
	globals.Freeze()
	return &Program{globals, literals}, nil
}

// Function gives the function of that name.
func (p *Program) Function(name string) (*starlark.Function, error) {
	switch v := p.globals[name].(type) {
	case *starlark.Function:
		return v, nil
	case nil:
		return nil, fmt.Errorf("the script has no function %s: it needs a def %s(record)", name, name)
	default:
		return nil, fmt.Errorf("%s is a %s in the script, and no function", name, v.Type())
	}
}

// parse reads code and rewrites it. The names are resolved before that, so that errors are about those which stand there; and without
// what the interpreter has for everybody, so that the code has the names of own alone.
func parse(name string, source []byte, own starlark.StringDict) (file *syntax.File, literals map[string]bool, err error) {
	if len(source) > MaxSource {
		return nil, nil, &CodeError{1, 1, fmt.Sprintf("the script has more than %d KiB", MaxSource>>10), ""}
	}
	first, err := options.Parse(name, source, 0)
	if err != nil {
		return nil, nil, codeError(err)
	}
	if err := resolve.File(first, own.Has, func(string) bool { return false }); err != nil {
		return nil, nil, codeError(err)
	}
	file, err = options.Parse(name, source, 0)
	if err != nil {
		return nil, nil, codeError(err)
	}
	literals = map[string]bool{}
	syntax.Walk(file, func(n syntax.Node) bool {
		if l, ok := n.(*syntax.Literal); ok && l.Token == syntax.STRING {
			literals[l.Value.(string)] = true
		}
		return true
	})
	w := rewriter{}
	file.Stmts = w.stmts(file.Stmts)
	if w.err != nil {
		return nil, nil, w.err
	}
	return file, literals, nil
}

// addInternal adds the functions that rewritten code calls.
func addInternal(names starlark.StringDict) {
	for op := syntax.PLUS; op <= syntax.NOT_IN; op++ {
		text := op.String()
		switch op {
		case syntax.PLUS, syntax.MINUS, syntax.STAR, syntax.SLASH, syntax.SLASHSLASH, syntax.PERCENT, syntax.AMP, syntax.PIPE,
			syntax.CIRCUMFLEX, syntax.LTLT, syntax.GTGT, syntax.EQL, syntax.NEQ, syntax.LT, syntax.LE, syntax.GT, syntax.GE, syntax.IN, syntax.NOT_IN:
			names[text] = binary(op)
		}
		if of, ok := inPlaceOps[text]; ok {
			names[text] = inPlace(op, of)
		}
	}
	for _, op := range []syntax.Token{syntax.PLUS, syntax.MINUS, syntax.TILDE} {
		names[nameUnary+op.String()] = unary(op)
	}
	for name, do := range internal {
		names[name] = Builtin(name, do)
	}
}

var internal = map[string]function{
	nameIndex: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) { return r.index(a[0], a[1]) },
	nameSetIndex: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return starlark.None, r.setIndex(a[1], a[2], a[0])
	},
	nameSlice: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return r.slice(a[0], a[1], a[2], a[3])
	},
	nameAttr: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return r.attr(a[0], string(a[1].(starlark.String)))
	},
	nameMethod: func(r *Run, a starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		return r.method(a[0], string(a[1].(starlark.String)), a[2:], kwargs)
	},
	nameTuple: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		if err := r.Take(bytesSmall + bytesSlot*int64(len(a))); err != nil {
			return nil, err
		}
		return a, r.tuple(a)
	},
	nameCharge: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		n, _ := a[1].(starlark.Int).Int64()
		return a[0], r.Take(n)
	},
	nameElement: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return a[0], r.Take(bytesElement)
	},
	nameKey: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		if err := r.key(a[0]); err != nil {
			return nil, err
		}
		return a[0], r.Take(bytesEntry)
	},
	nameDict: func(r *Run, _ starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		d := new(starlark.Dict)
		r.making = append(r.making, d)
		return d, r.Take(bytesDict)
	},
	nameEntry: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return starlark.False, r.entry(a[0], a[1])
	},
	nameMade: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		r.making = r.making[:len(r.making)-1]
		return a[0], nil
	},
	nameStar: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		n, err := r.count(a[0])
		if err != nil {
			return nil, err
		}
		return a[0], r.elements(n, each(a[0])+bytesSlot)
	},
	nameStarStar: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		d, ok := a[0].(*starlark.Dict)
		if !ok {
			return a[0], nil
		}
		for k := range d.Entries() {
			if s, ok := k.(starlark.String); ok && len(s) > 1<<10 {
				return nil, say("a name of an argument is longer than 1 KiB")
			}
		}
		if err := r.merge(nil, d, false, false); err != nil {
			return nil, err
		}
		return d, r.elements(int64(d.Len()), bytesEntry)
	},
	nameParams: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		for _, v := range a {
			if err := r.elements(int64(starlark.Len(v))+4, bytesEntry); err != nil {
				return nil, err
			}
			if t, ok := v.(starlark.Tuple); ok {
				if err := r.tuple(t); err != nil {
					return nil, err
				}
			}
		}
		return starlark.None, nil
	},
	nameThen: func(_ *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) { return a[1], nil },
	namePlace: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		v, err := r.index(a[0], a[1])
		if err != nil {
			return nil, err
		}
		return &place{Value: v, of: a[0], index: a[1]}, nil
	},
	nameField: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		name := string(a[1].(starlark.String))
		v, err := attrOf(a[0], name)
		if err != nil {
			return nil, err
		}
		return &place{Value: v, of: a[0], field: name}, nil
	},
	namePut: func(r *Run, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return starlark.None, r.put(a[0].(*place), string(a[1].(starlark.String)), a[2])
	},
}

// Check finds mistakes in code without running any of it. An error is a *CodeError.
func Check(name string, source []byte, own starlark.StringDict) error {
	predeclared := visible()
	for k, v := range own {
		predeclared[k] = v
	}
	_, _, err := parse(name, source, predeclared)
	return err
}
