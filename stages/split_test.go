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
}
