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
	"github.com/penstockio/penstock/pipeline/deadletter"
)

// A sink writes at once when nothing is on its way for the lane, and collects while
// something is.
func TestWritesFillByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 1000, batch: 1, gap: time.Millisecond}
		out := &collect{}
		out.write = func(ctx context.Context, _ []*pipeline.Record) error { pause(ctx, 10*time.Millisecond); return nil }
		p, err := run(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}})
		if err != nil {
			t.Fatal(err)
		}
		ascending(t, "out", out.offsets(0), 1000)
		if out.batches[0] != 1 || out.batches[1] < 9 || out.batches[1] > 11 {
			t.Errorf("batches %v", out.batches[:5])
		}
		if s := p.Snapshot(); s.Latency.Max > 25 || s.Sinks[0].Batches != int64(len(out.batches)) {
			t.Errorf("latency %+v", s.Latency)
		}
	})
}

func TestLingerAndCaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 100, batch: 1, gap: time.Millisecond}
		out := &collect{}
		if _, err := run(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: out, Linger: 20 * time.Millisecond, MaxRecords: 10}}}); err != nil {
			t.Fatal(err)
		}
		if len(out.batches) != 10 {
			t.Errorf("with a linger: %v", out.batches)
		}
		src = &memory{lanes: 1, records: 100, batch: 100}
		out = &collect{}
		if _, err := run(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: out, MaxBytes: 100}}}); err != nil {
			t.Fatal(err)
		}
		for _, n := range out.batches {
			if n > 6 { // of 17 bytes
				t.Errorf("a write of %d records", n)
			}
		}
	})
}

// Only what failed is written again, in order, and nothing passes it.
func TestPartialFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 100, batch: 100}
		out, dead := &collect{}, &collect{}
		var writes [][]int64
		out.write = func(_ context.Context, recs []*pipeline.Record) error {
			var offs []int64
			var e pipeline.WriteError
			bad := false
			for i, r := range recs {
				offs = append(offs, r.Offset)
				odd := r.Offset%2 == 1 // two destinations: odd and even
				switch {
				case r.Offset == 40:
					e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: pipeline.Permanent(errors.New("writing: too long"))})
				case odd && (bad || r.Offset == 51 && len(writes) < 3):
					bad = true
					e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: errors.New("writing: leader is away")})
				}
			}
			writes = append(writes, offs)
			if len(e.Failed) > 0 {
				return &e
			}
			return nil
		}
		p, err := run(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead}})
		if err != nil {
			t.Fatal(err)
		}
		for n, w := range writes[1:4] {
			if len(w) != 25 || w[0] != 51 || w[24] != 99 {
				t.Errorf("write %d again: %v", n+1, w)
			}
		}
		seen := map[int64]bool{}
		last := map[int64]int64{0: -1, 1: -1}
		for _, o := range out.offsets(0) {
			if seen[o] || o <= last[o%2] {
				t.Fatalf("%d: twice, or out of order", o)
			}
			seen[o], last[o%2] = true, o
		}
		if len(seen) != 99 || len(dead.all()) != 1 || dead.all()[0].headers[deadletter.Step] != "out" {
			t.Errorf("%d stored, dead letters %v", len(seen), dead.all())
		}
		if c := p.Snapshot().Sinks[0].Counts; c.Rejected != 1 || c.Out != 99 || c.Retries < 2 {
			t.Errorf("%+v", c)
		}
		if src.mark(0) != 100 {
			t.Errorf("mark %d", src.mark(0))
		}
	})
}

// A transient error of a sink is retried without end, reported once, and holds the
// lane alone.
func TestASinkIsRetriedWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		src := &memory{lanes: 2, records: 50}
		out := &collect{}
		began := time.Now()
		down := errors.New("writing: connection refused")
		var calls atomic.Int32
		out.write = func(_ context.Context, recs []*pipeline.Record) error {
			if recs[0].Partition == 0 && time.Since(began) < 10*time.Minute {
				calls.Add(1)
				return down
			}
			return nil
		}
		p, done := start(t, t.Context(), Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}, Events: log.emitter(t)})
		time.Sleep(5 * time.Minute)
		ascending(t, "lane 1", out.offsets(1), 50)
		if n := calls.Load(); n < 10 || n > 200 {
			t.Errorf("%d attempts in five minutes", n)
		}
		if src.mark(0) != 0 {
			t.Errorf("mark %d", src.mark(0))
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		balanced(t, p)
		ascending(t, "lane 0", out.offsets(0), 50)
		up, well := log.named("sink.stalled"), log.named("sink.recovered")
		if len(up) != 1 || len(well) != 1 || up[0]["error_type"] != "_other" || up[0]["holder"] != "t/0" || up[0]["error_message"] != down.Error() {
			t.Errorf("stalled %v, recovered %v", up, well)
		}
		if text, _ := up[0]["message"].(string); strings.Count(text, down.Error()) != 1 || !strings.Contains(text, "out stores nothing of t/0 since 30s: t/0@0; out: attempt ") {
			t.Errorf("the message is %q", text)
		}
	})
}

func TestAttemptsOfASinkAreAChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, dead := &collect{}, &collect{}
		calls := 0
		out.write = func(context.Context, []*pipeline.Record) error {
			if calls++; calls <= 3 {
				return errors.New("writing: down")
			}
			return nil
		}
		_, err := run(t, Options{
			Source: &memory{lanes: 1, records: 30}, DeadLetter: DeadLetter{Sink: dead},
			Sinks: []Output{{Name: "out", Sink: out, MaxRecords: 10, Retry: Retry{Attempts: 3}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(dead.all()); n != 10 || dead.all()[0].headers[deadletter.Reason] != pipeline.ReasonAttempts {
			t.Errorf("%d dead letters: %v", n, dead.all())
		}
		if len(out.all()) != 20 {
			t.Errorf("%d stored", len(out.all()))
		}
	})
}

// A write that fails as a whole for good is halved until the record is found.
func TestABadRecordIsFound(t *testing.T) {
	for _, how := range []string{"permanent", "panic", "goexit"} {
		synctest.Test(t, func(t *testing.T) {
			out, dead := &collect{}, &collect{}
			out.write = func(_ context.Context, recs []*pipeline.Record) error {
				for _, r := range recs {
					if r.Offset == 37 || r.Offset == 38 {
						return badly(how)
					}
				}
				return nil
			}
			src := &memory{lanes: 1, records: 100, batch: 100}
			_, err := run(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead}})
			if err != nil {
				t.Fatal(how, err)
			}
			if got := out.offsets(0); len(got) != 98 || src.mark(0) != 100 {
				t.Errorf("%s: %d stored, mark %d", how, len(got), src.mark(0))
			}
			ds := dead.offsets(0)
			want := pipeline.ReasonPermanent
			if how != "permanent" {
				want = pipeline.ReasonPanic
			}
			if fmt.Sprint(ds) != "[37 38]" || dead.all()[0].headers[deadletter.Reason] != want {
				t.Errorf("%s: dead letters %v", how, dead.all())
			}
		})
	}
}

func TestSeveralSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 60}
		all, some, slow, dead := &collect{}, &collect{}, &collect{}, &collect{}
		slow.write = func(ctx context.Context, _ []*pipeline.Record) error { pause(ctx, 100*time.Millisecond); return nil }
		some.write = func(_ context.Context, recs []*pipeline.Record) error {
			var e pipeline.WriteError
			for i, r := range recs {
				if r.Offset == 30 {
					e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: pipeline.Permanent(errors.New("writing: no"))})
				}
			}
			if len(e.Failed) > 0 {
				return &e
			}
			return nil
		}
		when := func(n int64) func(*pipeline.Record) (bool, error) {
			return func(r *pipeline.Record) (bool, error) {
				if r.Offset == 50 && n == 3 {
					return false, errors.New("when: ordering a number against a string")
				}
				if _, err := r.Field("n"); err != nil {
					return false, err
				}
				return r.Offset%n == 0, nil
			}
		}
		p, err := run(t, Options{
			Source: src, DeadLetter: DeadLetter{Sink: dead},
			Steps: []Step{{Name: "edit", Stage: does(func(_ context.Context, r *pipeline.Record) error { return r.SetRaw("x", []byte("1")) })}},
			Sinks: []Output{
				{Name: "all", Sink: all, When: when(2)}, {Name: "some", Sink: some, When: when(3)}, {Name: "slow", Sink: slow, When: when(5)},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		// 30 in all, 20 in some, 12 in slow; 30 is rejected by some, 50 has no answer.
		if a, b, c := len(all.all()), len(some.all()), len(slow.all()); a != 29 || b != 19 || c != 11 {
			t.Errorf("%d, %d and %d stored", a, b, c)
		}
		for _, s := range slow.all() {
			if s.value != fmt.Sprintf(`{"lane":0,"n":%d,"x":1}`, s.Offset) {
				t.Fatal(s.value)
			}
		}
		letters := map[int64]string{}
		for _, d := range dead.all() {
			letters[d.Offset] += d.headers[deadletter.Step] + " " + d.headers[deadletter.Reason] + ";"
		}
		if len(letters) != 2 || letters[30] != "some permanent;" || letters[50] != "some expression;" {
			t.Errorf("%v", letters)
		}
		c := p.Snapshot().Counts
		want := int64(0)
		for n := range 60 {
			if n%2 == 0 || n%3 == 0 || n%5 == 0 {
				want++
			}
		}
		if c.Out != want-2 || c.Rejected != 2 || c.Filtered != 60-want || c.In != 60 {
			t.Errorf("%+v, want %d out", c, want-2)
		}
		if src.mark(0) != 60 {
			t.Errorf("mark %d", src.mark(0))
		}
	})
}

// No second write of a lane begins while the first, whose ctx has ended, goes on.
func TestNoSecondWriteWhileTheFirstGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &collect{} // it fails for good when two writes of a lane meet
		deaf := 0
		out.write = func(ctx context.Context, _ []*pipeline.Record) error {
			if deaf++; deaf < 4 {
				time.Sleep(time.Minute) // of a timeout of 10 s
				return ctx.Err()
			}
			return nil
		}
		if _, err := run(t, Options{Source: &memory{lanes: 1, records: 500}, Sinks: []Output{{Name: "out", Sink: out}}}); err != nil {
			t.Fatal(err)
		}
		ascending(t, "out", out.offsets(0), 500)
	})
}

// A sink that breaks its contract is not believed.
func TestNonsenseFromASink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &collect{}
		calls := 0
		out.write = func(_ context.Context, recs []*pipeline.Record) error {
			calls++
			switch calls {
			case 1:
				return errors.Join(&pipeline.WriteError{}, errors.New("writing: nothing failed, but it did"))
			case 2:
				return fmt.Errorf("writing: %w", pipeline.Fatal(nil2(recs)))
			}
			return nil
		}
		_, err := run(t, Options{Source: &memory{lanes: 1, records: 5}, Sinks: []Output{{Name: "out", Sink: out}}})
		if err == nil || err.Error() != "out: t/0@0: writing: disk is gone" {
			t.Fatalf("%v", err)
		}
	})
}

func nil2([]*pipeline.Record) error { return errors.New("disk is gone") }

// badly fails in one of three ways.
func badly(how string) error {
	switch how {
	case "panic":
		panic("working: a panic")
	case "goexit":
		goexit()
	}
	return pipeline.Permanent(errors.New("working: no use"))
}

// A failure of a sink that stops the pipeline names its record, also when that is the
// last of its batch.
func TestAStoppingFailureNamesItsRecord(t *testing.T) {
	broken := errors.New("storing: the disk is full")
	for name, f := range map[string]func(error) error{"fatal": pipeline.Fatal, "permanent": pipeline.Permanent} {
		sink := &collect{write: func(_ context.Context, recs []*pipeline.Record) error {
			return &pipeline.WriteError{Failed: []pipeline.Failure{{Index: len(recs) - 1, Err: f(broken)}}}
		}}
		_, err := run(t, Options{
			Source: &memory{lanes: 1, records: 1}, Sinks: []Output{{Name: "out", Sink: sink, Retry: Retry{Attempts: 1}}},
		})
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), "t/0@0") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Time that ran out says how long it was, also where a sink says it of single records.
func TestAFailureOfARecordSaysHowLongTheTimeWas(t *testing.T) {
	for name, failed := range map[string]func(int) error{
		"all": func(int) error { return fmt.Errorf("storing: %w", context.DeadlineExceeded) },
		"each": func(n int) error {
			return &pipeline.WriteError{Failed: []pipeline.Failure{{Index: n - 1, Err: fmt.Errorf("storing: %w", context.DeadlineExceeded)}}}
		},
	} {
		sink := &collect{write: func(_ context.Context, recs []*pipeline.Record) error { return failed(len(recs)) }}
		_, err := run(t, Options{
			Source: &memory{lanes: 1, records: 1}, Sinks: []Output{{Name: "out", Sink: sink, Timeout: 700 * time.Millisecond, Retry: Retry{Attempts: 1}}},
		})
		if err == nil || !strings.HasSuffix(err.Error(), "storing: no answer within 700ms") || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// hosted is a sink that names its host.
type hosted struct{ collect }

func (*hosted) Host() string { return "store.example" }

// TestInFlightSaysThatAHostHasAskedToWait: a record whose write waits as long as its host has asked for is held back by that, in the
// list of what is in flight as in the answer of Why.
func TestInFlightSaysThatAHostHasAskedToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{
			Source: &memory{lanes: 1, records: 3, batch: 3, endless: true},
			Sinks: []Output{{Name: "out", MaxRecords: 2, Sink: &hosted{collect{write: func(context.Context, []*pipeline.Record) error {
				return pipeline.RetryAfter(time.Hour, errors.New("storing: busy"))
			}}}}},
		})
		time.Sleep(5 * time.Second)
		held := p.Why()
		if len(held) != 1 || held[0].Cause != CauseHost || held[0].Since != 5*time.Second {
			t.Fatalf("%v: the test is wrong", held)
		}
		for _, r := range p.InFlight() {
			want := InFlight{Position: r.Position, Lane: "t/0", Where: "out", State: "queued", Age: 5 * time.Second}
			if r.Offset < 2 {
				want.State, want.For, want.Held, want.Attempt = held[0].State, held[0].For, held[0].Since, 1
			}
			if r != want {
				t.Errorf("%s: %s for %q, held for %s, attempt %d; want %s for %q, held for %s, attempt %d",
					r.Position, r.State, r.For, r.Held, r.Attempt, want.State, want.For, want.Held, want.Attempt)
			}
		}
		cancel()
		p.Abort()
		<-done
	})
}
