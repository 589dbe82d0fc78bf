package bounded

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"go.starlark.net/starlark"
)

const collide = 4000 // keys of which each goes through all before it: a million buckets

// alike gives keys that fall into one bucket, of each kind that does.
var alike = sync.OnceValue(func() map[string][]starlark.Value {
	all := map[string][]starlark.Value{}
	for i := range collide {
		all["integers"] = append(all["integers"], starlark.MakeInt64(int64(i)<<32))
		all["ids"] = append(all["ids"], starlark.MakeInt64(int64(i)<<22))
		all["fractions"] = append(all["fractions"], starlark.Float(float64(i)/(2*collide)))
		all["tuples"] = append(all["tuples"], starlark.Tuple{starlark.MakeInt64(int64(i) << 32)})
	}
	var text []byte
	for i := int64(0); len(all["texts"]) < collide; i++ {
		text = strconv.AppendInt(text[:0], i, 36)
		hash := uint32(2166136261) // that of the interpreter for short texts
		for _, c := range text {
			hash = (hash ^ uint32(c)) * 16777619
		}
		if hash&(1<<10-1) == 0 {
			all["texts"] = append(all["texts"], starlark.String(text))
		}
	}
	return all
})

// TestKeysThatFallAlike: keys that fall into one bucket make a loop of a loop in one call. It is counted, whatever puts them together.
func TestKeysThatFallAlike(t *testing.T) {
	bodies := map[string]string{
		"set":                "set(x)",
		"dict":               "dict([(k, 1) for k in x])",
		"dict comprehension": "{k: 1 for k in x}",
		"set add":            "s = set()\nfor k in x:\n  s.add(k)",
		"set update":         "s = set()\ns.update(x)",
		"set union":          "s = set().union(x)",
		"set difference":     "s = set([1]).symmetric_difference(x)",
		"set of parts":       "s = set()\nfor i in range(0, len(x), 500):\n  s = s | set(x[i:i+500])",
		"dict update":        "d = {}\nd.update([(k, 1) for k in x])",
		"dict update each":   "d = {}\nfor k in x:\n  d.update([(k, 1)])",
		"dict update dicts":  "d = {}\nfor k in x:\n  d.update({k: 1})",
		"dict in place":      "d = {}\nfor k in x:\n  d |= {k: 1}",
		"dict index":         "d = {}\nfor k in x:\n  d[k] = 1",
		"dict counted":       "d = {}\nfor k in x:\n  d[k] = d.get(k, 0) + 1",
		"dict setdefault":    "d = {}\nfor k in x:\n  d.setdefault(k, 1)",
	}
	for kind, all := range alike() {
		for name, body := range bodies {
			if name != "set" && (kind != "integers" || testing.Short()) {
				continue // that they fall alike is seen in one
			}
			r, f := attack(t, body, Limits{Steps: 500_000, Memory: 64 << 20})
			r.Begin(context.Background())
			if _, err := r.Call(f, starlark.NewList(all)); !errors.Is(err, ErrSteps) {
				t.Errorf("%s of %s: after %d steps: %v", name, kind, r.thread.Steps, err)
			}
			r.End()
		}
	}
}

// TestNamesThatFallAlike decodes an object whose names fall into one bucket, and calls a function with them.
func TestNamesThatFallAlike(t *testing.T) {
	d := new(starlark.Dict)
	for _, k := range alike()["texts"] {
		if err := d.SetKey(k, starlark.None); err != nil {
			t.Fatal(err)
		}
	}
	w := NewRun(Limits{Steps: 1e6, Memory: 64 << 20}, nil)
	w.Begin(context.Background())
	text, err := w.AppendJSON(nil, d)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"decode": "json.decode(x)",
		"call":   "def g(**k): pass\ng(**d)",
	} {
		r, f := attack(t, "d = x\n"+body, Limits{Steps: 500_000, Memory: 64 << 20})
		r.Begin(context.Background())
		var x starlark.Value = starlark.String(text)
		if name == "call" {
			x = d
		}
		if _, err := r.Call(f, x); !errors.Is(err, ErrSteps) {
			t.Errorf("%s: after %d steps: %v", name, r.thread.Steps, err)
		}
		r.End()
	}
}

// TestKeysThatFallApart: what has many keys that fall as chance has it takes a few steps for each, also when they come again and again.
func TestKeysThatFallApart(t *testing.T) {
	for name, body := range map[string]string{
		"integers":    "s = set(range(x))\nfor i in range(x):\n  s.add(i)",
		"texts":       "d = {str(i): i for i in range(x)}\nfor i in range(x):\n  d[str(i)] += 1",
		"again":       "d = {i: 1 for i in range(1000)}\nfor i in range(x):\n  d[i % 7] += 1\n  d.update({i % 5: 1})\n  d.update([(i % 5, 1)])",
		"same":        "set([1, 2, 3] * x)",
		"same pairs":  "dict([(1, 2), (2, 3)] * x)",
		"added, gone": "d = {i: 1 for i in range(1000)}\nfor i in range(1000, x):\n  d[i] = 1\n  d.pop(i - 1000)",
	} {
		const n = 20_000
		r, f := attack(t, body, Limits{Steps: 60 * n, Memory: 1 << 30})
		r.Begin(context.Background())
		if _, err := r.Call(f, starlark.MakeInt(n)); err != nil {
			t.Errorf("%s: after %d steps: %v", name, r.thread.Steps, err)
		}
		r.End()
	}
}

// TestEmptiedTable: a dict or a set that had many keys keeps their buckets, and to empty it again goes through them.
func TestEmptiedTable(t *testing.T) {
	for name, body := range map[string]string{
		"dict":     "d = {i: 1 for i in range(20000)}\nfor i in range(1000):\n  d.clear()",
		"set":      "d = set(range(20000))\nfor i in range(1000):\n  d.clear()",
		"superset": "d = set(range(20000))\nd.clear()\nfor i in range(1000):\n  d.issuperset([])\n  d.issubset([])",
	} {
		r, f := attack(t, body, Limits{Steps: 1_000_000, Memory: 1 << 30})
		r.Begin(context.Background())
		if _, err := r.Call(f, starlark.None); !errors.Is(err, ErrSteps) {
			t.Errorf("%s: after %d steps: %v", name, r.thread.Steps, err)
		}
		r.End()
	}
}

// TestFrozenTable: a table of the top level is not looked through at each record.
func TestFrozenTable(t *testing.T) {
	p, err := Compile("frozen", []byte("d = {i: i for i in range(5000)}\ndef f(x): return d[x]\n"), nil, Limits{Steps: 1e6, Memory: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.Function("f")
	if err != nil {
		t.Fatal(err)
	}
	r := NewRun(Limits{Steps: 100, Memory: 1 << 20}, nil)
	r.Begin(context.Background())
	if v, err := r.Call(f, starlark.MakeInt(7)); err != nil || v.String() != "7" {
		t.Errorf("it gave %v and %v", v, err)
	}
	r.End()
}

// TestBulkEndsWithItsContext: one call that puts many keys together ends with the context, whatever the steps.
func TestBulkEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r, f := attack(t, "set(x)", Limits{Steps: 1e12, Memory: 1 << 30})
	r.Begin(ctx)
	defer r.End()
	cancel()
	if _, err := r.Call(f, starlark.NewList(alike()["integers"])); !errors.Is(err, context.Canceled) {
		t.Errorf("after %d steps: %v", r.thread.Steps, err)
	}
}
