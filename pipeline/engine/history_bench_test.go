package engine

import (
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

// BenchmarkHistory measures what it costs a record to be asked whether it comes from the dead
// letters, when it is made.
func BenchmarkHistory(b *testing.B) {
	header := func(name string) pipeline.Header { return pipeline.Header{Name: name, Value: []byte("1 5")} }
	for name, headers := range map[string][]pipeline.Header{
		"none": nil, "three": {header("trace-id"), header("content-type"), header("source")},
		"replayed": {header("trace-id"), header("content-type"), header(deadletter.Replayed)},
	} {
		b.Run(name, func(b *testing.B) {
			var r pipeline.Record
			it := item{&r, &track{piece: &piece{}}}
			for b.Loop() {
				r.Init(pipeline.Position{}, nil, nil, headers, 0)
				if len(r.Headers()) > 0 {
					it.takeHistory()
				}
			}
		})
	}
}
