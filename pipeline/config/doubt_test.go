package config_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// warned gives the warnings of a pipeline with one map and, behind it, further stages:
// the words before the first that is not a path of the file.
func warned(t *testing.T, set, stages string) string {
	t.Helper()
	dir := put(t, map[string]string{"a.yaml": "pipeline: p\nsource:\n  kafka: {brokers: [127.0.0.1:9092], topics: [orders]}\nstages:\n  - map:\n      set:\n" + set + stages + "sinks:\n  - stdout: {}\n"})
	var texts []string
	for _, w := range mustLoad(t, loader(), filepath.Join(dir, "a.yaml")).Warnings {
		if w.Suggestion == "" || w.Source == "" || w.Column == 0 {
			t.Errorf("a warning without all it has to say: %+v", w)
		}
		text, _, _ := strings.Cut(w.Text, ":")
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}

// What the file says elsewhere decides whether a name in quotes, or of capitals, is a
// field.
func TestTextsThatReadFields(t *testing.T) {
	for _, c := range []struct{ set, stages, want string }{
		{`        a: "DE"`, "", "a reads the field DE"},
		{`        a: 'de'`, "", "a reads the field de"},
		{`        "a": "DE"`, "", ""},
		{`        de: "DE"`, "", ""},
		{`        a: "DE"`, "  - filter: DE > 3\n", ""},
		{`        a: "DE"`, "  - filter: delay > 3\n", "a reads the field DE"},
		{"        a: \"DE\"\n        b: \"delay * 2\"", "", "a reads the field DE, and no other field of this file has capital letters alone"},
		{"        a: \"de\"\n        b: \"delay * 2\"", "", ""},
		{"        a: \"de\"\n        b: '\"x\" + y'", "", "a reads the field de"}, // quotes that are needed are no habit
		{`        a: "eu-west-1"`, "", "a calculates with the fields eu, west"},
		{`        a: "eu - west"`, "", ""},
		{`        a.b: "de"`, "", "b reads the field de"},
		{`        user.city: "city"`, "", ""}, // the last name of a path is what the field is called
		{`        a: 1`, "  - map: {set_headers: {kind: \"order\"}}\n", "kind reads the field order"},
		{`        a: 1`, "  - map: {set_headers: {order: \"order\"}, key: \"id\", value: \"user\", time: \"at\"}\n", ""},
		{`        a: 1`, "  - map: {key: this.id, tombstone: status}\n", "key; tombstone is the field status alone"},
		{`        customer: "customer_id"`, "", ""},
		{`        origin_airport: 'origin'`, "", ""},
		{"        customer: \"customerId\"\n        a: \"total\"\n        b: \"DE\"", "", ""}, // quotes are this file's habit
		{"        customer: \"customerId\"\n        a: \"DE\"\n        b: delay + 1", "", "a reads the field DE, and no other field of this file has capital letters alone"},
		{`        a: "arrival-departure"`, "  - filter: arrival > 3\n", ""},
		{`        a: "${GROUP}"`, "", ""}, // a variable may give the name of a field
		{`        a: DE`, "", ""},
		{`        a: DE`, "  - filter: delay > 3\n", "a reads the field DE, and no other field of this file has capital letters alone"},
		{`        a: DE`, "  - filter: a > 3\n", ""}, // the file makes a itself
		{`        a: DE`, "  - filter: delay > BETRAG\n", ""},
		{`        a: D`, "  - filter: delay > 3\n", ""},
		{`        a: De`, "  - filter: delay > 3\n", ""},
		{`        de: DE`, "  - filter: delay > 3\n", ""},
		{`        a: $env["DE"]`, "  - filter: delay > 3\n", ""},
		{"        a: DE\n        b: DE", "  - filter: delay > 3\n", ""},
		{`        a: 2026-01-31`, "", "a is no date, but a number"},
		{`        a: 2026 - 1`, "", ""},
		{`        a: "0"`, "", ""},
		{`        a: "007"`, "", "a is a number here"},
	} {
		if got := warned(t, c.set+"\n", c.stages); got != c.want {
			t.Errorf("%s\n%s%q, want %q", c.set, c.stages, got, c.want)
		}
	}
}

// A field that the file itself sets to true or false is a condition.
func TestFieldsThatAreConditions(t *testing.T) {
	for _, c := range []struct{ set, stages, want string }{
		{`        x: delay > 15`, "  - filter: x\n", ""},
		{`        x: delay > 15`, "  - filter: not x\n", ""},
		{`        x: delay`, "  - filter: x\n", "filter is the field x alone"},
		{`        y: delay > 15`, "  - filter: x\n", "filter is the field x alone"},
		{`        y: delay > 15`, "  - filter: ${GROUP}\n", "filter is the field ${GROUP} alone"}, // what a variable gave is not shown
		{`        y: delay > 15`, "  - filter: cancelled\n  - filter: is_x\n  - filter: x == true\n  - filter: x and y\n  - filter: consent\n  - filter: opt_in\n  - filter: flags.beta\n  - filter: user.features[\"new-cart\"]\n", ""},
	} {
		if got := warned(t, c.set+"\n", c.stages); got != c.want {
			t.Errorf("%s\n%s%q, want %q", c.set, c.stages, got, c.want)
		}
	}
}

// The loops of files that run together: who reads what another writes is no loop, until
// it comes back.
func TestLoops(t *testing.T) {
	file := func(name, reads, sinks string) string {
		return "pipeline: " + name + "\nsource:\n  kafka: {brokers: [127.0.0.1:9092], topics: [" + reads + "]}\nsinks:\n" + sinks
	}
	to := func(topic string) string { return "  - kafka: {topic: " + topic + "}\n" }
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a chain":       {map[string]string{"a": file("a", "x", to("y")), "b": file("b", "y", to("z"))}, ""},
		"two to one":    {map[string]string{"a": file("a", "x", to("z")), "b": file("b", "y", to("z"))}, ""},
		"one topic":     {map[string]string{"a": file("a", "x", to("y")), "b": file("b", "x", to("z"))}, ""},
		"there, back":   {map[string]string{"a": file("a", "x", to("y")), "b": file("b", "y", to("x"))}, "a.yaml:5: a -> b -> a; b.yaml:5: b -> a -> b"},
		"itself":        {map[string]string{"a": file("a", "x", to("x")), "b": file("b", "y", to("x"))}, "a.yaml:5: itself"},
		"a dead letter": {map[string]string{"a": file("a", "x", to("y")+"dead_letter:\n  kafka: {topic: x}\n")}, "a.yaml:7: itself"},
		"a part":        {map[string]string{"a": file("a", "x", to(`"{x}"`))}, ""},
		"its second topic": {map[string]string{"a": file("a", "w, x", to("y")), "b": file("b", "y", to("z")+"  - {name: back, kafka: {topic: x}}\n")},
			"a.yaml:5: a -> b -> a; b.yaml:6: b -> a -> b"},
	} {
		files := map[string]string{}
		for n, text := range c.files {
			files[n+".yaml"] = text
		}
		dir := put(t, files)
		var got []string
		for _, w := range mustLoad(t, loader(), dir).Warnings {
			place := strings.TrimPrefix(w.File, dir+"/") + ":" + string(rune('0'+w.Line)) + ": "
			_, path, ok := strings.Cut(w.Text, "again and again: ")
			if !ok {
				path = "itself"
			}
			got = append(got, place+path)
		}
		if g := strings.Join(got, "; "); g != c.want {
			t.Errorf("%s: %q, want %q", name, g, c.want)
		}
	}
}

// Paths that are written as those of another language, or as what a record has beside its value,
// lead to fields that records hardly have.
func TestPathsThatLeadElsewhere(t *testing.T) {
	const redact, map_ = "  - redact: {fields: [%]}\n", "  - map: {remove: [%]}\n"
	const keep, parse, validate = "  - map: {keep: [%]}\n", "  - parse: {as: json, field: %}\n", "  - validate: {field: %, schema: {inline: {type: string}}}\n"
	for _, c := range []struct{ stages, path, want string }{
		{redact, "root.a", "fields[0]"}, {redact, "this.a", "fields[0]"}, {redact, "$a", "fields[0]"}, {redact, "$a.b", "fields[0]"}, {redact, "a/b", "fields[0]"},
		{redact, "meta.key", "fields[0]"}, {redact, "headers.authorization", "fields[0]"}, {redact, "meta.headers.x", "fields[0]"}, {redact, "meta.topic", "fields[0]"},
		{map_, "meta.key", "remove[0]"}, {map_, "root.a.b", "remove[0]"}, {map_, "headers.Authorization", "remove[0]"},
		{"  - map: {rename: {%: a}}\n", "headers.a", "rename"}, {"  - map: {rename: {%: a}}\n", "meta.key", "rename"}, {keep, "headers.a", "keep[0]"}, {keep, "root.a", "keep[0]"}, {keep, "this.a", "keep[0]"}, {keep, "meta.time", "keep[0]"},
		{"  - split: {field: %}\n", "headers.a", "field"}, {"  - split: {field: %}\n", "root.a", "field"}, {parse, "headers.a", "field"}, {parse, "meta.value", "field"}, {validate, "this.a", "field"}, {validate, "headers.a", "field"},
		{map_ + "  - filter: $env[\"headers\"] != nil\n", "headers.a", ""}, {map_ + "  - filter: headers.b == 1\n", "headers.a", ""}, {"  - map: {set: {headers: x.y}}\n" + map_, "headers.a", ""}, {"  - map: {remove: [%], remove_headers: [b]}\n", "headers.a", ""}, {keep + "  - map: {remove: [meta]}\n", "meta.key", ""},
		// Records have these.
		{redact, "payload.a", ""}, {redact, "record.a", ""}, {redact, "$type", ""}, {redact, "$oid.x", ""}, {redact, "meta.source", ""}, {redact, "meta", ""}, {redact, "root", ""}, {redact, "this", ""}, {redact, "a.meta.key", ""}, {map_, "headers", ""}, {map_, "\"headers[0].a\"", ""}, {map_, "a/b", ""},
		// What is written with a backslash is meant, and so is what the file says elsewhere.
		{redact, `\$a`, ""}, {redact, `a\/b`, ""},
		{redact + "  - filter: $env[\"meta\"] != nil\n", "meta.key", ""}, {redact + "  - filter: $env[\"this\"].b != nil\n", "this.a", ""}, {redact + "  - filter: root.b > 3\n", "root.a", ""},
		{redact + "  - map: {keep: [headers]}\n", "headers.a", ""}, {redact + "  - filter: this.b > 3\n", "this.a", "fields[0]; filter"},
		{"  - redact: {fields: [%], headers: [a]}\n", "headers.a", ""}, {"  - redact: {fields: [%], key: true}\n", "meta.key", ""}, {"  - map: {set: {%: 1}, set_headers: {a: b}}\n", "headers.a", ""},
		{"  - map: {set: {%: 1}}\n", "headers.a", "set"}, {"  - map: {rename: {a: %}}\n", "meta.key", "rename.a"}, {"  - map: {rename: {%: a}}\n", "this.x", "rename"},
		{redact, "\"${GROUP}\"", ""},
	} {
		if got := warned(t, "        a: 1\n", strings.ReplaceAll(c.stages, "%", c.path)); got != c.want {
			t.Errorf("%s in %s%q, want %q", c.path, c.stages, got, c.want)
		}
	}
}
