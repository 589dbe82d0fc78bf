package stages

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

func newRedact(t *testing.T, edit func(*RedactSettings)) *Redact {
	t.Helper()
	s := DefaultRedact()
	edit(&s)
	r, err := NewRedact(s)
	return must(t, r, err)
}

func TestRedactFields(t *testing.T) {
	mask := newRedact(t, func(s *RedactSettings) {
		s.Fields = []settings.FieldPath{"email", "card.number", "people.*.phone", `dotted\.name`, "tags"}
	})
	processes(t, mask, []row{
		{`{"email":"a@b","x": 1.0}`, `{"email":"***","x": 1.0}`},
		{`{"em\u0061il":1,"email":{"a":[1]},"email":"again"}`, `{"em\u0061il":"***","email":"***","email":"***"}`},
		{`{"card":{"number":"4","type":"v"},"number":1}`, `{"card":{"number":"***","type":"v"},"number":1}`},
		{`{"card":[{"number":1},[{"number":2}],3,"number"]}`, `{"card":[{"number":"***"},[{"number":"***"}],3,"number"]}`},
		{`{"people":{"a":{"phone":1,"x":2},"b":{"phone":[3]}}}`, `{"people":{"a":{"phone":"***","x":2},"b":{"phone":"***"}}}`},
		{`{"dotted.name":1,"dotted":{"name":2}}`, `{"dotted.name":"***","dotted":{"name":2}}`},
		{`{"tags":["a","b"]}`, `{"tags":"***"}`},
		{`{"email":null}`, `{"email":null}`},
		{`[{"email":1},2]`, `[{"email":"***"},2]`},
		{` { "card" : [ {"number" : 1 , "c": 2} ] , "z" : 1.0e5 , "t\/" : "\u0041" } `, ` { "card" : [ {"number" : "***" , "c": 2} ] , "z" : 1.0e5 , "t\/" : "\u0041" } `},
		{` {"nothing" : "here"}`, ` {"nothing" : "here"}`},
		{`"email"`, "rejected: not_object"},
		{`null`, "rejected: not_object"},
		{`{"email":"a`, "rejected: invalid_json"},
		{"{\"email\":\"\xff\"}", "rejected: invalid_json"},
		{`{"card":` + strings.Repeat(`[`, 2000) + strings.Repeat(`]`, 2000) + `}`, "rejected: invalid_json"},
		{"tombstone", "tombstone"},
	})
	processes(t, newRedact(t, func(s *RedactSettings) { s.Fields, s.How = []settings.FieldPath{"a.b", "c"}, HowRemove }), []row{
		{`{"a":{"b":1,"d":2},"c":3,"e":4}`, `{"a":{"d":2},"e":4}`},
		{`{"c":3,"a":{"b":1}}`, `{"a":{}}`},
		{` { "a" : [ {"b" : 1 , "d": 2} ] , "z" : 1.0e5 } `, ` { "a" : [ {"d": 2} ] , "z" : 1.0e5 } `},
		{"{\n  \"c\" : 1 ,\n  \"c\" : 2\n}", "{\n  \n}"},
	})
	// Only the key is redacted: the value may be anything.
	processes(t, newRedact(t, func(s *RedactSettings) { s.Key = true }), []row{{`no JSON`, `no JSON`}})
}

// Elements can be named, and are reached without being named.
func TestRedactElements(t *testing.T) {
	type paths = []settings.FieldPath
	for _, c := range []struct {
		fields paths
		rows   []row
	}{
		{paths{"a.b"}, []row{
			{`{"a":{"b":1}}`, `{"a":{"b":"***"}}`},
			{`{"a":[{"b":1},[{"b":2}],3]}`, `{"a":[{"b":"***"},[{"b":"***"}],3]}`},
		}},
		{paths{"a[*].b"}, []row{
			{`{"a":[{"b":1},[{"b":2}],3]}`, `{"a":[{"b":"***"},[{"b":"***"}],3]}`},
			{`{"a":{"b":1}}`, `{"a":{"b":"***"}}`}, // an array of one that was written without brackets
		}},
		{paths{"a[0].b"}, []row{
			{`{"a":[{"b":1},{"b":2}]}`, `{"a":[{"b":"***"},{"b":2}]}`},
			{`{"a":[[{"b":1}],{"b":2}]}`, `{"a":[[{"b":"***"}],{"b":2}]}`},
			{`{"a":[1,[{"b":2}]]}`, `{"a":[1,[{"b":2}]]}`},
			{`{"a":[]}`, `{"a":[]}`},
		}},
		{paths{"a[-1].b"}, []row{{`{"a":[{"b":1},{"b":2}]}`, `{"a":[{"b":1},{"b":"***"}]}`}}},
		{paths{"a[-2]", "a[3]"}, []row{{`{"a":[1,2,3,4,5]}`, `{"a":[1,2,3,"***",5]}`}, {`{"a":[1]}`, `{"a":[1]}`}}},
		{paths{"tags[*]"}, []row{{`{"tags":["a",null,{"b":1}]}`, `{"tags":["***",null,"***"]}`}, {`{"tags":"a"}`, `{"tags":"***"}`}}},
		{paths{"a[0][1]", "a.*.c"}, []row{{`{"a":[[1,2,{"x":{"c":1}}],{"x":{"c":[2]}}]}`, `{"a":[[1,"***",{"x":{"c":"***"}}],{"x":{"c":"***"}}]}`}}},
		{paths{"[0].a", "[*].b"}, []row{
			{`[{"a":1,"b":1},{"a":2,"b":2}]`, `[{"a":"***","b":"***"},{"a":2,"b":"***"}]`},
			{`{"a":1,"b":2}`, `{"a":1,"b":"***"}`},
		}},
		{paths{`a\[0\]`}, []row{{`{"a[0]":1,"a":[2]}`, `{"a[0]":"***","a":[2]}`}}},
		{paths{"a[0]", "a.b", "a"}, []row{{`{"a":[{"b":1}]}`, `{"a":"***"}`}}},
	} {
		processes(t, newRedact(t, func(s *RedactSettings) { s.Fields = c.fields }), c.rows)
	}
	processes(t, newRedact(t, func(s *RedactSettings) { s.Fields, s.How = paths{"a[0]", "b[*].c", "d[*]"}, HowRemove }), []row{
		{`{"a":[1,2,3],"b":[{"c":1},{"c":2,"e":3}],"d":[1,2]}`, `{"a":[2,3],"b":[{},{"e":3}],"d":[]}`},
		{`{"a":[1],"d":7}`, `{"a":[]}`},
	})
	processes(t, newRedact(t, func(s *RedactSettings) { s.Fields, s.How = paths{"[*]"}, HowRemove }), []row{{`[1, 2]`, `[]`}, {`{"a":1}`, `[]`}})
}

func TestRedactHash(t *testing.T) {
	hash := func(secret string) *Redact {
		return newRedact(t, func(s *RedactSettings) {
			s.Fields, s.Key, s.How, s.Secret = []settings.FieldPath{"a", "b"}, true, HowHash, settings.Secret(secret)
		})
	}
	fields := func(r *Redact, in string) (a, b, key string) {
		rec := value(in)
		if err := r.Process(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		var got struct{ A, B string }
		if err := json.Unmarshal(rec.Value(), &got); err != nil {
			t.Fatal(err)
		}
		return got.A, got.B, string(rec.Key())
	}
	r := hash("0123456789abcdef")
	a, b, key := fields(r, `{"a":"\u006b","b":"k"}`)
	// echo -n k | openssl dgst -sha256 -hmac 0123456789abcdef
	const want = "e51aafa1d4392040fcc4f20192c9dad2ac19262d236b87c4595a1aaf2af1e518"
	if a != want || b != want || key != want {
		t.Errorf("got %q %q %q, want %q", a, b, key, want)
	}
	// What is equal is said where how: hash is described.
	for in, equal := range map[string]bool{
		`{"a":1,"b":"1"}`: true, `{"a":1,"b":1.0}`: false, `{"a":{"x":1,"y":2},"b":{"y":2,"x":1}}`: false, `{"a":[1,"\u0041"],"b":[1,"A"]}`: false,
	} {
		if o, p, _ := fields(r, in); (o == p) != equal {
			t.Errorf("%s: %q %q", in, o, p)
		}
	}
	if o, _, _ := fields(r, `{"a":null}`); o != "" {
		t.Errorf("null: %q", o)
	}
	if o, p, _ := fields(r, `{"a":{"x": [1, 2]},"b":{"x":[1,2]}}`); o != p || o == a {
		t.Errorf("equal objects: %q %q", o, p)
	}
	if other, _, _ := fields(hash("fedcba9876543210"), `{"a":"k"}`); other == a {
		t.Error("another secret gives the same hash")
	}
}

func TestRedactKeyAndHeaders(t *testing.T) {
	headers := []pipeline.Header{{Name: "Authorization", Value: []byte("Bearer x")}, {Name: "trace", Value: []byte("1")}, {Name: "AUTHORIZATION"}}
	for how, want := range map[How]string{
		HowMask:   `key "***" [Authorization="***" trace="1" AUTHORIZATION=nil]`,
		HowRemove: `key nil [trace="1"]`,
	} {
		var rec pipeline.Record
		rec.Init(pipeline.Position{}, []byte("secret"), nil, headers, 0)
		r := newRedact(t, func(s *RedactSettings) { s.Key, s.Headers, s.How = true, []settings.HeaderName{"authorization"}, how })
		if err := r.Process(t.Context(), &rec); err != nil {
			t.Fatal(err)
		}
		text := func(b []byte) string {
			if b == nil {
				return "nil"
			}
			return fmt.Sprintf("%q", b)
		}
		var list []string
		for _, h := range rec.Headers() {
			list = append(list, h.Name+"="+text(h.Value))
		}
		if got := fmt.Sprintf("key %s %v", text(rec.Key()), list); got != want {
			t.Errorf("%s: got %s", how, got)
		}
		if key, _, came := rec.Original(); string(key) != "secret" || string(came[0].Value) != "Bearer x" || len(came) != 3 {
			t.Error("the record as it came has changed")
		}
	}
}

func TestRedactSettings(t *testing.T) {
	for _, c := range []struct {
		s    RedactSettings
		want []string
	}{
		{RedactSettings{How: HowMask}, []string{""}},
		{RedactSettings{Key: true, How: "blur"}, []string{"how"}},
		{RedactSettings{Key: true, How: HowHash, Secret: "short"}, []string{"secret"}},
		{RedactSettings{Key: true, How: HowMask, Secret: "s"}, []string{"secret"}},
		{RedactSettings{Fields: []settings.FieldPath{"a..b", "", "$.a", "a[*]", "b*", "a.0", "a[]", "[0].a", "0", "a|b"}, How: HowRemove}, []string{"fields[0]", "fields[1]", "fields[2]", "fields[4]", "fields[5]", "fields[6]", "fields[8]", "fields[9]"}},
	} {
		if got := names(c.s.Validate()); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: got %v, want %v", c.s, got, c.want)
		}
	}
}

// Whatever the value looks like, nothing of a redacted name stays, and the rest is the
// same JSON.
func TestRedactLeavesNothing(t *testing.T) {
	r := newRedact(t, func(s *RedactSettings) { s.Fields = []settings.FieldPath{"*.secret", "secret", "*.*.secret"} })
	rapid.Check(t, func(t *rapid.T) {
		var tree func(depth int) any
		tree = func(depth int) any {
			switch k := rapid.IntRange(0, 5).Draw(t, "kind"); {
			case k < 2 && depth > 0 && depth < 3 || depth == 0:
				m := map[string]any{}
				for range rapid.IntRange(0, 3).Draw(t, "size") {
					m[rapid.SampledFrom([]string{"a", "secret", `q"\`, "é", "b"}).Draw(t, "name")] = tree(depth + 1)
				}
				return m
			case k == 2 && depth < 5:
				return []any{tree(depth), "x"}
			case k == 3:
				return rapid.String().Draw(t, "text")
			default:
				return 17.5
			}
		}
		in := tree(0)
		text, err := json.MarshalIndent(in, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		rec := value(string(text))
		if err := r.Process(context.Background(), rec); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		var out any
		if err := json.Unmarshal(rec.Value(), &out); err != nil {
			t.Fatalf("%v: %s", err, rec.Value())
		}
		want, _ := json.Marshal(masked(in, 0))
		got, _ := json.Marshal(out)
		if !bytes.Equal(got, want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

// Paths with elements against the same done on generic values.
func TestRedactIsWhatItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawTree(t, 0)
		var all []jsontext.Path
		var fields []settings.FieldPath
		for range rapid.IntRange(1, 3).Draw(t, "paths") {
			path := drawPath(t)
			all, fields = append(all, path), append(fields, settings.FieldPath(path.String()))
		}
		s := DefaultRedact()
		s.Fields = fields
		r, err := NewRedact(s)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.MarshalIndent(in, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		rec := value(string(text))
		if err := r.Process(context.Background(), rec); err != nil {
			t.Fatal(err)
		}
		var got any
		if err := json.Unmarshal(rec.Value(), &got); err != nil {
			t.Fatalf("%v: %s", err, rec.Value())
		}
		if want := redactedOf(in, all); !reflect.DeepEqual(got, want) {
			t.Fatalf("%v of %s: %s", all, text, rec.Value())
		}
	})
}

// redactedOf is v without what paths lead to.
func redactedOf(v any, paths []jsontext.Path) any {
	list, isList := v.([]any)
	for i := 0; i < len(paths) && !isList; i++ {
		if len(paths[i]) > 0 && paths[i][0].Kind == jsontext.EveryElement {
			paths = append(slices.Clone(paths), paths[i][1:])
		}
	}
	if slices.ContainsFunc(paths, func(p jsontext.Path) bool { return len(p) == 0 }) {
		return "***"
	}
	if isList {
		out := make([]any, len(list))
		for i, e := range list {
			var of []jsontext.Path
			for _, p := range paths {
				switch s := p[0]; {
				case s.Kind == jsontext.Named, s.Kind == jsontext.EveryMember:
					of = append(of, p)
				case s.Kind == jsontext.EveryElement, s.Index == i, s.Index == i-len(list):
					of = append(of, p[1:])
				}
			}
			out[i] = redactedOf(e, of)
		}
		return out
	}
	members, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := map[string]any{}
	for name, e := range members {
		var of []jsontext.Path
		for _, p := range paths {
			if p[0] == (jsontext.Step{Name: name}) || p[0].Kind == jsontext.EveryMember {
				of = append(of, p[1:])
			}
		}
		out[name] = redactedOf(e, of)
	}
	return out
}

// masked is the same said another way.
func masked(v any, depth int) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if k == "secret" && depth < 3 {
				out[k] = "***"
			} else {
				out[k] = masked(e, depth+1)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = masked(e, depth)
		}
		return out
	}
	return v
}

// What goes takes with it what it takes in a map: itself and one comma.
func TestRedactRemovesAsMapDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		space := func() string { return rapid.SampledFrom([]string{"", "", " ", "\n  "}).Draw(t, "space") }
		var object func(depth int) string
		object = func(depth int) string {
			var members []string
			for range rapid.IntRange(0, 4).Draw(t, "size") {
				value := rapid.SampledFrom([]string{`1.0e5`, `"\u0041 ,}"`, `null`, `"é"`}).Draw(t, "value")
				if depth < 3 && rapid.Bool().Draw(t, "deeper") {
					value = object(depth + 1)
				}
				name := rapid.SampledFrom([]string{`"a"`, `"\u0061"`, `"b"`, `"c"`}).Draw(t, "name")
				members = append(members, space()+name+space()+":"+space()+value+space())
			}
			if members == nil {
				return "{" + space() + "}"
			}
			return "{" + strings.Join(members, ",") + "}"
		}
		text := space() + object(0) + space()
		path := rapid.SampledFrom([]settings.FieldPath{"a", "b", "a.b", "*", "a.*", "*.b", "*.*", "b.a.c"}).Draw(t, "path")
		s := DefaultRedact()
		s.Fields, s.How = []settings.FieldPath{path}, HowRemove
		r, err := NewRedact(s)
		if err != nil {
			t.Fatal(err)
		}
		steps, _ := path.Path()
		rec := value(text)
		if err := r.Process(context.Background(), rec); err != nil {
			t.Fatal(err)
		}
		if want := jsontext.Remove(nil, []byte(text), steps); !bytes.Equal(rec.Value(), want) {
			t.Fatalf("%s of %q: %q, want %q", path, text, rec.Value(), want)
		}
	})
}

// What is put in place may be longer than what stood there, and not without end.
func TestRedactHasABound(t *testing.T) {
	processes(t, newRedact(t, func(s *RedactSettings) {
		s.Fields, s.Mask = []settings.FieldPath{"a[*]"}, strings.Repeat("x", 2<<20)
	}), []row{{`{"a":[` + strings.Repeat("1,", 9) + `1]}`, "rejected: too_large"}})
}
