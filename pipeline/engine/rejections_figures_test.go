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

// agree checks that whatever tells of rejections tells the same: the letters that are written, the figures of the step and
// of the pipeline, and the events.
func agree(t *testing.T, when string, p *Pipeline, dead *collect, log *lines) {
	t.Helper()
	letters := len(dead.all())
	s := p.Snapshot()
	step := s.Steps[len(s.Steps)-1]
	byType := int64(0)
	for _, e := range step.ErrorsByType {
		byType += e.Total
	}
	told := rejectedEvents(log)
	if int(s.Counts.Rejected) != letters || int(step.Counts.Rejected) != letters || len(told) != letters || byType != step.Counts.Errors {
		t.Errorf("%s: %d letters, %d events, the pipeline rejected %d, its step %d; %d errors of the step, %d by type",
			when, letters, len(told), s.Counts.Rejected, step.Counts.Rejected, step.Counts.Errors, byType)
	}
	for i, l := range dead.all() {
		if i < len(told) && told[i] != l.Offset {
			t.Errorf("%s: event %d is of record %d, letter %d of %d", when, i, told[i], i, l.Offset)
		}
	}
	balanced(t, p)
}

// rejectedEvents gives the offsets of the records that record.rejected tells of.
func rejectedEvents(log *lines) (offsets []int64) {
	for _, l := range log.all() {
		if l["event_name"] == "record.rejected" {
			offset, _ := l["offset"].(float64) // offset 0 is left out
			offsets = append(offsets, int64(offset))
		}
	}
	return offsets
}

// In a pause all figures tell the same, and what a step that computes has rejected is in the dead letters: not in a chunk
// whose other records wait for the end of the pause. So it is after a stop in the pause, when the rest is abandoned.
func TestAPauseWritesItsLetters(t *testing.T) {
	for _, from := range []int64{0, 3, 100, 300} {
		for workers := 1; workers <= 3; workers += 2 {
			t.Run(fmt.Sprintf("from %d with %d workers", from, workers), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					log := &lines{}
					o := &outage{from: from}
					src, out, dead := &memory{lanes: 1, records: 800, batch: 400, endless: true}, &collect{}, &collect{}
					ctx, cancel := context.WithCancel(t.Context())
					p, done := start(t, ctx, Options{
						Source: src, Sinks: []Output{{Name: "out", Kind: "test", Sink: out}},
						Steps:      []Step{{Name: "edit", Kind: "test", Stage: edits("a", "1").Stage}, {Name: "ask", Kind: "test", Stage: o.stage(0), Workers: workers}},
						DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: 2, Of: 100, Pause: time.Minute}},
						Events:     log.emitter(t),
					})
					time.Sleep(30 * time.Second)
					agree(t, "in the pause", p, dead, log)
					if n := len(dead.all()); workers == 1 && n != 3 || n < 1 || n > 3+2 {
						t.Errorf("%d letters in the pause", n)
					}
					time.Sleep(time.Minute)
					agree(t, "in the second pause", p, dead, log)
					cancel()
					if err := <-done; err != nil {
						t.Fatal(err)
					}
					agree(t, "after the stop", p, dead, log)
					if c := p.Snapshot().Counts; c.Abandoned == 0 || c.InFlight != 0 {
						t.Errorf("%+v", c)
					}
				})
			})
		}
	}
}

// What is to be rejected behind the record that ends the pipeline is read again with it: nothing counts it as rejected.
func TestAStopCountsWhatItRejected(t *testing.T) {
	for name := range outageSteps(&outage{}) {
		for _, onError := range []OnError{OnErrorDeadLetter, OnErrorStop} {
			t.Run(fmt.Sprint(name, " ", onError), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					log := &lines{}
					o := &outage{from: 100}
					steps := outageSteps(o)[name]
					ask := &steps[len(steps)-1]
					ask.OnError = onError
					dead := &collect{}
					p, err := run(t, Options{
						Source: &memory{lanes: 1, records: 800, batch: 400}, Sinks: []Output{{Name: "out", Kind: "test", Sink: &collect{}}}, Steps: steps,
						DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: 5, Of: 100}},
						Events:     log.emitter(t),
					})
					if err == nil {
						t.Fatal("it did not end with an error")
					}
					agree(t, "after the stop", p, dead, log)
					if e := p.Snapshot().Steps[len(steps)-1].Counts.Errors; name == "computes" && e > 50 {
						// A chunk that is begun before the lane has heard of the end gives up behind its first record, so there is one
						// for each of them, and how many there are is left to the scheduler. Hundreds fail where a chunk goes on behind it.
						t.Errorf("%d errors: it went on behind the record that ends it", e)
					}
				})
			})
		}
	}
}

// A condition that fails beyond the budget rejects nothing.
func TestAConditionThatStopsRejectsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := func(*pipeline.Record) (bool, error) { return false, errors.New("evaluating: no") }
		dead := &collect{}
		p, err := run(t, Options{
			Source: &memory{lanes: 1, records: 100}, Sinks: []Output{{Name: "out", Kind: "test", Sink: &collect{}, When: fails}},
			DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: 5, Of: 100}},
		})
		if n := int64(len(dead.all())); err == nil || n != 5 || p.Snapshot().Sinks[0].Counts.Rejected != n || p.Snapshot().Counts.Rejected != n {
			t.Errorf("%v, %d letters, %+v", err, n, p.Snapshot().Sinks[0].Counts)
		}
	})
}
