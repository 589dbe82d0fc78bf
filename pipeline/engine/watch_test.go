package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// inBubble is a test with a time of its own.
func inBubble(f func(t *testing.T)) func(*testing.T) {
	return func(t *testing.T) { synctest.Test(t, f) }
}

// What was stalled and is given up at the end of the drain budget has not recovered; what goes on within it has.
func TestWhatIsGivenUpHasNotRecovered(t *testing.T) {
	for _, how := range []string{"step", "sink", "sink that fails"} {
		where := how[:4]
		for _, hangs := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, without end: %v", how, hangs), inBubble(func(t *testing.T) {
				log, took := &lines{}, 30*time.Second
				if hangs {
					took = time.Hour
				}
				began := time.Now()
				takes := func(ctx context.Context) error {
					pause(ctx, time.Until(began.Add(took)))
					return ctx.Err()
				}
				o := Options{
					Source: &memory{lanes: 1, records: 1, endless: true}, Events: log.emitter(t), StalledAfter: 10 * time.Second, Drain: time.Minute,
					Sinks: []Output{{Name: "out", Sink: &collect{}}}, Steps: []Step{passes("ask")},
				}
				switch how {
				case "step":
					o.Steps[0] = Step{Name: "ask", Workers: 1, Wait: patiently(1), Stage: does(func(ctx context.Context, _ *pipeline.Record) error { return takes(ctx) })}
				case "sink":
					o.Sinks[0].Sink = &collect{write: func(ctx context.Context, _ []*pipeline.Record) error { return takes(ctx) }}
				default:
					o.Sinks[0].Sink = &collect{write: func(context.Context, []*pipeline.Record) error {
						if time.Since(began) < took {
							return errors.New("not now")
						}
						return nil
					}}
				}
				ctx, cancel := context.WithCancel(t.Context())
				p, done := start(t, ctx, o)
				time.Sleep(15 * time.Second)
				cancel()
				if err := <-done; (err != nil) != hangs {
					t.Error(err)
				}
				stalled, recovered := log.named(where+".stalled"), log.named(where+".recovered")
				if want := map[bool]int{true: 0, false: 1}[hangs]; len(stalled) != 1 || len(recovered) != want {
					t.Errorf("stalled %v, recovered %v", stalled, recovered)
				}
				balanced(t, p)
			}))
		}
	}
}
