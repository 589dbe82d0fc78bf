package config_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/tidwall/gjson"
	"go.yaml.in/yaml/v3"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := config.Schema(catalog.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource(config.SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(config.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read gives a file as a validator sees it.
func read(t *testing.T, text []byte) any {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Every good file is right by the schema, and none is with a key that nobody knows,
// wherever it stands.
func TestSchemaTakesGoodFiles(t *testing.T) {
	s := compileSchema(t)
	files, err := filepath.Glob(filepath.Join(testdata, "*.good.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		v := read(t, text)
		if err := s.Validate(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, at := range []string{"", "source", "source.replay", "stages.0", "sinks.0", "limits", "log", "admin", "sinks.0.batch", "stages.0.retry", "stages.0.http"} {
			spoilt := read(t, text)
			if !addUnknownKey(spoilt, at) {
				continue
			}
			if s.Validate(spoilt) == nil {
				t.Errorf("%s: the schema takes an unknown key in %q", name, at)
			}
		}
	}
}

// Where a file may be included, the schema takes it.
func TestSchemaTakesIncludes(t *testing.T) {
	s := compileSchema(t)
	text := small
	for _, more := range []string{"order: {include: o.yaml}\n", "order: {include: o.yaml, with: {f: a}, key: b}\n", "limits: {include: l.yaml}\n"} {
		if err := s.Validate(read(t, []byte(text+more))); err != nil {
			t.Errorf("%s: %v", more, err)
		}
	}
}

// addUnknownKey puts an unknown key into the mapping at a path, if there is one.
func addUnknownKey(v any, at string) bool {
	if at != "" {
		for part := range strings.SplitSeq(at, ".") {
			switch x := v.(type) {
			case map[string]any:
				v = x[part]
			case []any:
				if part != "0" || len(x) == 0 {
					return false
				}
				v = x[0]
			}
		}
	}
	m, ok := v.(map[string]any)
	if ok {
		m["nobody_knows_this"] = "x"
	}
	return ok
}

// The schema refuses what an editor can see to be wrong.
func TestSchemaRefuses(t *testing.T) {
	s := compileSchema(t)
	for _, change := range [][2]string{
		{"drain: 25s", "drain: 25"}, {"in_flight_bytes: 256MiB", "in_flight_bytes: 256"}, {"in_flight: 100000", "in_flight: 0"},
		{"workers: 64", "workers: many"}, {"serial: key", "serial: keys"}, {"order: {key: origin}", "order: kye"}, {"order: {key: origin}", "order: {}"}, {"order: {key: origin}", "order: {include: [a]}"},
		{"delivery: at_least_once", "delivery: twice"}, {"- filter: delay >= 15\n", "- filter: delay >= 15\n    timeout: 5s\n"},
		{"- filter: delay >= 15\n", "- filter: delay >= 15\n    map: {remove: [a]}\n"}, {"into: weather", "method: TRACE"},
		{"- stdout:\n", "- name: x\n"}, {"pipeline: late-flights", "# none"}, {"on_miss: null", "on_miss: maybe"}, {"level: info", "level: loud"},
	} {
		text, err := os.ReadFile(filepath.Join(testdata, "whole.good.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(text), change[0], change[1], 1)
		if changed == string(text) {
			t.Fatalf("%q is not in the file", change[0])
		}
		if s.Validate(read(t, []byte(changed))) == nil {
			t.Errorf("the schema takes %q", change[1])
		}
	}
}

// Defaults and words for people stand in the schema.
func TestSchemaExplains(t *testing.T) {
	text, err := config.Schema(catalog.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Schema     string `json:"$schema"`
		Properties map[string]struct {
			Description string
			Properties  map[string]struct {
				Description string
				Default     any
			}
		}
		Defs map[string]struct {
			Description string
			Properties  map[string]struct {
				Description string
				Default     any
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Schema != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("schema of %s", doc.Schema)
	}
	for name, p := range doc.Properties {
		if p.Description == "" {
			t.Errorf("%s has no description", name)
		}
	}
	limits := doc.Properties["limits"].Properties
	if limits["drain"].Default != "25s" || limits["in_flight"].Default != 100000.0 || limits["in_flight_bytes"].Default != "256MiB" {
		t.Errorf("defaults of limits: %+v", limits)
	}
	if s := doc.Defs["stage"].Properties; s["deadline"].Default != "20s" || s["timeout"].Default != "10s" || s["deadline"].Description == "" {
		t.Errorf("defaults of a stage: %+v", s)
	}
	for _, k := range catalog.Kinds() {
		if doc.Defs[string(k.Section)+"."+k.Name].Description != k.Doc {
			t.Errorf("%s %s has no description", k.Section, k.Name)
		}
	}
}

// The default of batch.records, which depends on the sink, is told with each kind, and no
// other beside it.
func TestSchemaTellsTheDefaultBatchOfEachSink(t *testing.T) {
	text, err := config.Schema(catalog.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	const records = "properties.batch.properties.records.default"
	for _, at := range []string{"$defs.sink", "properties.dead_letter"} {
		sink := gjson.GetBytes(text, at)
		if d := sink.Get(records); d.Exists() {
			t.Errorf("%s: %s is said of every sink", at, d)
		}
		got := map[string]int64{}
		for _, kind := range sink.Get("oneOf").Array() {
			if kind.Get("required.0").String() == "include" {
				continue
			}
			got[kind.Get("required.0").String()] = kind.Get(records).Int()
		}
		if want := map[string]int64{"kafka": 5000, "stdout": 1000, "file": 1000, "http": 1000, "sql": 5000, "redis": 1000, "websocket": 1000}; !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", at, got, want)
		}
	}
}
