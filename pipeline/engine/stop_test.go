package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

func TestFatalStops(t *testing.T) {
	for _, where := range []string{"stage", "waiting stage", "sink", "one record of a sink", "when"} {
		synctest.Test(t, func(t *testing.T) {
			src := &memory{lanes: 2, records: 10_000, gap: time.Millisecond}
			out := &collect{}
			gone := pipeline.Fatal(errors.New("asking: the password is wrong"))
			hit := func(r *pipeline.Record) bool { return r.Offset == 500 && r.Partition == 1 }
			o := Options{Source: src, Sinks: []Output{{Name: "it", Sink: out}}}
			stage := does(func(_ context.Context, r *pipeline.Record) error {
				if hit(r) {
					return fmt.Errorf("trying: %w", gone)
				}
				return nil
			})
			switch where {
			case "stage":
				o.Steps = []Step{{Name: "it", Stage: stage}}
			case "waiting stage":
				o.Steps = []Step{{Name: "it", Stage: stage, Wait: &Wait{}}}
			case "when":
				o.Sinks[0].When = func(r *pipeline.Record) (bool, error) { return true, stage(t.Context(), r) }
			default:
				out.write = func(ctx context.Context, recs []*pipeline.Record) error {
					for i, r := range recs {
						if err := stage(ctx, r); err != nil && where == "sink" {
							return err
						} else if err != nil {
							e := &pipeline.WriteError{Failed: []pipeline.Failure{{Index: i, Err: err}}}
							for j := i + 1; j < len(recs); j++ {
								e.Failed = append(e.Failed, pipeline.Failure{Index: j, Err: errors.New("writing: held back")})
							}
							return e
						}
					}
					return nil
				}
			}
			p, err := run(t, o)
			if err == nil || !strings.HasSuffix(err.Error(), "trying: asking: the password is wrong") || !strings.HasPrefix(err.Error(), "it: t/1@5") {
				t.Fatalf("%s: %v", where, err)
			}
			for lane := range int32(2) {
				got := out.offsets(lane)
				ascending(t, where, got, len(got))
				if m := src.mark(int(lane)); m != int64(len(got)) {
					t.Errorf("%s, lane %d: mark %d, %d delivered", where, lane, m, len(got))
				}
			}
			if src.closed != 1 || out.closed != 1 {
				t.Errorf("%s: not closed", where)
			}
			if c := p.Snapshot().Counts; c.In > 1500 {
				t.Errorf("%s: reading went on: %+v", where, c)
			}
		})
	}
}

func TestOnErrorStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 1000, batch: 1000}
		out, dead := &collect{}, &collect{}
		_, err := run(t, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
			Steps: []Step{{Name: "check", OnError: OnErrorStop, Wait: &Wait{Retry: Retry{Attempts: 2}}, Stage: does(func(ctx context.Context, r *pipeline.Record) error {
				pause(ctx, lognormalOf(r))
				if r.Offset == 321 {
					return errors.New("checking: bad")
				}
				return nil
			})}},
		})
		if err == nil || err.Error() != "check: t/0@321: checking: bad" || len(dead.all()) != 0 {
			t.Fatal(err)
		}
		ascending(t, "out", out.offsets(0), 321)
		if src.mark(0) != 321 {
			t.Errorf("mark %d", src.mark(0))
		}
	})
}

func lognormalOf(r *pipeline.Record) time.Duration {
	return time.Duration(r.Offset*7919%97) * time.Millisecond
}

// part is a component that notes when it is closed.
type part struct {
	does
	name  string
	order *[]string
	err   error
}

func (c part) Close() error {
	*c.order = append(*c.order, c.name)
	return c.err
}

type sinkPart struct {
	*collect
	part
}

func (c sinkPart) Close(context.Context) error { return c.part.Close() }

type sourcePart struct {
	*memory
	part
}

func (c sourcePart) Close(context.Context) error { return c.part.Close() }

// Channels close from the source downward, then the components (I3).
func TestTheOrderOfClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		idle := does(func(context.Context, *pipeline.Record) error { return nil })
		src := &memory{lanes: 1, records: 10}
		committed := int64(0)
		src.commit = func(m []pipeline.Mark) error { committed = m[0].Next; order = append(order, "commit"); return nil }
		p, err := run(t, Options{
			Source: sourcePart{src, part{name: "source", order: &order}},
			Steps: []Step{
				{Name: "a", Stage: part{idle, "a", &order, nil}}, {Name: "b", Wait: &Wait{}, Stage: part{idle, "b", &order, errors.New("letting go: no")}},
			},
			Sinks:      []Output{{Name: "s", Sink: sinkPart{&collect{}, part{name: "sink", order: &order}}}},
			DeadLetter: DeadLetter{Sink: sinkPart{&collect{}, part{name: "dead", order: &order}}},
		})
		if err == nil || err.Error() != "closing step b: letting go: no" {
			t.Error(err)
		}
		if got := fmt.Sprint(order); got != "[commit source a b sink dead]" || committed != 10 {
			t.Error(got)
		}
		if err := p.Run(t.Context()); err == nil {
			t.Error("a second Run")
		}
		if p.Snapshot().State != "failed" {
			t.Error(p.Snapshot().State)
		}
	})
}

type slowOpen struct{ memory }

func (s *slowOpen) Open(ctx context.Context, _ pipeline.Feed) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestStopWhileOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, abort := range []bool{false, true} {
			src := &slowOpen{}
			ctx, cancel := context.WithCancel(t.Context())
			p, done := start(t, ctx, Options{Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}})
			time.Sleep(time.Second)
			if abort {
				p.Abort()
			} else {
				cancel()
			}
			err := <-done
			if (err != nil) != abort || src.closed != 1 {
				t.Errorf("abort %v: %v, closed %d times", abort, err, src.closed)
			}
			cancel()
		}
	})
}

// deafOpen is a source whose Open does not look at its ctx.
type deafOpen struct {
	memory
	gate chan struct{}
}

func (d *deafOpen) Open(context.Context, pipeline.Feed) error { <-d.gate; return nil }

// deafClose is a sink whose Close does not look at its ctx.
type deafClose struct {
	collect
	gate chan struct{}
}

func (d *deafClose) Close(context.Context) error { <-d.gate; return nil }

// TestARunEndsAlthoughOpeningHangs: within one drain budget and what is kept for closing,
// also when closing hangs too, and soon after Abort.
func TestARunEndsAlthoughOpeningHangs(t *testing.T) {
	for _, abort := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			p, done := start(t, ctx, Options{Source: &deafOpen{gate: gate}, Sinks: []Output{{Name: "out", Sink: &deafClose{gate: gate}}}})
			time.Sleep(time.Second)
			cancel()
			from, most := time.Now(), p.opts.Drain+p.opts.reserve()
			if abort {
				time.Sleep(time.Second)
				p.Abort()
				from, most = time.Now(), 2*p.opts.reserve()
			}
			var abandoned *AbandonedError
			if err := <-done; !errors.As(err, &abandoned) || time.Since(from) > most {
				t.Errorf("abort %v: %v after %v, at most %v", abort, err, time.Since(from), most)
			}
			close(gate)
		})
	}
}

// deafReport is a source that hangs when it is asked how it is.
type deafReport struct {
	memory
	gate chan struct{}
}

func (d *deafReport) Report() pipeline.Report { <-d.gate; return pipeline.Report{} }

// deafLog takes no line before it is let go.
type deafLog struct{ gate chan struct{} }

func (d deafLog) Write(p []byte) (int, error) { <-d.gate; return len(p), nil }

// TestARunEndsAlthoughItsLastFiguresHang: in a source that does not report, or in a log
// that is written to directly.
func TestARunEndsAlthoughItsLastFiguresHang(t *testing.T) {
	for _, where := range []string{"source", "log"} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			src := &deafReport{memory: memory{lanes: 1, records: 10}, gate: gate}
			o := Options{Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Events: event.New(io.Discard, event.Options{})}
			if where == "log" {
				o.Source, o.Events = &src.memory, event.New(deafLog{gate}, event.Options{})
			}
			p, done := start(t, t.Context(), o)
			from := time.Now()
			if err := <-done; err != nil || time.Since(from) > p.opts.Drain+p.opts.reserve() {
				t.Errorf("%s: %v after %v", where, err, time.Since(from))
			}
			if src.closed != 1 || src.mark(0) != 10 {
				t.Errorf("%s: closed %d times, mark %d", where, src.closed, src.mark(0))
			}
			close(gate)
		})
	}
}

func TestOpenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &failingOpen{err: &pipeline.EnvironmentError{Err: errors.New("connecting to 127.0.0.1:9092: refused")}}
		_, err := run(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}})
		var env *pipeline.EnvironmentError
		if !errors.As(err, &env) || err.Error() != "opening the source: connecting to 127.0.0.1:9092: refused" {
			t.Error(err)
		}
	})
}

type failingOpen struct {
	memory
	err error
}

func (f *failingOpen) Open(context.Context, pipeline.Feed) error { return f.err }

func TestOptionsAreChecked(t *testing.T) {
	idle := does(func(context.Context, *pipeline.Record) error { return nil })
	_, err := New(Options{
		Name: "p", Drain: -1,
		Steps: []Step{
			{Name: "a", Stage: idle}, {Name: "a", Stage: idle, Wait: &Wait{Window: -5}}, {}, {Name: "b", Stage: idle, Splitter: fan(nil), Workers: -1},
			{Name: "c", Stage: idle, Wait: &Wait{Serial: 9}}, {Name: "d", Stage: idle, Wait: &Wait{Retry: Retry{Backoff: -1}}},
		},
		Sinks:      []Output{{Name: "s", Sink: &collect{}}, {Name: "s"}, {Sink: &collect{}, MaxRecords: -1}},
		DeadLetter: DeadLetter{Linger: -1},
		Order:      9,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"no source", "drain is negative", "unknown order", `step "a": the name is taken`, `step "a": Window, Timeout`,
		"step 3: it has no name", "step 3: it needs exactly one", `step "b": it needs exactly one`, `step "b": Workers`,
		`step "c": Serial`, `step "d": Retry cannot`, `sink "s": the name is taken`, `sink "s": it has no Sink`,
		"sink 3: it has no name", "sink 3: MaxRecords", "dead letters: MaxRecords",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %q in:\n%v", want, err)
		}
	}
	if _, err := New(Options{Source: &memory{}}); err == nil || !strings.Contains(err.Error(), "no sink") {
		t.Error(err)
	}
}

// The counters balance in every line that is ever printed, the last one too (I6).
func TestEveryStatsLineBalances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		src := &memory{lanes: 3, records: 2000, gap: 5 * time.Millisecond}
		var mu sync.Mutex
		n := 0
		ctx, cancel := context.WithCancel(t.Context())
		out := &collect{write: func(context.Context, []*pipeline.Record) error {
			mu.Lock()
			defer mu.Unlock()
			if n++; n%3 == 0 {
				return errors.New("writing: down")
			}
			return nil
		}}
		p, done := start(t, ctx, Options{
			Name: "p", ConfigHash: "abc", Source: src, Events: log.emitter(t), StatsEvery: 100 * time.Millisecond,
			Sinks: []Output{{Name: "out", Kind: "memory", Sink: out}}, DeadLetter: DeadLetter{Sink: &collect{}}, Drain: 500 * time.Millisecond,
			Steps: []Step{
				{Name: "split", Kind: "split", Splitter: fan(func(r *pipeline.Record) int { return int(r.Offset % 4) })},
				{Name: "ask", Kind: "http", Wait: &Wait{Retry: Retry{Attempts: 2, Backoff: time.Millisecond}}, Workers: 4, Stage: does(func(ctx context.Context, r *pipeline.Record) error {
					pause(ctx, 3*time.Millisecond)
					switch r.Offset % 9 {
					case 0:
						return pipeline.Filtered
					case 1:
						return typed{errors.New("asking: status 500")}
					}
					return ctx.Err()
				})},
			},
		})
		time.Sleep(3 * time.Second)
		cancel()
		<-done
		balanced(t, p)
		last := map[string]map[string]any{}
		for _, name := range []string{"pipeline.stats", "step.stats", "sink.stats"} {
			got := log.named(name)
			if len(got) < 30 {
				t.Errorf("%d lines of %s", len(got), name)
			}
			for _, m := range got {
				f := func(k string) float64 { v, _ := m[k].(float64); return v }
				if f("records_in_total")+f("created_total") != f("records_out_total")+f("filtered_total")+f("rejected_total")+f("abandoned_total")+f("inflight") {
					t.Fatalf("does not balance: %v", m)
				}
				if name == "step.stats" {
					if sum := f("busy_ratio") + f("idle_ratio") + f("blocked_ratio"); sum < 0.99 || sum > 1.01 {
						t.Fatalf("busy, idle and blocked make %f: %v", sum, m)
					}
				}
				key := fmt.Sprintf("%s/%v/%v", name, m["step"], m["sink"])
				last[key] = m
			}
		}
		end := last["pipeline.stats/<nil>/<nil>"]
		if end["state"] != "stopped" || end["inflight"] != 0.0 || end["config_hash"] != "abc" || end["pipeline"] != "p" {
			t.Errorf("the last line: %v", end)
		}
		if m := last["sink.stats/<nil>/dead_letter"]; m == nil || m["records_out_total"].(float64) == 0 {
			t.Errorf("no stats of the dead letters: %v", m)
		}
		errs := log.named("error.stats")
		kinds := map[any]bool{}
		for _, m := range errs {
			kinds[fmt.Sprintf("%v %v", m["step"], m["error_type"])] = true
			if m["count"].(float64) <= 0 {
				t.Errorf("%v", m)
			}
		}
		if !kinds["ask http_5xx"] || !kinds["out _other"] || !kinds["split _other"] {
			t.Errorf("error.stats of %v", kinds)
		}
	})
}

type typed struct{ error }

func (typed) ErrorType() string { return "http_5xx" }

func TestErrorTypes(t *testing.T) {
	for _, err := range []error{
		&fs.PathError{Op: "open", Err: syscall.EACCES}, fmt.Errorf("writing: %w", syscall.EROFS),
	} {
		if got := errorType(err); got != "_other" {
			t.Errorf("%v: %s", err, got)
		}
	}
	for want, err := range map[string]error{
		"no_space": fmt.Errorf("writing: %w", &fs.PathError{Op: "write", Err: syscall.ENOSPC}),
		"network":  fmt.Errorf("asking: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}),
		"file":     pipeline.Reject("file", fmt.Errorf("naming: %w", syscall.ENAMETOOLONG)),
		"http_5xx": fmt.Errorf("asking: %w", typed{errors.New("x")}),
		"panic":    &pipeline.PanicError{},
		"timeout":  fmt.Errorf("asking: %w", context.DeadlineExceeded),
		"canceled": context.Canceled,
		"_other":   errors.New("x"),
		"too_old":  pipeline.Reject("too_old", errors.New("x")),
	} {
		if got := errorType(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

// The bottleneck is the most downstream place that is busy while the one before it
// is blocked.
func TestBottleneck(t *testing.T) {
	for _, where := range []string{"slow", "ask", "out", ""} {
		synctest.Test(t, func(t *testing.T) {
			log := &lines{}
			speed := func(name string, d time.Duration) pipeline.Stage {
				return does(func(ctx context.Context, _ *pipeline.Record) error {
					if name == where {
						pause(ctx, d)
					}
					return nil
				})
			}
			src := &memory{lanes: 2, records: 1_000_000, charge: true, batch: 100, gap: 25 * time.Millisecond}
			out := &collect{write: func(ctx context.Context, recs []*pipeline.Record) error {
				if where == "out" {
					pause(ctx, time.Duration(len(recs))*10*time.Millisecond)
				}
				return nil
			}}
			ctx, cancel := context.WithCancel(t.Context())
			p, done := start(t, ctx, Options{
				Source: src, Events: log.emitter(t), Sinks: []Output{{Name: "out", Sink: out, MaxRecords: 100}}, Drain: time.Minute,
				StatsEvery: 5 * time.Second,
				Steps: []Step{
					{Name: "first", Stage: speed("first", 0)}, {Name: "slow", Workers: 2, Stage: speed("slow", 10*time.Millisecond)},
					{Name: "ask", Wait: &Wait{}, Workers: 4, Stage: speed("ask", 50*time.Millisecond)},
				},
			})
			time.Sleep(16 * time.Second)
			s := p.Snapshot()
			if want := map[bool]string{true: "ok", false: "high"}[where == ""]; s.Bottleneck != where || s.Backpressure != want {
				t.Errorf("%q slow: bottleneck %q, backpressure %s", where, s.Bottleneck, s.Backpressure)
			}
			if where == "slow" {
				if got := log.named("backpressure.changed"); len(got) == 0 || got[0]["state"] == "free" {
					t.Errorf("%v", got)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Fatal(where, err)
			}
		})
	}
}
