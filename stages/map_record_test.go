package stages

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

// headerSets makes settings.HeaderFields of pairs of a name and an expression.
func headerSets(t *testing.T, pairs ...string) (all settings.HeaderFields[expr.Expr]) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, settings.HeaderField[expr.Expr]{Name: settings.HeaderName(pairs[i]), Value: expression(t, pairs[i+1])})
	}
	return all
}

// whole says all there is to a record.
func whole(rec *pipeline.Record, err error) string {
	out := outcome(rec, err)
	if err != nil {
		return out
	}
	text := func(b []byte) string {
		if b == nil {
			return "nil"
		}
		return string(b)
	}
	var headers []string
	for _, h := range rec.Headers() {
		headers = append(headers, h.Name+"="+text(h.Value))
	}
	return fmt.Sprintf("%s %s@%d [%s]", out, text(rec.Key()), rec.Time, strings.Join(headers, " "))
}

// The records have the key k, the time 1000 and the headers H=v, a=1, a=2.
func TestMapRecord(t *testing.T) {
	type names = []settings.HeaderOrAll
	for name, c := range map[string]struct {
		s    MapSettings
		rows []row
	}{
		"key": {
			MapSettings{Key: ptr(expression(t, "id")), Set: sets(t, "id", "meta.key")},
			[]row{
				{`{"id":"a"}`, `{"id":"k"} a@1000 [H=v a=1 a=2]`},
				{`{"id":1.50}`, `{"id":"k"} 1.50@1000 [H=v a=1 a=2]`},
				{`{"id":{"x": 1}}`, `{"id":"k"} {"x": 1}@1000 [H=v a=1 a=2]`},
				{`{"id":""}`, `{"id":"k"} @1000 [H=v a=1 a=2]`},
				{`{}`, `{"id":"k"} nil@1000 [H=v a=1 a=2]`},
				{"tombstone", `tombstone k@1000 [H=v a=1 a=2]`},
				{`[1]`, "rejected: not_object"},
			},
		},
		"time": {
			MapSettings{Time: ptr(expression(t, `type(at) == "string" ? date(at) : at`))},
			[]row{
				{`{"at":"1970-01-01T00:00:02.0019Z"}`, `{"at":"1970-01-01T00:00:02.0019Z"} k@2001 [H=v a=1 a=2]`},
				{`{"at":"1969-12-31T23:59:59.9999Z"}`, `{"at":"1969-12-31T23:59:59.9999Z"} k@-1 [H=v a=1 a=2]`},
				{`{"at":1700000000123}`, `{"at":1700000000123} k@1700000000123 [H=v a=1 a=2]`},
				{`{"at":1700000000123.9}`, `{"at":1700000000123.9} k@1700000000123 [H=v a=1 a=2]`},
				{`{"at":null}`, `{"at":null} k@1000 [H=v a=1 a=2]`},
				{`{"at":true}`, "rejected: expression"},
				{`{"at":1e300}`, "rejected: expression"},
				{`{"at":123456789012345678901234567890}`, "rejected: expression"},
				{`{"at":-9223372036854775808}`, "rejected: expression"},
				{"tombstone", `tombstone k@1000 [H=v a=1 a=2]`},
			},
		},
		"headers": {
			MapSettings{SetHeaders: headerSets(t, "a", "n", "new", `header("H")`, "none", "nothing", "H", `[n]`), RemoveHeaders: names{{Name: "h"}, {Name: "x"}}},
			[]row{
				{`{"n":"é"}`, `{"n":"é"} k@1000 [H=["é"] a=é new=v]`},
				{`{}`, `{} k@1000 [H=[null] new=v]`},
				{"tombstone", `tombstone k@1000 [H=[null] new=v]`},
			},
		},
		"headers removed": {
			MapSettings{RemoveHeaders: names{{Name: "a"}, {Name: "b"}}},
			[]row{{`{}`, `{} k@1000 [H=v]`}, {`no JSON`, `no JSON k@1000 [H=v]`}},
		},
		"all headers removed": {
			MapSettings{RemoveHeaders: names{{All: true}}},
			[]row{{`{}`, `{} k@1000 []`}, {"tombstone", `tombstone k@1000 []`}},
		},
		"all headers removed, then some set": {
			MapSettings{RemoveHeaders: names{{All: true}}, SetHeaders: headerSets(t, "a", `header("H")`, "b", `meta.headers.a`, "H", "nil")},
			[]row{{`{}`, `{} k@1000 [a=v b=2]`}},
		},
		"a header called *": {
			MapSettings{RemoveHeaders: names{{Name: "*"}}},
			[]row{{`{}`, `{} k@1000 [H=v a=1 a=2]`}},
		},
		"tombstone": {
			MapSettings{Set: sets(t, "id", "after.id"), Key: ptr(expression(t, "before.id")), SetHeaders: headerSets(t, "op", "op"), Tombstone: ptr(condition(t, `op == "d"`))},
			[]row{
				{`{"op":"c","before":{"id":1},"after":{"id":2}}`, `{"op":"c","before":{"id":1},"after":{"id":2},"id":2} 1@1000 [H=v a=1 a=2 op=c]`},
				{`{"op":"d","before":{"id":1}}`, `tombstone 1@1000 [H=v a=1 a=2 op=d]`},
				{`{"op":"d"}`, `tombstone k@1000 [H=v a=1 a=2 op=d]`},
				{`{"op":null,"before":{"id":1}}`, `{"op":null,"before":{"id":1},"id":null} 1@1000 [H=v a=1 a=2]`},
				{`{"op":7}`, `{"op":7,"id":null} nil@1000 [H=v a=1 a=2 op=7]`},
				{"tombstone", `tombstone k@1000 [H=v a=1 a=2]`},
			},
		},
		// What is not to be kept need not be right.
		"nothing of a tombstone is edited": {
			MapSettings{Value: ptr(expression(t, "n + 1")), Set: sets(t, "x", "n + 1"), Keep: []settings.FieldPath{"x"}, Tombstone: ptr(condition(t, `meta.key == "k"`))},
			[]row{{`{"n":"a"}`, `tombstone k@1000 [H=v a=1 a=2]`}, {`no JSON`, `tombstone k@1000 [H=v a=1 a=2]`}},
		},
		"a condition that is none": {
			MapSettings{Tombstone: ptr(condition(t, `gone`))},
			[]row{{`{"gone":7}`, "rejected: expression"}, {`{}`, `{} k@1000 [H=v a=1 a=2]`}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := NewMap(c.s)
			must(t, m, err)
			for _, r := range c.rows {
				rec := headed(r.in)
				if got := whole(rec, m.Process(t.Context(), rec)); got != r.want {
					t.Errorf("%s: got %s, want %s", r.in, got, r.want)
				}
			}
		})
	}
}

// headed gives a record with the headers of TestMapRecord.
func headed(in string) *pipeline.Record {
	rec := value(in)
	v := rec.Value()
	rec.Init(rec.Position, []byte("k"), v, []pipeline.Header{{Name: "H", Value: []byte("v")}, {Name: "a", Value: []byte("1")}, {Name: "a", Value: []byte("2")}}, 1000)
	return rec
}

// The dead letter of a record has it as it came, and a later step sees it as it was edited.
func TestMapAsItCame(t *testing.T) {
	m, err := NewMap(MapSettings{
		Set: sets(t, "a.b", "2"), Key: ptr(expression(t, `"new"`)), Time: ptr(expression(t, "5")),
		SetHeaders: headerSets(t, "a", `"3"`, "b", `"4"`), RemoveHeaders: []settings.HeaderOrAll{{Name: "H"}}, Tombstone: ptr(condition(t, "false")),
	})
	must(t, m, err)
	rec := headed(`{"a":{"b":1}}`)
	if err := m.Process(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if got, want := whole(rec, nil), `{"a":{"b":2}} new@5 [a=3 b=4]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	key, v, headers := rec.Original()
	var came pipeline.Record
	came.Init(rec.Position, key, v, headers, rec.OriginalTime())
	if got, want := whole(&came, nil), `{"a":{"b":1}} k@1000 [H=v a=1 a=2]`; got != want {
		t.Errorf("as it came: %s, want %s", got, want)
	}
	later := expression(t, `[header("a"), header("H"), meta.key, meta.time, a.b]`)
	if got, err := later.JSON(rec); err != nil || string(got) != `["3",null,"new",5,2]` {
		t.Errorf("a later step reads %s, %v", got, err)
	}
	// A part of it has what came too.
	again, err := NewMap(MapSettings{Key: ptr(expression(t, "a.b")), Time: ptr(expression(t, "6"))})
	if err := must(t, again, err).Process(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if key, _, _ := rec.Original(); string(key) != "k" || rec.OriginalTime() != 1000 || rec.Time != 6 || string(rec.Key()) != "2" {
		t.Errorf("edited twice: %s %d, came as %s %d", rec.Key(), rec.Time, key, rec.OriginalTime())
	}
}
