package stages

import (
	"reflect"
	"testing"

	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

func TestFilter(t *testing.T) {
	f, err := NewFilter(FilterSettings{When: condition(t, "delay >= 15")})
	processes(t, must(t, f, err), []row{
		{`{"delay":15}`, `{"delay":15}`},
		{` {"delay" : 9e9}`, ` {"delay" : 9e9}`},
		{`{"delay":14}`, "filtered"},
		{`{"late":14}`, "filtered"},
		{`{"delay":null}`, "filtered"},
		{`{"delay":"15"}`, "rejected: expression"},
		{`[1]`, "rejected: not_object"},
		{`"text"`, "rejected: not_object"},
		{`null`, "rejected: not_object"},
		{`{"delay":`, "rejected: invalid_json"},
		{"tombstone", "filtered"},
	})
	f, err = NewFilter(FilterSettings{When: condition(t, `meta.key == "k"`)})
	processes(t, must(t, f, err), []row{{"tombstone", "tombstone"}, {"no JSON", "no JSON"}, {`[1]`, `[1]`}})
	if _, err := NewFilter(FilterSettings{}); err == nil {
		t.Error("a filter without a condition")
	}
}

func TestMap(t *testing.T) {
	set := func(name, text string) settings.Field[expr.Expr] {
		return settings.Field[expr.Expr]{Name: name, Value: expression(t, text)}
	}
	for name, c := range map[string]struct {
		s    MapSettings
		rows []row
	}{
		"set reads the record as it came": {
			MapSettings{Set: settings.Fields[expr.Expr]{set("a", "b"), set("b", "a"), set("c", "a + b"), set("none", "nothing"), set("copy", "d")}},
			[]row{
				{`{"a":1,"b":2,"d":1.10}`, `{"a":2,"b":1,"d":1.10,"c":3,"none":null,"copy":1.10}`},
				{`{"a":1}`, "rejected: expression"},
				{`[1]`, "rejected: not_object"},
				{`17`, "rejected: not_object"},
				{`{"a"`, "rejected: invalid_json"},
				{"tombstone", "tombstone"},
			},
		},
		"remove": {
			MapSettings{Remove: []settings.FieldName{"a", "a.b", "*"}},
			[]row{
				{`{"a":1, "b":{"a":1},"a.b":2,"*":3,"a":4}`, `{"b":{"a":1}}`},
				{`"a"`, "rejected: not_object"},
				{"tombstone", "tombstone"},
			},
		},
		"rename": {
			MapSettings{Rename: settings.Fields[settings.FieldName]{{Name: "a", Value: "b"}, {Name: "b", Value: "a"}, {Name: "x", Value: "y"}}},
			[]row{
				{`{"a":1,"b":2,"c":3}`, `{"a":2,"b":1,"c":3}`},
				{`{"a":1}`, `{"b":1}`},
				{`{"x":null,"y":1}`, `{"y":null}`},
				{`null`, "rejected: not_object"},
				{"tombstone", "tombstone"},
			},
		},
		"keep": {
			MapSettings{Keep: []settings.FieldName{"b", "a", "é", "a"}},
			[]row{
				{`{"a": 1.50, "c":2, "\u0062":[ 1 ], "a":3, "é":"\u00e9"}`, `{"a":1.50,"b":[ 1 ],"é":"\u00e9"}`},
				{`{"c":1}`, `{}`},
				{`[]`, "rejected: not_object"},
				{`{`, "rejected: invalid_json"},
				{"tombstone", "tombstone"},
			},
		},
		"all in their order": {
			MapSettings{
				Set: settings.Fields[expr.Expr]{set("late", "delay * 2")}, Remove: []settings.FieldName{"delay"},
				Rename: settings.Fields[settings.FieldName]{{Name: "late", Value: "minutes"}}, Keep: []settings.FieldName{"minutes", "delay"},
			},
			[]row{{`{"delay":4,"x":1}`, `{"minutes":8}`}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := NewMap(c.s)
			processes(t, must(t, m, err), c.rows)
		})
	}
}

func TestMapSettings(t *testing.T) {
	s := MapSettings{
		Set:    settings.Fields[expr.Expr]{{Name: "a", Value: expression(t, "b")}},
		Remove: []settings.FieldName{"a"},
		Rename: settings.Fields[settings.FieldName]{{Name: "x", Value: "z"}, {Name: "y", Value: "z"}, {Name: "x", Value: ""}},
	}
	if got, want := names(s.Validate()), []string{"remove", "rename", "rename", "rename"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	if got := names((&MapSettings{}).Validate()); len(got) != 1 {
		t.Errorf("a map that does nothing: %v", got)
	}
	if got := names((&MapSettings{Keep: []settings.FieldName{}}).Validate()); got != nil {
		t.Errorf("keep nothing: %v", got)
	}
}
