package dashboards_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/dashboards"
	"github.com/penstockio/penstock/pipeline/dashboards/internal/query"
	"github.com/penstockio/penstock/pipeline/event"
)

// A told is a log as copies of the daemon would write it, told by the test, with the time in minutes since its beginning.
type told struct {
	t   *testing.T
	log bytes.Buffer
}

var beginning = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)

func minute(m float64) time.Time { return beginning.Add(time.Duration(m * float64(time.Minute))) }

// say writes an event of a copy, and of a pipeline unless that is "".
func (l *told) say(m float64, copyName, pipeline string, ev any) {
	l.t.Helper()
	e := event.New(&l.log, event.Options{Instance: copyName, Now: func() time.Time { return minute(m) }})
	if pipeline == "" {
		e.Emit(ev, "")
		return
	}
	e.Pipeline(pipeline).Emit(ev, "")
}

// stats writes the figures of a pipeline from one minute to another, every so often.
func (l *told) stats(from, to float64, every time.Duration, copyName, pipeline string, change func(*event.PipelineStats)) {
	l.t.Helper()
	for m := from; m <= to; m += every.Minutes() {
		ev := event.PipelineStats{IntervalMs: every.Milliseconds() + 1, State: "running", Backpressure: "ok", RecordsIn: 10, RecordsOut: 10,
			E2EP50Ms: math.NaN(), E2EP95Ms: math.NaN(), E2EP99Ms: math.NaN(), E2EMaxMs: math.NaN()}
		if change != nil {
			change(&ev)
		}
		l.say(m, copyName, pipeline, ev)
	}
}

// ends writes the last figures of a pipeline.
func (l *told) ends(m float64, copyName, pipeline string) {
	l.stats(m, m, 4*time.Second, copyName, pipeline, func(ev *event.PipelineStats) { ev.State = "stopped" })
}

func (l *told) exits(m float64, copyName string, code int64, reason string) {
	l.say(m, copyName, "", event.ProcessStopped{ExitCode: code, Reason: reason, E2EP50Ms: math.NaN(), E2EP95Ms: math.NaN(), E2EP99Ms: math.NaN(), E2EMaxMs: math.NaN()})
}

// firing gives for each series of an alert the minutes in which it fires, from and to, as a ruler has it that asks each minute until
// the log is over by so many minutes.
func (l *told) firing(name string, until float64) map[string][2]float64 {
	l.t.Helper()
	if err := event.ValidateAll(l.log.Bytes()); err != nil {
		l.t.Fatal(err)
	}
	log, err := query.ReadLog(l.log.Bytes(), map[string]string{"service_name": "penstock"})
	if err != nil {
		l.t.Fatal(err)
	}
	alert := lokiAlert(l.t, name)
	since, fired := map[string]float64{}, map[string][2]float64{}
	for m := 0.0; m <= until; m++ {
		all, err := log.Answer(alert.Expr, minute(m))
		if err != nil {
			l.t.Fatalf("%s: %v\n%s", name, err, alert.Expr)
		}
		now := map[string]float64{}
		for _, s := range all {
			labels := fmt.Sprint(strings.Join(slices.Sorted(maps.Values(s.Labels)), " "))
			now[labels] = m
			if began, ok := since[labels]; ok {
				now[labels] = began
			}
			if m-now[labels] >= alert.For.Minutes() {
				if first, ok := fired[labels]; ok {
					fired[labels] = [2]float64{first[0], m}
				} else {
					fired[labels] = [2]float64{m, m}
				}
			}
		}
		since = now
	}
	return fired
}

func lokiAlert(t *testing.T, name string) dashboards.Alert {
	t.Helper()
	for _, g := range dashboards.LokiRules() {
		for _, a := range g.Alerts {
			if a.Name == name {
				return a
			}
		}
	}
	t.Fatalf("there is no alert %s", name)
	return dashboards.Alert{}
}

// wants compares the series that fire: from and to which minute.
func wants(t *testing.T, name string, got, want map[string][2]float64) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("%s fires for %v, want %v", name, got, want)
	}
}

// TestLokiSilence: what stops to write without an end is silent, and what has ended, or takes longer for its figures, is not.
func TestLokiSilence(t *testing.T) {
	oneGoroutine(t)
	l := &told{t: t}
	const usual = 15 * time.Second
	l.stats(0, 90, usual, "runs-1", "runs", nil)
	l.stats(0, 20, usual, "killed-1", "killed", nil)
	l.stats(0, 90, 5*time.Minute, "slow-1", "slow", nil)
	l.stats(0, 90, time.Hour, "slowest-1", "slowest", nil)
	l.stats(0, 20, 5*time.Minute, "slow-killed-1", "slow-killed", nil)
	// A finite run, and one whose second copy goes on after the first was killed.
	l.stats(0, 20, usual, "once-1", "once", nil)
	l.ends(20.1, "once-1", "once")
	l.exits(20.1, "once-1", 0, "completed")
	l.stats(0, 20, usual, "replaced-1", "replaced", nil)
	l.stats(21, 90, usual, "replaced-2", "replaced", nil)
	// A job whose first try was killed, and whose second one has done it.
	l.stats(0, 20, usual, "job-1", "job", nil)
	l.stats(20.5, 25, usual, "job-2", "job", nil)
	l.ends(25.1, "job-2", "job")
	l.exits(25.1, "job-2", 0, "completed")
	// A roll-out, after which the new copy was killed.
	l.stats(0, 20, usual, "rolled-1", "rolled", nil)
	l.ends(20.1, "rolled-1", "rolled")
	l.exits(20.1, "rolled-1", 0, "signal")
	l.stats(20.5, 30, usual, "rolled-2", "rolled", nil)
	// A pipeline that has ended within a process that goes on with another.
	l.stats(0, 10, usual, "runs-1", "part", nil)
	l.ends(10.1, "runs-1", "part")
	wants(t, "PenstockSilent", l.firing("PenstockSilent", 89), map[string][2]float64{
		"killed": {23, 79}, "slow-killed": {36, 79}, "rolled": {33, 89},
	})
}

// TestLokiSilenceIsNotAnEnd: where nothing else writes, neither a finite run that has ended well, nor copies that were all asked to end, nor
// one that writes its figures seldom, is silent.
func TestLokiSilenceIsNotAnEnd(t *testing.T) {
	oneGoroutine(t)
	for reason, every := range map[string]time.Duration{"completed": 15 * time.Second, "signal": time.Second, "": 5 * time.Minute} {
		l := &told{t: t}
		l.stats(0, 20, every, "a-1", "orders", nil)
		if reason == "" {
			l.stats(25, 90, every, "a-1", "orders", nil)
		} else {
			l.ends(20.1, "a-1", "orders")
			l.exits(20.1, "a-1", 0, reason)
		}
		wants(t, "PenstockSilent, "+reason+" "+every.String(), l.firing("PenstockSilent", 90), map[string][2]float64{})
		wants(t, "PenstockFailed, "+reason, l.firing("PenstockFailed", 90), map[string][2]float64{})
	}
}

// TestLokiFailures: what has failed and does not run fires, and what has done its work, was asked to end, or runs again, does not.
func TestLokiFailures(t *testing.T) {
	oneGoroutine(t)
	l := &told{t: t}
	const usual = 15 * time.Second
	for _, c := range []struct {
		name, reason string
		code         int64
	}{{"failed", "failed", 1}, {"drained-not", "drain_timeout", 5}, {"completed", "completed", 0}, {"stopped", "signal", 0}, {"forced", "forced", 130}} {
		l.stats(0, 10, usual, c.name+"-1", c.name, nil)
		l.ends(10.1, c.name+"-1", c.name)
		l.exits(10.1, c.name+"-1", c.code, c.reason)
	}
	// It runs again, in the same pod and in another; a job has done it with its second try.
	for _, again := range []string{"again-1", "again-2"} {
		l.stats(0, 10, usual, "again-1", again, nil)
		l.ends(10.1, "again-1", again)
		l.stats(10.5, 60, usual, again, again, nil)
	}
	l.exits(10.1, "again-1", 1, "failed")
	l.stats(0, 10, usual, "job-1", "job", nil)
	l.ends(10.1, "job-1", "job")
	l.exits(10.1, "job-1", 1, "failed")
	l.stats(10.5, 11, usual, "job-2", "job", nil)
	l.ends(11.1, "job-2", "job")
	l.exits(11.1, "job-2", 0, "completed")
	// Two of a process: one has done its work, the other has failed, and the process ends with that.
	for name, reason := range map[string]string{"part-done": "completed", "part-failed": "failed"} {
		l.stats(0, 10, usual, "two-1", name, nil)
		l.ends(10.1, "two-1", name)
		l.say(10.1, "two-1", name, event.PipelineStopped{Reason: reason, E2EP50Ms: math.NaN(), E2EP95Ms: math.NaN(), E2EP99Ms: math.NaN(), E2EMaxMs: math.NaN()})
	}
	l.exits(10.2, "two-1", 1, "failed")
	until := [2]float64{15, 60}
	wants(t, "PenstockFailed", l.firing("PenstockFailed", 60), map[string][2]float64{"failed": until, "drained-not": until, "part-failed": until})
	wants(t, "PenstockSilent", l.firing("PenstockSilent", 60), map[string][2]float64{})
}

// TestLokiBackpressure: a step is the limit by its share of the intervals, however long they are, however many copies there are, and
// how many steps are the limit now and then.
func TestLokiBackpressure(t *testing.T) {
	oneGoroutine(t)
	l := &told{t: t}
	n := 0
	full := func(share float64, steps ...string) func(*event.PipelineStats) {
		return func(ev *event.PipelineStats) {
			n++
			if float64(n%10) < share*10 {
				ev.Backpressure, ev.BottleneckStep = "high", steps[n%len(steps)]
			}
		}
	}
	l.stats(0, 60, 15*time.Second, "a-1", "full", full(1, "price"))
	l.stats(0, 60, time.Minute, "b-1", "full-each-minute", full(1, "price"))
	// Few of many lines.
	l.stats(0, 60, time.Second, "c-1", "seldom-each-second", full(0.2, "price"))
	for i := range 5 {
		l.stats(0, 60, 15*time.Second, fmt.Sprint("d-", i), "seldom-in-five", full(0.3, "price"))
	}
	// One copy of five, and a limit that wanders.
	for i := range 5 {
		share := 0.0
		if i == 0 {
			share = 1
		}
		l.stats(0, 60, 15*time.Second, fmt.Sprint("e-", i), "full-in-one", full(share, "price"))
	}
	l.stats(0, 60, 15*time.Second, "f-1", "wanders", full(1, "price", "stock", "rate"))
	until := [2]float64{30, 60}
	wants(t, "PenstockBackpressure", l.firing("PenstockBackpressure", 60), map[string][2]float64{
		"full price": until, "full-each-minute price": {30, 60}, "full-in-one price": until,
	})
}

// TestLokiErrors: attempts that fail while nothing is read fire too, and one of a pipeline that reads next to nothing does not.
func TestLokiErrors(t *testing.T) {
	oneGoroutine(t)
	l := &told{t: t}
	const usual = 15 * time.Second
	figures := func(in, errors int64) func(*event.PipelineStats) {
		return func(ev *event.PipelineStats) { ev.RecordsIn, ev.Errors = in, errors }
	}
	l.stats(0, 60, usual, "a-1", "good", figures(100, 1))
	l.stats(0, 60, usual, "b-1", "bad", figures(100, 60))
	l.stats(0, 10, usual, "c-1", "down", figures(100, 0))
	l.stats(10.1, 40, usual, "c-1", "down", figures(0, 2)) // nothing is read, and what is under way fails
	l.stats(40.1, 60, usual, "c-1", "down", figures(100, 0))
	l.stats(0, 60, usual, "d-1", "idle", figures(0, 0))
	l.stats(30, 30, usual, "d-1", "idle", figures(1, 1)) // once
	wants(t, "PenstockErrorsVeryHigh", l.firing("PenstockErrorsVeryHigh", 60), map[string][2]float64{"bad": {10, 60}, "down": {25, 40}})
}

// TestLokiRebalances counts rebalances, and not the copies that lose partitions in one.
func TestLokiRebalances(t *testing.T) {
	oneGoroutine(t)
	l := &told{t: t}
	for i := range 10 {
		l.say(5+float64(i)/100, fmt.Sprint("a-", i), "many", event.SourceRevoked{ConsumerGroup: "many", Generation: 7, Partitions: 1, Reason: "rebalance"})
		l.say(float64(i)/2, "b-1", "often", event.SourceRevoked{ConsumerGroup: "often", Generation: int64(i), Partitions: 1, Reason: "rebalance"})
	}
	got := l.firing("PenstockRebalances", 20)
	wants(t, "PenstockRebalances", got, map[string][2]float64{"often often": {2, 12}})
}
