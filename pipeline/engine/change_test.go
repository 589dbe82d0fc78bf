package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A versioned stage writes which version of the parts it is of behind the value of each record.
type versioned struct {
	version string
	slow    time.Duration
	closed  atomic.Int32
}

func (v *versioned) Process(ctx context.Context, r *pipeline.Record) error {
	pause(ctx, v.slow)
	r.SetValue(fmt.Appendf(nil, "%s/%s", r.Value(), v.version))
	return ctx.Err()
}

func (v *versioned) Close() error { v.closed.Add(1); return nil }

// partsOf makes parts of one version: a step that computes and one that waits, before a sink.
func partsOf(version string, slow time.Duration, sink pipeline.Sink) Parts {
	return Parts{
		Steps: []Step{
			{Name: "count", Kind: "test", Stage: &versioned{version: version}, Workers: 3},
			{Name: "ask", Kind: "test", Stage: &versioned{version: version, slow: slow}, Workers: 8, Wait: &Wait{Window: 100}},
			{Name: "again", Kind: "test", Stage: &versioned{version: version}, Workers: 1},
		},
		Sinks: []Output{{Name: "out", Kind: "test", Sink: sink, MaxRecords: 20}}, ConfigHash: version,
	}
}

func withParts(o Options, parts Parts) Options {
	o.Steps, o.Sinks, o.DeadLetter, o.ConfigHash = parts.Steps, parts.Sinks, parts.DeadLetter, parts.ConfigHash
	return o
}

// mustChange has a pipeline go on with other parts.
func mustChange(t *testing.T, p *Pipeline, parts Parts) {
	t.Helper()
	c, err := p.Prepare(t.Context(), parts)
	if err != nil {
		t.Fatal(err)
	}
	c.Commit()
}

// TestAChangeTakesRecordsWhole: under load, with a sink that is kept, each record passes the steps of one version, those of a lane pass the
// versions in their order, and none is lost, stored twice or overtaken.
func TestAChangeTakesRecordsWhole(t *testing.T) {
	for _, order := range []Order{OrderPartition, OrderKey} {
		synctest.Test(t, func(t *testing.T) {
			const lanes, records, versions = 3, 4000, 6
			src := &memory{lanes: lanes, records: records, batch: 37, gap: 5 * time.Millisecond, charge: true}
			sink := &collect{write: func(ctx context.Context, _ []*pipeline.Record) error { pause(ctx, 3*time.Millisecond); return nil }}
			p, done := start(t, t.Context(), withParts(Options{Source: src, Order: order}, partsOf("0", 5*time.Millisecond, sink)))
			for v := 1; v < versions; v++ {
				time.Sleep(100 * time.Millisecond)
				mustChange(t, p, partsOf(fmt.Sprint(v), time.Duration(v)*time.Millisecond, sink))
				balanced(t, p)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			balanced(t, p)
			seen := map[string]bool{}
			for lane := range int32(lanes) {
				ascending(t, fmt.Sprint("lane ", lane), sink.offsets(lane), records)
			}
			last := map[int32]string{}
			for _, s := range sink.all() {
				_, mark, _ := strings.Cut(s.value, "}/")
				passed := strings.Split(mark, "/")
				if len(passed) != 3 || passed[0] != passed[1] || passed[1] != passed[2] {
					t.Fatalf("%s passed the versions %v", s.Position, passed)
				}
				if passed[0] < last[s.Partition] {
					t.Fatalf("%s of version %s comes behind one of version %s", s.Position, passed[0], last[s.Partition])
				}
				last[s.Partition] = passed[0]
				seen[passed[0]] = true
			}
			if len(seen) != versions {
				t.Errorf("records passed the versions %v", seen)
			}
			if s := p.Snapshot(); s.Out != lanes*records || s.Steps[0].In != lanes*records || s.Sinks[0].Out != lanes*records || sink.closed != 1 {
				t.Errorf("%d delivered, %d in the first step, %d in the sink, which was closed %d times", s.Out, s.Steps[0].In, s.Sinks[0].Out, sink.closed)
			}
		})
	}
}

// TestAChangeKeepsComponents: what both parts have is kept open and told nothing; what only the old ones have is closed, and what only the new ones
// have is opened. A Cancel does the opposite.
func TestAChangeKeepsComponents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		tells := func(name string) *holder {
			return &holder{told: func(topic string, partition int32) {
				told = append(told, fmt.Sprint(name, " ", topic, "/", partition))
			}}
		}
		kept, before, never, after := tells("kept"), tells("before"), tells("never"), tells("after")
		stage, gone, other, fresh := &versioned{version: "s"}, &versioned{version: "g"}, &versioned{version: "o"}, &versioned{version: "f"}
		parts := func(second *versioned, last *holder) Parts {
			return Parts{
				Steps: []Step{{Name: "second", Stage: second, Workers: 1}, {Name: "kept", Stage: stage, Workers: 2}},
				Sinks: []Output{{Name: "kept", Sink: kept, Linger: time.Hour, MaxRecords: 1000}, {Name: "last", Sink: last}},
			}
		}
		src := &memory{lanes: 2, records: 10, batch: 10, endless: true}
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, withParts(Options{Source: src}, parts(gone, before)))
		time.Sleep(time.Second)
		c, err := p.Prepare(ctx, parts(other, never))
		if err != nil {
			t.Fatal(err)
		}
		c.Cancel()
		c.Commit() // nothing, behind Cancel
		synctest.Wait()
		if other.closed.Load() != 1 || never.closed != 1 || gone.closed.Load() != 0 || before.closed != 0 || len(told) != 0 {
			t.Errorf("after Cancel: %d, %d of the new, %d, %d of the old are closed; told %v", other.closed.Load(), never.closed, gone.closed.Load(), before.closed, told)
		}
		mustChange(t, p, parts(fresh, after))
		synctest.Wait()
		if stage.closed.Load() != 0 || kept.closed != 0 || gone.closed.Load() != 1 || before.closed != 1 || len(told) != 2 {
			t.Errorf("kept %d, %d closed; gone %d, %d closed; told %v", stage.closed.Load(), kept.closed, gone.closed.Load(), before.closed, told)
		}
		told = nil
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if stage.closed.Load() != 1 || kept.closed != 1 || fresh.closed.Load() != 1 || after.closed != 1 || gone.closed.Load() != 1 || before.closed != 1 {
			t.Error("at the end something is open, or closed twice")
		}
		if len(told) != 2 { // of the lanes that the kept sink has written; the other has written none
			t.Errorf("told at the end: %v", told)
		}
	})
}

// TestAChangeThatCannotBe: on any error the pipeline goes on with what it has.
func TestAChangeThatCannotBe(t *testing.T) {
	shut := errors.New("listening: the address is in use")
	type world struct {
		p    *Pipeline
		sink *collect
	}
	for name, c := range map[string]struct {
		parts func(w world) Parts
		want  func(error) bool
	}{
		"a sink does not open": {func(world) Parts { return partsOf("1", 0, &opens{err: shut}) }, func(err error) bool {
			var open *OpenError
			return errors.As(err, &open) && errors.Is(err, shut) && open.Sink == "out"
		}},
		"a sink panics as it opens": {func(world) Parts { return partsOf("1", 0, &opens{panics: true}) }, func(err error) bool {
			var p *pipeline.PanicError
			return errors.As(err, &p)
		}},
		"no sink": {func(world) Parts { return Parts{} }, func(err error) bool { return strings.Contains(fmt.Sprint(err), "it has no sink") }},
		"a kept sink with other settings": {func(w world) Parts {
			parts := partsOf("1", 0, w.sink)
			parts.Sinks[0].MaxRecords++
			return parts
		}, func(err error) bool { return strings.Contains(fmt.Sprint(err), "sink out: its component is kept") }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src, sink := &memory{lanes: 2, records: 1000, gap: time.Millisecond}, &collect{}
				p, done := start(t, t.Context(), withParts(Options{Source: src}, partsOf("0", 0, sink)))
				time.Sleep(20 * time.Millisecond)
				if change, err := p.Prepare(t.Context(), c.parts(world{p, sink})); change != nil || !c.want(err) {
					t.Errorf("%v", err)
				}
				if err := <-done; err != nil || len(sink.all()) != 2000 || sink.closed != 1 {
					t.Errorf("%v; %d records, closed %d times", err, len(sink.all()), sink.closed)
				}
			})
		})
	}
}

// opens is a sink that is opened.
type opens struct {
	collect
	err    error
	panics bool
}

func (o *opens) Open(context.Context) error {
	if o.panics {
		panic("opening: no")
	}
	return o.err
}

// TestAChangeOfWhatDoesNotRest: a sink that does not store, and that both parts have, keeps the pipeline from resting. Prepare says so, and who holds it.
func TestAChangeOfWhatDoesNotRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		sink := &collect{write: func(context.Context, []*pipeline.Record) error {
			if away.Load() {
				return errors.New("writing: nobody listens")
			}
			return nil
		}}
		src := &memory{lanes: 1, records: 500, gap: time.Millisecond, reopens: true}
		p, done := start(t, t.Context(), withParts(Options{Source: src}, partsOf("0", 0, sink)))
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		_, err := p.Prepare(ctx, partsOf("1", 0, sink))
		var late *NotAtRestError
		if !errors.As(err, &late) || late.InFlight == 0 || !strings.Contains(late.Holder, "nobody listens") || late.Failing != "out" || time.Since(began) != 10*time.Second {
			t.Fatalf("%v after %s", err, time.Since(began))
		}
		if _, err := p.Prepare(ctx, partsOf("1", 0, sink)); !errors.As(err, &late) { // it may be asked for again
			t.Errorf("again: %v", err)
		}
		away.Store(false)
		if err := <-done; err != nil || src.mark(0) != 500 {
			t.Errorf("%v: the mark is %d", err, src.mark(0))
		}
		ascending(t, "the sink", sink.offsets(0), 500)
	})
}

// TestAChangeHandsBackWhatHasNotBegun: of a step that is slow and has much before it, the change waits for what has begun. The rest is read
// again, by the same member, and nothing is stored twice.
func TestAChangeHandsBackWhatHasNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 2, records: 400, batch: 100, reopens: true}
		sink := &collect{}
		old, fresh := partsOf("0", 5*time.Second, sink), partsOf("1", time.Millisecond, sink)
		p, done := start(t, t.Context(), withParts(Options{Source: src, CommitEvery: time.Second}, old))
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		began := time.Now()
		c, err := p.Prepare(ctx, fresh)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 16*time.Second {
			t.Errorf("at rest after %s", took)
		}
		c.Commit()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for lane := range 2 {
			ascending(t, fmt.Sprint("lane ", lane), sink.offsets(int32(lane)), 400)
		}
		if s := p.Snapshot(); s.Abandoned == 0 || s.Out != 800 {
			t.Errorf("%d handed back, %d delivered", s.Abandoned, s.Out)
		}
	})
}

// TestAStopWinsOverAChange: a pipeline that is told to stop while it rests ends with the parts it has. The new ones are closed.
func TestAStopWinsOverAChange(t *testing.T) {
	for name, stop := range map[string]func(p *Pipeline, cancel func()){
		"ctx":   func(_ *Pipeline, cancel func()) { cancel() },
		"abort": func(p *Pipeline, _ func()) { p.Abort() },
		"error": func(p *Pipeline, _ func()) { p.stop(errors.New("it has failed")) },
	} {
		for _, prepared := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, prepared %t", name, prepared), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					src, sink, other := &memory{lanes: 1, records: 50, batch: 50, endless: true}, &collect{}, &collect{}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					p, done := start(t, ctx, withParts(Options{Source: src}, partsOf("0", 3*time.Second, sink)))
					time.Sleep(time.Millisecond)
					got := make(chan error, 1)
					var c *Change
					go func() {
						var err error
						c, err = p.Prepare(context.Background(), partsOf("1", 0, other))
						got <- err
					}()
					if prepared {
						if err := <-got; err != nil {
							t.Fatal(err)
						}
					}
					synctest.Wait()
					stop(p, cancel)
					if prepared {
						synctest.Wait()
						if c.Commit() {
							t.Error("Commit says that the new parts run")
						}
					} else if err := <-got; !errors.Is(err, ErrStopping) {
						t.Errorf("Prepare: %v", err)
					}
					<-done
					synctest.Wait()
					balanced(t, p)
					if prepared && (other.closed != 1 || len(other.all()) != 0) || sink.closed != 1 {
						t.Errorf("the old sink is closed %d times, the new one %d times", sink.closed, other.closed)
					}
				})
			})
		}
	}
}

// TestAChangeAtAnOddTime: before the start, beside another, and behind the end nothing is changed.
func TestAChangeAtAnOddTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, sink := &memory{lanes: 1, records: 50, endless: true}, &collect{}
		p := mustNew(t, withParts(Options{Source: src}, partsOf("0", 0, sink)))
		if _, err := p.Prepare(t.Context(), partsOf("1", 0, sink)); !errors.Is(err, ErrNotRunning) {
			t.Errorf("before the start: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(time.Second)
		c, err := p.Prepare(t.Context(), partsOf("1", 0, sink))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Prepare(t.Context(), partsOf("1", 0, sink)); !errors.Is(err, ErrChanging) {
			t.Errorf("beside another: %v", err)
		}
		if !c.Commit() || c.Commit() {
			t.Error("Commit says that the new parts do not run, or do again")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := p.Prepare(t.Context(), partsOf("1", 0, sink)); !errors.Is(err, ErrStopping) {
			t.Errorf("behind the end: %v", err)
		}
	})
}

// TestChangesInTransactions: what is visible is what the marks have passed, once and in order, when sinks and steps are replaced in
// the midst of transactions that fail now and then.
func TestChangesInTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		led := &ledger{t: t, next: map[string]int64{}}
		src := &reopening{memory{lanes: 3, records: 1500, batch: 20, gap: 5 * time.Millisecond}}
		parts := func(version int) Parts {
			return partsOf(fmt.Sprint(version), 2*time.Millisecond, &through{l: led, name: fmt.Sprint(version), slow: time.Millisecond})
		}
		p, done := start(t, t.Context(), withParts(Options{Source: src, Transactor: led, CommitEvery: 50 * time.Millisecond}, parts(0)))
		for v := 1; v < 8; v++ {
			time.Sleep(70 * time.Millisecond)
			mustChange(t, p, parts(v))
			led.mu.Lock()
			if led.open || len(led.pending) > 0 {
				t.Errorf("version %d begins in a transaction with %d writes of the one before", v, len(led.pending))
			}
			led.mu.Unlock()
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		next, last := map[int32]int64{}, map[int32]string{}
		for _, s := range led.visible {
			if s.Offset != next[s.Partition] || s.value < last[s.Partition] {
				t.Fatalf("%s by version %s, want offset %d, and no version before %s", s.Position, s.value, next[s.Partition], last[s.Partition])
			}
			next[s.Partition], last[s.Partition] = s.Offset+1, s.value
		}
		for lane, n := range next {
			if n != 1500 {
				t.Errorf("lane %d: %d records are visible", lane, n)
			}
		}
	})
}
