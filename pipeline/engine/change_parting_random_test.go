package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// An attempting sink stores in a place that other sinks of its name share, unless it is away.
type attempting struct {
	*collect
	away atomic.Bool
}

func (a *attempting) Write(ctx context.Context, recs []*pipeline.Record) error {
	if a.away.Load() {
		return errors.New("writing: nobody is there")
	}
	return a.collect.Write(ctx, recs)
}

func (a *attempting) Close(context.Context) error { return nil }

// TestRandomParting: sinks break, and changes keep, replace and remove them, in random order: each record is stored by one at least, by none twice, and in the order of its
// lane unless it was for a sink alone that is gone; what a change does not get through leaves all as it is.
func TestRandomParting(t *testing.T) {
	names := []string{"a", "b", "c"}
	for seed := range uint64(*runsFlag) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			stores := map[string]*collect{}
			for _, name := range names {
				stores[name] = &collect{}
			}
			var all []*attempting
			asked := false // the conditions, of what was for a sink that is gone
			draw := func(before []Output) (sinks []Output) {
				for _, name := range names {
					i := slices.IndexFunc(before, func(o Output) bool { return o.Name == name })
					switch {
					case r.IntN(3) == 0:
						continue
					case i >= 0 && r.IntN(3) == 0:
						sinks = append(sinks, before[i])
						continue
					}
					s := &attempting{collect: stores[name]}
					s.away.Store(r.IntN(3) == 0)
					all = append(all, s)
					sinks = append(sinks, Output{Name: name, Kind: "test", Sink: s, MaxRecords: 1 + r.IntN(30)})
				}
				if len(sinks) == 0 {
					s := &attempting{collect: stores["a"]}
					all, sinks = append(all, s), []Output{{Name: "a", Kind: "test", Sink: s}}
				}
				return sinks
			}
			src := &memory{lanes: 1 + r.IntN(3), records: 500, gap: time.Duration(1+r.IntN(20)) * time.Millisecond, reopens: true}
			sinks, order := draw(nil), []Order{OrderPartition, OrderKey}[r.IntN(2)]
			p, done := start(t, t.Context(), withParts(Options{Source: src, Order: order}, Parts{Sinks: sinks}))
			for range 1 + r.IntN(6) {
				time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
				if len(all) > 0 {
					all[r.IntN(len(all))].away.Store(r.IntN(2) == 0)
				}
				next := draw(sinks)
				c, err := changeWithin(t, p, Parts{Sinks: next})
				var late *NotAtRestError
				switch {
				case errors.As(err, &late), errors.Is(err, ErrStopping), errors.Is(err, ErrNotRunning):
				case err != nil:
					t.Fatalf("seed %d: %v", seed, err)
				case r.IntN(5) == 0:
					c.Cancel()
				case c.Commit():
					for _, o := range sinks { // what was for one alone that is gone comes to others behind what they have
						gone := !slices.ContainsFunc(next, func(n Output) bool { return n.Name == o.Name })
						asked = asked || gone && len(sinks)+len(next) > 2
					}
					sinks = next
				}
				balanced(t, p)
			}
			for _, s := range all {
				s.away.Store(false)
			}
			if err := <-done; err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			synctest.Wait()
			balanced(t, p)
			for lane := range src.lanes {
				stored := map[int64]bool{}
				for name, store := range stores {
					got := store.offsets(int32(lane))
					for i, o := range got {
						if stored[o] = true; i > 0 && got[i-1] >= o && (!asked || slices.Contains(got[:i], o)) {
							t.Errorf("seed %d: %d of lane %d comes behind %d in %s", seed, o, lane, got[i-1], name)
						}
					}
				}
				if len(stored) != 500 || src.mark(lane) != 500 {
					t.Errorf("seed %d: %d of lane %d are stored, the mark is %d", seed, len(stored), lane, src.mark(lane))
				}
			}
		})
		if t.Failed() {
			return
		}
	}
}
