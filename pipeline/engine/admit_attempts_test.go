package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

// What does not count costs no attempt, no backoff and no time of the deadline, is undone, and puts
// the record behind the others of its gate: another one tries next.
func TestAnAttemptThatDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []int64
		gate := &rateGate{every: 2 * time.Second}
		began := time.Now()
		d := &desk{t: t, admit: func(r *pipeline.Record, attempt int) (*visit, error) {
			if attempt != 1 {
				t.Errorf("%s: attempt %d", r.Position, attempt)
			}
			return &visit{gate: gate, enter: gate.enter, do: func(ctx context.Context, r *pipeline.Record) error {
				if string(r.Key()) != "as it came" {
					t.Errorf("%s: key %s", r.Position, r.Key())
				}
				r.SetKey([]byte("edited"))
				calls = append(calls, r.Offset)
				if time.Since(began) < 2*time.Minute { // the host is down
					pause(ctx, 900*time.Millisecond)
					return pipeline.RetryAfter(time.Hour, errors.New("asking: refused"))
				}
				return nil
			}, leave: func(r pipeline.CallResult) bool { return r.Err == nil }}, nil
		}}
		out := &collect{}
		p, err := run(t, Options{
			Source: &memory{lanes: 1, records: 3, key: func(int, int) string { return "as it came" }},
			Sinks:  []Output{{Name: "out", Sink: out}},
			Steps:  []Step{asks(d, 4, Wait{Timeout: time.Second, Deadline: time.Second, Retry: Retry{Attempts: 2, Backoff: time.Hour}})},
		})
		if err != nil {
			t.Fatal(err)
		}
		ascending(t, "out", out.offsets(0), 3)
		for i := range calls[:len(calls)-3] { // the first three may come to the gate in any order
			if i >= 3 && calls[i] != calls[i-3] || i == 2 && calls[0]+calls[1]+calls[2] != 3 {
				t.Fatalf("calls in turn: %v", calls)
			}
		}
		if c := p.Snapshot().Steps[0].Counts; c.Errors != int64(len(calls)-3) || c.Retries != 0 || c.Errors < 59 {
			t.Errorf("%d calls; %+v", len(calls), c)
		}
		d.settled()
	})
}

// RetryAfter is for the gate of an Admitter: the record does not wait for it, nor fail for a deadline
// that it would pass.
func TestRetryAfterIsForTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{t: t, admit: func(_ *pipeline.Record, attempt int) (*visit, error) {
			return &visit{do: func(context.Context, *pipeline.Record) error {
				if attempt < 3 {
					return pipeline.RetryAfter(time.Hour, errors.New("asking: busy"))
				}
				return nil
			}}, nil
		}}
		out := &collect{}
		if _, err := run(t, Options{
			Source: &memory{lanes: 1, records: 3}, Sinks: []Output{{Name: "out", Sink: out}},
			Steps: []Step{asks(d, 1, Wait{Deadline: 10 * time.Second, Retry: Retry{Attempts: 3, Backoff: 1}})},
		}); err != nil {
			t.Fatal(err)
		}
		ascending(t, "out", out.offsets(0), 3)
		d.settled()
	})
}

// An answer is one, also when it does not count.
func TestAnAnswerCountsInAnyCase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{t: t, admit: func(r *pipeline.Record, _ int) (*visit, error) {
			return &visit{do: func(context.Context, *pipeline.Record) error {
				switch r.Offset {
				case 0:
					return pipeline.Filtered
				case 1:
					return pipeline.Reject("http_404", errors.New("asking: status 404"))
				}
				return nil
			}, leave: func(pipeline.CallResult) bool { return false }}, nil
		}}
		out, dead := &collect{}, &collect{}
		if _, err := run(t, Options{
			Source: &memory{lanes: 1, records: 3}, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
			Steps: []Step{asks(d, 1, Wait{})},
		}); err != nil {
			t.Fatal(err)
		}
		if got := out.offsets(0); len(got) != 1 || got[0] != 2 || len(dead.all()) != 1 || dead.all()[0].headers[deadletter.Reason] != "http_404" {
			t.Errorf("out %v, dead letters %v", got, dead.all())
		}
	})
}

// A further call has a gate and a timeout of its own, and is part of the same attempt: what the
// call before it has edited stays, and when it fails, the attempt begins anew.
func TestAFurtherCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		began := time.Now()
		robots, page := &rateGate{every: time.Second}, &rateGate{every: 3 * time.Second}
		tried := 0
		d := &desk{t: t}
		d.admit = func(_ *pipeline.Record, attempt int) (*visit, error) {
			log = append(log, fmt.Sprintf("admit %d", attempt))
			return &visit{gate: robots, enter: robots.enter, do: func(ctx context.Context, r *pipeline.Record) error {
				limit, _ := ctx.Deadline()
				log = append(log, fmt.Sprintf("robots %s %s %s", time.Since(began), r.Key(), time.Until(limit).Round(time.Millisecond)))
				r.SetKey([]byte("robots"))
				pause(ctx, 500*time.Millisecond)
				return pipeline.Next(d.take(&visit{gate: page, enter: page.enter, do: func(ctx context.Context, r *pipeline.Record) error {
					limit, _ := ctx.Deadline()
					log = append(log, fmt.Sprintf("page %s %s %s", time.Since(began), r.Key(), time.Until(limit).Round(time.Millisecond)))
					if tried++; tried == 1 {
						return errors.New("asking: reset")
					}
					return nil
				}}))
			}}, nil
		}
		out := &collect{}
		p, err := run(t, Options{
			Source: &memory{lanes: 1, records: 1, key: func(int, int) string { return "key" }}, Sinks: []Output{{Name: "out", Sink: out}},
			Steps: []Step{asks(d, 1, Wait{Timeout: time.Second, Deadline: 1800 * time.Millisecond, Retry: Retry{Backoff: 1}})},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"admit 1", "robots 0s key 1s", "page 500ms robots 1s",
			"admit 2", "robots 1s key 1s", "page 3.5s robots 800ms",
		}
		if !slices.Equal(log, want) {
			t.Errorf("%q, want %q", log, want)
		}
		if got := out.all(); len(got) != 1 || got[0].key != "robots" {
			t.Errorf("out: %v", got)
		}
		if c := p.Snapshot().Steps[0].Counts; c.Errors != 1 || c.Retries != 1 {
			t.Errorf("%+v", c)
		}
		d.settled()
	})
}

// A panic anywhere in a stage is the error of the record at hand. The others of its gate go on, and
// all slots stay.
func TestAPanicIsOfOneRecord(t *testing.T) {
	boom := map[string]func(){"panic": func() { panic("boom") }, "goexit": runtime.Goexit}
	for how, boom := range boom {
		for _, where := range []string{"admit", "enter", "do", "next", "leave", "leave after next"} {
			synctest.Test(t, func(t *testing.T) {
				gate := &rateGate{every: time.Millisecond}
				d := &desk{t: t}
				d.admit = func(r *pipeline.Record, _ int) (*visit, error) {
					bad := r.Offset%10 == 3
					if bad && where == "admit" {
						boom()
					}
					return &visit{gate: gate, enter: func(wake func()) (time.Duration, bool) {
						wait, ok := gate.enter(wake)
						if bad && where == "enter" && ok {
							boom()
						}
						return wait, ok
					}, do: func(context.Context, *pipeline.Record) error {
						switch {
						case bad && where == "do":
							boom()
						case bad && (where == "next" || where == "leave after next"):
							return pipeline.Next(d.take(&visit{gate: "next", do: func(context.Context, *pipeline.Record) error {
								if where == "next" {
									boom()
								}
								return nil
							}}))
						}
						return nil
					}, leave: func(pipeline.CallResult) bool {
						if bad && (where == "leave" || where == "leave after next") {
							boom()
						}
						return true
					}}, nil
				}
				out, dead := &collect{}, &collect{}
				p, err := run(t, Options{
					Source: &memory{lanes: 1, records: 100}, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
					Steps: []Step{asks(d, 2, Wait{})},
				})
				if err != nil {
					t.Fatal(how, where, err)
				}
				if o, l := len(out.all()), dead.all(); o != 90 || len(l) != 10 || l[0].headers[deadletter.Reason] != pipeline.ReasonPanic {
					t.Errorf("%s in %s: %d came out, dead letters %v", how, where, o, l)
				}
				if n := len(p.chain().steps[0].(*waitStep).win.gates); n != 0 {
					t.Errorf("%s in %s: %d gates are left", how, where, n)
				}
				d.settled()
			})
		}
	}
}
