package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

// A detailed error knows what the server said.
type detailed struct{ error }

func (detailed) Detail() string { return "no such city" }

func TestTheFormatOfDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := testLane(t, OrderPartition)
		p := l.p
		p.opts.Name = "late-flights"
		r := &pipeline.Record{}
		r.Init(pipeline.Position{Topic: "flights", Partition: 3, Offset: 4711}, []byte("JFK"), []byte(`{"a":1}`), []pipeline.Header{{Name: "trace", Value: []byte("x")}, {Name: "trace", Value: nil}}, 1234)
		it := item{r, &track{piece: &piece{lane: l}}}
		_ = r.SetRaw("a", []byte("2"))
		r.SetKey(nil)
		at := time.Date(2026, 11, 20, 13, 0, 0, 7_900_000, time.FixedZone("", 3600))
		why := &failure{step: "weather", reason: "http_404", err: pipeline.Permanent(detailed{errors.New("asking: " + strings.Repeat("é", 600))}), attempts: 5, parts: 1, at: at}
		d := p.letter(it, why, nil).rec
		if string(d.Key()) != "JFK" || string(d.Value()) != `{"a":1}` || d.Position != r.Position || d.Time != at.UnixMilli() {
			t.Errorf("%+v", d)
		}
		want := []pipeline.Header{
			{Name: "trace", Value: []byte("x")}, {Name: "trace", Value: nil},
			{Name: "penstock-pipeline", Value: []byte("late-flights")}, {Name: "penstock-step", Value: []byte("weather")},
			{Name: "penstock-reason", Value: []byte("http_404")}, {Name: "penstock-error", Value: nil}, {Name: "penstock-detail", Value: []byte("no such city")},
			{Name: "penstock-attempts", Value: []byte("5")},
			{Name: "penstock-topic", Value: []byte("flights")}, {Name: "penstock-partition", Value: []byte("3")},
			{Name: "penstock-offset", Value: []byte("4711")}, {Name: "penstock-time", Value: []byte("2026-11-20T12:00:00.007Z")},
			{Name: "penstock-timestamp", Value: []byte("1234")},
		}
		if len(d.Headers()) != len(want) {
			t.Fatalf("%d headers, want %d", len(d.Headers()), len(want))
		}
		for i, h := range d.Headers() {
			switch {
			case h.Name != want[i].Name:
				t.Errorf("header %d is %s, want %s", i, h.Name, want[i].Name)
			case h.Name == deadletter.Error:
				if s := string(h.Value); len(s) > 1024 || len(s) < 1000 || !strings.HasSuffix(s, "é") {
					t.Errorf("an error of %d bytes", len(s))
				}
			case string(h.Value) != string(want[i].Value):
				t.Errorf("%s is %s, want %s", h.Name, h.Value, want[i].Value)
			}
		}
	})
}

// A record's outcome counts only when its dead letter is durable, and the mark waits.
func TestTheMarkWaitsForTheDeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 20}
		out, dead := &collect{}, &collect{}
		began := time.Now()
		dead.write = func(context.Context, []*pipeline.Record) error {
			if time.Since(began) < time.Hour {
				return errors.New("writing: the disk is full")
			}
			return nil
		}
		p, done := start(t, t.Context(), Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead, Retry: Retry{Attempts: 2}},
			Steps: []Step{{Name: "check", Stage: does(func(_ context.Context, r *pipeline.Record) error {
				if r.Offset == 7 {
					return errors.New("checking: bad")
				}
				return nil
			})}},
		})
		time.Sleep(30 * time.Minute)
		if c := p.Snapshot().Counts; src.mark(0) != 7 || c.Rejected != 0 || c.InFlight != 1 || c.Out != 19 {
			t.Errorf("mark %d, %+v", src.mark(0), c)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if s := p.Snapshot(); src.mark(0) != 20 || s.Rejected != 1 || s.DeadLetterCount != 1 {
			t.Errorf("mark %d, %+v", src.mark(0), s)
		}
	})
}

// A dead letter that cannot be stored is never dropped: the pipeline stops.
func TestARefusedDeadLetterStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 1000}
		dead := &collect{write: func(context.Context, []*pipeline.Record) error {
			return pipeline.Permanent(errors.New("writing: too large"))
		}}
		p, err := run(t, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Name: "rejected", Sink: dead},
			Steps: []Step{{Name: "check", Stage: does(func(_ context.Context, r *pipeline.Record) error {
				if r.Offset == 7 {
					return errors.New("checking: bad")
				}
				return nil
			})}},
		})
		if err == nil || err.Error() != "rejected: t/0@7: storing a dead letter: writing: too large" {
			t.Fatal(err)
		}
		if src.mark(0) != 7 {
			t.Errorf("mark %d", src.mark(0))
		}
		balanced(t, p)
	})
}

// Rejected records pass the other steps in their place, so that the dead letters of
// a lane are in its order.
func TestDeadLettersAreInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := func(n, of int64, d time.Duration) pipeline.Stage {
			return does(func(ctx context.Context, r *pipeline.Record) error {
				if r.Offset%of == n {
					return errors.New("checking: bad")
				}
				pause(ctx, d*time.Duration(r.Offset%5))
				return nil
			})
		}
		dead := &collect{}
		_, err := run(t, Options{
			Source: &memory{lanes: 2, records: 500}, Sinks: []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Sink: dead},
			Steps: []Step{
				{Name: "a", Stage: bad(1, 10, time.Microsecond)}, {Name: "b", Wait: &Wait{Retry: Retry{Attempts: 1}}, Workers: 8, Stage: bad(2, 10, time.Millisecond)},
				{Name: "c", Stage: bad(3, 10, 0)},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		for lane := range int32(2) {
			got := dead.offsets(lane)
			if len(got) != 150 {
				t.Fatalf("%d dead letters", len(got))
			}
			for i := 1; i < len(got); i++ {
				if got[i] <= got[i-1] {
					t.Fatalf("%d after %d", got[i], got[i-1])
				}
			}
		}
	})
}

// A rude error panics when it is asked for what the server said.
type rude struct{ error }

func (rude) Detail() string { panic("no detail") }

// An error that panics when it is asked for its text costs that text alone, though it is asked
// under the lane's lock.
func TestADetailThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &collect{}
		p, err := run(t, Options{
			Source: &memory{lanes: 1, records: 10}, Sinks: []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Sink: dead},
			Steps: []Step{{Name: "check", Stage: does(func(_ context.Context, r *pipeline.Record) error {
				if r.Offset == 7 {
					return pipeline.Permanent(rude{errors.New("checking: bad")})
				}
				return nil
			})}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := dead.offsets(0); len(got) != 1 || got[0] != 7 {
			t.Errorf("dead letters %v", got)
		}
		balanced(t, p)
	})
}
