package engine

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

func goexit() { runtime.Goexit() }

// A panic, or the end of the goroutine, is an error of that record alone: the rest
// of its batch goes on, and no worker dies.
func TestPanicsInComponents(t *testing.T) {
	bad := func(r *pipeline.Record) bool { return r.Offset%50 == 7 }
	for _, how := range []string{"panic", "goexit"} {
		for _, where := range []string{"stage", "waiting stage", "splitter", "waiting splitter", "when", "key"} {
			synctest.Test(t, func(t *testing.T) {
				out, dead := &collect{}, &collect{}
				src := &memory{lanes: 2, records: 1000, batch: 300}
				o := Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead}}
				step := Step{Name: "bad", Workers: 2}
				name := "bad"
				switch where {
				case "waiting stage":
					step.Wait = &Wait{}
					fallthrough
				case "stage":
					step.Stage = does(func(_ context.Context, r *pipeline.Record) error {
						if bad(r) {
							return badly(how)
						}
						return nil
					})
				case "waiting splitter":
					step.Wait = &Wait{}
					fallthrough
				case "splitter":
					step.Splitter = splits(func(_ context.Context, r *pipeline.Record, emit func(*pipeline.Record)) error {
						emit(r)
						if bad(r) {
							return badly(how)
						}
						return nil
					})
				case "when":
					name = "out"
					o.Sinks[0].When = func(r *pipeline.Record) (bool, error) {
						if bad(r) {
							return false, badly(how)
						}
						return true, nil
					}
				case "key":
					name = "key"
					o.Order = OrderKey
					o.Key = func(r *pipeline.Record) ([]byte, error) {
						if bad(r) {
							return nil, badly(how)
						}
						return nil, nil
					}
				}
				if name == "bad" {
					o.Steps = []Step{step}
				}
				log := &lines{}
				o.Events = log.emitter(t)
				p, err := run(t, o)
				if err != nil {
					t.Fatal(how, where, err)
				}
				for lane := range int32(2) {
					if n, d := len(out.offsets(lane)), len(dead.offsets(lane)); n != 980 || d != 20 {
						t.Fatalf("%s in %s: %d out, %d dead letters", how, where, n, d)
					}
					last := int64(-1)
					for _, o := range dead.offsets(lane) {
						if o <= last {
							t.Errorf("%s in %s: dead letter %d after %d", how, where, o, last)
						}
						last = o
					}
				}
				for _, d := range dead.all() {
					if d.headers[deadletter.Reason] != pipeline.ReasonPanic || d.headers[deadletter.Step] != name {
						t.Fatalf("%s in %s: %v", how, where, d.headers)
					}
				}
				if src.mark(0) != 1000 || src.mark(1) != 1000 {
					t.Errorf("marks %d, %d", src.mark(0), src.mark(1))
				}
				if c := p.Snapshot().Counts; c.Rejected != 40 {
					t.Errorf("%+v", c)
				}
				if where != "key" && len(log.named("panic.recovered")) == 0 {
					t.Errorf("%s in %s is not reported", how, where)
				}
			})
		}
	}
}

type brokenSource struct {
	memory
	how  string
	open bool
}

func (b *brokenSource) Open(ctx context.Context, e pipeline.Feed) error {
	if b.open {
		return badly(b.how)
	}
	return b.memory.Open(ctx, e)
}

func (b *brokenSource) Read(ctx context.Context) (*pipeline.Batch, error) {
	b.mu.Lock()
	given := b.given
	b.mu.Unlock()
	if given == 3 {
		if b.how == "error" {
			return nil, fmt.Errorf("fetching: %w", io.ErrUnexpectedEOF)
		}
		return nil, badly(b.how)
	}
	return b.memory.Read(ctx)
}

// A source that breaks stops the pipeline; what it gave before is finished.
func TestABrokenSource(t *testing.T) {
	for how, want := range map[string]string{
		"panic":  "reading from the source: panic: working: a panic",
		"goexit": "reading from the source: ended its goroutine",
		"error":  "reading from the source: fetching: unexpected EOF",
	} {
		synctest.Test(t, func(t *testing.T) {
			src := &brokenSource{memory: memory{lanes: 1, records: 1000}, how: how}
			out := &collect{}
			_, err := run(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}})
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: %v", how, err)
			}
			ascending(t, how, out.offsets(0), 30)
			if src.mark(0) != 30 || src.closed != 1 {
				t.Errorf("mark %d, closed %d times", src.mark(0), src.closed)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		src := &brokenSource{how: "panic", open: true}
		out := &collect{}
		_, err := run(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}})
		if err == nil || !strings.HasPrefix(err.Error(), "opening the source: panic") || out.closed != 1 {
			t.Errorf("%v", err)
		}
	})
}
