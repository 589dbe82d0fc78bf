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
	set := func(name settings.FieldPath, text string) settings.Field[expr.Expr] {
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
			MapSettings{Remove: []settings.FieldPath{"a", `a\.b`, `\*`}},
			[]row{
				{`{"a":1, "b":{"a":1},"a.b":2,"*":3,"a":4}`, `{"b":{"a":1}}`},
				{`"a"`, "rejected: not_object"},
				{"tombstone", "tombstone"},
			},
		},
		"rename": {
			MapSettings{Rename: settings.Fields[settings.FieldPath]{{Name: "a", Value: "b"}, {Name: "b", Value: "a"}, {Name: "x", Value: "y"}}},
			[]row{
				{`{"a":1,"b":2,"c":3}`, `{"a":2,"b":1,"c":3}`},
				{`{"a":1}`, `{"b":1}`},
				{`{"x":null,"y":1}`, `{"y":null}`},
				{`null`, "rejected: not_object"},
				{"tombstone", "tombstone"},
			},
		},
		"keep": {
			MapSettings{Keep: []settings.FieldPath{"b", "a", "é", "a"}},
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
				Set: settings.Fields[expr.Expr]{set("late", "delay * 2")}, Remove: []settings.FieldPath{"delay"},
				Rename: settings.Fields[settings.FieldPath]{{Name: "late", Value: "minutes"}}, Keep: []settings.FieldPath{"minutes", "late"},
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

// What can never mean what it says is an error at its place.
func TestMapSettings(t *testing.T) {
	type (
		paths  = []settings.FieldPath
		fields = settings.Fields[expr.Expr]
		moves  = settings.Fields[settings.FieldPath]
	)
	at := func(names ...settings.FieldPath) (all fields) {
		for _, n := range names {
			all = append(all, settings.Field[expr.Expr]{Name: n, Value: expression(t, "1")})
		}
		return all
	}
	text, date := expression(t, `"x"`), expression(t, `date(at)`)
	headers := settings.HeaderFields[expr.Expr]{{Name: "h", Value: text}, {Name: "i", Value: text}}
	for name, c := range map[string]struct {
		s    MapSettings
		want []string
	}{
		"nothing":                  {MapSettings{}, []string{""}},
		"keep nothing":             {MapSettings{Keep: paths{}}, []string{"keep"}},
		"kept and removed":         {MapSettings{Remove: paths{"a", "b.*", "c.d", "e[0]", "f"}, Keep: paths{"a.x", "b.c", "c", "e[0]", "f", "g"}, Rename: moves{{Name: "x", Value: "f.g"}}}, []string{"keep[0]", "keep[1]"}},
		"renamed and removed":      {MapSettings{Remove: paths{"a", "b", "d[0]", "f.g"}, Rename: moves{{Name: "a.x", Value: "c"}, {Name: "z", Value: "b"}, {Name: "d[0]", Value: "e"}, {Name: "f", Value: "h"}}}, []string{"rename.a.x"}},
		"set and removed":          {MapSettings{Set: at("a", "b.c", "d.e"), Remove: paths{"a", "b", "d.*", "d.e.f", "x"}}, []string{"remove[0]", "remove[1]", "remove[2]"}},
		"set in place of another":  {MapSettings{Set: at("a.b", "c.d", "a", "c.d.e", "c.*")}, []string{"set.a", "set.c.d.e", "set.c.*", "set.c.*"}},
		"set within another":       {MapSettings{Set: at("a", "a.b", "c", "c[*].d", "e[0]", "e[0].f", "g", "h")}, []string{"set.a.b", "set.c[*].d", "set.e[0].f"}},
		"set within an object":     {MapSettings{Set: fields{{Name: "a", Value: expression(t, "{x: 1}")}, {Name: "a.b", Value: text}, {Name: "c", Value: expression(t, "items")}, {Name: "c[*].d", Value: text}, {Name: "e", Value: expression(t, "{}")}, {Name: "e[0]", Value: text}}}, []string{"set.e[0]"}},
		"set and renamed to":       {MapSettings{Set: at("a", "b.c", "d", "e.f"), Rename: moves{{Name: "x", Value: "a"}, {Name: "y", Value: "b"}, {Name: "d", Value: "z"}, {Name: "z", Value: "d"}, {Name: "w", Value: "e.g"}}}, []string{"rename.x", "rename.y"}},
		"set and not kept":         {MapSettings{Set: at("a", "b.c", "d.e", "f", "g[0]", "h.i"), Rename: moves{{Name: "f", Value: "k"}}, Keep: paths{"id", "b", "d.e.x", "h.j", "k"}}, []string{"set.a", "set.h.i"}},
		"set twice":                {MapSettings{Set: at("a.b", `a.b`, "c[0]", "c[00]")}, []string{"set.a.b", "set.c[00]"}},
		"no object":                {MapSettings{Set: at("[0].a"), Remove: paths{"[*]"}, Keep: paths{"[-1]", "a"}}, []string{"set.[0].a", "remove[0]", "keep[0]"}},
		"no path":                  {MapSettings{Set: at("a..b"), Rename: moves{{Name: "x", Value: ""}}, Keep: paths{"$.a"}}, []string{"set.a..b", "rename.x", "keep[0]"}},
		"renamed twice":            {MapSettings{Rename: moves{{Name: "x", Value: "y"}, {Name: "x", Value: "z"}}}, []string{"rename.x"}},
		"two of one name":          {MapSettings{Rename: moves{{Name: "x", Value: "z"}, {Name: "y", Value: "z"}}}, []string{"rename.y"}},
		"one within another":       {MapSettings{Rename: moves{{Name: "x", Value: "a"}, {Name: "x.y", Value: "b.c"}, {Name: "z", Value: "b"}}}, []string{"rename.x.y", "rename.z"}},
		"many and one":             {MapSettings{Rename: moves{{Name: "a[*].b", Value: "c"}, {Name: "d", Value: "e[*]"}, {Name: "f.*.g", Value: "f.*.*"}, {Name: "h.*", Value: "i.*"}}}, []string{"rename.a[*].b", "rename.d", "rename.f.*.g", "rename.h.*"}},
		"in their places":          {MapSettings{Rename: moves{{Name: "a[*].b", Value: "a[*].c.d"}, {Name: "e.*", Value: "e.*.f"}, {Name: "g[0]", Value: "h"}}}, nil},
		"elements from both ends":  {MapSettings{Remove: paths{"a[0]", "a[-1]", "b[1]", "c[-1]", "*[0][1]", "a[-1][-1]"}, Rename: moves{{Name: "d[0]", Value: "x"}, {Name: "d[-2]", Value: "y"}}}, []string{"remove[1]", "remove[5]", "rename.d[-2]"}},
		"elements of one array":    {MapSettings{Remove: paths{"a.*[1]", "a.b[1]", "a.b[2]", "c[0][1]", "c[1][1]", "c[0][1]", "c[*][1]", "c[-1][2]"}}, []string{"remove[1]", "remove[6]", "remove[6]", "remove[6]"}},
		"kept with another":        {MapSettings{Keep: paths{"a.b", "a", "c", "c", "d[*]", "d[0].e"}}, []string{"keep[0]", "keep[5]"}},
		"a header set and removed": {MapSettings{SetHeaders: headers, RemoveHeaders: []settings.HeaderOrAll{{Name: "i"}, {Name: "H"}}}, []string{"remove_headers"}},
		"all headers removed":      {MapSettings{SetHeaders: headers, RemoveHeaders: []settings.HeaderOrAll{{All: true}}}, nil},
		"a header set twice":       {MapSettings{SetHeaders: append(headers, headers[0])}, []string{"set_headers"}},
		"a time that is none":      {MapSettings{Time: &text}, []string{"time"}},
		"a time":                   {MapSettings{Time: &date}, nil},
	} {
		err := c.s.Validate()
		if got := names(err); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %q, want %q: %v", name, got, c.want, err)
		}
	}
}
