package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// tracer is a Tracer that remembers what it is told, and checks what the engine promises: everything that begins ends once, and
// nothing is asked of what has ended.
type tracer struct {
	t     testing.TB
	every int // one record of so many is chosen; 0: none

	mu     sync.Mutex
	asked  int // how often Begin was
	traces []*fakeTrace
	sends  []*fakeSpan
}

func (f *tracer) Skip() int {
	if f.every == 0 {
		return 1 << 40
	}
	return f.every - 1
}

func (f *tracer) Begin(rec *pipeline.Record, made time.Time, chosen bool) Trace {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if !chosen && !cameTraced(rec) {
		f.t.Error("asked of a record that is not chosen, and came in no trace")
	}
	tr := &fakeTrace{f: f, at: rec.Position, id: fmt.Sprintf("%s-%d", rec.Position, f.asked)}
	f.traces = append(f.traces, tr)
	return tr
}

func (f *tracer) Send(ctx context.Context, sink, _ string, of []Trace, _ time.Time) (context.Context, Span) {
	s := &fakeSpan{f: f, name: sink}
	for _, t := range of {
		if t != nil {
			s.of = append(s.of, t.(*fakeTrace))
			t.(*fakeTrace).note("send " + sink)
		}
	}
	if len(s.of) == 0 {
		f.t.Error("a Write without a traced record has a span")
	}
	f.mu.Lock()
	f.sends = append(f.sends, s)
	f.mu.Unlock()
	return ctx, s
}

// of gives the trace of a record.
func (f *tracer) of(lane int32, offset int64) *fakeTrace {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.traces {
		if t.at.Partition == lane && t.at.Offset == offset {
			return t
		}
	}
	f.t.Fatalf("no trace of %d@%d", lane, offset)
	return nil
}

// allEnded checks that all has ended that has begun.
func (f *tracer) allEnded() {
	f.t.Helper()
	for _, t := range f.traces {
		if t.ended != 1 {
			f.t.Errorf("%s has ended %d times: %v", t.id, t.ended, t.said)
		}
		for _, s := range t.spans {
			if s.ended != 1 {
				f.t.Errorf("%s: %s has ended %d times", t.id, s.name, s.ended)
			}
		}
	}
	for _, s := range f.sends {
		if s.ended != 1 {
			f.t.Errorf("the span of a Write to %s has ended %d times", s.name, s.ended)
		}
	}
}

type fakeTrace struct {
	f     *tracer
	at    pipeline.Position
	id    string
	mu    sync.Mutex
	said  []string
	spans []*fakeSpan
	ended int
}

func (t *fakeTrace) note(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended > 0 {
		t.f.t.Errorf("%s: %s of a trace that has ended: %v", t.id, what, t.said)
	}
	t.said = append(t.said, what)
}

func (t *fakeTrace) ID() string { return t.id }

func (t *fakeTrace) Step(name, _ string, _ int32, _ time.Time) StepTrace {
	t.note("step " + name)
	return t.span(name)
}

func (t *fakeTrace) span(name string) *fakeSpan {
	s := &fakeSpan{f: t.f, name: name, t: t}
	t.mu.Lock()
	t.spans = append(t.spans, s)
	t.mu.Unlock()
	return s
}

func (t *fakeTrace) Computed(c Computed) { t.note(strings.TrimSpace(c.Step + " " + c.Ended.Outcome)) }

func (t *fakeTrace) Rejected(by, reason, _ string, _ int) {
	t.note("rejected by " + by + ": " + reason)
}

func (t *fakeTrace) End(outcome string, _ time.Time) {
	t.note(outcome)
	t.mu.Lock()
	t.ended++
	t.mu.Unlock()
}

// fakeSpan is a step, an attempt, or a Write.
type fakeSpan struct {
	f     *tracer
	t     *fakeTrace // nil: it is a Write
	name  string
	of    []*fakeTrace
	ended int
}

func (s *fakeSpan) Attempt(ctx context.Context, n int, _ time.Time) (context.Context, Span) {
	s.t.note(fmt.Sprint(s.name, " attempt ", n))
	return ctx, s.t.span("attempt")
}

func (s *fakeSpan) Held(by Cause, took time.Duration, _ time.Time) {
	s.t.note(fmt.Sprint(s.name, " held by ", by, " for ", took))
}

func (s *fakeSpan) Retry(n int, errorType string, _ time.Duration, _ time.Time) {
	s.t.note(fmt.Sprint(s.name, " retry ", n, " ", errorType))
}

func (s *fakeSpan) End(r Result, _ time.Time) {
	if s.t == nil {
		for _, t := range s.of {
			t.note(strings.TrimSpace("sent to " + s.name + " " + r.ErrorType))
		}
	} else {
		s.t.note(strings.TrimSpace(s.name + " ends " + r.Outcome + " " + r.ErrorType))
	}
	s.f.mu.Lock()
	s.ended++
	s.f.mu.Unlock()
}

// TestWhatATraceIsTold: each way of a record through steps and sinks, as its trace hears of it.
func TestWhatATraceIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &tracer{t: t, every: 1}
		tries := 0
		source := &memory{lanes: 1, records: 6, value: func(_, n int) string { return fmt.Sprintf(`{"n":%d}`, n) }}
		n := func(r *pipeline.Record) int64 { return r.Offset }
		refused := pipeline.Reject("too_odd", errors.New("odd"))
		_, err := run(t, Options{
			Name: "p", Source: source, Tracer: f,
			Steps: []Step{
				{Name: "filter", Stage: does(func(_ context.Context, r *pipeline.Record) error {
					switch n(r) {
					case 1:
						return pipeline.Filtered
					case 2:
						return refused
					}
					return nil
				}), Workers: 1},
				{Name: "split", Splitter: splits(func(_ context.Context, r *pipeline.Record, emit func(*pipeline.Record)) error {
					emit(r)
					if n(r) == 4 {
						emit(r)
					}
					return nil
				}), Workers: 1},
				{Name: "call", Stage: does(func(_ context.Context, r *pipeline.Record) error {
					if n(r) == 3 {
						if tries++; tries == 1 {
							return errors.New("not now")
						}
					}
					return nil
				}), Wait: &Wait{}, Workers: 1},
			},
			Sinks: []Output{{Name: "out", Sink: &collect{write: func(_ context.Context, recs []*pipeline.Record) error {
				if len(recs) > 1 {
					return pipeline.Permanent(errors.New("one of them"))
				}
				if n(recs[0]) == 5 {
					return refused
				}
				return nil
			}}}},
			DeadLetter: DeadLetter{Sink: &collect{}},
		})
		if err != nil {
			t.Fatal(err)
		}
		f.allEnded()
		for offset, want := range map[int64]string{
			1: "filter filtered, filtered",
			2: "filter rejected, rejected by filter: too_odd, send dead_letter, sent to dead_letter, rejected",
			3: "filter, split, step call, call attempt 1, attempt ends  _other, call retry 1 _other, call attempt 2, attempt ends, call ends, …, delivered",
			4: "filter, split, step call, call attempt 1, attempt ends, call ends, step call, call attempt 1, attempt ends, call ends, …, delivered",
			5: "filter, split, step call, call attempt 1, attempt ends, call ends, …, sent to out too_odd, rejected by out: too_odd, send dead_letter, sent to dead_letter, rejected",
		} {
			got := strings.Join(f.of(0, offset).said, ", ")
			before, after, _ := strings.Cut(want, "…")
			if !strings.HasPrefix(got, before) || !strings.HasSuffix(got, after) || !strings.Contains(want, "…") && got != want {
				t.Errorf("record %d:\n%s, want\n%s", offset, got, want)
			}
		}
	})
}

// TestHeldBackInATrace: a trace says what has held its record back, and for how long.
func TestHeldBackInATrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &tracer{t: t, every: 1}
		open := time.Now().Add(3 * time.Second)
		d := &desk{t: t, admit: func(*pipeline.Record, int) (*visit, error) {
			return &visit{gate: "g", enter: func(func()) (time.Duration, bool) {
				wait := time.Until(open)
				return wait, wait <= 0
			}}, nil
		}}
		if _, err := run(t, Options{
			Name: "p", Source: &memory{lanes: 1, records: 1}, Tracer: f,
			Steps: []Step{{Name: "call", Stage: d, Wait: &Wait{}}}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
		}); err != nil {
			t.Fatal(err)
		}
		f.allEnded()
		want := "step call, call held by limit for 3s, call attempt 1, attempt ends, call ends, send out, sent to out, delivered"
		if got := strings.Join(f.traces[0].said, ", "); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// TestATraceOfWhatIsGivenUp: what waits for another attempt when the drain budget is over ends in its trace too, its step first.
func TestATraceOfWhatIsGivenUp(t *testing.T) {
	for name, wait := range map[string]struct {
		stage   pipeline.Stage
		backoff time.Duration
		want    string
	}{
		"for another attempt": {does(func(context.Context, *pipeline.Record) error {
			return pipeline.RetryAfter(time.Hour, errors.New("not now"))
		}), time.Hour,
			"step call, call attempt 1, attempt ends  _other, call retry 1 _other, call ends abandoned, abandoned"},
		"at a gate": {&desk{t: t, admit: func(_ *pipeline.Record, attempt int) (*visit, error) {
			v := &visit{do: func(context.Context, *pipeline.Record) error { return errors.New("not now") }}
			if attempt > 1 {
				v.gate, v.enter = "g", func(func()) (time.Duration, bool) { return time.Hour, false }
			}
			return v, nil
		}}, 1, "step call, call attempt 1, attempt ends  _other, call retry 1 _other, call ends abandoned, abandoned"},
		"in a call": {does(func(ctx context.Context, _ *pipeline.Record) error { <-ctx.Done(); return ctx.Err() }), 1,
			"step call, call attempt 1, attempt ends  canceled, call ends abandoned canceled, abandoned"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &tracer{t: t, every: 1}
				p := mustNew(t, Options{
					Name: "p", Source: &memory{lanes: 1, records: 1, endless: true}, Tracer: f, Drain: 5 * time.Second,
					Steps: []Step{{Name: "call", Stage: wait.stage, Wait: &Wait{Timeout: time.Hour, Deadline: 2 * time.Hour, Retry: Retry{Backoff: wait.backoff, MaxBackoff: time.Hour}}}},
					Sinks: []Output{{Name: "out", Sink: &collect{}}},
				})
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Millisecond, cancel)
				_ = p.Run(ctx) // what it gives is not asked here
				f.allEnded()
				if got := strings.Join(f.traces[0].said, ", "); got != wait.want {
					t.Errorf("%s, want\n%s", got, wait.want)
				}
			})
		})
	}
}

// TestATraceOfWhatIsSkipped: a record that is skipped while it waits for another attempt ends its step, and is rejected.
func TestATraceOfWhatIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &tracer{t: t, every: 1}
		p := mustNew(t, Options{
			Name: "p", Source: &memory{lanes: 1, records: 1, key: func(int, int) string { return "k" }}, Tracer: f,
			Steps: []Step{{Name: "call", Wait: &Wait{Deadline: 2 * time.Hour}, Stage: does(func(context.Context, *pipeline.Record) error {
				return pipeline.RetryAfter(time.Hour, errors.New("not now"))
			})}},
			Sinks: []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Sink: &collect{}},
		})
		time.AfterFunc(time.Second, func() {
			if err := p.Skip([]byte("k")); err != nil {
				t.Error(err)
			}
		})
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.allEnded()
		if got := strings.Join(f.traces[0].said, ", "); !strings.Contains(got, "call ends rejected") || !strings.HasSuffix(got, ", rejected") {
			t.Error(got)
		}
	})
}

// TestWhoIsTraced: one record of so many, and those that came in a trace; nobody else is asked for.
func TestWhoIsTraced(t *testing.T) {
	for name, tt := range map[string]struct{ every, headers, want int }{
		"none":              {0, 0, 0},
		"all":               {1, 0, 1000},
		"some":              {7, 0, 1000 / 7},
		"those that came":   {0, 10, 100},
		"some, and others":  {7, 10, 1000/7 + 100 - 1000/70},
		"all, some with it": {1, 3, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			f := &tracer{t: t, every: tt.every}
			source := &memory{lanes: 1, records: 1000}
			if tt.headers > 0 {
				source.wrap = func(b *pipeline.Batch) {
					fill := b.Fill
					b.Fill = func(into []pipeline.Record) (int, error) {
						n, err := fill(into)
						for i := range into[:n] {
							// The last of each ten, as every: 7 chooses the last of each seven.
							if r := &into[i]; r.Offset%int64(tt.headers) == int64(tt.headers)-1 {
								headers := []pipeline.Header{{Name: "a"}, {Name: "Traceparent", Value: []byte("x")}}
								r.Init(r.Position, nil, r.Value(), headers, 0)
							}
						}
						return n, err
					}
				}
			}
			if _, err := run(t, Options{Name: "p", Source: source, Tracer: f, Sinks: []Output{{Name: "out", Sink: &collect{}}}}); err != nil {
				t.Fatal(err)
			}
			f.allEnded()
			if len(f.traces) != tt.want {
				t.Errorf("%d records are traced, want %d", len(f.traces), tt.want)
			}
		})
	}
}

// TestTracesEndWhateverHappens: under load, with steps that fail, split and filter, with sinks that refuse and delay, ended in the middle
// or not, each trace ends once, and hears of nothing after.
func TestTracesEndWhateverHappens(t *testing.T) {
	for round := range 6 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			f := &tracer{t: t, every: 3}
			source := &memory{lanes: 3, records: 400, endless: round >= 3}
			chance := func(n int) bool { return rand.IntN(n) == 0 }
			some := func(_ context.Context, _ *pipeline.Record) error {
				switch {
				case chance(20):
					return pipeline.Filtered
				case chance(20):
					return pipeline.Reject("bad", errors.New("bad"))
				case chance(10):
					return errors.New("again")
				case chance(300):
					panic("here")
				}
				return nil
			}
			wait := &Wait{Retry: Retry{Attempts: 2, Backoff: time.Microsecond, MaxBackoff: time.Microsecond}}
			write := func(context.Context, []*pipeline.Record) error {
				if chance(10) {
					return errors.New("again")
				}
				if chance(10) {
					return pipeline.Reject("bad", errors.New("bad"))
				}
				return nil
			}
			quick := Retry{Backoff: time.Microsecond, MaxBackoff: time.Microsecond}
			p := mustNew(t, Options{
				Name: "p", Source: source, Tracer: f, Order: Order(round % 3),
				Steps: []Step{
					{Name: "one", Stage: does(some), Workers: 2},
					{Name: "parts", Splitter: splits(func(ctx context.Context, r *pipeline.Record, emit func(*pipeline.Record)) error {
						for range rand.IntN(4) {
							emit(r)
						}
						return some(ctx, r)
					}), Workers: 2},
					{Name: "call", Stage: does(some), Wait: wait, Workers: 4},
					{Name: "desk", Stage: &desk{t: t, admit: func(*pipeline.Record, int) (*visit, error) { return &visit{do: some}, nil }}, Wait: wait, Workers: 4},
				},
				Sinks: []Output{
					{Name: "a", Sink: &collect{write: write}, Retry: quick},
					{Name: "b", Sink: &collect{write: write}, Retry: quick, When: func(*pipeline.Record) (bool, error) { return chance(2), nil }},
				},
				DeadLetter: DeadLetter{Sink: &collect{}, Retry: quick},
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if round >= 3 {
				time.AfterFunc(time.Duration(round-2)*10*time.Millisecond, func() {
					if round == 5 {
						p.Abort()
					}
					cancel()
				})
			}
			if err := p.Run(ctx); err != nil && round != 5 {
				t.Fatal(err)
			}
			balanced(t, p)
			if round == 5 { // what was aborted may still come back
				return
			}
			f.allEnded()
			s := p.Snapshot()
			if round < 3 && len(f.traces) != 400 {
				t.Errorf("%d records are traced, want 400", len(f.traces))
			}
			if x := s.Durations.Exemplars; len(f.traces) > 0 && (len(x) == 0 || x[0].TraceID == "") {
				t.Errorf("no exemplar of %d traces: %v", len(f.traces), x)
			}
		})
	}
}

// TestExemplarsStandInTheirBuckets: the last value of each bucket, bounds included.
func TestExemplarsStandInTheirBuckets(t *testing.T) {
	var e exemplars
	now := time.Now()
	for i, d := range []time.Duration{0, 100 * time.Microsecond, 101 * time.Microsecond, time.Hour, 2 * time.Hour} {
		e.note(d, fmt.Sprint(i), now)
	}
	var got []string
	for _, x := range e.list() {
		got = append(got, fmt.Sprint(x.TraceID, ":", x.Value))
	}
	if s := strings.Join(got, " "); s != "1:100 2:101 4:7200000000" {
		t.Error(s)
	}
}
