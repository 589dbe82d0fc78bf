package event

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestEventsReference keeps the reference page current: -update rewrites it.
func TestEventsReference(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "reference", "events.md")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, Reference(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, Reference()) {
		t.Errorf("%s is not current: go test ./pipeline/event -run Events -update", path)
	}
}

// TestRegistryKeepsTheRules checks what dashboards rely on in every event and key: names that
// the contract allows, none that ECS has as an object, a meaning for each.
func TestRegistryKeepsTheRules(t *testing.T) {
	kinds := map[string]reflect.Kind{}
	used := map[string]bool{}
	names := map[string]bool{}
	for i := range Registry {
		def := &Registry[i]
		if names[def.Name] {
			t.Errorf("%s stands there twice", def.Name)
		}
		names[def.Name] = true
		p := planNames[def.Name]
		if def.Says == "" && !statsEvents[def.Name] {
			t.Errorf("%s has no words of its own", def.Name)
		}
		if len(p.keys) != len(p.fields) {
			t.Errorf("%s has a key twice", def.Name)
		}
		for j := range p.fields {
			f := &p.fields[j]
			where := def.Name + "." + f.key
			used[f.key] = true
			switch {
			case typeNames[f.kind] == "":
				t.Errorf("%s is a %s", where, f.kind)
			case f.key == "" || token(f.key) != f.key:
				t.Errorf("%s is no key", where)
			case envelopeKeys[f.key] || ecsObjects[f.key]:
				t.Errorf("%s is taken", where)
			case meanings[f.key] == "":
				t.Errorf("%s has no meaning", where)
			}
			if k, ok := kinds[f.key]; ok && k != f.kind {
				t.Errorf("%s is a %s here and a %s elsewhere", where, f.kind, k)
			}
			kinds[f.key] = f.kind
			if f.kind == reflect.Float64 && unit(f.key) == "" {
				t.Errorf("%s is a float without a unit", where)
			}
			if f.required && f.kind != reflect.String || f.unknown && f.kind != reflect.Int64 {
				t.Errorf("%s has a tag that its type does not take", where)
			}
			if with := p.typ.Field(j).Tag.Get("with"); with != "" && f.with < 0 {
				t.Errorf("%s goes with %s, which is not there", where, with)
			}
			if def.Limited && def.Says == "" {
				t.Errorf("%s is limited and has no words", where)
			}
		}
	}
	for key := range meanings {
		if !used[key] && !envelopeKeys[key] {
			t.Errorf("%s has a meaning and no event", key)
		}
	}
}

// TestGoldenLinesFitTheSchema has another implementation read the golden lines.
func TestGoldenLinesFitTheSchema(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("log.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("log.json")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range []string{"lines.golden.jsonl", "free.golden.jsonl"} {
		b, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(v); err != nil {
				t.Errorf("%v\n%s", err, line)
			}
			seen++
			v.(map[string]any)["workers_of_mine"] = []any{}
			if schema.Validate(v) == nil {
				t.Errorf("an array under an unknown key fits: %s", line)
			}
		}
	}
	if seen < len(Registry) {
		t.Errorf("%d lines for %d events", seen, len(Registry))
	}
}
