package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A handing is a pipeline that is stopped with a backlog, and started again from its
// marks.
type handing struct {
	lanes, records int
	order          Order
	steps          func(c *calls) []Step
	sinks          int
	write          func(ctx context.Context, recs []*pipeline.Record) error
	transactor     bool
	parts          func(n int64) int  // what becomes of a record; nil: one
	letter         func(n int64) bool // it goes to the dead letters
	late           int                // records, or parts, that may still be begun after the stop
	within         time.Duration      // how long the stop may take
}

// calls are those of the first step that waits. They outlive a run.
type calls struct {
	mu      sync.Mutex
	stopped bool
	late    int // begun after the stop
	tried   map[string]int
	memory  *remembers
}

// ask is a stage of a step that waits.
func (c *calls) ask(d func(r *pipeline.Record) time.Duration, answer func(r *pipeline.Record, attempt int) error) pipeline.Stage {
	return does(func(ctx context.Context, r *pipeline.Record) error {
		c.mu.Lock()
		id := fmt.Sprint(r.Position, "#", r.Part)
		c.tried[id]++
		attempt := c.tried[id]
		if c.stopped && attempt == 1 {
			c.late++
		}
		c.mu.Unlock()
		pause(ctx, d(r))
		if ctx.Err() != nil || answer == nil {
			return ctx.Err()
		}
		return answer(r, attempt)
	})
}

func (c *calls) stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
}

// again is another run.
func (c *calls) again() (late int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	late, c.late, c.stopped = c.late, 0, false
	clear(c.tried)
	return late
}

func takes(d time.Duration) func(*pipeline.Record) time.Duration {
	return func(*pipeline.Record) time.Duration { return d }
}

// remembers filters what it has seen, and forgets what comes to nothing.
type remembers struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (s *remembers) Process(_ context.Context, r *pipeline.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprint(r.Position, "#", r.Part)
	if s.seen[id] {
		return pipeline.Filtered
	}
	s.seen[id] = true
	return nil
}

func (s *remembers) Undone(at pipeline.Position, part int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, fmt.Sprint(at, "#", part))
}

// uneven is longer for some records than for others.
func uneven(r *pipeline.Record) time.Duration {
	return time.Duration(r.Offset*7919%97+3) * time.Millisecond
}

// hot gives half of the records one key.
func hot(_, n int) string {
	if n%2 == 0 {
		return "hot"
	}
	return strconv.Itoa(n % 31)
}

// waitingMemory is a stage that remembers, and asks somebody.
type waitingMemory struct {
	*remembers
	ask pipeline.Stage
}

func (s *waitingMemory) Process(ctx context.Context, r *pipeline.Record) error {
	if err := s.remembers.Process(ctx, r); err != nil {
		return err
	}
	return s.ask.Process(ctx, r)
}

// Whatever has not begun when the pipeline stops, or a lane is given up, is handed back at
// once; nothing of it was written, and after a restart each record has come once.
func TestAStopHandsBack(t *testing.T) {
	moments := []time.Duration{0, 333 * time.Millisecond, 1001 * time.Millisecond}
	if testing.Short() {
		moments = moments[1:2]
	}
	for i, name := range slices.Sorted(maps.Keys(handings)) {
		h, ways := handings[name], []string{"stop", "end"}
		if testing.Short() {
			ways = ways[i%2:][:1] // cases that stand beside one another are alike: each way has half of them
		}
		for _, how := range ways {
			for _, after := range moments {
				t.Run(fmt.Sprint(name, ", ", how, " after ", after), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { h.test(t, how, after) })
				})
			}
		}
	}
}

func (h handing) test(t *testing.T, how string, after time.Duration) {
	h.lanes, h.sinks = max(h.lanes, 1), max(h.sinks, 1)
	if h.records == 0 {
		h.records = 900
	}
	c := &calls{tried: map[string]int{}, memory: &remembers{seen: map[string]bool{}}}
	led := &ledger{t: t, next: map[string]int64{}}
	var outs []*collect
	for range h.sinks {
		outs = append(outs, &collect{write: h.write})
	}
	dead := &collect{}
	options := func(src *memory) Options {
		o := Options{Source: src, Order: h.order, Steps: h.steps(c), DeadLetter: DeadLetter{Sink: dead}, CommitEvery: 100 * time.Millisecond}
		for i := range o.Steps {
			o.Steps[i].Name = "step" + strconv.Itoa(i)
			if o.Steps[i].Workers == 0 {
				o.Steps[i].Workers = 1
			}
		}
		for i, out := range outs {
			o.Sinks = append(o.Sinks, Output{Name: "out" + strconv.Itoa(i), Sink: out})
		}
		if h.transactor {
			o.Transactor = led
			for i := range o.Sinks {
				o.Sinks[i].Sink = &through{led, o.Sinks[i].Name, time.Millisecond}
			}
			o.DeadLetter.Sink = &through{led, "dead", time.Millisecond}
		}
		return o
	}
	src := &memory{lanes: h.lanes, records: h.records, batch: 130, key: hot, endless: true}
	ctx, cancel := context.WithCancel(t.Context())
	p, done := start(t, ctx, options(src))
	time.Sleep(after)
	synctest.Wait()
	c.stop()
	began := time.Now()
	if how == "end" {
		h.end(t, src)
	}
	took := time.Since(began)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if how == "stop" {
		took = time.Since(began)
	}
	balanced(t, p)
	if late := c.again(); late > h.late || took > h.within {
		t.Errorf("%d calls were begun after the stop, which took %s; want %d and %s at most", late, took, h.late, h.within)
	}
	if s := p.Snapshot(); s.Abandoned == 0 && s.In == int64(h.lanes*h.records) {
		t.Errorf("nothing was handed back: %+v", s.Counts)
	}
	if records, bytes := p.budget.Use(); records != 0 || bytes != 0 {
		t.Errorf("%d records and %d bytes of the budget are still in use", records, bytes)
	}
	if src.freed != src.given {
		t.Errorf("%d batches freed of %d", src.freed, src.given)
	}
	if led.aborts > 0 {
		t.Errorf("%d transactions were given up", led.aborts)
	}

	rest := &memory{lanes: h.lanes, records: h.records, batch: 99, key: hot, from: src.marks}
	if _, err := run(t, options(rest)); err != nil {
		t.Fatal(err)
	}
	for i, out := range outs {
		got := out.all()
		if h.transactor {
			got = led.of("out" + strconv.Itoa(i))
		}
		h.check(t, fmt.Sprint("sink ", i), got, h.parts)
	}
	letters := dead.all()
	if h.transactor {
		letters = led.of("dead")
	}
	h.check(t, "dead letters", letters, func(n int64) int {
		if h.letter != nil && h.letter(n) {
			return 1
		}
		return 0
	})
}

// end gives up all lanes, at once.
func (h handing) end(t *testing.T, src *memory) {
	var wait sync.WaitGroup
	for i := range h.lanes {
		wait.Go(func() {
			r := endOf(t, src, i, time.Hour)
			if r.Abandoned != 0 || r.Drained < 0 || r.Returned == 0 && r.Unread == 0 || r.InFlight != r.Drained+r.Returned {
				t.Errorf("lane %d: %+v", i, r)
			}
		})
	}
	wait.Wait()
}

// check looks whether a sink has each record as often as it has parts.
func (h handing) check(t *testing.T, what string, got []stored, parts func(n int64) int) {
	seen, twice := map[pipeline.Position]int{}, map[string]bool{}
	for _, s := range got {
		seen[s.Position]++
		id := fmt.Sprint(s.Position, "#", s.part)
		if twice[id] {
			t.Fatalf("%s: %s came twice", what, id)
		}
		twice[id] = true
	}
	for lane := range h.lanes {
		for n := range int64(h.records) {
			at, want := pipeline.Position{Topic: "t", Partition: int32(lane), Offset: n}, 1
			if parts != nil {
				want = parts(n)
			}
			if seen[at] != want {
				t.Fatalf("%s: %s is there %d times, want %d", what, at, seen[at], want)
			}
		}
	}
}

// of gives what is visible of a sink.
func (l *ledger) of(sink string) (list []stored) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.visible {
		if s.value == sink {
			list = append(list, s)
		}
	}
	return list
}

// once is a source that cannot read again what it has handed over.
type once struct{ memory }

func (*once) ReadsOnce() bool { return true }

// Of a source that cannot be read again everything is finished that it has handed over,
// and so it is when a lane is to be finished whole.
func TestNothingIsHandedBackThatCannotBeReadAgain(t *testing.T) {
	for _, how := range []string{"stop", "end", "finish"} {
		synctest.Test(t, func(t *testing.T) {
			c := &calls{tried: map[string]int{}}
			src := &once{memory{lanes: 1, records: 1000, batch: 500, endless: true}}
			o := Options{Source: src, Drain: time.Hour, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Steps: []Step{
				{Name: "ask", Wait: &Wait{}, Workers: 2, Stage: c.ask(takes(100*time.Millisecond), nil)},
			}}
			if how == "finish" {
				o.Source = &src.memory
			}
			ctx, cancel := context.WithCancel(t.Context())
			p, done := start(t, ctx, o)
			time.Sleep(time.Second)
			end := src.lane(0).End
			if how == "finish" {
				end = src.lane(0).Finish
			}
			if how != "stop" {
				if r, err := end(ctx); err != nil || r.Drained != r.InFlight || r.Returned+r.Abandoned+r.Unread != 0 {
					t.Errorf("%s: %+v, %v", how, r, err)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(how, err)
			}
			if n := src.mark(0); n != 1000 || p.Snapshot().Abandoned != 0 {
				t.Errorf("%s: the mark is %d, counted %+v", how, n, p.Snapshot().Counts)
			}
		})
	}
}

// What cannot be read again and is given up is not said to come again.
func TestWhatIsLostIsSaidToBe(t *testing.T) {
	for _, again := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			src := &once{memory{lanes: 1, records: 10, batch: 10, endless: true}}
			c := &calls{tried: map[string]int{}}
			o := Options{Source: src, Drain: time.Second, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Steps: []Step{
				{Name: "ask", Wait: &Wait{}, Workers: 2, Stage: c.ask(takes(time.Hour), nil)},
			}}
			if again {
				o.Source = &src.memory
			}
			ctx, cancel := context.WithCancel(t.Context())
			_, done := start(t, ctx, o)
			time.Sleep(time.Second)
			cancel()
			err := <-done
			var gone *AbandonedError
			if !errors.As(err, &gone) || gone.Once == again || strings.Contains(err.Error(), "will be read again") != again ||
				strings.Contains(err.Error(), "they are lost") == again {
				t.Errorf("read again %v: %v", again, err)
			}
		})
	}
}

// A lane that is being finished hears of a stop, and of its end, and says what was not
// finished then.
func TestFinishIsInterrupted(t *testing.T) {
	for _, how := range []string{"stop", "end", "lost", "abort"} {
		synctest.Test(t, func(t *testing.T) {
			c := &calls{tried: map[string]int{}}
			src := &memory{lanes: 1, records: 3000, batch: 1000, endless: true}
			ctx, cancel := context.WithCancel(t.Context())
			p, done := start(t, ctx, Options{Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Steps: []Step{
				{Name: "ask", Wait: &Wait{}, Workers: 2, Stage: c.ask(takes(100*time.Millisecond), nil)},
			}})
			time.Sleep(time.Second)
			finished := make(chan pipeline.EndReport)
			began := time.Now()
			go func() {
				r, _ := src.lane(0).Finish(t.Context())
				finished <- r
			}()
			time.Sleep(time.Second + 50*time.Millisecond) // between two answers
			switch how {
			case "stop":
				cancel()
			case "end":
				endOf(t, src, 0, time.Hour)
			case "lost":
				_, _ = src.lane(0).End(ended())
			case "abort":
				p.Abort()
			}
			r := <-finished
			if r.Drained+r.Returned+r.Abandoned != r.InFlight || r.Drained < 19 || r.Drained > 24 || r.Unread == 0 {
				t.Errorf("%s: %+v", how, r)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%s: it took %s", how, took)
			}
			cancel()
			if err := <-done; (err != nil) != (how == "abort") {
				t.Error(how, err)
			}
		})
	}
}
