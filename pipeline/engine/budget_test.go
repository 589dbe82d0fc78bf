package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// sharer makes a pipeline that takes part in a budget, without running it.
func sharer(t *testing.T, b *Budget, lanes int) []*lane {
	t.Helper()
	p := mustNew(t, Options{Source: &memory{}, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Budget: b})
	b.join(&p.use)
	var out []*lane
	for range lanes {
		l, _, err := p.lane(t.Context(), "t/0", 0)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

// try takes bytes if that is possible at once. It belongs into a bubble: by a real clock the millisecond may be over before Take is called.
func try(t *testing.T, l *lane, bytes int64) *charge {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	c, err := l.Take(ctx, bytes)
	if err != nil {
		return nil
	}
	return c.(*charge)
}

// What is in flight stays within the budget, but for one charge of an empty lane (I4).
func TestBudgetIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(0, 1000)
		l := sharer(t, b, 2)
		c := try(t, l[0], 600)
		if c == nil || try(t, l[0], 500) != nil {
			t.Fatal("more than the budget was given")
		}
		if l[0].Room() != 400 {
			t.Errorf("room %d", l[0].Room())
		}
		if try(t, l[1], 5000) == nil {
			t.Error("a lane that holds no charge may always take one, however large")
		}
		if _, n := b.Use(); n != 5600 {
			t.Errorf("%d bytes in use", n)
		}
		if l[0].Room() != 0 || try(t, l[0], 1) != nil {
			t.Error("room beyond the budget")
		}
		c.Resize(10)
		c.Release()
		c.Release()
		if _, n := b.Use(); n != 5000 {
			t.Errorf("%d bytes in use", n)
		}
	})
}

// Places for records are given out up to the budget, and one to each lane that has none.
func TestBudgetOfRecords(t *testing.T) {
	b := NewBudget(100, 1<<20)
	l := sharer(t, b, 8)
	got := 0
	for range 100 {
		for _, l := range l {
			got += b.reserve(l, 256, 0)
		}
	}
	if got != 100 {
		t.Errorf("%d places of 100", got)
	}
	for _, l := range l {
		if l.records == 0 || l.records > 25 {
			t.Errorf("a lane has %d of 100 places", l.records)
		}
	}
	b.giveBack(l[0], l[0].records)
	for b.reserve(l[1], 256, 0) > 0 {
	}
	if n, _ := b.Use(); n != 100 {
		t.Errorf("%d records", n)
	}
	if b.reserve(l[0], 256, 0) != 1 || b.reserve(l[0], 256, 0) != 0 {
		t.Error("a lane with no record gets one, and no more, when the budget is spent")
	}
	told := 0
	l[0].use.lookAgain = func() { told++ }
	b.giveBack(l[1], 1) // 100 are left
	if told != 0 {
		t.Error("told that there is room, and there is none")
	}
	b.giveBack(l[1], 1)
	if told != 1 || b.reserve(l[0], 256, 0) != 1 {
		t.Errorf("told %d times that there is room", told)
	}
}

// A lane that has records waits for the bytes that more of them take; one that has none
// does not.
func TestBudgetOfWhatRecordsAreMadeInto(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(0, 1000)
		l := sharer(t, b, 2)
		told := 0
		l[0].use.lookAgain = func() { told++ }
		held := try(t, l[0], 600)
		if b.reserve(l[0], 5, 500) != 1 || b.reserve(l[1], 5, 500) != 1 {
			t.Error("a lane with no record waits, or gets more than it needs")
		}
		if b.reserve(l[0], 5, 500) != 0 || b.reserve(l[0], 5, 400) != 5 || b.hasFree(l[0], 500) || !b.hasFree(l[0], 400) {
			t.Error("400 bytes are left")
		}
		held.Resize(501)
		if told != 0 {
			t.Error("told of too little room")
		}
		held.Resize(500)
		if told != 1 || b.reserve(l[1], 5, 500) != 5 {
			t.Errorf("told %d times that there is room", told)
		}
		held.Release()
	})
}

// A waiter is served as soon as there is room, in turn, and the source is told.
func TestTakeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(0, 1000)
		l := sharer(t, b, 2)
		first := try(t, l[0], 900)
		small := try(t, l[1], 100)
		var got []string
		done := make(chan string)
		for _, w := range []struct {
			name  string
			lane  *lane
			bytes int64
		}{{"large", l[0], 500}, {"small", l[1], 10}} {
			go func() {
				if _, err := w.lane.Take(t.Context(), w.bytes); err == nil {
					done <- w.name
				}
			}()
			synctest.Wait()
		}
		select {
		case <-l[0].p.use.room:
		default:
		}
		first.Resize(600)
		synctest.Wait()
		select {
		case name := <-done:
			t.Fatalf("%s overtook", name)
		case <-l[0].p.use.room:
		}
		small.Release()
		got = append(got, <-done) // its lane has nothing in flight
		first.Release()
		got = append(got, <-done)
		if got[0] != "small" || got[1] != "large" {
			t.Errorf("%v", got)
		}
	})
}

func TestHalfToOneLaneWhileAnotherWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(0, 1000)
		l := sharer(t, b, 2)
		a, c := try(t, l[0], 400), try(t, l[1], 400)
		go func() { _, _ = l[1].Take(t.Context(), 300) }()
		synctest.Wait()
		if l[0].Room() > 100 {
			t.Errorf("lane 0 has room for %d beside its 400, while lane 1 waits", l[0].Room())
		}
		c.Release()
		a.Release()
		synctest.Wait()
	})
}

func TestEqualSharesOfPipelines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(0, 1000)
		one, two := sharer(t, b, 2), sharer(t, b, 2)
		if try(t, one[0], 600) == nil || try(t, one[0], 200) != nil {
			t.Error("a pipeline took of the share of the other, or could not take the rest")
		}
		if try(t, two[0], 100) == nil || try(t, two[0], 150) == nil {
			t.Error("the share of the second is not there")
		}
		b.leave(&two[0].p.use)
		if try(t, one[0], 200) == nil {
			t.Error("what a pipeline had is not given back at its end")
		}
	})
}

func TestHeldLaneHasNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(0, 1000)
		l := sharer(t, b, 1)[0]
		c := try(t, l, 10)
		l.holdBack()
		if l.Room() != 0 || try(t, l, 1) != nil {
			t.Error("a lane that is held back has room")
		}
		got := make(chan error)
		go func() {
			_, err := l.Take(t.Context(), 1)
			got <- err
		}()
		synctest.Wait()
		l.release()
		if err := <-got; err != nil {
			t.Error(err)
		}
		_ = c
		l.holdBack()
		go func() {
			_, err := l.Take(t.Context(), 1)
			got <- err
		}()
		synctest.Wait()
		l.abandon(true)
		if err := <-got; !errors.Is(err, errLaneEnded) {
			t.Errorf("Take of a lane that ends: %v", err)
		}
	})
}

// What steps add is charged, without waiting, and given back.
func TestGrowthIsCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(0, 1<<20)
		src := &memory{lanes: 1, records: 10}
		var most int64
		out := &collect{write: func(context.Context, []*pipeline.Record) error {
			_, n := b.Use()
			most = max(most, n)
			return nil
		}}
		_, err := run(t, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}}, Budget: b,
			Steps: []Step{
				{Name: "add", Workers: 1, Stage: does(func(_ context.Context, r *pipeline.Record) error {
					return r.SetRaw("more", append(append([]byte{'"'}, make10k()...), '"'))
				})},
				{Name: "ask", Wait: &Wait{}, Stage: does(func(_ context.Context, r *pipeline.Record) error {
					r.SetValue(append([]byte(nil), r.Value()...))
					return nil
				})},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if most < 10*(10_000+placeSize) {
			t.Errorf("%d bytes charged for ten records of 10 kB", most)
		}
		if r, n := b.Use(); r != 0 || n != 0 {
			t.Errorf("%d records, %d bytes are not given back", r, n)
		}
	})
}

func make10k() []byte {
	b := make([]byte, 10_000)
	for i := range b {
		b[i] = 'x'
	}
	return b
}

// Whoever waits is served when the lane's last charge comes back, also when that one
// held no bytes any more.
func TestAnEmptyChargeComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(0, 1000)
		l := sharer(t, b, 1)[0]
		c := try(t, l, 600)
		c.Resize(0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got := make(chan error, 1)
		go func() {
			_, err := l.Take(ctx, 5000)
			got <- err
		}()
		synctest.Wait()
		c.Release()
		if err := <-got; err != nil {
			t.Error("nothing is in flight, and the lane gets nothing:", err)
		}
	})
}

// A charge can be given out in parts, each of which is given back by itself; what others
// count in it stays when bytes are added.
func TestChargesAreSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(0, 1000)
		l := sharer(t, b, 1)[0]
		use := func(records int, bytes int64) {
			t.Helper()
			if r, n := b.Use(); r != records || n != bytes {
				t.Errorf("%d records and %d bytes in use, not %d and %d", r, n, records, bytes)
			}
		}
		whole := try(t, l, 600)
		part := whole.Split(200)
		use(0, 600)
		part.Add(50)
		part.Add(100)
		part.Add(-40)
		use(0, 710)
		whole.Resize(10)
		use(0, 320)
		whole.Release()
		use(0, 310)
		if l.Room() == 1000 || try(t, l, 5000) != nil {
			t.Error("a lane of which a part is in flight is taken for empty")
		}
		part.Release()
		part.Release()
		use(0, 0)
		late := whole.Split(5)
		late.Add(7)
		late.Release()
		use(0, 0)
		if l.charges != 0 || try(t, l, 5000) == nil {
			t.Errorf("%d charges are left", l.charges)
		}
	})
}

// limits.in_flight is exceeded by at most one record for each lane, whatever size the
// batches are of, and whether or not they come with a charge.
func TestRecordsInFlightAreBounded(t *testing.T) {
	for _, batch := range []int{1, 7, 1000} {
		for _, charge := range []bool{false, true} {
			for _, waits := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					b := NewBudget(100, 0)
					hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
					src := &memory{lanes: 8, records: 2000, batch: batch, charge: charge, endless: true}
					out := &collect{write: func(ctx context.Context, _ []*pipeline.Record) error { return hang(ctx) }}
					o := Options{Source: src, Budget: b, Drain: time.Second, Sinks: []Output{{Name: "out", Sink: out, Timeout: time.Hour}}}
					if waits {
						o.Steps = []Step{{Name: "ask", Wait: &Wait{Timeout: time.Hour, Deadline: time.Hour}, Stage: does(func(ctx context.Context, _ *pipeline.Record) error { return hang(ctx) })}}
					}
					ctx, cancel := context.WithCancel(t.Context())
					p, done := start(t, ctx, o)
					time.Sleep(time.Second)
					synctest.Wait()
					if n, _ := b.Use(); n < 100 || n > 108 || p.Snapshot().InFlight != int64(n) {
						t.Errorf("batches of %d, charges %v, waits %v: %d records of the budget, %d in flight", batch, charge, waits, n, p.Snapshot().InFlight)
					}
					cancel()
					var abandoned *AbandonedError
					if err := <-done; !errors.As(err, &abandoned) {
						t.Error(err)
					}
				})
			}
		}
	}
}
