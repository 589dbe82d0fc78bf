package pipelinetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// admitter gives the stage as an Admitter; nil: it is none.
func (c StageUnderTest) admitter() pipeline.Admitter {
	a, _ := c.Stage.(pipeline.Admitter)
	return a
}

// admitted hands a record to an Admitter as the engine does: the call is asked for, let in, made and
// left, and so are those that it says are further ones.
func admitted(ctx context.Context, s pipeline.Admitter, rec *pipeline.Record) error {
	call, err := admit(s, rec)
	if err != nil {
		return err
	}
	for {
		if err := enter(ctx, call); err != nil {
			call.Leave(pipeline.CallResult{})
			return err
		}
		began := time.Now()
		err := call.Do(ctx, rec)
		next, further := pipeline.NextCall(err)
		call.Leave(pipeline.CallResult{Begun: true, Err: err, Took: time.Since(began)})
		switch {
		case !further:
			return err
		case next == nil:
			return errors.New("the stage gave no further call")
		}
		call = next
	}
}

// admit asks for the call of a record, which must stay as it is.
func admit(s pipeline.Admitter, rec *pipeline.Record) (pipeline.Call, error) {
	before := see(rec)
	call, err := s.Admit(rec, 1)
	if what := see(rec).differs(before); what != "" {
		return nil, fmt.Errorf("Admit has edited the %s of the record", what)
	}
	if err == nil && call == nil {
		return nil, errors.New("the stage gave no call")
	}
	return call, err
}

// enter waits until a call is let in, or ctx ends.
func enter(ctx context.Context, call pipeline.Call) error {
	woken := make(chan struct{}, 1)
	for {
		gate := call.Gate()
		if gate == nil {
			return nil
		}
		if !reflect.ValueOf(gate).Comparable() {
			return fmt.Errorf("the gate, a %T, cannot be compared", gate)
		}
		wait, ok := call.Enter(func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
		if ok {
			return nil
		}
		if call.Gate() != gate {
			continue
		}
		if call.Waits() == "" {
			return errors.New("the call does not say what it waits for")
		}
		if wait <= 0 {
			wait = patience
		}
		t := time.NewTimer(wait)
		select {
		case <-woken:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// admitChecks are for Admitters alone, on top of all others.
var admitChecks = []stageCheck{
	{
		"like Process", "The engine calls Admit in place of Process: both make the same of a record.",
		func(ctx context.Context, fresh func() StageUnderTest) error {
			byAdmit, byProcess := fresh(), fresh()
			byProcess.processes = true
			want := byProcess.hits(ctx, 5, false)
			for i, got := range byAdmit.hits(ctx, 5, false) {
				if what := got.differs(want[i]); what != "" {
					return fmt.Errorf("record %d: another %s: %v", i, what, got.err)
				}
			}
			return nil
		},
	},
	{
		"given up", "Leave may come without Enter and Do, and behind Enter without Do: what the call has taken is given back.",
		func(ctx context.Context, fresh func() StageUnderTest) error {
			c := fresh()
			for i := range 100 { // more than any host has places
				rec := new(slab).record(at(i), nil, c.Hit(i))
				call, err := admit(c.admitter(), rec)
				if err != nil {
					return err
				}
				if i%2 == 1 {
					if err := soon(ctx, func(ctx context.Context) error { return enter(ctx, call) }); err != nil {
						return fmt.Errorf("waiting for the entrance of record %d: %w", i, err)
					}
				}
				before := see(rec)
				call.Leave(pipeline.CallResult{})
				if what := see(rec).differs(before); what != "" {
					return fmt.Errorf("the record is edited by Leave: its %s", what)
				}
			}
			return c.work(ctx, new(slab).record(at(100), nil, c.Hit(100))).good()
		},
	},
	{
		"nobody waits for ever", "One of the calls of a gate asks at a time. A call that was let in never waits for one that was not.",
		func(ctx context.Context, fresh func() StageUnderTest) error {
			c := fresh()
			gates := map[any][]int{}
			var calls []pipeline.Call
			var recs []*pipeline.Record
			for i := range 20 {
				rec := new(slab).record(at(i), nil, c.Hit(i%3))
				call, err := admit(c.admitter(), rec)
				if err != nil {
					return err
				}
				calls, recs = append(calls, call), append(recs, rec)
				gates[call.Gate()] = append(gates[call.Gate()], i)
			}
			return soon(ctx, func(ctx context.Context) error {
				errs := make([]error, len(calls))
				var all sync.WaitGroup
				for _, queue := range gates {
					all.Go(func() { // in the order in which they came to the gate
						for _, i := range queue {
							if err := admitted(ctx, given{call: calls[i]}, recs[i]); err != nil && !errors.Is(err, pipeline.Filtered) {
								errs[i] = fmt.Errorf("record %d: %w", i, err)
							}
						}
					})
				}
				all.Wait()
				return errors.Join(errs...)
			})
		},
	},
}

// soon runs f within the patience of the kit.
func soon(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return f(ctx)
}

// given is an Admitter that has its call already.
type given struct {
	pipeline.Admitter
	call pipeline.Call
}

func (g given) Admit(*pipeline.Record, int) (pipeline.Call, error) { return g.call, nil }
