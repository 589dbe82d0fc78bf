package engine

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// untilStored is a source that has not come to its end before all of it is committed: transactions that fail have it read again.
type untilStored struct {
	reopening
	l *ledger
}

func (u *untilStored) Read(ctx context.Context) (*pipeline.Batch, error) {
	b, err := u.reopening.Read(ctx)
	if errors.Is(err, io.EOF) {
		for i := range u.lanes {
			if u.l.at("t/"+strconv.Itoa(i)) < int64(u.records) {
				pause(ctx, 10*time.Millisecond)
				return &pipeline.Batch{Lane: u.lane(0), Next: int64(u.next[0])}, ctx.Err()
			}
		}
	}
	return b, err
}

// Whatever is steered, each record becomes visible once, in the order of its lane, with the mark that passes it; also when transactions
// fail now and then.
func TestSteeringKeepsExactlyOnce(t *testing.T) {
	runs := uint64(30)
	if testing.Short() {
		runs = 8
	}
	for seed := range runs {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			r := rand.New(rand.NewPCG(seed, 6))
			l := &ledger{t: t, next: map[string]int64{}, fail: func(what string) error {
				mu.Lock()
				defer mu.Unlock()
				if what != "abort" && r.IntN(8) == 0 {
					return errors.New("the coordinator is away")
				}
				return nil
			}}
			src := &untilStored{reopening: reopening{memory{lanes: 3, records: 600, batch: 1 + r.IntN(200), charge: r.IntN(2) == 0, key: func(_, n int) string { return keyOf(n)[1:] }}}, l: l}
			out := &through{l: l, name: "out", slow: 3 * time.Millisecond}
			w := &world{t: t, seed: seed, src: &src.memory, o: Options{
				Source: src, Transactor: l, CommitEvery: 50 * time.Millisecond, Steps: twoKinds(), Sinks: []Output{{Name: "out", Sink: out}},
				DeadLetter: DeadLetter{Sink: &through{l: l, name: "dead"}},
			}}
			p := mustNew(t, w.o)
			over := make(chan struct{})
			var beside sync.WaitGroup
			beside.Go(func() { w.steer(p, over) })
			err := p.Run(t.Context())
			close(over)
			beside.Wait()
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			balanced(t, p)
			seen := map[string]bool{}
			last := map[string]int64{}
			for _, s := range l.visible {
				if seen[s.Position.String()] {
					t.Errorf("seed %d: %s is twice", seed, s.Position)
				}
				seen[s.Position.String()] = true
				lane := s.value + s.Topic + string('0'+rune(s.Partition))
				if s.Offset+1 <= last[lane] {
					t.Errorf("seed %d: %s comes late in %s (I1)", seed, s.Position, s.value)
				}
				last[lane] = s.Offset + 1
			}
			if len(seen) != 1800 {
				t.Errorf("seed %d: %d of 1800 are visible", seed, len(seen))
			}
		})
	}
}
