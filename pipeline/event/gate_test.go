package event

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The gate: what a schema has promised, every later one of the same major version keeps. The promised ones stand
// in testdata, one a version: those of the releases, and that of the present version as far as it has come. -update
// writes the latter when it only adds to what stands there; -force also when it breaks that, which is for what no
// release has had.

var force = flag.Bool("force", false, "promise the present schema, whatever its file promised before")

func TestPromisedSchemasAreKept(t *testing.T) {
	present := filepath.Join("testdata", "schema-"+SchemaVersion+".json")
	old, err := os.ReadFile(present)
	fresh := errors.Is(err, os.ErrNotExist)
	if err != nil && !fresh {
		t.Fatal(err)
	}
	if *force || *update && (fresh || len(incompatible(t, old, Schema())) == 0) {
		if err := os.WriteFile(present, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !fresh && !reflect.DeepEqual(definitions(t, old), definitions(t, Schema())) { // words may differ
		t.Errorf("%s is not current: go test ./pipeline/event -update", present)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "schema-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	versions := map[int]bool{}
	for _, file := range files {
		version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "schema-"), ".json")
		minor, ok := minorOf(version)
		if !ok {
			t.Errorf("%s is of no version of schema 1", file)
		}
		versions[minor] = true
		old, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range append(incompatible(t, old, Schema()), misdated(t, old, Schema(), minor)...) {
			t.Errorf("schema %s is not kept: %s", version, p)
		}
	}
	for minor := range schemaMinor + 1 {
		if !versions[minor] {
			t.Errorf("testdata/schema-1.%d.json is missing: what it promised is not held against anything", minor)
		}
	}
}

// An eventSchema is the definition of one event in a schema.
type eventSchema struct {
	Since      string               `json:"x-since"`
	Properties map[string]keySchema `json:"properties"`
	Required   []string             `json:"required"`
}

// A keySchema is that of one key.
type keySchema struct {
	Type  any    `json:"type"`
	Const any    `json:"const"`
	Enum  []any  `json:"enum"`
	Unit  any    `json:"x-unit"`
	Since string `json:"x-since"`
}

func definitions(t *testing.T, schema []byte) map[string]eventSchema {
	t.Helper()
	var s struct {
		Defs map[string]eventSchema `json:"$defs"`
	}
	if err := json.Unmarshal(schema, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Defs) == 0 {
		t.Fatal("a schema without events")
	}
	return s.Defs
}

// incompatible names what of the old schema the new one breaks: additions are allowed, and nothing else.
func incompatible(t *testing.T, old, now []byte) (problems []string) {
	t.Helper()
	is := definitions(t, now)
	for name, was := range definitions(t, old) {
		e, ok := is[name]
		if !ok {
			problems = append(problems, name+" is gone")
			continue
		}
		for key, f := range was.Properties {
			g, ok := e.Properties[key]
			if !ok {
				problems = append(problems, fmt.Sprintf("%s.%s is gone", name, key))
			} else if key != "schema_version" {
				problems = append(problems, broken(name+"."+key, f, g)...)
			}
		}
		for _, key := range was.Required {
			if !slices.Contains(e.Required, key) {
				problems = append(problems, fmt.Sprintf("%s.%s was always there and no longer is", name, key))
			}
		}
	}
	slices.Sort(problems)
	return problems
}

// broken names what of the key was the key is breaks.
func broken(where string, was, is keySchema) (problems []string) {
	fail := func(format string, args ...any) {
		problems = append(problems, where+" "+fmt.Sprintf(format, args...))
	}
	if !reflect.DeepEqual(was.Type, is.Type) {
		fail("was a %v and is a %v", was.Type, is.Type)
	}
	if !reflect.DeepEqual(was.Unit, is.Unit) {
		fail("was in %v and is in %v", was.Unit, is.Unit)
	}
	if !reflect.DeepEqual(was.Const, is.Const) {
		fail("was %v and is %v", was.Const, is.Const)
	}
	if was.Enum == nil && is.Enum != nil {
		fail("has become an enum")
	}
	for _, v := range was.Enum {
		if is.Enum != nil && !slices.Contains(is.Enum, v) {
			fail("can no longer be %v", v)
		}
	}
	return problems
}

// misdated names what claims to be older than it is, or younger: what the schema of a version has is of that version
// or an older one, and what it has not is of a later one. Of the present version more may come.
func misdated(t *testing.T, old, now []byte, minor int) (problems []string) {
	t.Helper()
	was := definitions(t, old)
	judge := func(where, since string, there bool) {
		n, ok := minorOf(since)
		switch {
		case !ok:
			problems = append(problems, where+" does not say since when")
		case there && n > minor:
			problems = append(problems, fmt.Sprintf("%s is in 1.%d, and says since %s", where, minor, since))
		case !there && n <= minor && minor < schemaMinor:
			problems = append(problems, fmt.Sprintf("%s is not in 1.%d, and says since %s", where, minor, since))
		}
	}
	for name, e := range definitions(t, now) {
		if name == Free {
			continue
		}
		a, there := was[name]
		judge(name, e.Since, there)
		for key, f := range e.Properties {
			if !envelopeKeys[key] {
				_, there := a.Properties[key]
				judge(name+"."+key, f.Since, there)
			}
		}
	}
	slices.Sort(problems)
	return problems
}

// TestEachBreakIsSeen changes one thing at a time in the schema.
func TestEachBreakIsSeen(t *testing.T) {
	event := func(s object, name string) object { return s["$defs"].(object)[name].(object) }
	key := func(s object, name, key string) object { return event(s, name)["properties"].(object)[key].(object) }
	for _, c := range []struct {
		what   string
		change func(s object)
		want   string
	}{
		{"nothing", func(object) {}, ""},
		{"an event more", func(s object) { s["$defs"].(object)["x.y"] = maps.Clone(event(s, "step.stats")) }, ""},
		{"a key more", func(s object) {
			event(s, "step.stats")["properties"].(object)["x"] = object{"type": "string", "x-since": "1.1"}
		}, ""},
		{"a value more", func(s object) {
			k := key(s, "log.suppressed", "reason")
			k["enum"] = append(k["enum"].([]any), "x")
		}, ""},
		{"an event gone", func(s object) { delete(s["$defs"].(object), "step.stats") }, "step.stats is gone"},
		{"a key gone", func(s object) { delete(event(s, "step.stats")["properties"].(object), "busy_ratio") }, "step.stats.busy_ratio is gone"},
		{"a key renamed", func(s object) {
			p := event(s, "step.stats")["properties"].(object)
			p["busy"] = p["busy_ratio"]
			delete(p, "busy_ratio")
		}, "step.stats.busy_ratio is gone"},
		{"another type", func(s object) { key(s, "step.stats", "workers")["type"] = "number" }, "step.stats.workers was a integer and is a number"},
		{"another unit", func(s object) { key(s, "step.stats", "lat_p99_ms")["x-unit"] = "s" }, "step.stats.lat_p99_ms was in ms and is in s"},
		{"no unit", func(s object) { delete(key(s, "step.stats", "lat_p99_ms"), "x-unit") }, "was in ms and is in <nil>"},
		{"a value gone", func(s object) {
			k := key(s, "log.suppressed", "reason")
			k["enum"] = k["enum"].([]any)[1:]
		}, "log.suppressed.reason can no longer be repeated"},
		{"an enum at last", func(s object) { key(s, "step.stats", "step_kind")["enum"] = []any{"filter"} }, "step.stats.step_kind has become an enum"},
		{"another level", func(s object) { key(s, "step.stalled", "level")["const"] = "warn" }, "step.stalled.level was error and is warn"},
		{"another name", func(s object) { key(s, "step.stalled", "event_name")["const"] = "stalled" }, "step.stalled.event_name was step.stalled and is stalled"},
		{"not always there", func(s object) {
			e := event(s, "step.stats")
			e["required"] = slices.DeleteFunc(e["required"].([]any), func(k any) bool { return k == "records_in" })
		}, "step.stats.records_in was always there and no longer is"},
	} {
		var s object
		if err := json.Unmarshal(Schema(), &s); err != nil {
			t.Fatal(err)
		}
		c.change(s)
		changed, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(incompatible(t, Schema(), changed), "; "); got != c.want && (c.want == "" || !strings.Contains(got, c.want)) {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
}

// TestAWrongDateIsSeen: a key that is new says the version that brings it.
func TestAWrongDateIsSeen(t *testing.T) {
	schema := func(keys string) []byte {
		return []byte(`{"$defs": {"a.b": {"x-since": "1.0", "properties": {` + keys + `}}}}`)
	}
	old := schema(`"x": {"x-since": "1.0"}`)
	for _, c := range []struct{ now, want string }{
		{`"x": {"x-since": "1.0"}, "y": {"x-since": "1.1"}`, ""},
		{`"x": {"x-since": "1.1"}`, "a.b.x is in 1.0, and says since 1.1"},
		{`"x": {"x-since": "1.0"}, "y": {"x-since": "1.0"}`, "a.b.y is not in 1.0, and says since 1.0"},
		{`"x": {"x-since": "1.0"}, "y": {}`, "a.b.y does not say since when"},
	} {
		if got := strings.Join(misdated(t, old, schema(c.now), 0), "; "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.now, got, c.want)
		}
	}
	if got := misdated(t, old, schema(`"x": {"x-since": "1.0"}, "y": {"x-since": "`+SchemaVersion+`"}`), schemaMinor); len(got) > 0 {
		t.Errorf("a key more of the present version: %v", got)
	}
}
