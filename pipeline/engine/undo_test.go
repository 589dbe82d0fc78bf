package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A diary holds what happened, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// of gives the lines that begin with one of the prefixes.
func (d *diary) of(prefixes ...string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, l := range d.lines {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(l, p) }) {
			out = append(out, l)
		}
	}
	return out
}

// remembering is a stage that is an Undoer.
type remembering struct {
	name    string
	diary   *diary
	process func(r *pipeline.Record) error
}

func (s *remembering) Process(_ context.Context, r *pipeline.Record) error {
	if s.process != nil {
		return s.process(r)
	}
	return nil
}

func (s *remembering) Undone(pos pipeline.Position, part int32) {
	s.diary.add("undone %s %d#%d", s.name, pos.Offset, part)
}

var errBad = pipeline.Permanent(errors.New("bad"))

// at3 fails on the record at offset 3, and of its parts on the second.
func at3(r *pipeline.Record) error {
	if r.Offset == 3 && (r.Part == 0 || r.Part == 2) {
		return errBad
	}
	return nil
}

func steps(s ...Step) []Step {
	for i := range s {
		s[i].Name, s[i].Workers = fmt.Sprint("step", i), 1
	}
	return s
}

// An Undoer is told of each record that comes to nothing: once, with the number of the part that
// it was called with, and before its dead letter is written.
func TestUndone(t *testing.T) {
	three := func() Step {
		return Step{Splitter: fan(func(*pipeline.Record) int { return 3 })}
	}
	two := func() Step {
		return Step{Splitter: fan(func(*pipeline.Record) int { return 2 })}
	}
	fails := func(f func(*pipeline.Record) error) Step {
		return Step{Stage: does(func(_ context.Context, r *pipeline.Record) error { return f(r) })}
	}
	one := []string{"undone a 3#0", "letter 3"}
	for name, c := range map[string]struct {
		steps func(a, b Step) []Step
		sinks []func(r *pipeline.Record) error
		when  func(r *pipeline.Record) (bool, error)
		want  []string
	}{
		"delivered": {steps: func(a, _ Step) []Step { return steps(a) }},
		"filtered behind": {steps: func(a, _ Step) []Step {
			return steps(a, fails(func(*pipeline.Record) error { return pipeline.Filtered }))
		}},
		"for no sink":        {steps: func(a, _ Step) []Step { return steps(a) }, when: func(*pipeline.Record) (bool, error) { return false, nil }},
		"rejected before":    {steps: func(a, _ Step) []Step { return steps(fails(at3), a) }, want: []string{"letter 3"}},
		"rejected by a step": {steps: func(a, _ Step) []Step { return steps(a, fails(at3)) }, want: one},
		"a step panics": {steps: func(a, _ Step) []Step {
			return steps(a, fails(func(r *pipeline.Record) error {
				if at3(r) != nil {
					panic("bad")
				}
				return nil
			}))
		}, want: one},
		"the stage itself": {steps: func(a, _ Step) []Step { a.Stage.(*remembering).process = at3; return steps(a) }, want: one},
		"the stage panics": {steps: func(a, _ Step) []Step {
			a.Stage.(*remembering).process = func(r *pipeline.Record) error {
				if at3(r) != nil {
					panic("bad")
				}
				return nil
			}
			return steps(a)
		}, want: one},
		"condition of a sink":  {steps: func(a, _ Step) []Step { return steps(a) }, when: func(r *pipeline.Record) (bool, error) { return true, at3(r) }, want: one},
		"rejected by a sink":   {steps: func(a, _ Step) []Step { return steps(a) }, sinks: []func(*pipeline.Record) error{at3}, want: one},
		"by one of two sinks":  {steps: func(a, _ Step) []Step { return steps(a) }, sinks: []func(*pipeline.Record) error{nil, at3}, want: one},
		"by both of two sinks": {steps: func(a, _ Step) []Step { return steps(a) }, sinks: []func(*pipeline.Record) error{at3, at3}, want: one},
		"two that remember": {
			steps: func(a, b Step) []Step { return steps(a, b, fails(at3)) },
			want:  []string{"undone b 3#0", "undone a 3#0", "letter 3"},
		},
		"between two":        {steps: func(a, b Step) []Step { return steps(a, fails(at3), b) }, want: one},
		"passed on an error": {steps: func(a, _ Step) []Step { s := steps(a, fails(at3)); s[1].OnError = OnErrorPass; return s }},
		"split behind":       {steps: func(a, _ Step) []Step { return steps(a, three(), fails(at3)) }, want: one},
		"split before":       {steps: func(a, _ Step) []Step { return steps(three(), a, fails(at3)) }, want: []string{"undone a 3#2", "letter 3"}},
		"parts, by a sink":   {steps: func(a, _ Step) []Step { return steps(three(), a) }, sinks: []func(*pipeline.Record) error{at3}, want: []string{"undone a 3#2", "letter 3"}},
		"split between two": {
			steps: func(a, b Step) []Step { return steps(a, three(), b, fails(at3)) },
			want:  []string{"undone b 3#2", "undone a 3#0", "letter 3"},
		},
		"split twice": { // parts 3 and 4 of the second are of part 2 of the first
			steps: func(a, _ Step) []Step {
				return steps(three(), a, two(), fails(func(r *pipeline.Record) error {
					if r.Offset == 3 && r.Part >= 3 && r.Part <= 5 {
						return errBad
					}
					return nil
				}))
			},
			want: []string{"undone a 3#2", "undone a 3#3", "letter 3"},
		},
		"a splitter that remembers": {
			steps: func(a, _ Step) []Step {
				a.Splitter, a.Stage = &rememberingSplit{a.Stage.(*remembering), three().Splitter}, nil
				return steps(a, fails(at3))
			},
			want: one,
		},
	} {
		for _, waits := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, waits: %v", name, waits), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := &diary{}
					a := Step{Stage: &remembering{name: "a", diary: d}}
					b := Step{Stage: &remembering{name: "b", diary: d}}
					list := c.steps(a, b)
					for i := range list {
						list[i].Wait = waitIf(waits)
					}
					letters := &collect{write: func(_ context.Context, recs []*pipeline.Record) error {
						for _, r := range recs {
							d.add("letter %d", r.Offset)
						}
						return nil
					}}
					sinks := c.sinks
					if sinks == nil {
						sinks = []func(*pipeline.Record) error{nil}
					}
					o := Options{Source: &memory{lanes: 1, records: 10}, Steps: list, DeadLetter: DeadLetter{Sink: letters}}
					for i, fails := range sinks {
						o.Sinks = append(o.Sinks, Output{Name: fmt.Sprint("out", i), Sink: refusing(fails), When: c.when})
					}
					if _, err := run(t, o); err != nil {
						t.Fatal(err)
					}
					if got := d.of("undone", "letter"); !slices.Equal(got, c.want) {
						t.Errorf("got %q, want %q", got, c.want)
					}
				})
			})
		}
	}
}

// rememberingSplit is a Splitter that is an Undoer.
type rememberingSplit struct {
	*remembering
	by pipeline.Splitter
}

func (s *rememberingSplit) Split(ctx context.Context, r *pipeline.Record, emit func(*pipeline.Record)) error {
	return s.by.Split(ctx, r, emit)
}

func refusing(fails func(*pipeline.Record) error) *collect {
	return &collect{write: func(_ context.Context, recs []*pipeline.Record) error {
		var e pipeline.WriteError
		for i, r := range recs {
			if fails != nil && fails(r) != nil {
				e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: errBad})
			}
		}
		if len(e.Failed) > 0 {
			return &e
		}
		return nil
	}}
}

// A record that is abandoned, wherever it is at that moment, is undone: once, and only if it had
// come to the step.
func TestAbandonedIsUndone(t *testing.T) {
	for _, where := range []string{"queued", "stage", "sink", "sinks"} {
		for _, how := range []string{"lane", "abort"} {
			synctest.Test(t, func(t *testing.T) {
				d := &diary{}
				var seen atomic.Int64
				hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
				a := &remembering{name: "a", diary: d, process: func(*pipeline.Record) error { seen.Add(1); return nil }}
				list := steps(Step{Stage: a}, Step{Wait: &Wait{}, Stage: does(func(ctx context.Context, r *pipeline.Record) error {
					if where == "stage" && r.Offset >= 5 || where == "queued" {
						return hang(ctx)
					}
					return nil
				})})
				*list[1].Wait = Wait{Window: 3, Timeout: time.Hour, Deadline: time.Hour}
				out := &collect{write: func(ctx context.Context, recs []*pipeline.Record) error {
					if where == "sink" || where == "sinks" {
						return hang(ctx)
					}
					return nil
				}}
				o := Options{Source: &memory{lanes: 1, records: 1000, endless: true}, Steps: list, Sinks: []Output{{Name: "out", Sink: out, Timeout: time.Hour}}}
				if where == "sinks" {
					o.Sinks = append(o.Sinks, Output{Name: "too", Sink: &collect{}})
				}
				ctx, cancel := context.WithCancel(t.Context())
				p, done := start(t, ctx, o)
				time.Sleep(time.Second)
				if how == "lane" {
					if _, err := p.lanes.all()[0].End(ended()); err != nil {
						t.Error(err)
					}
					synctest.Wait()
					cancel()
				} else {
					p.Abort()
				}
				<-done
				cancel()
				delivered := int(p.Snapshot().Out)
				got := d.of("undone")
				slices.Sort(got)
				if n := len(slices.Compact(slices.Clone(got))); n != len(got) {
					t.Errorf("%s, %s: %d undone, %d of them again", where, how, len(got), len(got)-n)
				}
				if len(got) != int(seen.Load())-delivered || len(got) == 0 {
					t.Errorf("%s, %s: %d of %d undone, %d delivered", where, how, len(got), seen.Load(), delivered)
				}
			})
		}
	}
}

// A stage whose memory cannot be trusted any more does not go on.
func TestAPanicInUndoneStopsThePipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &collect{}
		_, err := run(t, Options{
			Source: &memory{lanes: 1, records: 10}, Sinks: []Output{{Name: "out", Sink: refusing(at3)}},
			DeadLetter: DeadLetter{Sink: dead}, Steps: steps(Step{Stage: breaking{}}),
		})
		if err == nil || !strings.Contains(err.Error(), "step0: t/0@3: undoing") || !strings.Contains(err.Error(), "panic: broken") {
			t.Errorf("error %v", err)
		}
		if got := dead.offsets(0); !slices.Equal(got, []int64{3}) {
			t.Errorf("dead letters of %v", got)
		}
	})
}

type breaking struct{}

func (breaking) Process(context.Context, *pipeline.Record) error { return nil }
func (breaking) Undone(pipeline.Position, int32)                 { panic("broken") }
