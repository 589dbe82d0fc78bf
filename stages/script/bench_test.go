package script

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/stages"
)

// BenchmarkScript compares a small script with a map that does the same, on real flights.
func BenchmarkScript(b *testing.B) {
	text, err := os.ReadFile("../../testdata/flights/flights.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	var values [][]byte
	for l := range strings.Lines(string(text)) {
		values = append(values, []byte(strings.TrimSpace(l)))
	}
	s := Defaults()
	s.Code = `
def process(record):
    record["late"] = record["delay"] * 2
    record["route"] = record["origin"] + "-" + record["destination"]
`
	scripted, err := New(s)
	if err != nil {
		b.Fatal(err)
	}
	var double, route expr.Expr
	if err := errors.Join(double.UnmarshalText([]byte("delay * 2")), route.UnmarshalText([]byte(`origin + "-" + destination`))); err != nil {
		b.Fatal(err)
	}
	mapped, err := stages.NewMap(stages.MapSettings{Set: settings.Fields[expr.Expr]{{Name: "late", Value: double}, {Name: "route", Value: route}}})
	if err != nil {
		b.Fatal(err)
	}
	s.Code = "def process(record):\n  pass\n"
	idle, err := New(s)
	if err != nil {
		b.Fatal(err)
	}
	for name, stage := range map[string]pipeline.Stage{"script": scripted, "map": mapped, "script that does nothing": idle} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var rec pipeline.Record
			for i := range b.N {
				rec.Init(pipeline.Position{}, nil, values[i%len(values)], nil, 0)
				if err := stage.Process(context.Background(), &rec); err != nil {
					b.Fatal(err)
				}
				rec.Value()
			}
		})
	}
}
