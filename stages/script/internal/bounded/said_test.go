package bounded

import (
	"context"
	"errors"
	"testing"

	"go.starlark.net/starlark"
)

// TestSaid: an error says what was wrong, and not the values.
func TestSaid(t *testing.T) {
	for body, want := range map[string]string{
		"return 1 << x":    "an integer is shifted by too many bits: 511 are the most",
		"return 1 << -x":   "an integer is shifted by a negative number of bits",
		"l.append(x)":      "append: cannot append to frozen list",
		"d.update({x: x})": "update: cannot insert into frozen hash table",
	} {
		p, err := Compile("said", []byte("l, d = [], {}\ndef f(x):\n  "+body+"\n"), nil, Limits{Steps: 1e6, Memory: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		f, err := p.Function("f")
		if err != nil {
			t.Fatal(err)
		}
		r := NewRun(Limits{Steps: 1e6, Memory: 1 << 20}, nil)
		r.Begin(context.Background())
		var e *Error
		if _, err := r.Call(f, starlark.MakeInt(65000)); !errors.As(err, &e) || e.What != want {
			t.Errorf("%s: it says %v", body, err)
		}
		r.End()
	}
}
