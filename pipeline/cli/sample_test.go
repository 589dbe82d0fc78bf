package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// absentOnPurpose are the fields that a case reads of none of its records, because it is about
// that.
var absentOnPurpose = map[string][]string{
	"map-headers": {"nothing"},
	"map-set":     {"nothing"},
}

// TestSampleOfCases: check --sample warns of no field of the cases and the demo, whose files and
// inputs fit, but of those that are absent on purpose.
func TestSampleOfCases(t *testing.T) {
	cases, err := findCases([]string{filepath.Join(repo, "testdata", "cases")}, catalog.Kinds())
	if err != nil || len(cases) < 90 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	judged, archived := 0, 0
	for _, c := range cases {
		name := c.name
		found, problems := sampleOfCase(t, c)
		for _, s := range found.Steps {
			judged += len(s.Fields)
		}
		if c.archive != nil {
			archived++
		}
		want := slices.Clone(absentOnPurpose[name])
		for _, p := range problems {
			i := slices.IndexFunc(want, func(field string) bool { return strings.Contains(p.Text, ": "+field+": in 0 of ") })
			if i < 0 {
				t.Errorf("%s: a false alarm:\n%s", name, p.Detail())
				continue
			}
			want = slices.Delete(want, i, i+1)
		}
		if len(want) > 0 {
			t.Errorf("%s: nothing is said of %v", name, want)
		}
	}
	if judged < 20 || archived < 45 {
		t.Errorf("only %d fields were judged, and %d cases of archives", judged, archived)
	}
	demo := filepath.Join(repo, "testdata", "demo", "late-flights.yaml")
	flights := filepath.Join(repo, "testdata", "flights", "flights.jsonl")
	found, problems := sampleOf(t, demo, sampleFlags{files: []string{flights}, form: inputForm{as: "value"}, records: 500})
	if len(problems) > 0 || found.Records != 500 || found.Read <= 500 {
		t.Errorf("the demo: %d of %d records, %v", found.Records, found.Read, problems.Detail())
	}
	if s := found.Steps[0]; s.In != 500 || s.Passed+s.Filtered != 500 || s.Passed == 0 || s.Filtered == 0 {
		t.Errorf("the demo's filter: %+v", s)
	}
	if s := found.Steps[4]; s.Called || s.In != s.Out {
		t.Errorf("the demo's weather: %+v", s)
	}
}

// sampleOfCase takes the input of a case through its pipeline; that of an archive is unpacked.
func sampleOfCase(t *testing.T, c *testCase) (*sample, config.Problems) {
	t.Helper()
	if c.archive != nil {
		c.root = t.TempDir()
		if err := c.archive.unpack(c.root, c.within); err != nil {
			t.Fatal(err)
		}
		c.dir = filepath.Join(c.root, c.within)
	}
	if err := c.readSettings(); err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	input, as, err := c.input()
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	for name, value := range c.settings.Env {
		t.Setenv(name, value)
	}
	form := inputForm{as: as}
	if c.settings.Key != nil {
		form.key = c.settings.Key.String()
	}
	return sampleOf(t, c.pipeline, sampleFlags{files: []string{string(input)}, form: form, records: 500})
}

func sampleOf(t *testing.T, file string, f sampleFlags) (*sample, config.Problems) {
	t.Helper()
	loader := config.Loader{Kinds: catalog.Kinds(), Env: func(name string) (string, bool) {
		if value, ok := os.LookupEnv(name); ok {
			return value, true
		}
		return map[string]string{"HTTP": "http://127.0.0.1:1", "HTTP_HOST": "127.0.0.1:1", "REDIS": "127.0.0.1:1", "WEATHER": "127.0.0.1:1", "BROKERS": "127.0.0.1:1", "OUT": t.TempDir()}[name], true
	}}
	set, err := loader.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	found, problems, err := runSample(context.Background(), strings.NewReader(""), set.Pipelines[0], f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return found, problems
}

// TestReadSample: the records of a sample are spread over all of the file, in order, and as many
// as are asked for.
func TestReadSample(t *testing.T) {
	for _, c := range []struct{ lines, take int }{{1, 500}, {7, 3}, {500, 500}, {501, 500}, {1000, 500}, {10_007, 500}, {64, 1}} {
		var text strings.Builder
		for i := range c.lines {
			fmt.Fprintf(&text, "{\"n\": %d}\n", i)
		}
		records, read, err := readSample(strings.NewReader(text.String()), sampleFlags{files: []string{"-"}, form: inputForm{as: "value"}, records: c.take})
		if err != nil || read != c.lines || len(records) != min(c.lines, c.take) {
			t.Errorf("%+v: %d of %d records, %v", c, len(records), read, err)
			continue
		}
		last, widest := int64(0), int64(0)
		for _, rec := range records {
			if rec.Offset <= last {
				t.Errorf("%+v: offset %d behind %d", c, rec.Offset, last)
			}
			widest, last = max(widest, rec.Offset-last), rec.Offset
		}
		widest = max(widest, int64(c.lines)-last)
		if most := int64(4*c.lines/len(records) + 1); widest > most {
			t.Errorf("%+v: a gap of %d records, most %d", c, widest, most)
		}
	}
}

// TestPresence: in how many records a path stands, and when its absence says nothing.
func TestPresence(t *testing.T) {
	values := []string{
		`{"user": {"mail": "a"}, "items": [{"sku": 1}, {"sku": 2, "price": 3}], "empty": [], "none": null, "deep": {"a": {"b": 1}}}`,
		`{"user": {"name": "b"}, "items": [{"sku": 1}], "empty": [], "none": null, "text": "x"}`,
		`[1, 2]`, `"text"`, `{"user": {"mail": null}}`, `{`,
	}
	for _, c := range []struct {
		path           string
		through        bool
		there, missing int
		near           string
	}{
		{path: "user", there: 3, missing: -1}, {path: "user.mail", there: 2, missing: -1}, {path: "usre.mail", missing: 0, near: "user"},
		{path: "user.mial", missing: 1, near: "mail"}, {path: "items[*].sku", there: 2, missing: -1}, {path: "items[*].skus", missing: 2, near: "sku"},
		{path: "items[1].price", there: 1, missing: -1}, {path: "items[-1].price", there: 1, missing: -1},
		{path: "items[9].sku", missing: -1}, {path: "items.sku", missing: -1}, {path: "items.skus", through: true, missing: 1, near: "sku"}, {path: "items.sku", through: true, there: 2, missing: -1},
		{path: "empty[*].x", missing: -1}, {path: "none.x", missing: -1}, {path: "text.x", missing: -1}, {path: "deep.*.b", there: 1, missing: -1}, {path: "deep.*.c", missing: 2},
	} {
		path, err := jsontext.ParsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		p := newPresence(path, c.through)
		for _, v := range values {
			rec := new(pipeline.Record)
			rec.Init(pipeline.Position{}, nil, []byte(v), nil, 0)
			p.add(rec)
		}
		i := p.missing()
		near := ""
		if i >= 0 {
			near = p.near(i, nil)
		}
		if p.records != 3 || p.there() != c.there || i != c.missing || near != c.near {
			t.Errorf("%s: in %d of %d, missing at %d, near %q; want %d, %d, %q", c.path, p.there(), p.records, i, near, c.there, c.missing, c.near)
		}
	}
}
