package http

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
)

// A gate is a sink that stores nothing before it is opened.
type gate struct {
	pipeline.Sink
	open    chan struct{}
	arrived atomic.Int64
	fail    func(*pipeline.Record) error
}

func (g *gate) Write(ctx context.Context, recs []*pipeline.Record) error {
	g.arrived.Add(int64(len(recs)))
	select {
	case <-g.open:
	case <-ctx.Done():
		return ctx.Err()
	}
	if g.fail != nil {
		var failed []pipeline.Failure
		for i, rec := range recs {
			if err := g.fail(rec); err != nil {
				failed = append(failed, pipeline.Failure{Index: i, Err: err})
			}
		}
		if failed != nil {
			return &pipeline.WriteError{Failed: failed}
		}
	}
	return g.Sink.Write(ctx, recs)
}

// gated puts a gate in front of the memory of a rig.
func (r *rig) gated() *gate {
	g := &gate{Sink: r.sink, open: make(chan struct{})}
	r.sink = g
	return g
}

// later posts beside the test.
func (r *rig) later(body string, header ...string) <-chan answer {
	got := make(chan answer, 1)
	go func() {
		a, err := r.do("POST", r.src.settings.Path, strings.NewReader(body), header...)
		if err != nil {
			a.body = err.Error()
		}
		got <- a
	}()
	return got
}

func soon(t *testing.T, got <-chan answer) answer {
	t.Helper()
	select {
	case a := <-got:
		return a
	case <-time.After(30 * time.Second):
		t.Fatal("no answer after 30 s")
		return answer{}
	}
}

// TestAnswersWhenDurable: nothing is answered before the sink has the records.
func TestAnswersWhenDurable(t *testing.T) {
	r := newRig(t, nil)
	g := r.gated()
	r.start()
	got := r.later(`[1,2]`)
	waitFor(t, "the sink is asked", func() bool { return g.arrived.Load() > 0 })
	waitFor(t, "the request counts as waiting", func() bool { return r.src.Report().RequestsWaiting == 1 })
	select {
	case a := <-got:
		t.Fatalf("answered %v before the records were stored", a)
	default:
	}
	close(g.open)
	soon(t, got).want(t, 200, `{"records":2}`)
	if rep := r.src.Report(); rep.RequestsWaiting != 0 || rep.Answers["200"] != 1 {
		t.Errorf("report %+v", rep)
	}
}

// TestAnswersAcceptedAtOnce: with answer: accepted a request is answered while its records wait.
func TestAnswersAcceptedAtOnce(t *testing.T) {
	r := newRig(t, func(s *Settings) { s.Answer = Accepted })
	g := r.gated()
	r.start()
	r.post(`[1,2]`).want(t, 202, `{"records":2}`)
	close(g.open)
	waitFor(t, "the records come", func() bool { return len(r.values()) == 2 })
}

// TestRejectedRecordsAreAnswered: a record in the dead letters has its outcome.
func TestRejectedRecordsAreAnswered(t *testing.T) {
	r := newRig(t, nil)
	g := r.gated()
	close(g.open)
	g.fail = func(rec *pipeline.Record) error {
		if string(rec.Value()) == "2" {
			return pipeline.Permanent(errors.New("not that one"))
		}
		return nil
	}
	r.start()
	r.post(`[1,2]`).want(t, 200, `{"records":2,"rejected":1}`)
}

// TestAStopAnswersEverybody: what was taken is finished and answered, also what no step has begun; what comes meanwhile is refused, and then
// nobody listens.
func TestAStopAnswersEverybody(t *testing.T) {
	r := newRig(t, nil)
	r.budget = engine.NewBudget(5, 1<<20) // so that most of what was taken waits
	r.drain = time.Minute
	g := r.gated()
	r.start()
	var taken []<-chan answer
	for i := range 20 {
		taken = append(taken, r.later(fmt.Sprint(i)))
	}
	waitFor(t, "all wait", func() bool { return r.src.Report().RequestsWaiting == 20 })
	r.stop()
	waitFor(t, "the source stops", func() bool { return r.src.stopping.Err() != nil })
	a := r.post("21")
	a.want(t, 503, `"stopping"`, `"stored":"no"`)
	if a.header.Get("Retry-After") == "" {
		t.Errorf("header %v", a.header)
	}
	close(g.open)
	for _, got := range taken {
		soon(t, got).want(t, 200, `{"records":1}`)
	}
	addr := r.src.server.Addr()
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if len(r.values()) != 20 {
		t.Errorf("%d records came", len(r.values()))
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		_ = conn.Close()
		t.Error("somebody listens after the end")
	}
	if n, bytes := r.budget.Use(); n != 0 || bytes != 0 {
		t.Errorf("%d records and %d bytes are not given back", n, bytes)
	}
}

// TestASpentDrainAnswersWhatIsKnown: nobody waits for ever, and who may have been stored is told so.
func TestASpentDrainAnswersWhatIsKnown(t *testing.T) {
	r := newRig(t, nil)
	r.drain = 500 * time.Millisecond
	g := r.gated() // and never opened
	r.start()
	got := r.later(`[1,2,3]`)
	waitFor(t, "the sink is asked", func() bool { return g.arrived.Load() == 3 })
	var abandoned *engine.AbandonedError
	if err := r.end(); !errors.As(err, &abandoned) {
		t.Errorf("ended with %v", err)
	}
	soon(t, got).want(t, 503, `"given_up"`, `"stored":"maybe"`, "0 of 3")
}

// TestAnswerWithin: a request that has waited long enough is told so, and its records go on.
func TestAnswerWithin(t *testing.T) {
	r := newRig(t, func(s *Settings) {
		s.AnswerWithin = time.Second
		s.Idempotency = &Idempotency{Keep: time.Hour, Size: 10}
	})
	g := r.gated()
	r.start()
	a := r.post("1", "Idempotency-Key", "k")
	a.want(t, 503, `"no_outcome"`, `"stored":"maybe"`)
	again := r.later("1", "Idempotency-Key", "k")
	waitFor(t, "the second waits", func() bool { return r.src.Report().RequestsWaiting == 1 })
	close(g.open)
	soon(t, again).want(t, 200)
	if got := r.values(); len(got) != 1 {
		t.Errorf("stored %q", got)
	}
}

// TestALostLaneIsOpenedAgain: a request whose lane ends is told so, and the next one finds another lane, with other offsets.
func TestALostLaneIsOpenedAgain(t *testing.T) {
	r := newRig(t, func(s *Settings) { s.Lanes = 1 })
	g := r.gated()
	r.start()
	got := r.later("1")
	waitFor(t, "the sink is asked", func() bool { return g.arrived.Load() == 1 })
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.src.lines[0].lane.End(ended); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	soon(t, got).want(t, 503, `"given_up"`, `"maybe"`)
	close(g.open)
	r.post("2").want(t, 200)
}

// TestACallerThatLeaves: its records go on, and count once.
func TestACallerThatLeaves(t *testing.T) {
	r := newRig(t, nil)
	g := r.gated()
	r.start()
	conn, err := net.Dial("tcp", r.src.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "POST /records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n7")
	waitFor(t, "the sink is asked", func() bool { return g.arrived.Load() == 1 })
	_ = conn.Close()
	close(g.open)
	waitFor(t, "it has its end", func() bool { return r.src.Report().Answers["200"] == 1 })
	if got := r.values(); len(got) != 1 {
		t.Errorf("stored %q", got)
	}
}
