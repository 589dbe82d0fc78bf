package stages

import (
	"reflect"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

func TestSplit(t *testing.T) {
	for name, c := range map[string]struct {
		s    SplitSettings
		rows []row
	}{
		"element": {
			SplitSettings{Field: "items", MaxParts: 3, MaxBytes: 30},
			[]row{
				{`{"items":[{"a": "]"},2 , "\"," ]}`, `{"a": "]"}|2|"\","|`},
				{`{"items":[[1,[2]],null]}`, `[1,[2]]|null|`},
				{`{"items":[]}`, ""},
				{`{"items":[ ]}`, ""},
				{`{"items":null}`, ""},
				{`{"x":1}`, ""},
				{`{"items":{}}`, "rejected: not_array"},
				{`{"items":"[1]"}`, "rejected: not_array"},
				{`{"items":[1,2,3,4]}`, "rejected: too_many_parts"},
				{`{"items":["0123456789","0123456789","0123456789"]}`, "rejected: too_large"},
				{`[1]`, "rejected: not_object"},
				{`7`, "rejected: not_object"},
				{`{"items":[`, "rejected: invalid_json"},
				{"tombstone", "tombstone|"},
			},
		},
		"into": {
			SplitSettings{Field: "items", Into: "item", MaxParts: 3, MaxBytes: 90},
			[]row{
				{`{"id": 1.0,"items":[1,{"b":2}],"z":"é"}`, `{"id":1.0,"z":"é","item":1}|{"id":1.0,"z":"é","item":{"b":2}}|`},
				{`{"items":[1],"item":9,"items":[2]}`, `{"item":1}|`},
				{`{"id":"01234567890123456789","items":[1,2,3]}`, "rejected: too_large"},
				{"tombstone", "tombstone|"},
			},
		},
		"into itself": {
			SplitSettings{Field: "items", Into: "items", MaxParts: 3, MaxBytes: 100},
			[]row{{`{"items":[1,2],"a":0}`, `{"a":0,"items":1}|{"a":0,"items":2}|`}},
		},
		"at depth": {
			SplitSettings{Field: "order.items", MaxParts: 3, MaxBytes: 100},
			[]row{
				{`{"order":{"items":[1,{"b": 2}]}}`, `1|{"b": 2}|`},
				{`{"order":{"items":7}}`, "rejected: not_array"},
				{`{"order":5}`, ""},
				{`{"items":[1]}`, ""},
				{`[1]`, "rejected: not_object"},
				{"tombstone", "tombstone|"},
			},
		},
		"into at depth": {
			SplitSettings{Field: "order.items", Into: "order.item", MaxParts: 3, MaxBytes: 100},
			[]row{
				{`{ "id": 1.0,"order" : {"a":1, "items":[1,{"b": 2}] },"z":0}`, `{ "id": 1.0,"order" : {"a":1,"item":1 },"z":0}|{ "id": 1.0,"order" : {"a":1,"item":{"b": 2} },"z":0}|`},
				{`{"order":{"items":[1],"item":9,"items":[2]}}`, `{"order":{"item":1}}|`},
				{`{"order":{"items":[1,2],"id":"0123456789012345678901"}}`, `{"order":{"id":"0123456789012345678901","item":1}}|{"order":{"id":"0123456789012345678901","item":2}}|`},
				{`{"order":{"items":[1,2],"id":"01234567890123456789012"}}`, "rejected: too_large"},
			},
		},
		"out of an element": {
			SplitSettings{Field: "legs[-1].stops", Into: "stop.at", MaxParts: 3, MaxBytes: 100},
			[]row{
				{`{"legs":[{"stops":[1]},{"stops":[2,3],"x":0}]}`, `{"legs":[{"stops":[1]},{"x":0}],"stop":{"at":2}}|{"legs":[{"stops":[1]},{"x":0}],"stop":{"at":3}}|`},
				{`{"legs":[{"stops":[2]}],"stop":"x"}`, "rejected: no_path"},
				{`{"legs":[]}`, ""},
			},
		},
		"into its own place": {
			SplitSettings{Field: "a.b", Into: "a.b", MaxParts: 3, MaxBytes: 100},
			[]row{{`{"a":{"b":[1,2],"c":3}}`, `{"a":{"b":1,"c":3}}|{"a":{"b":2,"c":3}}|`}},
		},
		"the value itself": {
			SplitSettings{MaxParts: 3, MaxBytes: 100},
			[]row{
				{` [ {"a":1} , 2 ] `, `{"a":1}|2|`},
				{`null`, ""},
				{`{"":[1]}`, "rejected: not_array"},
				{`1`, "rejected: not_array"},
				{``, "rejected: invalid_json"},
				{"tombstone", "tombstone|"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := NewSplit(c.s)
			splits(t, must(t, s, err), c.rows)
		})
	}
}

// A field that an earlier stage has set is taken apart too.
func TestSplitEdited(t *testing.T) {
	rec := value(`{"a":1}`)
	if err := rec.SetRaw("items", []byte(`[1,2]`)); err != nil {
		t.Fatal(err)
	}
	set := DefaultSplit()
	set.Field, set.Into = "items", "n"
	s, err := NewSplit(set)
	got := ""
	if err := must(t, s, err).Split(t.Context(), rec, func(p *pipeline.Record) { got += string(p.Value()) }); err != nil {
		t.Fatal(err)
	}
	if got != `{"a":1,"n":1}{"a":1,"n":2}` {
		t.Errorf("got %s", got)
	}
}

func TestSplitSettings(t *testing.T) {
	if got, want := names((&SplitSettings{Into: "x"}).Validate()), []string{"into", "max_parts", "max_bytes"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	many := DefaultSplit()
	many.Field, many.Into = "orders[*].items", "[0].item"
	if got, want := names(many.Validate()), []string{"field", "into"}; !reflect.DeepEqual(got, want) {
		t.Errorf("many places: got %v", got)
	}
}
