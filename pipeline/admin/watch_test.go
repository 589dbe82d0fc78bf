package admin

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
)

var t0 = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

// A look is one observation of a pipeline.
type look struct {
	at       time.Duration
	state    string // "": running
	by       string // what has it paused, or its one partition; "": the budget, or nothing
	finished int64
	inFlight int64
	lag      int64 // records that are not read yet
	want     bool  // Check fails
}

func (l look) snapshot() engine.Snapshot {
	s := engine.Snapshot{Pipeline: "p", State: "running", At: t0.Add(l.at)}
	if l.state != "" {
		s.State = l.state
	}
	if l.state == "paused" {
		s.PausedBy = cmp.Or(l.by, "dead_letter_budget")
	}
	s.Filtered, s.InFlight = l.finished, l.inFlight
	s.Source.Partitions = []pipeline.PartitionReport{{
		Topic: "t", Commanded: l.by == "command", Committed: 10, Fetched: 10 + l.inFlight, HighWatermark: 10 + l.inFlight + l.lag,
	}}
	return s
}

func TestWatch(t *testing.T) {
	const m = time.Minute
	for name, looks := range map[string][]look{
		"progress":           {{at: 0, finished: 1, lag: 9}, {at: 6 * m, finished: 2, lag: 9}, {at: 12 * m, finished: 3, lag: 9}},
		"stands still":       {{at: 0, lag: 9}, {at: 4 * m, lag: 9}, {at: 5 * m, lag: 9, want: true}, {at: 9 * m, lag: 9, want: true}},
		"goes on again":      {{at: 0, lag: 9}, {at: 6 * m, lag: 9, want: true}, {at: 7 * m, finished: 1, lag: 8}, {at: 11 * m, finished: 1, lag: 8}},
		"in flight, no lag":  {{at: 0, inFlight: 1}, {at: 5 * m, inFlight: 1, want: true}},
		"idle":               {{at: 0}, {at: time.Hour}, {at: 2 * time.Hour}},
		"idle, then a burst": {{at: 0}, {at: time.Hour, lag: 5}, {at: time.Hour + 4*m, lag: 5}, {at: time.Hour + 5*m, lag: 5, want: true}},
		"starting":           {{at: 0, lag: 9, state: "starting"}, {at: time.Hour, lag: 9, state: "starting"}},
		"draining":           {{at: 0, lag: 9}, {at: time.Hour, lag: 9, state: "draining"}},
		"paused":             {{at: 0, lag: 9}, {at: time.Hour, lag: 9, state: "paused"}, {at: time.Hour + m, lag: 9}, {at: time.Hour + 5*m, lag: 9}, {at: time.Hour + 6*m, lag: 9, want: true}},
		"paused by command": {{at: 0, lag: 9}, {at: 4 * m, lag: 9, state: "paused", by: "command"}, {at: time.Hour, lag: 9, state: "paused", by: "command"},
			{at: time.Hour + m, lag: 9}, {at: time.Hour + 5*m, lag: 9}, {at: time.Hour + 6*m, lag: 9, want: true}},
		"paused by command, with a call that hangs": {{at: 0, inFlight: 1, lag: 9, state: "paused", by: "command"}, {at: 5 * m, inFlight: 1, lag: 9, state: "paused", by: "command", want: true}},
		"its lane is paused":                        {{at: 0, lag: 9, by: "command"}, {at: time.Hour, lag: 9, by: "command"}},
		"seldom looked at":                          {{at: 0, finished: 1, lag: 9}, {at: time.Hour, finished: 1, lag: 9, want: true}},
	} {
		w := NewWatch(0)
		for _, l := range looks {
			if err := w.Check([]engine.Snapshot{l.snapshot()}, nil); (err != nil) != l.want {
				t.Errorf("%s, at %v: %v", name, l.at, err)
			}
		}
	}
}

// A mark behind an end that was reached, and a lag that nobody knows, are no work.
func TestWatchKnowsWhatIsNoWork(t *testing.T) {
	for name, p := range map[string]pipeline.PartitionReport{
		"a commit that trails":          {Committed: 5, Fetched: 9, HighWatermark: 9},
		"unknown":                       {Committed: -1, Fetched: -1, HighWatermark: 100},
		"held by a hanging transaction": {Committed: 9, Fetched: 9, HighWatermark: 100, Held: 91},
		"a truncated log":               {Committed: 50, Fetched: 50, HighWatermark: 9},
	} {
		w := NewWatch(time.Minute)
		for i := range 3 {
			s := engine.Snapshot{Pipeline: "p", State: "running", At: t0.Add(time.Duration(i) * time.Hour)}
			s.Source.Partitions = []pipeline.PartitionReport{p}
			if err := w.Check([]engine.Snapshot{s}, nil); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestWatchNamesTheRecord(t *testing.T) {
	w := NewWatch(time.Minute)
	at := pipeline.Position{Topic: "flights", Partition: 3, Offset: 5}
	held := engine.Hold{
		Lane: "flights/3", Position: at, Root: at, Where: "weather", Host: "api.example", State: "throttled", Cause: engine.CauseBreaker,
		For: "circuit of api.example", Since: 7 * time.Minute, Attempt: 2, Attempts: 5, ErrorType: "http_5xx", Age: 8 * time.Minute, Behind: 12,
	}
	younger := held
	younger.Partition, younger.Age = 4, time.Minute
	holds := func(name string) []engine.Hold {
		if name != "p" {
			t.Errorf("asked about %s, which stands by no means still", name)
		}
		return []engine.Hold{held, younger}
	}
	both := func(d time.Duration, finished int64) []engine.Snapshot {
		other := look{at: d, finished: finished, lag: 3}.snapshot()
		other.Pipeline = "other"
		return []engine.Snapshot{look{at: d, lag: 9, inFlight: 3}.snapshot(), other}
	}
	if err := w.Check(both(0, 1), holds); err != nil {
		t.Fatal(err)
	}
	err := w.Check(both(8*time.Minute, 2), holds)
	want := "pipeline p: nothing finished for 8m0s, 3 in flight, lag 12; flights/3@5 (in flight for 8 min 0 s): weather, host api.example: " +
		"has waited 7 min 0 s for circuit of api.example; attempt 2 of 5 failed with http_5xx; 12 records behind it"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want\n%s", err, want)
	}
	if err := w.Check(both(9*time.Minute, 3), func(string) []engine.Hold { return nil }); err == nil || strings.Contains(err.Error(), "behind it") {
		t.Error(err)
	}
}
