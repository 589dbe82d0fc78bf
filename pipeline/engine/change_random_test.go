package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// makeChanges makes parts that half of the random runs go on with, one after the other.
func (w *world) makeChanges() {
	if r := rand.New(rand.NewPCG(w.seed, 4)); r.IntN(2) > 0 {
		w.drawChanges(r)
	}
}

func (w *world) drawChanges(r *rand.Rand) {
	w.src.reopens = true
	for range 1 + r.IntN(8) {
		parts := Parts{Sinks: w.o.Sinks, DeadLetter: w.o.DeadLetter, ConfigHash: fmt.Sprint(r.IntN(9))}
		for i := range w.r.IntN(5) {
			parts.Steps = append(parts.Steps, w.step(i))
		}
		if r.IntN(3) == 0 {
			parts.Steps = w.o.Steps
		}
		parts.Sinks = slices.Clone(w.o.Sinks)
		if r.IntN(2) == 0 { // the same components, and other sinks before them
			for i := range parts.Sinks {
				parts.Sinks[i].Sink, parts.Sinks[i].Linger = &handedTo{w.outs[i]}, 0
			}
		}
		if r.IntN(4) == 0 {
			parts.DeadLetter.Budget = budgetOf(w.seed + 1)
			if parts.DeadLetter.Budget.Pause == 0 { // one that stops would end the run
				parts.DeadLetter.Budget = RejectionBudget{}
			}
		}
		w.changes = append(w.changes, parts)
	}
}

// A handedTo is another sink that stores in the same place.
type handedTo struct{ *collect }

func (h *handedTo) Close(context.Context) error { return nil }

// change replaces what records pass, again and again, until the run is over.
func (w *world) change(p *Pipeline, over <-chan struct{}) {
	r := rand.New(rand.NewPCG(w.seed, 5))
	defer w.breaks.mend()
	for _, parts := range w.changes {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(r.IntN(300)) * time.Millisecond):
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(20_000))*time.Millisecond)
		c, err := p.Prepare(ctx, parts)
		cancel()
		var late *NotAtRestError
		switch {
		case err == nil:
		case errors.As(err, &late), errors.Is(err, ErrStopping), errors.Is(err, ErrNotRunning):
			continue
		default:
			w.t.Errorf("Prepare: %v", err)
			return
		}
		if s := p.Snapshot(); s.InFlight != 0 {
			w.breaks.held++
			w.atRestOnlyWithParted(p, c)
		}
		time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
		before := p.Snapshot()
		if r.IntN(4) == 0 {
			c.Cancel()
			continue
		}
		if w.breaks.on {
			w.breaks.draw(3)
		}
		c.Commit()
		for _, old := range before.Steps {
			for _, now := range p.Snapshot().Steps {
				if now.Name == old.Name && now.Kind == old.Kind && (now.In < old.In || now.Out < old.Out || now.Busy < old.Busy || now.Idle < old.Idle) {
					w.t.Errorf("step %s counts back: %+v after %+v", now.Name, now, old)
				}
			}
		}
	}
}

// TestRandomChanges: what TestRandom checks holds when what records pass is replaced again and again, and seeds are told.
func TestRandomChanges(t *testing.T) {
	held := 0
	for seed := uint64(1000); seed < 1000+uint64(*runsFlag); seed++ {
		if r := rand.New(rand.NewPCG(seed, 4)); r.IntN(2) == 0 {
			continue
		}
		var run *world
		if randomRun(t, seed, func(w *world) { run = w }); t.Failed() {
			return
		}
		held += run.breaks.held
	}
	if *runsFlag >= 40 && held == 0 {
		t.Error("no change took away a sink that held what it could not store")
	}
}

// atRestOnlyWithParted: what is in flight while a pipeline rests is held by sinks that the change takes away, and by nothing else.
func (w *world) atRestOnlyWithParted(p *Pipeline, c *Change) {
	for _, s := range p.chain().steps {
		if n := s.core().meter.read().InFlight; n != 0 {
			w.t.Errorf("at rest step %s has %d in flight", s.core().conf.Name, n)
		}
	}
	for _, s := range p.chain().allSinks() {
		if n := s.meter.read().InFlight; n != 0 && c.chain.sinkOf(s.conf.Sink) != nil {
			w.t.Errorf("at rest sink %s, which is kept, has %d in flight", s.conf.Name, n)
		}
	}
}
