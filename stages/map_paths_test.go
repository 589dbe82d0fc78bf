package stages

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// sets makes settings.Fields of pairs of a path and an expression.
func sets(t *testing.T, pairs ...string) (all settings.Fields[expr.Expr]) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, settings.Field[expr.Expr]{Name: settings.FieldPath(pairs[i]), Value: expression(t, pairs[i+1])})
	}
	return all
}

// moves makes those of pairs of an old path and a new one.
func moves(pairs ...string) (all settings.Fields[settings.FieldPath]) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, settings.Field[settings.FieldPath]{Name: settings.FieldPath(pairs[i]), Value: settings.FieldPath(pairs[i+1])})
	}
	return all
}

// Every byte that an edit is not about stays as it came.
func TestMapAtDepth(t *testing.T) {
	type paths = []settings.FieldPath
	for name, c := range map[string]struct {
		s    MapSettings
		rows []row
	}{
		"set": {
			MapSettings{Set: sets(t, "user.id", "n", "user.name.last", `"x"`, "items[0].sku", "n", "items[-1].last", "true", `a\.b.c`, "n + 1")},
			[]row{
				{`{"n": 7,"user": {"id" :1 }, "items":[ {}, {"sku":2}]}`, `{"n": 7,"user": {"id" :7,"name":{"last":"x"} }, "items":[ {"sku":7}, {"sku":2,"last":true}],"a.b":{"c":8}}`},
				{`{"n":7,"user":null,"items":[{}]}`, `{"n":7,"user":{"id":7,"name":{"last":"x"}},"items":[{"sku":7,"last":true}],"a.b":{"c":8}}`},
				{`{"n":7,"user":5,"items":[{}]}`, "rejected: no_path"},
				{`{"n":7,"items":[]}`, "rejected: no_path"},
				{`{"n":7}`, "rejected: no_path"},
				{`{"user":{}}`, "rejected: expression"},
				{`[7]`, "rejected: not_object"},
				{"tombstone", "tombstone"},
			},
		},
		"set in each place": {
			MapSettings{Set: sets(t, "items[*].total", "n", "prices.*", "nil", "*.seen", "true")},
			[]row{
				{`{"items":[{"a":1},{"total":2}],"prices":{"a":1,"b":2}}`, "rejected: no_path"}, // *.seen: an array
				{`{"prices":{"a":1,"b":2}}`, `{"prices":{"a":null,"b":null,"seen":true}}`},
				{`{}`, `{}`},
			},
		},
		"every expression reads the record as it came": {
			MapSettings{Set: sets(t, "a.x", "a.y", "a.y", "a.x", "b", "a")},
			[]row{{`{"a":{"x":1,"y":2}}`, `{"a":{"x":2,"y":1},"b":{"x":1,"y":2}}`}},
		},
		"remove": {
			MapSettings{Remove: paths{"a.b", "items[0]", "items[1].x", "items[2]", "*.z", "c[-1]", "c[-2]", "d[*].e", "items[0]"}},
			[]row{
				{`{"a":{"b":1 , "c":2},"items":[0,{"x":1,"y":2},2,3]}`, `{"a":{"c":2},"items":[{"y":2},3]}`},
				{`{"a":1,"p":{"z":1,"y":2},"z":3,"c":[1,2,3],"d":[{"e":1},{"f":2},3]}`, `{"a":1,"p":{"y":2},"z":3,"c":[1],"d":[{},{"f":2},3]}`},
				{`{"items":[]}`, `{"items":[]}`},
				{`7`, "rejected: not_object"},
			},
		},
		"rename": {
			MapSettings{Rename: moves("a.b", "a.c", "a.c", "a.b", "u.id", "id", "name", "u.name.whole", "l[0]", "first", "l[1]", "second")},
			[]row{
				{`{"a":{"b":1,"c":2},"name":"n","l":[1,2,3]}`, `{"a":{"c":1,"b":2},"l":[3],"u":{"name":{"whole":"n"}},"first":1,"second":2}`},
				{`{"u":{"id":1.0},"x":0}`, `{"u":{},"x":0,"id":1.0}`},
				{`{"name":"n","u":5}`, "rejected: no_path"},
				{`{}`, `{}`},
				{`[]`, "rejected: not_object"},
			},
		},
		"rename in each place": {
			MapSettings{Rename: moves("items[*].sku", "items[*].id", "items[*].id", "items[*].old.id", "*.a", "*.b", "tags[*]", "tags[*].tag")},
			[]row{
				{`{"items":[ {"sku":1, "x":0} ,{"id":2,"sku":3},7],"tags":["a",{"b":1}]}`, `{"items":[ {"x":0,"id":1} ,{"id":3,"old":{"id":2}},7],"tags":[{"tag":"a"},{"tag":{"b":1}}]}`},
				{`{"p":{"a":1},"a":{"a":2},"q":{}, "items":{}}`, `{"p":{"b":1},"a":{"b":2},"q":{}, "items":{}}`},
				{`{"items":[{"id":1,"old":3}]}`, "rejected: no_path"},
				{`"a"`, "rejected: not_object"},
			},
		},
		"unwrap": {
			MapSettings{Rename: moves("tags[*].tag", "tags[*]")},
			[]row{{`{"tags":[{"tag":"a"}, {"tag":{"b":1},"c":2},{"c":3}]}`, `{"tags":["a", {"b":1},{"c":3}]}`}},
		},
		"keep": {
			MapSettings{Keep: paths{"user.id", "items[*].sku", "m[0]", "m[-1]", `a\.b`, "p.*.q", "deep.a.b"}},
			[]row{
				{`{"x":1,"items":[{"sku" : 1.50,"y":2},{"y":1},3,[{"sku":4}]],"user":{"name":"n","id":[ 1, 2 ]},"a.b":1,"a":{"b":2}}`,
					`{"items":[{"sku":1.50},{}],"user":{"id":[ 1, 2 ]},"a.b":1}`},
				{`{"user":5,"m":[1,2,3],"items":[],"p":{"a":{"q":1,"r":2},"b":3}}`, `{"m":[1,3],"items":[],"p":{"a":{"q":1}}}`},
				{`{"m":[7],"user":null,"items":{"sku":1}}`, `{"m":[7]}`},
				{`{"user":{"id":1,"id":2,"\u0069d":3},"deep":{"a":{"b":1,"c":2},"d":0}}`, `{"user":{"id":1},"deep":{"a":{"b":1}}}`},
				{`{}`, `{}`},
				{`[]`, "rejected: not_object"},
			},
		},
		"the whole value": {
			MapSettings{Value: ptr(expression(t, `{"id": id, "of": meta.topic}`)), Set: sets(t, "was", "name", "more.deep", "id + 1"), Remove: paths{"of"}},
			[]row{
				{`{"id":1,"name":"n","x":2}`, `{"id":1,"was":"n","more":{"deep":2}}`},
				{`{"name":"n"}`, "rejected: expression"},
				{`[1]`, "rejected: not_object"},
				{`{`, "rejected: invalid_json"},
				{"tombstone", "tombstone"},
			},
		},
		"a value that is no object": {
			MapSettings{Value: ptr(expression(t, `[id]`))},
			[]row{{`{"id":1.50}`, `[1.50]`}, {`{}`, `[null]`}},
		},
		"a value of what is no JSON": {
			MapSettings{Value: ptr(expression(t, `{"key": meta.key}`)), Set: sets(t, "n", "1")},
			[]row{{`no JSON`, `{"key":"k","n":1}`}, {`[1]`, `{"key":"k","n":1}`}},
		},
		"a value in which nothing can be set": {
			MapSettings{Value: ptr(expression(t, `7`)), Set: sets(t, "n", "1")},
			[]row{{`{}`, "rejected: not_object"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := NewMap(c.s)
			processes(t, must(t, m, err), c.rows)
		})
	}
}

func ptr[T any](v T) *T { return &v }

// What is in the way is named, and nothing of the record is quoted.
func TestMapSaysWhere(t *testing.T) {
	for _, c := range []struct {
		s    MapSettings
		in   string
		want string
	}{
		{MapSettings{Set: sets(t, "user.name.last", "1")}, `{"user":{"name":"canary"}}`, "setting user.name.last: user.name is no object"},
		{MapSettings{Set: sets(t, "items[3].x", "1")}, `{"items":["canary"]}`, "setting items[3].x: items has no element [3]"},
		{MapSettings{Rename: moves("a", "b.c")}, `{"a":"canary","b":"canary"}`, "setting b.c: b is no object"},
		{MapSettings{Rename: moves("i[*].a", "i[*].b.c")}, `{"i":[{"a":"canary","b":"canary"}]}`, "renaming i[*].a to i[*].b.c: i[*].b is no object"},
	} {
		m, err := NewMap(c.s)
		rec := value(c.in)
		err = must(t, m, err).Process(t.Context(), rec)
		if err == nil || err.Error() != c.want || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %s", c.in, err, c.want)
		}
	}
}

// drawTree draws an object with objects, arrays and texts in it.
func drawTree(t *rapid.T, depth int) any {
	switch k := rapid.IntRange(0, 3).Draw(t, "kind"); {
	case depth == 0 || k == 0 && depth < 4:
		m := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "size") {
			m[rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")] = drawTree(t, depth+1)
		}
		return m
	case k == 1 && depth < 4:
		l := make([]any, rapid.IntRange(0, 3).Draw(t, "length"))
		for i := range l {
			l[i] = drawTree(t, depth+1)
		}
		return l
	}
	return rapid.SampledFrom([]string{"one", "two"}).Draw(t, "leaf")
}

// drawPath draws a path that begins with a name.
func drawPath(t *rapid.T) jsontext.Path {
	path := jsontext.Path{{Name: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "first")}}
	for range rapid.IntRange(0, 3).Draw(t, "more") {
		path = append(path, rapid.SampledFrom([]jsontext.Step{
			{Name: "a"}, {Name: "b"}, {Kind: jsontext.EveryMember}, {Kind: jsontext.EveryElement}, {Kind: jsontext.Indexed}, {Kind: jsontext.Indexed, Index: 1}, {Kind: jsontext.Indexed, Index: -1},
		}).Draw(t, "step"))
	}
	return path
}

// All that is removed is what the paths led to in the record as it came, whatever their order.
func TestRemoveIsWhatItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawTree(t, 0)
		s := MapSettings{}
		var all []jsontext.Path
		for range rapid.IntRange(1, 4).Draw(t, "paths") {
			path := drawPath(t)
			all = append(all, path)
			s.Remove = append(s.Remove, settings.FieldPath(path.String()))
		}
		m, err := NewMap(s)
		if err != nil {
			if !strings.Contains(err.Error(), "may be the same element") {
				t.Fatal(err)
			}
			t.Skip("elements from both ends") // another draw is made
		}
		text, err := json.MarshalIndent(in, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		rec := value(string(text))
		if err := m.Process(context.Background(), rec); err != nil {
			t.Fatal(err)
		}
		var got any
		if err := json.Unmarshal(rec.Value(), &got); err != nil {
			t.Fatalf("%v: %s", err, rec.Value())
		}
		if want := withoutOf(in, all); !reflect.DeepEqual(got, want) {
			t.Fatalf("%v of %s: %s", all, text, rec.Value())
		}
	})
}

// withoutOf is v without what the paths lead to.
func withoutOf(v any, paths []jsontext.Path) any {
	within := func(fits func(s jsontext.Step) bool) (rest []jsontext.Path, goes bool) {
		for _, p := range paths {
			if fits(p[0]) {
				rest, goes = append(rest, p[1:]), goes || len(p) == 1
			}
		}
		return rest, goes
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, e := range v {
			if rest, goes := within(func(s jsontext.Step) bool { return s == jsontext.Step{Name: name} || s.Kind == jsontext.EveryMember }); !goes {
				out[name] = withoutOf(e, rest)
			}
		}
		return out
	case []any:
		out := []any{}
		for i, e := range v {
			if rest, goes := within(func(s jsontext.Step) bool {
				return s.Kind == jsontext.EveryElement || s.Kind == jsontext.Indexed && (s.Index == i || s.Index == i-len(v))
			}); !goes {
				out = append(out, withoutOf(e, rest))
			}
		}
		return out
	}
	return v
}

// Renames take place at once: what is at the old paths is read, all of it is removed, and then set.
func TestRenameIsWhatItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawTree(t, 0).(map[string]any)
		names := func(what string) (path []string) {
			for range rapid.IntRange(1, 3).Draw(t, what) {
				path = append(path, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"))
			}
			return path
		}
		var from, to [][]string
		s := MapSettings{}
		for range rapid.IntRange(1, 3).Draw(t, "renames") {
			from, to = append(from, names("from")), append(to, names("to"))
			last := len(from) - 1
			s.Rename = append(s.Rename, settings.Field[settings.FieldPath]{
				Name: settings.FieldPath(strings.Join(from[last], ".")), Value: settings.FieldPath(strings.Join(to[last], ".")),
			})
		}
		m, err := NewMap(s)
		if err != nil {
			if text := err.Error(); !strings.Contains(text, "renamed twice") && !strings.Contains(text, "within the other") && !strings.Contains(text, "two fields are renamed") {
				t.Fatal(err)
			}
			t.Skip("one within another") // another draw is made
		}
		text, err := json.MarshalIndent(in, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		rec := value(string(text))
		err = m.Process(context.Background(), rec)
		want, fits := renamedOf(in, from, to)
		if reason, _ := pipeline.IsPermanent(err); !fits {
			if reason != pipeline.ReasonNoPath {
				t.Fatalf("%v of %s: %v, want no_path", s.Rename, text, err)
			}
			return
		}
		var got any
		if err := errors.Join(err, json.Unmarshal(rec.Value(), &got)); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v of %s: %s, %v", s.Rename, text, rec.Value(), err)
		}
	})
}

// renamedOf is v with what is at each path of from at that of to; false: something is in the way.
func renamedOf(v map[string]any, from, to [][]string) (is any, fits bool) {
	parent := func(path []string) map[string]any {
		at := v
		for _, name := range path[:len(path)-1] {
			at, _ = at[name].(map[string]any)
		}
		return at
	}
	taken, there := make([]any, len(from)), make([]bool, len(from))
	for i, path := range from {
		taken[i], there[i] = parent(path)[path[len(path)-1]]
	}
	for _, path := range from {
		if at := parent(path); at != nil {
			delete(at, path[len(path)-1])
		}
	}
	for i, path := range to {
		if !there[i] {
			continue
		}
		at := v
		for _, name := range path[:len(path)-1] {
			if at[name] == nil {
				at[name] = map[string]any{}
			}
			below, ok := at[name].(map[string]any)
			if !ok {
				return nil, false
			}
			at = below
		}
		at[path[len(path)-1]] = taken[i]
	}
	return v, true
}

// Keep against the same done on generic values.
func TestKeepIsWhatItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawTree(t, 0)
		var all []jsontext.Path
		for range rapid.IntRange(1, 3).Draw(t, "paths") {
			all = append(all, drawPath(t))
		}
		text, err := json.MarshalIndent(in, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		rec := value(string(text))
		if err := newKeep(all).only(rec); err != nil {
			t.Fatal(err)
		}
		var got any
		if err := json.Unmarshal(rec.Value(), &got); err != nil {
			t.Fatalf("%v: %s", err, rec.Value())
		}
		if want, _ := keptOf(in, all); !reflect.DeepEqual(got, want) {
			t.Fatalf("%v of %s: %s", all, text, rec.Value())
		}
	})
}

// keptOf is the same said another way: what of v the paths lead to.
func keptOf(v any, paths []jsontext.Path) (any, bool) {
	for _, p := range paths {
		if len(p) == 0 {
			return v, true
		}
	}
	behind := func(fits func(s jsontext.Step) bool) (rest []jsontext.Path) {
		for _, p := range paths {
			if fits(p[0]) {
				rest = append(rest, p[1:])
			}
		}
		return rest
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, e := range v {
			if of := behind(func(s jsontext.Step) bool { return s == jsontext.Step{Name: name} || s.Kind == jsontext.EveryMember }); of != nil {
				if kept, ok := keptOf(e, of); ok {
					out[name] = kept
				}
			}
		}
		return out, behind(func(s jsontext.Step) bool { return s.Kind == jsontext.Named || s.Kind == jsontext.EveryMember }) != nil
	case []any:
		out := []any{}
		for i, e := range v {
			if of := behind(func(s jsontext.Step) bool {
				return s.Kind == jsontext.EveryElement || s.Kind == jsontext.Indexed && (s.Index == i || s.Index == i-len(v))
			}); of != nil {
				if kept, ok := keptOf(e, of); ok {
					out = append(out, kept)
				}
			}
		}
		return out, behind(func(s jsontext.Step) bool { return s.Kind == jsontext.Indexed || s.Kind == jsontext.EveryElement }) != nil
	}
	return v, false
}

// A map of fields at the top costs what it did before there were paths.
func TestMapAllocates(t *testing.T) {
	m, err := NewMap(MapSettings{Set: sets(t, "late", "delay * 2", "route", `origin + "-" + destination`), Remove: []settings.FieldPath{"delay"}})
	must(t, m, err)
	rec, text := new(pipeline.Record), []byte(`{"delay":4,"origin":"OSL","destination":"BGO","x":1}`)
	if n := testing.AllocsPerRun(100, func() {
		rec.Init(pipeline.Position{}, nil, text, nil, 0)
		if err := m.Process(context.Background(), rec); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if out := rec.Value(); !bytes.Equal(out, []byte(`{"origin":"OSL","destination":"BGO","x":1,"late":8,"route":"OSL-BGO"}`)) {
		t.Errorf("%s", out)
	}
}

// What a small record would make of itself by the square is rejected before it is made.
func TestMapManyTimes(t *testing.T) {
	list := strings.Repeat(`{},`, 19_999) + `{}`
	in := `{"note":"` + strings.Repeat("x", 40_000) + `","items":[` + list + `]}`
	for _, s := range []MapSettings{
		{Set: sets(t, "items[*].note", "note")},
		{Set: sets(t, "items[*].i", "items")},
		{Set: sets(t, "*[*].i", "note")},
		{Set: sets(t, "x", `with($env, "items[*].note", note)`)},
		{Set: sets(t, "x", `with(items, "[*].a.note", note)`)},
		{Set: sets(t, "x", `with(map(items, #), "[*].note", note)`)},
		{Set: sets(t, "x", `map(items, note)`)},
	} {
		m, err := NewMap(s)
		must(t, m, err)
		rec := value(in)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out := outcome(rec, m.Process(t.Context(), rec))
		runtime.ReadMemStats(&after)
		if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 64 || out != "rejected: too_large" && out != "rejected: expression" {
			t.Errorf("%s: %.100s, with %d MiB", s.Set[0].Name, out, took)
		}
	}
}
