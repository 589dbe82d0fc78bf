package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// ledger is a Transactor in memory, and the sinks that write through it: what is
// written becomes visible at Commit, together with the marks, or never.
type ledger struct {
	t       *testing.T
	fail    func(what string) error // of begin, commit and abort
	mu      sync.Mutex
	source  pipeline.Source
	open    bool
	pending []stored
	visible []stored
	next    map[string]int64
	begun   int
	commits int
	aborts  int
}

func (l *ledger) Bind(src pipeline.Source) error { l.source = src; return nil }

func (l *ledger) Stored(_ context.Context, lane string) (int64, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, ok := l.next[lane]
	return n, ok, nil
}

func (l *ledger) trouble(what string) error {
	if l.fail == nil {
		return nil
	}
	return l.fail(what)
}

func (l *ledger) Begin(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		l.t.Error("Begin inside a transaction")
	}
	if err := l.trouble("begin"); err != nil {
		return err
	}
	l.open = true
	l.begun++
	return nil
}

func (l *ledger) Commit(_ context.Context, marks []pipeline.Mark) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		l.t.Error("Commit outside of a transaction")
	}
	if err := l.trouble("commit"); err != nil {
		return err
	}
	l.open = false
	l.commits++
	l.visible = append(l.visible, l.pending...)
	l.pending = nil
	for _, m := range marks {
		if m.Next < l.next[m.Lane.Name()] {
			l.t.Errorf("the mark of %s went back", m.Lane.Name())
		}
		l.next[m.Lane.Name()] = m.Next
	}
	// The cut: what is visible is exactly what the marks have passed.
	for _, s := range l.visible {
		if lane := fmt.Sprintf("t/%d", s.Partition); s.Offset >= l.next[lane] {
			l.t.Errorf("%s is visible, the mark is %d", s.Position, l.next[lane])
		}
	}
	return nil
}

func (l *ledger) Abort(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open, l.pending = false, nil
	l.aborts++
	return l.trouble("abort")
}

func (l *ledger) at(lane string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next[lane]
}

func (l *lane) markNow() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ring.Passed()
}

// through is a sink that writes through the ledger.
type through struct {
	l    *ledger
	name string
	slow time.Duration
}

func (s *through) Write(ctx context.Context, recs []*pipeline.Record) error {
	pause(ctx, s.slow)
	if err := ctx.Err(); err != nil {
		return err
	}
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if !s.l.open {
		s.l.t.Errorf("a write to %s outside of a transaction", s.name)
	}
	for _, r := range recs {
		s.l.pending = append(s.l.pending, stored{Position: r.Position, part: r.Part, value: s.name})
	}
	return nil
}

func (s *through) Close(context.Context) error { return nil }

// reopening is a source that opens a lane anew when it was ended.
type reopening struct{ memory }

func (m *reopening) Read(ctx context.Context) (*pipeline.Batch, error) {
	for i := range m.lanes {
		m.mu.Lock()
		l := m.open[i]
		m.mu.Unlock()
		if over(l) && ctx.Err() == nil {
			fresh, from, err := m.engine.(feed).p.lane(ctx, l.Name(), -1)
			if err != nil {
				return nil, err
			}
			m.mu.Lock()
			m.open[i], m.next[i] = fresh, int(max(from, 0))
			m.mu.Unlock()
		}
	}
	if m.gap > 0 {
		pause(ctx, m.gap)
	}
	for range m.lanes {
		if b, err := m.one(ctx); b != nil || err != nil {
			return b, err
		}
	}
	for i := range m.lanes { // the end is the end only when it is committed
		if m.lane(i).inFlightNow() > 0 || over(m.lane(i)) {
			pause(ctx, 10*time.Millisecond)
			return &pipeline.Batch{Lane: m.lane(0), Next: int64(m.next[0])}, ctx.Err()
		}
	}
	return nil, io.EOF
}

func (l *lane) inFlightNow() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ring.Passed() > l.committed {
		return 1
	}
	return l.inFlight
}

func TestTransactions(t *testing.T) {
	for _, wild := range []float64{0, 0.15} {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			led := &ledger{t: t, next: map[string]int64{}}
			led.fail = func(string) error {
				if r.Float64() < wild {
					return errors.New("asking the coordinator: no answer")
				}
				return nil
			}
			src := &reopening{memory{lanes: 3, records: 2000, batch: 70, gap: time.Millisecond}}
			log := &lines{}
			p := mustNew(t, Options{
				Source: src, Transactor: led, CommitEvery: 20 * time.Millisecond, Events: log.emitter(t),
				Steps: []Step{{Name: "ask", Wait: &Wait{}, Workers: 32, Stage: does(func(ctx context.Context, r *pipeline.Record) error {
					pause(ctx, lognormalOf(r)/10)
					switch r.Offset % 10 {
					case 1:
						return pipeline.Filtered
					case 2:
						return pipeline.Permanent(errors.New("asking: no"))
					}
					return ctx.Err()
				})}},
				Sinks: []Output{
					{Name: "a", Sink: &through{led, "a", time.Millisecond}, MaxRecords: 20},
					{Name: "b", Sink: &through{led, "b", 7 * time.Millisecond}, MaxRecords: 50, When: func(r *pipeline.Record) (bool, error) { return r.Offset%2 == 0, nil }},
				},
				DeadLetter: DeadLetter{Sink: &through{led, "dead", 3 * time.Millisecond}},
			})
			if err := p.Run(t.Context()); err != nil {
				t.Fatal(wild, err)
			}
			balanced(t, p)
			count := map[string]int{}
			last := map[string]int64{}
			for _, s := range led.visible {
				id := fmt.Sprintf("%s %s", s.value, s.Position)
				if count[id]++; count[id] > 1 {
					t.Errorf("%s is visible twice", id)
				}
				lane := fmt.Sprintf("%s/%d", s.value, s.Partition)
				if s.value != "dead" && s.Offset < last[lane] {
					t.Errorf("%s: %d after %d (I1)", lane, s.Offset, last[lane])
				}
				last[lane] = s.Offset
			}
			for lane := range 3 {
				for n := range int64(2000) {
					at := pipeline.Position{Topic: "t", Partition: int32(lane), Offset: n}
					want := map[string]bool{"a": n%10 > 2 || n%10 == 0, "b": n%2 == 0 && n%10 != 2, "dead": n%10 == 2}
					for sink, there := range want {
						if got := count[fmt.Sprintf("%s %s", sink, at)] == 1; got != there {
							t.Fatalf("%s in %s: %v, want %v", at, sink, got, there)
						}
					}
				}
			}
			if led.commits < 10 || (led.aborts > 0) != (wild > 0) || led.source != pipeline.Source(src) {
				t.Errorf("%d commits, %d aborts", led.commits, led.aborts)
			}
			if len(log.named("transaction.aborted")) == 0 && led.aborts > 0 {
				t.Error("nothing tells of the aborts")
			}
			if src.commits != 0 {
				t.Error("the source was told marks beside the transactor")
			}
		})
	}
}

// The budget spent, or Abort, leaves nothing half visible; a lane that ends in time
// is committed.
func TestTransactionsAtTheEnd(t *testing.T) {
	for _, how := range []string{"drain", "abort", "hang", "end of a lane", "lost lane"} {
		synctest.Test(t, func(t *testing.T) {
			led := &ledger{t: t, next: map[string]int64{}}
			src := &memory{lanes: 2, records: 100_000, batch: 20, gap: time.Millisecond, endless: true}
			slow := 5 * time.Millisecond
			if how == "hang" {
				slow = time.Hour
			}
			ctx, cancel := context.WithCancel(t.Context())
			p, done := start(t, ctx, Options{
				Source: src, Transactor: led, CommitEvery: 50 * time.Millisecond, Drain: 10 * time.Second,
				Sinks: []Output{{Name: "a", Sink: &through{led, "a", slow}, Timeout: 2 * time.Hour}},
			})
			time.Sleep(777 * time.Millisecond)
			synctest.Wait() // no commit is on its way
			switch how {
			case "abort":
				p.Abort()
			case "end of a lane":
				r := endOf(t, src, 0, 5*time.Second)
				if r.Abandoned > 0 || led.at("t/0") == 0 || led.at("t/0") != src.lane(0).markNow() {
					t.Errorf("%+v, next %d, mark %d", r, led.at("t/0"), src.lane(0).markNow())
				}
			case "lost lane":
				gone, stop := context.WithCancel(ctx)
				stop()
				before := led.at("t/0")
				if _, err := src.lane(0).End(gone); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				if led.at("t/0") != before {
					t.Error("a lost lane was committed (I8)")
				}
			}
			cancel()
			began := time.Now()
			err := <-done
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%s: took %s", how, took)
			}
			var abandoned *AbandonedError
			if errors.As(err, &abandoned) != (how == "abort" || how == "hang") {
				t.Errorf("%s: %v", how, err)
			}
			balanced(t, p)
			seen := map[pipeline.Position]bool{}
			for _, s := range led.visible {
				if seen[s.Position] {
					t.Fatalf("%s: %s is visible twice", how, s.Position)
				}
				seen[s.Position] = true
			}
			for lane := range 2 {
				for n := range led.at(fmt.Sprintf("t/%d", lane)) {
					if !seen[pipeline.Position{Topic: "t", Partition: int32(lane), Offset: n}] {
						t.Fatalf("%s: %d of lane %d is not there", how, n, lane)
					}
				}
			}
			if led.open {
				t.Errorf("%s: a transaction is left open", how)
			}
			time.Sleep(3 * time.Hour)
		})
	}
}

func TestAnIdleTransactorRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		led := &ledger{t: t, next: map[string]int64{}}
		ctx, cancel := context.WithCancel(t.Context())
		_, done := start(t, ctx, Options{
			Source: &memory{lanes: 1, records: 10, endless: true}, Transactor: led,
			Sinks: []Output{{Name: "a", Sink: &through{led, "a", 0}}},
		})
		time.Sleep(time.Hour)
		led.mu.Lock()
		begun := led.begun
		led.mu.Unlock()
		if begun > 2 || led.at("t/0") != 10 {
			t.Errorf("%d transactions for ten records, next %d", begun, led.at("t/0"))
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// A lane is lost after its records were written and before the transaction is
// committed: somebody else will read them again, so it must not be committed.
func TestALostLaneSpoilsTheTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		led := &ledger{t: t, next: map[string]int64{}}
		src := &memory{lanes: 1, records: 10, endless: true}
		p, done := start(t, t.Context(), Options{
			Source: src, Transactor: led, CommitEvery: time.Second,
			Sinks: []Output{{Name: "a", Sink: &through{led, "a", time.Millisecond}}},
		})
		time.Sleep(500 * time.Millisecond)
		if n := src.lane(0).markNow(); n != 10 {
			t.Fatalf("the mark is %d: the test is wrong", n)
		}
		if r, err := src.lane(0).End(ended()); err != nil || r.InFlight != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		time.Sleep(5 * time.Second)
		p.Abort()
		<-done
		if len(led.visible) != 0 || led.commits != 0 {
			t.Errorf("%d records are visible though their mark is not committed", len(led.visible))
		}
	})
}

// A fatal error ends a pipeline with a transactor without waiting for what can no
// longer be committed.
func TestAFatalErrorEndsATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		led := &ledger{t: t, next: map[string]int64{}}
		src := &memory{lanes: 1, records: 100, batch: 100, endless: true}
		begun := time.Now()
		broken := errors.New("asking: no such table")
		p, done := start(t, t.Context(), Options{
			Source: src, Transactor: led, CommitEvery: time.Second,
			Steps: []Step{{Name: "ask", Wait: &Wait{}, Workers: 1, Stage: does(func(ctx context.Context, r *pipeline.Record) error {
				pause(ctx, 10*time.Millisecond)
				if r.Offset == 50 {
					return pipeline.Fatal(broken)
				}
				return nil
			})}},
			Sinks: []Output{{Name: "a", Sink: &through{led, "a", time.Millisecond}, MaxRecords: 5}},
		})
		if err := <-done; !errors.Is(err, broken) {
			t.Error(err)
		}
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("it took %s to end", d)
		}
		balanced(t, p)
		if len(led.visible) != 0 {
			t.Errorf("%d records are visible", len(led.visible))
		}
	})
}
