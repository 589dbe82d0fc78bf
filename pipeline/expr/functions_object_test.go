package expr

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// TestPathsOfFunctions: the same path leads to the same, in JSON text of the record and in what
// the expression has built of it. The text keeps every byte that an edit is not about.
func TestPathsOfFunctions(t *testing.T) {
	const value = `{"o":{ "a" : {"b": 1.0,"c":[ {"x":1},{"x":2,"y":3} ]}, "n":null,"a.b":5,"s":"t"},"p":"a.b","wrong":"a..b","k":"z"}`
	const copied = `{"a":{"b":o.a.b,"c":map(o.a.c, fromPairs(toPairs(#)))},"n":nil,"a.b":5,"s":"t"}`
	for _, c := range []struct{ text, want, built string }{ // built: of a copy, "" the same; "!": a part of the error
		{`get(o, "a.b")`, `1.0`, ""}, {`get(o, "a\\.b")`, `5`, ""}, {`get(o, "a.c[0].x")`, `1`, ""}, {`get(o, "a.c[-1].x")`, `2`, ""}, {`get(o, "a.c[2].x")`, `null`, ""},
		{`get(o, "a.c[*].x")`, `[1,2]`, ""}, {`get(o, "a.c[*].y")`, `[3]`, ""}, {`get(o, "*.b")`, `[1.0]`, ""}, {`get(o, "none[*]")`, `[]`, ""}, {`get(o, "none[*]", 1)`, `[]`, ""},
		{`get(o, "n")`, `null`, ""}, {`get(o, "n", 7)`, `7`, ""}, {`get(o, "a.b", 7)`, `1.0`, ""}, {`get(o, "s[0]")`, `null`, ""}, {`get(o, "s.x")`, `null`, ""}, {`get(o, p)`, `1.0`, ""}, {`get(o, missing)`, `!argument 2 is missing`, ""}, {`get(o, wrong)`, `!get: a text is no path`, ""},
		{`get(o.a.c, 1).y`, `3`, ""}, {`get(o, 1)`, `null`, ""}, {`get(missing, "a", "d")`, `"d"`, ""}, {`get(o, "a.b", 1 / (2 - 2))`, `~`, ""}, {`get(o, "a.b", n / missing)`, `1.0`, ""}, {`get(o, "x", 1 / missing)`, `!missing value`, ""},
		{`with(o.a, "b", 2)`, `{"b": 2,"c":[ {"x":1},{"x":2,"y":3} ]}`, `{"b":2,"c":[{"x":1},{"x":2,"y":3}]}`},
		{`with(o.a, "c[*].x", 0)`, `{"b": 1.0,"c":[ {"x":0},{"x":0,"y":3} ]}`, `{"b":1.0,"c":[{"x":0},{"x":0,"y":3}]}`},
		{`with(o.a, "c[1].z.q", "é")`, `{"b": 1.0,"c":[ {"x":1},{"x":2,"y":3,"z":{"q":"é"}} ]}`, `{"b":1.0,"c":[{"x":1},{"x":2,"y":3,"z":{"q":"é"}}]}`},
		{`with(o, "n.x", [1]).n`, `{"x":[1]}`, ""}, {`with(o.a.c, "[-1]", nil)`, `[ {"x":1},null ]`, `[{"x":1},null]`}, {`with(o, "none[*].x", 1) == o`, `true`, ""}, {`with(o, "n[*]", 1) == o`, `true`, ""},
		{`with(o, "s.x", 1)`, `!with: what stands on the path is no object`, ""}, {`with(o, "a[0]", 1)`, `!with: what stands on the path is no array`, ""}, {`with(o, "a.c[2]", 1)`, `!with: what stands on the path has no`, ""}, {`with(o, "none[0]", 1)`, `!is no array`, ""}, {`with(o.a.b, "x", 1)`, `!argument 1 is a number`, ""}, {`with(missing, "x", 1)`, `!argument 1 is missing`, ""},
		{`with(o, p, 9).a.b`, `9`, ""}, {`with(o, "*", 1)`, `{ "a" : 1, "n":1,"a.b":1,"s":1}`, `{"a":1,"n":1,"a.b":1,"s":1}`},
		{`without(o, "a", "n")`, `{ "a.b":5,"s":"t"}`, `{"a.b":5,"s":"t"}`}, {`without(o.a, "c[0]", "b")`, `{"c":[ {"x":2,"y":3} ]}`, `{"c":[{"x":2,"y":3}]}`}, {`without(o.a, "c[*].x")`, `{"b": 1.0,"c":[ {},{"y":3} ]}`, `{"b":1.0,"c":[{},{"y":3}]}`}, {`without(o.a.c, "[-1]")`, `[ {"x":1} ]`, `[{"x":1}]`},
		{`without(o, "none.x", "s.x", "a[0]") == o`, `true`, ""}, {`without(o, "*")`, `{ }`, `{}`}, {`without(o, wrong)`, `!without: a text is no path`, ""}, {`without(missing, "a")`, `!argument 1 is missing`, ""},
		{`pick(o, "a.b", "s")`, `{"a":{"b":1.0},"s":"t"}`, ""}, {`pick(o, "a.c[1].y", "a.b", "none")`, `{"a":{"b":1.0,"c":[{"y":3}]}}`, ""}, {`pick(o.a.c, "[*].y")`, `[{"y":3}]`, ""}, {`pick(o, "none")`, `{}`, ""}, {`pick(o.a.c, "[7]")`, `[]`, ""}, {`pick(o, "n", "a\\.b", p)`, `{"a":{"b":1.0},"n":null,"a.b":5}`, ""},
		{`merge(o, {"s": 1, "t": 2}).s`, `1`, ""}, {`merge(o.a, missing)`, `!argument 2 is missing`, ""}, {`mergeDeep(o, {"a": {"b": 2, "d": 3}}).a == {"b": 2, "c": o.a.c, "d": 3}`, `true`, ""}, {`mergeDeep(o, {"a": 1}).a`, `1`, ""},
		{`merge(toArray(o.a), {"b": 1}).b`, `1`, ""}, {`merge([])`, `{}`, ""}, {`merge([o.a, 1])`, `!merge: element 1 is a number`, ""}, {`map(explode(o, "a.c"), .a.c)`, `[{"x":1},{"x":2,"y":3}]`, ""}, {`explode(o, "a.c[*]")`, `!leads to many`, ""}, {`explode(o, "none")`, `!no array`, ""}, {`explode(o, p)`, `!no array`, ""}, {`toArray(missing)`, `[]`, ""},
		{`keys(flattenKeys(o))`, `["a.b","a.c","n","s"]`, ""}, {`flattenKeys(o)["a.b"]`, `5`, ""}, {`nestKeys({"a.b": k, "a": 2})`, `!a name leads into a member`, ""}, {`nestKeys({"a": {"x": k}, "a.b": 1})`, `!a name leads into a member`, ""}, {`nestKeys(o, missing ?? "")`, `!an empty separator`, ""},
		{`flattenKeys({"a.b": 1, "a": {"b": 2}})`, `{"a.b":2}`, ""}, {`flattenKeys({"a": {"b": 2}, "a.b": 1})`, `{"a.b":1}`, ""},
		{`flattenKeys({"a": {}, "b": {"c": {}}})`, `{"a":{},"b.c":{}}`, ""},
		{`mapValues(o.a, type(#))`, `{"b":"float","c":"array"}`, ""}, {`o.a | mapValues(#key) | keys()`, `["b","c"]`, ""}, {`mapValues(missing, 1)`, `!mapValues of a missing object`, ""}, {`mapValues(o.s, 1)`, `!mapValues of a string, not an object`, ""}, {`mapKeys(o, "x")`, `{"x":"t"}`, ""}, {`filterValues(o, # != nil and #index > 0)`, `{"a.b":5,"s":"t"}`, ""}, {`mapValues({"a": o.a.c}, map(#, .x))`, `{"a":[1,2]}`, ""}, {`filterValues(o.a, .x == nil) == o.a`, `true`, ""}, {`filterValues(o, #)`, `!a condition gives an object`, ""},
		{`mapValues({"mapValues(": 1}, "mapValues(" + string(#))`, `{"mapValues(":"mapValues(1"}`, ""}, {`let mapValues = 1; {mapValues: mapValues + 1}`, `{"mapValues":2}`, ""}, {`"é" + join(values(::mapValues ({"é": 1}, #key)))`, `"éé"`, ""},
	} {
		for _, text := range []string{c.text, "let o = " + copied + "; " + c.text} {
			want := c.want
			if text != c.text && c.built != "" {
				want = c.built
			}
			e := new(Expr)
			if err := e.UnmarshalText([]byte(text)); want == "~" && err != nil {
				continue
			} else if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			got, err := e.JSON(record(value))
			wrong, fails := strings.CutPrefix(want, "!")
			switch {
			case fails && (err == nil || !strings.Contains(err.Error(), wrong)):
				t.Errorf("%s: %s, %v, want an error with %q", text, got, err, wrong)
			case !fails && (err != nil || string(got) != want):
				t.Errorf("%s: %s, %v, want %s", text, got, err, want)
			case err == nil && !jsontext.Valid(got):
				t.Errorf("%s gives %s, which is no JSON", text, got)
			}
		}
	}
}

// TestWrongCallsOfCollections: what is wrong is known when it is compiled, at its column.
func TestWrongCallsOfCollections(t *testing.T) {
	for _, c := range []struct {
		text    string
		column  int
		message string
	}{
		{`get(o, "a..b")`, 8, "empty"}, {`get(o, "a[x]")`, 8, "the path"}, {`x + with(o, "a[", 1)`, 13, "no ]"}, {`without(o, "a", "")`, 17, "empty"}, {`pick(o, "a", 5)`, 14, "pick needs a string here"},
		{`get(o, "` + strings.Repeat("a.", 600) + `a")`, 8, "more than 1,000 bytes"}, {`with(o, "a")`, 1, "3 arguments"}, {`with("x", "a", 1)`, 6, "an array or an object"}, {`with({"a": 1}, "a.b", 1)`, 1, "no object"},
		{`mapValues(o)`, 12, "mapValues takes an object and a predicate"}, {`mapValues([1], #)`, 11, "mapValues needs an object, this is an array"}, {`filterValues(o, "x")`, 17, "the predicate of filterValues needs a boolean"}, {`map(a, #key)`, 8, "there is no #key of an element"}, {`"ü" + mapValues(o, uper(#))`, 21, "there is no function uper"}, {`o.mapValues(#)`, 13, ""},
		{`uniqBy(a)`, 9, "uniqBy takes an array and a predicate"}, {`chunk(a, "x")`, 10, "chunk needs a number"}, {`compact(a, "deeper")`, 12, "deep"}, {`mapvalues(o, 1)`, 1, "there is no function mapvalues"}, {`zip(a)`, 1, "at least 2 arguments"},
	} {
		err := new(Expr).UnmarshalText([]byte(c.text))
		var e *Error
		if !errors.As(err, &e) || e.Column != c.column || !strings.Contains(e.Message, c.message) {
			t.Errorf("%.40s: %+v, want column %d, %q", c.text, err, c.column, c.message)
		}
	}
}

// A function never changes its arguments: a constant one is shared by all evaluations.
func TestArgumentsStayAsTheyAre(t *testing.T) {
	for _, text := range []string{
		`let a = [3, 1, [2]]; let x = [append(a, n), with(a, "[0]", n), without(a, "[0]"), compact(a), chunk(a, 2), zip(a, a), union(a, [n]), sort(take(a, 2))]; a`,
		`let a = {"b": {"c": 1}, "d": [1]}; let x = [with(a, "b.c", n), with(a, "d[0]", n), without(a, "b.c"), merge(a, {"b": n}), mergeDeep(a, {"b": {"c": n}}), mapValues(a, n), flattenKeys(a), pick(a, "b"), nestKeys(a)]; a`,
	} {
		e := mustCompile(t, text)
		want := ""
		for i := range 2 {
			got, err := e.JSON(record(fmt.Sprintf(`{"n":%d}`, 70+i)))
			if i == 0 {
				want = string(got)
			}
			if err != nil || string(got) != want || strings.Contains(want, "7") {
				t.Errorf("%s gives %s, %v", text, got, err)
			}
		}
	}
}

func TestMeta(t *testing.T) {
	edited := record(`{"a":1,"b":2}`)
	if err := edited.SetRaw("a", []byte(`"x"`)); err != nil {
		t.Fatal(err)
	}
	grave := new(pipeline.Record)
	grave.Init(pipeline.Position{Topic: "t"}, nil, nil, nil, pipeline.NoTime)
	for _, c := range []struct {
		rec        *pipeline.Record
		text, want string
	}{
		{record(`not JSON`), `meta.value`, `"not JSON"`}, {record("\xff"), `toBase64(meta.value)`, `"/w=="`}, {record(`{"a": 1}`), `fromJSON(meta.value).a`, `1`}, {record(`{}`), `meta.tombstone`, `false`},
		{edited, `meta.value`, `"{\"a\":\"x\",\"b\":2}"`}, {edited, `map(1..2, len(meta.value))`, `[15,15]`}, {edited, `a`, `"x"`},
		{grave, `meta.value`, `null`}, {grave, `meta.tombstone`, `true`}, {grave, `not meta.tombstone`, `false`}, {grave, `meta.headers`, `{}`}, {grave, `meta.headers.x`, `null`},
		{record(`[`), `meta.headers`, `{"trace":"t1","none":null}`}, {record(`[`), `meta.headers.trace`, `"t1"`}, {record(`[`), `meta["headers"]["trace"]`, `"t1"`}, {record(`[`), `meta.headers.none ?? "no"`, `"no"`}, {record(`[`), `"trace" in meta.headers`, `true`}, {record(`[`), `let h = meta.headers; h.trace`, `"t1"`}, {record(`{"meta":{"headers":{"a":1}}}`), `$env.meta.headers.a`, `1`}, {record(`{}`), `let x = {"headers": {"a": 2}}; x.headers.a`, `2`},
	} {
		e := mustCompile(t, c.text)
		got, err := e.JSON(c.rec)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.text, got, err, c.want)
		}
		if strings.HasPrefix(c.text, "meta") && e.Fields() != nil {
			t.Errorf("%s reads the fields %v", c.text, e.Fields())
		}
	}
	if !edited.Edited() {
		t.Error("reading the value has changed the record")
	}
	for _, text := range []string{`meta.tombstone`, `meta.headers.trace == "t1"`, `meta.value == "x"`, `header("trace") == "t1"`, `"b" in $env`, `try(a, 2) == 1`, `$env != nil and try(a > 0, false)`} {
		var c Condition
		if err := c.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		rec := record(`{}`)
		if n := testing.AllocsPerRun(100, func() { _, _ = c.Condition(rec) }); n != 0 {
			t.Errorf("%s allocates %v times", text, n)
		}
	}
}

// What a stage has set and is no JSON is an error of the record, and no panic.
func TestTextThatIsNoJSON(t *testing.T) {
	rec := record(`{"a":1}`)
	if err := rec.SetRaw("a", []byte(`{"b":[1,`)); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`with(a, "b[0]", 1)`, `with(a, "b[*]", 1)`, `without(a, "b")`, `without({"x": a}, "x.b[0]")`, `explode(a, "b")`} {
		if got, err := mustCompile(t, text).JSON(rec); err == nil || strings.Contains(err.Error(), "internal") {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{`get(a, "b[0]")`, `get(a, "b[*]")`, `pick(a, "b[*]")`, `mapValues(a, #)`, `flattenKeys(a)`, `compact(a, "deep")`, `merge(a)`} {
		if _, err := mustCompile(t, text).JSON(rec); err != nil && strings.Contains(err.Error(), "internal") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
