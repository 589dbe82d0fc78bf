package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// breaks is which of a random run's sinks store nothing now; the last is that of the dead letters. So it is in half of the runs that go on with other
// parts: these find sinks that hold what they cannot store.
type breaks struct {
	on   bool
	r    *rand.Rand // of who changes what records pass
	away []atomic.Bool
	held int // how many changes found records parked
}

// breakSinks has sinks break until the changes are over.
func (w *world) breakSinks() {
	b := &w.breaks
	b.r = rand.New(rand.NewPCG(w.seed, 8))
	if b.on = b.r.IntN(2) == 0; !b.on {
		return
	}
	all := append(w.outs[:len(w.outs):len(w.outs)], w.dead)
	b.away = make([]atomic.Bool, len(all))
	for i, out := range all {
		write := out.write
		out.write = func(ctx context.Context, recs []*pipeline.Record) error {
			if !b.away[i].Load() {
				return write(ctx, recs)
			}
			pause(ctx, w.upTo(5*time.Millisecond))
			if w.wild > 0 && out != w.dead && w.chance(0.3) {
				if err := w.short(recs); err != nil {
					return err
				}
			}
			return errors.New("writing: nobody is there")
		}
	}
	b.draw(3)
	for j := range w.changes {
		parts := &w.changes[j]
		for i := range parts.Sinks {
			if b.r.IntN(3) > 0 {
				parts.Sinks[i].Sink, parts.Sinks[i].Linger = &handedTo{w.outs[i]}, 0
				if len(parts.Sinks) == 1 && b.r.IntN(2) == 0 {
					parts.Sinks[i].Name = fmt.Sprint("next", j)
				}
			}
		}
		if b.r.IntN(2) == 0 {
			parts.DeadLetter.Sink = &handedTo{w.dead}
		}
	}
}

// draw has each sink be away once in so many times.
func (b *breaks) draw(of int) {
	for i := range b.away {
		b.away[i].Store(b.r.IntN(of) == 0)
	}
}

// mend has all sinks be there.
func (b *breaks) mend() {
	for i := range b.away {
		b.away[i].Store(false)
	}
}
