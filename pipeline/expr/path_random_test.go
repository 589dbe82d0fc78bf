package expr

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"testing"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// randomJSON gives a value with few names, so that paths lead somewhere.
func randomJSON(r *rand.Rand, depth int) any {
	switch n := r.IntN(6); {
	case depth > 0 && n < 3:
		o := map[string]any{}
		for range r.IntN(4) {
			o[string(rune('a'+r.IntN(3)))] = randomJSON(r, depth-1)
		}
		return o
	case depth > 0 && n < 5:
		a := []any{}
		for range r.IntN(4) {
			a = append(a, randomJSON(r, depth-1))
		}
		return a
	case n == 0:
		return nil
	}
	return float64(r.IntN(9))
}

func randomPath(r *rand.Rand) (path jsontext.Path) {
	for range 1 + r.IntN(3) {
		s := jsontext.Step{Kind: jsontext.StepKind(r.IntN(4))}
		if s.Kind == jsontext.Named {
			s.Name = string(rune('a' + r.IntN(3)))
		} else if s.Kind == jsontext.Indexed {
			s.Index = r.IntN(5) - 2
		}
		path = append(path, s)
	}
	return path
}

// builtOf gives JSON text as an expression would have built it, in every level.
func builtOf(t *testing.T, m *machine, v value) value {
	switch {
	case v.kind == kObject:
		o, err := object(m, v)
		if err != nil {
			t.Fatal(err)
		}
		for i := range o.items {
			o.items[i] = builtOf(t, m, o.items[i])
		}
		return newMap(o)
	case v.kind == kArray:
		all, err := list(m, v)
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			all[i] = builtOf(t, m, all[i])
		}
		return newList(all)
	}
	return v
}

// TestTextAndBuiltAgree: what a path does with the JSON text of a record, and with the same that
// an expression has built, is the same, and so is whether it is an error.
func TestTextAndBuiltAgree(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv("SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	changed := 0
	for range 5000 {
		text, err := json.Marshal(randomJSON(r, 3))
		if err != nil {
			t.Fatal(err)
		}
		v, _ := parse(text)
		if !v.is(mObject | mArray) {
			continue
		}
		path, more := randomPath(r), randomPath(r)
		for name, call := range map[string]func(*machine, value) (value, error){
			"with":    func(m *machine, v value) (value, error) { return put(m, v, path, vInt(77)) },
			"without": func(m *machine, v value) (value, error) { return drop(m, v, path) },
			"pick": func(m *machine, v value) (value, error) {
				return pick(m, []value{v}, []jsontext.Path{nil, path, more})
			},
			"get": func(m *machine, v value) (value, error) {
				all, err := gather(m, nil, v, path)
				return newList(all), err
			},
		} {
			got, gotErr := resultOf(t, call, func(m *machine) value { return v })
			want, wantErr := resultOf(t, call, func(m *machine) value { return builtOf(t, m, v) })
			if (gotErr == nil) != (wantErr == nil) || !reflect.DeepEqual(got, want) {
				t.Errorf("%s of %s at %s, %s: of text %v, %v; of what was built %v, %v", name, text, path, more, got, gotErr, want, wantErr)
			}
			var before any
			if json.Unmarshal(text, &before) == nil && gotErr == nil && name != "get" && !reflect.DeepEqual(before, got) {
				changed++
			}
		}
	}
	if changed < 1000 {
		t.Errorf("only %d calls changed something", changed)
	}
}

func resultOf(t *testing.T, call func(*machine, value) (value, error), of func(*machine) value) (any, error) {
	t.Helper()
	m := new(machine)
	v, err := call(m, of(m))
	if err != nil {
		return nil, err
	}
	text, err := appendJSON(m, nil, v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%s is no JSON: %v", text, err)
	}
	return out, nil
}
