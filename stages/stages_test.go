package stages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// expression compiles, or ends the test.
func expression(t *testing.T, text string) (e expr.Expr) {
	t.Helper()
	if err := e.UnmarshalText([]byte(text)); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return e
}

func condition(t *testing.T, text string) (c expr.Condition) {
	t.Helper()
	if err := c.UnmarshalText([]byte(text)); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

// must gives a component that has to be good.
func must[T any](t *testing.T, c T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// value makes a record of a value; "tombstone" is one.
func value(text string) *pipeline.Record {
	var rec pipeline.Record
	v := []byte(text)
	if text == "tombstone" {
		v = nil
	}
	rec.Init(pipeline.Position{Topic: "t", Offset: 1}, []byte("k"), v, []pipeline.Header{{Name: "H", Value: []byte("v")}}, 1000)
	return &rec
}

// outcome says what became of a record: its value, filtered, or the reason.
func outcome(rec *pipeline.Record, err error) string {
	switch reason, permanent := pipeline.IsPermanent(err); {
	case errors.Is(err, pipeline.Filtered):
		return "filtered"
	case permanent:
		return "rejected: " + reason
	case err != nil:
		return "error: " + err.Error()
	case rec.Tombstone():
		return "tombstone"
	}
	return string(rec.Value())
}

// A row is one record and what has to become of it.
type row struct{ in, want string }

func processes(t *testing.T, s pipeline.Stage, rows []row) {
	t.Helper()
	for _, r := range rows {
		rec := value(r.in)
		if got := outcome(rec, s.Process(t.Context(), rec)); got != r.want {
			t.Errorf("%s: got %s, want %s", r.in, got, r.want)
		}
	}
}

func splits(t *testing.T, s pipeline.Splitter, rows []row) {
	t.Helper()
	for _, r := range rows {
		rec := value(r.in)
		got := ""
		err := s.Split(context.Background(), rec, func(part *pipeline.Record) {
			if part.Position != rec.Position || string(part.Key()) != "k" || len(part.Headers()) != 1 || part.Time != 1000 {
				t.Errorf("%s: a part is %+v", r.in, part)
			}
			got += outcome(part, nil) + "|"
		})
		if err != nil {
			got = outcome(rec, err)
		}
		if got != r.want {
			t.Errorf("%s: got %s, want %s", r.in, got, r.want)
		}
	}
}

func hit(n int) []byte {
	return fmt.Appendf(nil, `{"id":%d,"code":"c%d","name":"é\u00e9","list":[%d,{"id":1},null],"card":{"number":"4%d"}}`, n, n%3, n, n)
}

func tableFile(t *testing.T, name, text string) settings.Path {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return settings.Path(path)
}

func TestConform(t *testing.T) {
	table := func(t *testing.T) LookupSettings {
		s := DefaultLookup()
		s.Table.File, s.Table.Key = tableFile(t, "t.csv", "code,city\nc0,Ulm\nc1,Bonn\nc2,Köln\n"), "code"
		s.Match, s.Into = expression(t, "code"), "city"
		return s
	}
	for name, fresh := range map[string]func(t *testing.T) pipelinetest.StageUnderTest{
		"filter": func(t *testing.T) pipelinetest.StageUnderTest {
			f, err := NewFilter(FilterSettings{When: condition(t, "id >= 2")})
			return pipelinetest.StageUnderTest{Stage: must(t, f, err), Reject: []byte(`{"id":"canary"}`)}
		},
		"map": func(t *testing.T) pipelinetest.StageUnderTest {
			m, err := NewMap(MapSettings{
				Set:    settings.Fields[expr.Expr]{{Name: "double", Value: expression(t, "id * 2")}, {Name: "was", Value: expression(t, "name")}},
				Remove: []settings.FieldPath{"code"}, Rename: settings.Fields[settings.FieldPath]{{Name: "card", Value: "payment"}},
			})
			return pipelinetest.StageUnderTest{Stage: must(t, m, err), Reject: []byte(`{"id":"canary"}`)}
		},
		"map keep": func(t *testing.T) pipelinetest.StageUnderTest {
			m, err := NewMap(MapSettings{Keep: []settings.FieldPath{"id", "name"}})
			return pipelinetest.StageUnderTest{Stage: must(t, m, err), Reject: []byte(`[1]`)}
		},
		"map at depth": func(t *testing.T) pipelinetest.StageUnderTest {
			m, err := NewMap(MapSettings{
				Set: sets(t, "card.id", "id * 2", "list[1].id", "id", "new.name", "name"), Remove: []settings.FieldPath{"list[0]"},
				Rename: moves("card.number", "number", "list[*].id", "list[*].key"), Keep: []settings.FieldPath{"card.id", "list[*].key", "new"},
			})
			return pipelinetest.StageUnderTest{Stage: must(t, m, err), Reject: []byte(`{"id":1,"card":"canary"}`)}
		},
		"map of key, time and headers": func(t *testing.T) pipelinetest.StageUnderTest {
			m, err := NewMap(MapSettings{
				Key: ptr(expression(t, "id")), Time: ptr(expression(t, "id * 1000")), SetHeaders: headerSets(t, "code", "code"),
				RemoveHeaders: []settings.HeaderOrAll{{Name: "kit"}}, Tombstone: ptr(condition(t, "id % 3 == 2")),
			})
			return pipelinetest.StageUnderTest{Stage: must(t, m, err), Reject: []byte(`{"id":"canary"}`)}
		},
		"map of the value": func(t *testing.T) pipelinetest.StageUnderTest {
			m, err := NewMap(MapSettings{Value: ptr(expression(t, "card")), Set: sets(t, "of", "id + 1")})
			return pipelinetest.StageUnderTest{Stage: must(t, m, err), Reject: []byte(`{"id":"canary"}`)}
		},
		"split at depth": func(t *testing.T) pipelinetest.StageUnderTest {
			s := DefaultSplit()
			s.Field, s.Into = "list", "card.item"
			p, err := NewSplit(s)
			return pipelinetest.StageUnderTest{Splitter: must(t, p, err), Reject: []byte(`{"list":[1],"card":"canary"}`)}
		},
		"redact of elements": func(t *testing.T) pipelinetest.StageUnderTest {
			s := DefaultRedact()
			s.Fields, s.How = []settings.FieldPath{"list[-1]", "list[*].id", "card.*"}, HowRemove
			r, err := NewRedact(s)
			return pipelinetest.StageUnderTest{Stage: must(t, r, err), Reject: []byte(`17`)}
		},
		"split": func(t *testing.T) pipelinetest.StageUnderTest {
			s := DefaultSplit()
			s.Field = "list"
			p, err := NewSplit(s)
			return pipelinetest.StageUnderTest{Splitter: must(t, p, err), Reject: []byte(`{"list":{}}`)}
		},
		"split into": func(t *testing.T) pipelinetest.StageUnderTest {
			s := DefaultSplit()
			s.Field, s.Into = "list", "item"
			p, err := NewSplit(s)
			return pipelinetest.StageUnderTest{Splitter: must(t, p, err), Reject: []byte(`[]`)}
		},
		"parse": func(t *testing.T) pipelinetest.StageUnderTest {
			s := DefaultParse()
			s.As, s.Pattern, s.Field, s.Into = AsRegex, "^(?P<first>.)(?P<rest>.*)$", "name", "parts.of_name"
			p, err := NewParse(s)
			return pipelinetest.StageUnderTest{Stage: must(t, p, err), Reject: []byte(`{"name":""}`)}
		},
		"parse the value": func(t *testing.T) pipelinetest.StageUnderTest {
			s := DefaultParse()
			s.As = AsJSON
			p, err := NewParse(s)
			return pipelinetest.StageUnderTest{Stage: must(t, p, err), Reject: []byte(`canary`)}
		},
		"parse gzip": func(t *testing.T) pipelinetest.StageUnderTest {
			s := DefaultParse()
			s.As, s.Field = AsGzip, "packed"
			p, err := NewParse(s)
			return pipelinetest.StageUnderTest{Stage: must(t, p, err), Reject: []byte(`{"packed":"canary"}`)}
		},
		"format": func(t *testing.T) pipelinetest.StageUnderTest {
			f, err := NewFormat(FormatSettings{As: AsQuery, Field: "card", Into: "query"})
			return pipelinetest.StageUnderTest{Stage: must(t, f, err), Reject: []byte(`{"card":"canary"}`)}
		},
		"format zstd": func(t *testing.T) pipelinetest.StageUnderTest {
			f, err := NewFormat(FormatSettings{As: AsZstd, Field: "name"})
			return pipelinetest.StageUnderTest{Stage: must(t, f, err), Reject: []byte(`"canary"`)}
		},
		"redact": func(t *testing.T) pipelinetest.StageUnderTest {
			s := DefaultRedact()
			s.Fields, s.Key, s.Headers, s.How, s.Secret = []settings.FieldPath{"card.number", "name"}, true, []settings.HeaderName{"kit"}, HowHash, "0123456789abcdef"
			r, err := NewRedact(s)
			return pipelinetest.StageUnderTest{Stage: must(t, r, err), Reject: []byte(`17`)}
		},
		"validate": func(t *testing.T) pipelinetest.StageUnderTest {
			return pipelinetest.StageUnderTest{Stage: validate(t, `{"required":["id","list"],"properties":{"id":{"type":"integer"},"card":{"required":["number"]}}}`), Reject: []byte(`{"id":"canary"}`)}
		},
		"dedupe": func(t *testing.T) pipelinetest.StageUnderTest {
			s := DefaultDedupe()
			s.Key = expression(t, "id")
			d, err := NewDedupe(s)
			return pipelinetest.StageUnderTest{Stage: must(t, d, err), Reject: []byte(`{`)}
		},
		"lookup": func(t *testing.T) pipelinetest.StageUnderTest {
			l, err := NewLookup(table(t))
			return pipelinetest.StageUnderTest{Stage: must(t, l, err), Reject: []byte(`[]`)}
		},
		"lookup that rejects": func(t *testing.T) pipelinetest.StageUnderTest {
			s := table(t)
			s.OnMiss = MissReject
			l, err := NewLookup(s)
			return pipelinetest.StageUnderTest{Stage: must(t, l, err), Reject: []byte(`{"code":"none"}`)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			pipelinetest.Stage(t, func(t *testing.T) pipelinetest.StageUnderTest {
				c := fresh(t)
				c.Hit = hit
				return c
			})
		})
	}
}

// names gives the settings that the errors of a check point at.
func names(err error) []string {
	var all []string
	var walk func(err error)
	walk = func(err error) {
		if j, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range j.Unwrap() {
				walk(e)
			}
			return
		}
		var f *settings.FieldError
		if errors.As(err, &f) {
			all = append(all, f.Field)
		} else if err != nil {
			all = append(all, "")
		}
	}
	walk(err)
	return all
}
