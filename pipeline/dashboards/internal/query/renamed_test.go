package query_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/dashboards/internal/query"
	"github.com/penstockio/penstock/pipeline/event"
)

// without gives the registry with a key of all events under another name.
func without(key string) []event.Definition {
	all := slices.Clone(event.Registry)
	for i := range all {
		t := reflect.TypeOf(all[i].Struct)
		var fields []reflect.StructField
		for j := range t.NumField() {
			f := t.Field(j)
			f.Tag = reflect.StructTag(strings.Replace(string(f.Tag), `json:"`+key+`"`, `json:"`+key+`_renamed"`, 1))
			fields = append(fields, f)
		}
		all[i].Struct = reflect.New(reflect.StructOf(fields)).Elem().Interface()
	}
	return all
}

// TestEveryRenameFailsThePage renames, one at a time, each event and each key that the LogQL of the page names: the
// questions that name it fail then, and without a rename none does.
func TestEveryRenameFailsThePage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "queries.md"))
	if err != nil {
		t.Fatal(err)
	}
	envelope := map[string]bool{}
	for _, f := range event.Envelope() {
		envelope[f.Key] = true
	}
	byKey, byEvent := map[string][]question{}, map[string][]question{}
	for _, q := range page(string(text)) {
		if err := q.check(); err != nil {
			t.Errorf("%s: %v", q.title, err)
			continue
		}
		parsed, err := query.Read(q.logql)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range parsed.Selections {
			for _, name := range s.Events {
				byEvent[name] = append(byEvent[name], q)
			}
			for _, k := range s.Keys {
				if !envelope[k.Name] {
					byKey[k.Name] = append(byKey[k.Name], q)
				}
			}
		}
	}
	for key, questions := range byKey {
		registry := without(key)
		inJQ := regexp.MustCompile(`\.` + key + `\b`)
		for _, q := range questions {
			// A word that the program gives to an object of its own too cannot be told from it.
			own := strings.Contains(q.program, key+": ") && !strings.Contains(q.program, key+": .[0]."+key)
			if err := query.CheckJQ(q.program, registry); inJQ.MatchString(q.program) && !own && err == nil {
				t.Errorf("%s: without %s the jq passes", q.title, key)
			}
		}
		for _, q := range questions {
			if err := query.Check(q.logql, registry, streamLabels); err == nil || !strings.Contains(err.Error(), key) {
				t.Errorf("%s: without %s: %v", q.title, key, err)
			}
		}
	}
	for name, questions := range byEvent {
		registry := slices.DeleteFunc(slices.Clone(event.Registry), func(d event.Definition) bool { return d.Name == name })
		for _, q := range questions {
			if err := query.Check(q.logql, registry, streamLabels); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: without %s: %v", q.title, name, err)
			}
		}
	}
	t.Logf("%d keys and %d events, each renamed", len(byKey), len(byEvent))
	if len(byKey) < 30 || len(byEvent) < 15 {
		t.Error("the page names fewer than it should")
	}
}
