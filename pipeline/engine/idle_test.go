package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// TestAnIdlePipelineHoldsBlocksAlone: what is charged to the budget when nothing is under way is the memory that is kept for the next records, also behind
// many that were skipped.
func TestAnIdlePipelineHoldsBlocksAlone(t *testing.T) {
	for _, skip := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			src := &memory{lanes: 4, records: 20_000, batch: 500, endless: true, charge: true, key: func(int, int) string { return "k" }}
			ctx, cancel := context.WithCancel(t.Context())
			p, done := start(t, ctx, Options{
				Source: src, Order: OrderKey, Steps: []Step{{Name: "a", Stage: does(func(context.Context, *pipeline.Record) error { return nil })}},
				Sinks: []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Sink: &collect{}},
			})
			if skip {
				if err := p.Skip([]byte("k")); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			kept := int64(0)
			for _, b := range append(p.pool.dirty, p.pool.clean...) {
				kept += b.size()
			}
			for _, l := range p.lanes.all() {
				if l.bytes != 0 || l.charges != 0 || l.records != 0 {
					t.Errorf("lane %s has %d bytes, %d charges and %d records", l.name, l.bytes, l.charges, l.records)
				}
				if l.block != nil {
					kept += l.block.size()
				}
			}
			s := p.Snapshot()
			if s.InFlightBytes != kept || s.InFlight != 0 || s.Rejected+s.Out != 80_000 || skip != (s.Out == 0) {
				t.Errorf("%d bytes are charged, and blocks have %d; %+v", s.InFlightBytes, kept, s.Counts)
			}
			cancel()
			<-done
		})
	}
}
