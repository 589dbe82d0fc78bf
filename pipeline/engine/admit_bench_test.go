package engine

import (
	"context"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// instant is an Admitter whose calls take no time: what is left is what the engine does.
type instant struct{ gate any }

func (s instant) Process(context.Context, *pipeline.Record) error    { return nil }
func (s instant) Admit(*pipeline.Record, int) (pipeline.Call, error) { return s, nil }
func (s instant) Gate() any                                          { return s.gate }
func (s instant) Enter(func()) (time.Duration, bool)                 { return 0, true }
func (s instant) Waits() string                                      { return "" }
func (s instant) Do(context.Context, *pipeline.Record) error         { return nil }
func (s instant) Leave(pipeline.CallResult) (counts bool)            { return true }

// BenchmarkAdmit is what a record costs in a step that waits: of a stage without Admit, of one whose
// calls wait for nothing, and of one whose calls have one gate, which is open.
func BenchmarkAdmit(b *testing.B) {
	for name, stage := range map[string]pipeline.Stage{
		"plain": does(func(context.Context, *pipeline.Record) error { return nil }), "no gate": instant{}, "one gate": instant{"gate"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			sink := &count{}
			p := mustNew(b, Options{
				Source: newSlabs(b.N, 64, 256, func(i int, r *pipeline.Record) {
					r.Init(pipeline.Position{Topic: "t", Partition: 0, Offset: int64(i)}, payload, nil, nil, 0)
				}),
				Sinks: []Output{{Name: "out", Sink: sink}}, Steps: []Step{{Name: "ask", Wait: &Wait{}, Workers: 64, Stage: stage}},
			})
			b.ResetTimer()
			if err := p.Run(context.Background()); err != nil {
				b.Fatal(err)
			}
			if sink.n != int64(b.N) || sink.bad {
				b.Fatalf("%d records, out of order: %v", sink.n, sink.bad)
			}
		})
	}
}
