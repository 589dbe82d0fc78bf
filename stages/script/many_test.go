package script

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/stages/script/internal/bounded"
)

// mostWalks is more than how often a value may be walked through for one record by what no step counts.
const mostWalks = 2 * 64

// manyFields is an object of n fields: {"f0":1.50,"f1":1.50}.
func manyFields(n int) string {
	var fields []string
	for i := range n {
		fields = append(fields, fmt.Sprintf(`"f%d":1.50`, i))
	}
	return "{" + strings.Join(fields, ",") + "}"
}

// TestManyEdits has scripts change more fields than can be put in one by one: each of those is a walk through the value that no step
// counts and no context ends.
func TestManyEdits(t *testing.T) {
	const n = 1000
	for name, c := range map[string]struct{ code, value string }{
		"at the top": {"for k in record.value.keys(): record.value[k] += 1", manyFields(n)},
		"one by one": {"for i in range(1000): record['f%d' % i] += 1", manyFields(n)},
		"new ones":   {"for i in range(1000): record['n%d' % i] = i", `{"kept":1.50}`},
		"nested":     {"for k in record['o'].keys(): record['o'][k] += 1", `{"kept":1.50,"o":` + manyFields(n) + `}`},
		"deeper":     {"for k in record['o']['p'].keys(): record['o']['p'][k] += 1", `{"o":{"kept":1.50,"p":` + manyFields(n) + `}}`},
		"removed":    {"for k in record['o'].keys(): record['o'].pop(k)", `{"kept":1.50,"o":` + manyFields(n) + `}`},
		"renamed":    {"for k in record['o'].keys(): record['o']['x' + k] = record['o'].pop(k)", `{"kept":1.50,"o":` + manyFields(n) + `}`},
		"spread":     {"for k in record.value.keys(): record.value[k]['a'] = 1", `{` + spread(n) + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := Defaults()
			s.Code = Code("def process(record):\n    " + c.code + "\n")
			stage, err := New(s)
			if err != nil {
				t.Fatal(err)
			}
			rec := new(pipeline.Record)
			rec.Init(pipeline.Position{}, nil, []byte(c.value), nil, pipeline.NoTime)
			r := stage.records.New().(*record)
			r.run.Begin(context.Background())
			r.begin(rec)
			result, err := r.run.Call(stage.script.function, r)
			if err != nil {
				t.Fatal(err)
			}
			o, err := r.outcome(result)
			if err != nil {
				t.Fatal(err)
			}
			if walks := len(o.edits) + len(r.fields); walks > mostWalks {
				t.Errorf("%d edits and fields are looked for one by one", walks)
			}
			if err := r.apply(&o); err != nil {
				t.Fatal(err)
			}
			if got, want := decoded(t, rec.Value()), edited(t, name, c.value, n); !reflect.DeepEqual(got, want) {
				t.Errorf("the value is %.200s", rec.Value())
			}
			if strings.Contains(c.value, `"kept":1.50`) && !strings.Contains(string(rec.Value()), `"kept":1.50`) {
				t.Errorf("a field that was not changed is written anew: %.200s", rec.Value())
			}
		})
	}
}

func spread(n int) string {
	var fields []string
	for i := range n {
		fields = append(fields, fmt.Sprintf(`"f%d":{"b":2}`, i))
	}
	return strings.Join(fields, ",")
}

func decoded(t *testing.T, text []byte) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// edited gives what the script of that name makes of a value.
func edited(t *testing.T, name, value string, n int) map[string]any {
	t.Helper()
	top := decoded(t, []byte(value))
	o, _ := top["o"].(map[string]any)
	if p, ok := o["p"].(map[string]any); ok {
		o = p
	}
	for i := range n {
		f := fmt.Sprintf("f%d", i)
		switch name {
		case "at the top", "one by one":
			top[f] = 2.5
		case "new ones":
			top[fmt.Sprintf("n%d", i)] = float64(i)
		case "nested", "deeper":
			o[f] = 2.5
		case "removed":
			delete(o, f)
		case "renamed":
			delete(o, f)
			o["x"+f] = 1.5
		case "spread":
			top[f].(map[string]any)["a"] = 1.0
		}
	}
	return top
}

// TestManyLookups asks for more fields than are looked for one by one.
func TestManyLookups(t *testing.T) {
	s := Defaults()
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{}, nil, []byte(manyFields(10)), nil, pipeline.NoTime)
	r := &record{run: bounded.NewRun(bounded.Limits{Steps: s.Steps, Memory: int64(s.Memory)}, nil)}
	r.run.Begin(context.Background())
	defer r.run.End()
	r.begin(rec)
	for i := range 1000 {
		if _, err := r.Has(starlark.String(fmt.Sprintf("n%d", i))); err != nil {
			t.Fatal(err)
		}
		if len(r.fields) > mostWalks {
			t.Fatal("a value is walked through for each of many fields that it does not have")
		}
	}
}

// TestRecordAsItsOwnValue: nothing is lost when the record is made its own value.
func TestRecordAsItsOwnValue(t *testing.T) {
	s := Defaults()
	s.Code = "def process(record):\n    record['a'] = 1\n    record.value = record\n    record['b'] = 2\n"
	stage, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{}, nil, []byte(`{}`), nil, pipeline.NoTime)
	if err := stage.Process(t.Context(), rec); err != nil || string(rec.Value()) != `{"a":1,"b":2}` {
		t.Errorf("%s, %v", rec.Value(), err)
	}
}
