package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// startPaused runs a pipeline beside the test that is paused before it begins.
func startPaused(t *testing.T, ctx context.Context, o Options) (*Pipeline, <-chan error) {
	t.Helper()
	p := mustNew(t, o)
	p.Pause()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return p, done
}

// twoKinds are a step that computes and one that waits.
func twoKinds() []Step {
	return []Step{
		{Name: "compute", Workers: 2, Stage: does(func(context.Context, *pipeline.Record) error { return nil })},
		{Name: "ask", Workers: 4, Stage: slowly(10 * time.Millisecond), Wait: &Wait{}},
	}
}

// A pause of the pipeline lets what is in flight go on to its commit, and nothing begin. Then all goes on, with nothing lost, and
// nothing out of order.
func TestAPauseLetsNothingBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, out := &memory{lanes: 3, records: 2000, charge: true}, &collect{}
		p, done := start(t, t.Context(), Options{Source: src, Steps: twoKinds(), Sinks: []Output{{Name: "out", Sink: out}}})
		time.Sleep(200*time.Millisecond + 5*time.Millisecond)
		p.Pause()
		p.Pause()
		synctest.Wait()
		at := p.Snapshot()
		if at.State != "paused" || at.PausedBy != "command" || at.InFlight == 0 {
			t.Fatalf("just paused: %s by %q, %d in flight", at.State, at.PausedBy, at.InFlight)
		}
		time.Sleep(time.Minute)
		s := p.Snapshot()
		if s.In != at.In || s.InFlight != 0 || s.Stalled != nil {
			t.Errorf("in the pause: %d came, %d in flight, stalled %v", s.In-at.In, s.InFlight, s.Stalled)
		}
		var marks int64
		for lane := range 3 {
			marks += src.mark(lane)
		}
		if marks != s.Out || marks != s.In {
			t.Errorf("in the pause: the marks are at %d in all, of %d that came", marks, s.In)
		}
		for _, h := range p.Why() {
			if h.State != statePaused || h.Where != "compute" || !strings.Contains(h.String(), "for the end of the pause that a command has asked for") {
				t.Errorf("why: %v", h)
			}
		}
		if n := len(p.Why()); n != 3 {
			t.Errorf("%d lanes wait, of 3", n)
		}
		p.Resume()
		p.Resume()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		balanced(t, p)
		for lane := range 3 {
			ascending(t, "lane", out.offsets(int32(lane)), 2000)
		}
		if s := p.Snapshot(); s.PausedBy != "" || s.State != "stopped" {
			t.Errorf("at the end: %s by %q", s.State, s.PausedBy)
		}
	})
}

// A lane that is paused stands alone: the others go on, and those that come are not paused.
func TestAPausedLaneStandsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, out := &memory{lanes: 3, records: 3000, charge: true}, &collect{}
		p, done := start(t, t.Context(), Options{Source: src, Steps: twoKinds(), Sinks: []Output{{Name: "out", Sink: out}}})
		time.Sleep(105 * time.Millisecond)
		if err := p.PauseLane("t/1"); err != nil {
			t.Fatal(err)
		}
		if err := p.PauseLane("t/7"); !errors.Is(err, ErrNoLane) || !strings.Contains(err.Error(), `"t/7"`) {
			t.Errorf("pausing a lane that there is not: %v", err)
		}
		time.Sleep(time.Minute)
		s := p.Snapshot()
		if s.State != "running" || s.PausedBy != "" || len(s.PausedLanes) != 1 || s.PausedLanes[0] != "t/1" {
			t.Errorf("%s by %q, lanes %v", s.State, s.PausedBy, s.PausedLanes)
		}
		if src.mark(0) != 3000 || src.mark(2) != 3000 || src.mark(1) >= 3000 {
			t.Errorf("marks %d, %d, %d", src.mark(0), src.mark(1), src.mark(2))
		}
		if all := p.Why(); len(all) != 1 || !strings.Contains(all[0].String(), "the pause of its lane that a command") {
			t.Errorf("why: %v", all)
		}
		p.Resume() // of the pipeline, which is not paused
		time.Sleep(time.Second)
		if src.mark(1) >= 3000 {
			t.Error("Resume has the lane go on")
		}
		p.Pause()
		if err := p.ResumeLane("t/1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if src.mark(1) >= 3000 {
			t.Error("ResumeLane has the lane go on while the pipeline is paused")
		}
		p.Resume()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for lane := range 3 {
			ascending(t, "lane", out.offsets(int32(lane)), 3000)
		}
	})
}

// A stop in a pause hands back what waits, at once, and repeats nothing.
func TestAStopInAPauseEndsAtOnce(t *testing.T) {
	for _, charged := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			src, out := &memory{lanes: 3, records: 5000, charge: charged}, &collect{}
			p, done := start(t, ctx, Options{Source: src, Steps: twoKinds(), Sinks: []Output{{Name: "out", Sink: out}}})
			time.Sleep(205 * time.Millisecond)
			p.Pause()
			time.Sleep(time.Minute)
			began := time.Now()
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 0 {
				t.Errorf("the stop took %s", took)
			}
			balanced(t, p)
			for lane := range 3 {
				ascending(t, "lane", out.offsets(int32(lane)), int(src.mark(lane)))
			}
			if src.freed != src.given {
				t.Errorf("%d batches freed of %d", src.freed, src.given)
			}
		})
	}
}

// onceOnly is a source that cannot be read again.
type onceOnly struct{ *memory }

func (onceOnly) ReadsOnce() bool { return true }

// What cannot be read again is finished at a stop, though it had not begun when the pipeline was paused.
func TestAStopInAPauseFinishesWhatCannotBeReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		src, out := &memory{lanes: 2, records: 300, batch: 100, endless: true}, &collect{}
		p, done := startPaused(t, ctx, Options{Source: onceOnly{src}, Steps: twoKinds(), Sinks: []Output{{Name: "out", Sink: out}}})
		synctest.Wait()
		if err := p.PauseLane("t/1"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if s := p.Snapshot(); s.In != 0 || src.given == 0 {
			t.Fatalf("paused from the start: %d came, %d batches were read", s.In, src.given)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for lane := range 2 {
			ascending(t, "lane", out.offsets(int32(lane)), src.next[lane])
		}
	})
}

// A lane that is given up in a pause hands back what has not begun, or finishes what cannot be handed back, and is over.
func TestALaneEndsInAPause(t *testing.T) {
	for _, once := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			src, out := &memory{lanes: 2, records: 5000, batch: 100, charge: true, endless: true}, &collect{}
			o := Options{Source: src, Steps: twoKinds(), Sinks: []Output{{Name: "out", Sink: out}}}
			if once {
				o.Source = onceOnly{src}
			}
			p, done := start(t, ctx, o)
			time.Sleep(15 * time.Millisecond)
			p.Pause()
			time.Sleep(10 * time.Second)
			ectx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			began := time.Now()
			report, err := src.lane(0).End(ectx)
			if err != nil || report.Abandoned != 0 || time.Since(began) > 30*time.Second {
				t.Errorf("the end took %s: %+v, %v", time.Since(began), report, err)
			}
			if once && int(src.mark(0)) != src.next[0] || !once && report.Unread == 0 {
				t.Errorf("the mark is at %d: %+v", src.mark(0), report)
			}
			if s := p.Snapshot(); s.State != "paused" || s.InFlight != 0 {
				t.Errorf("then: %s, %d in flight", s.State, s.InFlight)
			}
			ascending(t, "lane", out.offsets(0), int(src.mark(0)))
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A source that fails in a pause ends the pipeline: what it had read before is finished.
func TestASourceFailsInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, out := &failing{memory: memory{lanes: 2, records: 300, batch: 100, endless: true}, fails: make(chan struct{})}, &collect{}
		_, done := startPaused(t, t.Context(), Options{Source: src, Steps: twoKinds(), Sinks: []Output{{Name: "out", Sink: out}}})
		time.Sleep(time.Second)
		close(src.fails)
		if err := <-done; err == nil || !strings.Contains(err.Error(), "the disk is gone") {
			t.Fatal(err)
		}
		for lane := range 2 {
			ascending(t, "lane", out.offsets(int32(lane)), src.next[lane])
		}
	})
}

// A finite source that has come to its end in a pause waits in it, and ends the run behind it.
func TestTheEndOfASourceWaitsForAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, out := &memory{lanes: 1, records: 300, batch: 300}, &collect{}
		p, done := startPaused(t, t.Context(), Options{Source: src, Steps: twoKinds(), Sinks: []Output{{Name: "out", Sink: out}}})
		time.Sleep(time.Hour)
		if s := p.Snapshot(); s.State != "paused" || s.In != 0 {
			t.Errorf("%s, %d came", s.State, s.In)
		}
		p.Resume()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		ascending(t, "lane", out.offsets(0), 300)
		p.Pause() // it has ended
		p.Resume()
		if s := p.Snapshot(); s.State != "stopped" {
			t.Error(s.State)
		}
	})
}

// A lane that is paused by its name stays so when its source gives it up and opens it again, as a partition that is revoked and comes back.
// It is remembered while it is away, and can be resumed then.
func TestAPausedLaneComesBackPaused(t *testing.T) {
	for _, resumed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			src, out := &memory{lanes: 2, records: 600, batch: 50, reopens: true, lost: map[int]bool{}}, &collect{}
			p, done := start(t, t.Context(), Options{Source: src, Steps: twoKinds(), Sinks: []Output{{Name: "out", Sink: out}}})
			time.Sleep(105 * time.Millisecond)
			if err := p.PauseLane("t/0"); err != nil {
				t.Fatal(err)
			}
			src.mu.Lock()
			src.lost[0] = true // it does not come back by itself
			src.mu.Unlock()
			if _, err := src.lane(0).End(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s := p.Snapshot(); len(s.PausedLanes) != 0 {
				t.Errorf("paused while it is away: %v", s.PausedLanes)
			}
			if resumed {
				if err := p.ResumeLane("t/0"); err != nil {
					t.Error(err)
				}
			} else if err := p.PauseLane("t/0"); err != nil { // again
				t.Error(err)
			}
			src.mu.Lock()
			src.lost[0] = false
			src.mu.Unlock()
			time.Sleep(time.Minute)
			if s := p.Snapshot(); !resumed && fmt.Sprint(s.PausedLanes) != "[t/0]" || (src.mark(0) == 600) != resumed || src.mark(1) != 600 {
				t.Errorf("paused: %v, marks %d, %d", s.PausedLanes, src.mark(0), src.mark(1))
			}
			if err := p.ResumeLane("t/0"); (err != nil) != resumed {
				t.Errorf("resuming it: %v", err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			for lane := range int32(2) {
				ascending(t, "lane", out.offsets(lane), 600)
			}
		})
	}
}

// How many lanes are paused by their names is bounded, as they are remembered; one that is resumed makes room.
func TestPausedLanesAreBounded(t *testing.T) {
	p := mustNew(t, Options{Source: &memory{lanes: 1}, Sinks: []Output{{Name: "out", Sink: &collect{}}}})
	for i := range mostPausedLanes + 1 {
		name := fmt.Sprintf("t/%d", i)
		if _, _, err := p.lane(t.Context(), name, 0); err != nil {
			t.Fatal(err)
		}
		if err := p.PauseLane(name); (err == nil) != (i < mostPausedLanes) || err != nil && !strings.Contains(err.Error(), "pause the pipeline") {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := p.PauseLane("t/0"); err != nil { // it is
		t.Error(err)
	}
	if err := p.ResumeLane("t/0"); err != nil {
		t.Error(err)
	}
	if err := p.PauseLane(fmt.Sprintf("t/%d", mostPausedLanes)); err != nil {
		t.Error(err)
	}
}
