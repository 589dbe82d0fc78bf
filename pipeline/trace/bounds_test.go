package trace

import (
	"runtime"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/trace/tracetest"
	"github.com/penstockio/penstock/pipeline/tracing"
)

// TestWritesWithoutEndAreBounded: a sink is tried without end, and a trace does not grow with it. Its messages are told of it all the same.
func TestWritesWithoutEndAreBounded(t *testing.T) {
	for name, records := range map[string]int{"one record": 1, "several": 2} {
		t.Run(name, func(t *testing.T) {
			c := tracetest.Start(t)
			tr := open(t, c, nil)
			p := tr.Pipeline(Pipeline{Name: "p", Source: "kafka"})
			var of []engine.Trace
			for range records {
				of = append(of, p.Begin(recordWith(), time.Now(), true))
			}
			const writes = 2 * maxSpans
			for range writes {
				ctx, span := p.Send(t.Context(), "out", "kafka", of, time.Now())
				if told := tracing.Of(ctx); told == nil || len(told.Message(0)) == 0 || len(told.Call()) == 0 {
					t.Fatal("a Write is told of no trace")
				}
				if span != nil {
					span.End(engine.Result{ErrorType: "timeout"}, time.Now())
				}
			}
			for _, r := range of {
				r.End("delivered", time.Now())
			}
			flush(t, tr)
			for _, r := range c.Named("process flights") {
				if n := len(c.Within(r)); n > maxSpans || len(r.Links) > maxWriteLinks || r.LinksOut > 0 {
					t.Errorf("%d spans are within that of a record, which has %d links, and %d were left out by the library", n, len(r.Links), r.LinksOut)
				}
				if left := r.Attrs["penstock.spans_left_out"]; records == 1 && left != "256" {
					t.Errorf("%q spans were left out", left)
				}
			}
		})
	}
}

// TestHeadersWithoutNumber: a stranger who repeats a header as often as a record has room for costs about as much memory as the record has.
func TestHeadersWithoutNumber(t *testing.T) {
	tr := open(t, tracetest.Start(t), func(o *Options) { o.Baggage = true })
	p := tr.Pipeline(Pipeline{Name: "p"})
	headers := []string{"traceparent", came + "-01"}
	for range 20_000 {
		headers = append(headers, "tracestate", "a=1", "baggage", "b=2")
	}
	rec := recordWith(headers...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := p.Begin(rec, time.Now(), false)
	runtime.ReadMemStats(&after)
	if r == nil {
		t.Fatal("the record is not traced")
	}
	r.End("delivered", time.Now())
	if took := after.TotalAlloc - before.TotalAlloc; took > 10<<20 {
		t.Errorf("%d bytes were allocated", took)
	}
}
