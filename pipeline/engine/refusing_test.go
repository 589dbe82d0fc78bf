package engine

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A decliner makes a call for each record, one after the other, as a sink of HTTP does, and refuses each. In the lane
// of partition 1 they take longer.
type decliner struct {
	slow  time.Duration
	calls atomic.Int64
}

func (r *decliner) write(ctx context.Context, recs []*pipeline.Record) error {
	e := &pipeline.WriteError{}
	for i, rec := range recs {
		call := 50 * time.Millisecond
		if rec.Partition == 1 {
			call = r.slow
		}
		if pause(ctx, call); ctx.Err() != nil {
			e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: ctx.Err()})
			continue
		}
		r.calls.Add(1)
		e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: pipeline.Permanent(errors.New("storing: no"))})
	}
	return e
}

// A slow sink that refuses everything is left alone once the budget of dead letters is spent: no Write begins, one that
// takes long is ended, and what waits to be tried again is given up. All of that is read again. Another sink gets what is its.
func TestASinkThatSpendsTheBudgetIsLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		lanes int
		most  int64
		slow  time.Duration // a call of the second lane
		fails error         // what Write says in the second lane; nil: it refuses
	}{
		"a full queue":                 {lanes: 1, most: 40},
		"a long write of another lane": {lanes: 2, most: 40 + 4, slow: time.Second},
		"another lane tried again":     {lanes: 2, most: 40, fails: pipeline.RetryAfter(time.Hour, errors.New("storing: the server is down"))},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, dead, other := &decliner{slow: c.slow}, &collect{}, &collect{}
				out := &collect{write: func(ctx context.Context, recs []*pipeline.Record) error {
					if c.fails != nil && recs[0].Partition == 1 {
						return c.fails
					}
					return r.write(ctx, recs)
				}}
				src := &memory{lanes: c.lanes, records: 1000, batch: 300, endless: true}
				p, done := start(t, t.Context(), Options{
					Source:     src,
					Sinks:      []Output{{Name: "out", Kind: "test", Sink: out, MaxRecords: 40, Timeout: time.Hour}, {Name: "other", Kind: "test", Sink: other}},
					DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: 30, Of: 1000}},
				})
				began := time.Now()
				err := <-done
				took := time.Since(began)
				if err == nil || !strings.Contains(err.Error(), "the budget of dead letters is spent: 30 of the last 30 records at the sinks were rejected, and") || !strings.Contains(err.Error(), "out: t/0@30: storing: no") {
					t.Errorf("it ended with %v", err)
				}
				if n := len(dead.all()); r.calls.Load() > c.most || n != 30 || took > 5*time.Second {
					t.Errorf("%d calls, at most %d wanted, %d letters, in %s", r.calls.Load(), c.most, n, took)
				}
				if n := len(other.all()); n < 40 || p.Snapshot().Abandoned == 0 || src.mark(0) != 30 {
					t.Errorf("the other sink has %d, %d abandoned, mark %d", n, p.Snapshot().Abandoned, src.mark(0))
				}
				balanced(t, p)
			})
		})
	}
}

// What cannot be read again is given to the sink all the same: given up, it would be lost.
func TestASinkThatSpendsTheBudgetGetsWhatIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, dead := &decliner{}, &collect{}
		_, err := run(t, Options{
			Source: &once{memory: memory{lanes: 1, records: 100, batch: 100}}, Sinks: []Output{{Name: "out", Kind: "test", MaxRecords: 10, Sink: &collect{write: r.write}}},
			DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: 30, Of: 1000}},
		})
		if err == nil || len(dead.all()) != 30 || r.calls.Load() != 100 {
			t.Errorf("%v, %d letters, %d calls", err, len(dead.all()), r.calls.Load())
		}
	})
}
