package dashboards

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/dashboards/internal/query"
	"github.com/penstockio/penstock/pipeline/event"
)

// streamLabels are what a log system labels the streams with: the only one that the pages name.
var streamLabels = []string{"service_name"}

// A question is a text in LogQL or jq, and where it stands.
type question struct{ where, logql, jq string }

// questions gives every one on Loki: of panels, marks and alerts.
func questions() (all []question) {
	for _, d := range OnLoki() {
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				for _, q := range p.Queries {
					all = append(all, question{d.Name + " / " + r.Title + " / " + p.Title + " / " + q.Name, q.Expr, q.JQ})
				}
			}
		}
		for _, a := range d.Annotations {
			all = append(all, question{where: d.Name + " / mark " + a.Name, logql: a.Expr})
		}
	}
	for _, g := range LokiRules() {
		for _, a := range g.Alerts {
			all = append(all, question{where: "alert " + a.Name, logql: a.Expr})
		}
	}
	return all
}

// checkNames holds the questions that have all of these texts in them against a contract.
func checkNames(registry []event.Definition, about ...string) (problems []string) {
	for _, q := range questions() {
		if slices.ContainsFunc(about, func(s string) bool { return !strings.Contains(q.logql, s) }) {
			continue
		}
		if err := query.Check(q.logql, registry, streamLabels...); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v\n%s", q.where, err, q.logql))
		}
		if q.jq == "" {
			continue
		}
		if err := query.CheckJQ(q.jq, registry); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v\n%s", q.where, err, q.jq))
		}
	}
	return problems
}

// TestNamesExist: every event, key and value that a page or an alert names is one of the log's contract.
func TestNamesExist(t *testing.T) {
	if n := len(questions()); n < 100 {
		t.Errorf("only %d questions", n)
	}
	for _, p := range checkNames(event.Registry) {
		t.Error(p)
	}
}

// TestARenameIsFound: for each event and key that the pages use, a contract in which it has another name
// makes TestNamesExist fail. So do a value that is not possible any more, and a number that is a text.
func TestARenameIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing in it is concurrent, and it takes long under the race detector")
	}
	events, keys := used(t)
	if len(events) < 15 || len(keys) < 60 {
		t.Fatalf("only %d events and %d keys are used", len(events), len(keys))
	}
	for _, name := range events {
		renamed := slices.Clone(event.Registry)
		for i := range renamed {
			if renamed[i].Name == name {
				renamed[i].Name += ".new"
			}
		}
		if len(checkNames(renamed, name)) == 0 {
			t.Errorf("nobody notices that %s has another name", name)
		}
	}
	for _, k := range keys {
		renamed := event.Registry
		rename := func(f *reflect.StructField) {
			f.Tag = reflect.StructTag(strings.Replace(string(f.Tag), `json:"`+k.key+`"`, `json:"`+k.key+`_new"`, 1))
		}
		if len(checkNames(changed(renamed, k.event, k.key, rename), k.event, k.key)) > 0 {
			continue
		}
		// A panel that shows lines of several events may show a key that only some of them have.
		for i := range event.Registry {
			renamed = changed(renamed, event.Registry[i].Name, k.key, rename)
		}
		if len(checkNames(renamed, k.event, k.key)) == 0 {
			t.Errorf("nobody notices that %s of %s has another name", k.key, k.event)
		}
	}
	if len(checkNames(changed(event.Registry, "pipeline.stats", "backpressure", func(f *reflect.StructField) {
		f.Tag = reflect.StructTag(strings.Replace(string(f.Tag), "ok,low,high", "ok,some,much", 1))
	}), "pipeline.stats", "backpressure")) == 0 {
		t.Error("nobody notices that backpressure has other values")
	}
	if len(checkNames(changed(event.Registry, "step.stats", "records_out", func(f *reflect.StructField) { f.Type = reflect.TypeFor[string]() }), "step.stats")) == 0 {
		t.Error("nobody notices that records_out is a text")
	}
}

type usedKey struct{ event, key string }

// used gives the events that the questions name, and the keys that they read of each.
func used(t *testing.T) (events []string, keys []usedKey) {
	own := map[string][]string{}
	for i := range event.Registry {
		for _, f := range event.Registry[i].Fields() {
			own[event.Registry[i].Name] = append(own[event.Registry[i].Name], f.Key)
		}
	}
	for _, q := range questions() {
		read, err := query.Read(q.logql)
		if err != nil {
			t.Fatalf("%s: %v", q.where, err)
		}
		for i := range read.Selections {
			s := &read.Selections[i]
			for _, e := range s.Events {
				if !slices.Contains(events, e) {
					events = append(events, e)
				}
				for _, k := range s.Keys {
					if u := (usedKey{e, k.Name}); slices.Contains(own[e], k.Name) && !slices.Contains(keys, u) {
						keys = append(keys, u)
					}
				}
			}
		}
	}
	return events, keys
}

// changed gives a contract with one key of one event changed.
func changed(registry []event.Definition, name, key string, change func(*reflect.StructField)) []event.Definition {
	registry = slices.Clone(registry)
	for i := range registry {
		if registry[i].Name != name {
			continue
		}
		old := reflect.TypeOf(registry[i].Struct)
		var fields []reflect.StructField
		for j := range old.NumField() {
			f := old.Field(j)
			f.Offset, f.Index = 0, nil
			if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == key {
				change(&f)
			}
			fields = append(fields, f)
		}
		registry[i].Struct = reflect.New(reflect.StructOf(fields)).Elem().Interface()
	}
	return registry
}
