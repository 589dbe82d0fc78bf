package engine

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// takesAndHangs is a stage that takes its time for each record, and hangs on one.
func takesAndHangs(each time.Duration, hangs int64) pipeline.Stage {
	return does(func(ctx context.Context, r *pipeline.Record) error {
		if r.Offset == hangs {
			<-ctx.Done()
			return ctx.Err()
		}
		pause(ctx, each)
		return nil
	})
}

// The time that is told of a record at work in a step that computes is its own, and never longer than it has been in the hands of
// its worker; that of the records with which it came stands beside it, as theirs.
func TestWhyTellsSinceWhenARecordIsInHand(t *testing.T) {
	for name, tt := range map[string]struct {
		watched bool
		least   time.Duration
		says    string
	}{
		"watched":                      {true, 18 * time.Second, "parse: has been worked on for at least "},
		"looked at for the first time": {false, 0, "parse: is at work; its worker took it with 99 others 50.0 s ago"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &lines{}
				o := Options{
					Source: &memory{lanes: 1, records: 100, batch: 100, endless: true}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
					Steps: []Step{{Name: "parse", Stage: takesAndHangs(time.Second, 30), Workers: 1}},
				}
				if tt.watched {
					o.Events = log.emitter(t)
				}
				_, all := whatHolds(t, o, 50*time.Second+500*time.Microsecond) // the record has been in hand for 20 s
				if len(all) != 1 {
					t.Fatalf("%v", all)
				}
				h := all[0]
				if h.Root.Offset != 30 || h.Since > 20*time.Second+time.Millisecond || h.Since < tt.least || h.Batch != 100 || h.BatchSince < 50*time.Second || !strings.Contains(h.String(), tt.says) {
					t.Errorf("%v: %+v", h, h)
				}
			})
		})
	}
}

// A step that takes long for each record goes on all the same, and is not said to have stalled: what hangs is, when it has hung for long
// enough.
func TestAStepThatTakesLongIsNotStalled(t *testing.T) {
	for name, tt := range map[string]struct {
		hangs  int64
		events int
	}{"goes on": {-1, 0}, "hangs": {50, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &lines{}
				whatHolds(t, Options{
					Source: &memory{lanes: 1, records: 100, batch: 100, endless: true}, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Events: log.emitter(t),
					Steps: []Step{{Name: "parse", Stage: takesAndHangs(time.Second, tt.hangs), Workers: 1}}, StalledAfter: 30 * time.Second,
				}, 90*time.Second)
				got := log.named("step.stalled")
				if len(got) != tt.events {
					t.Fatalf("%d events: %v", len(got), got)
				}
				for _, m := range got {
					ms, text := m["stalled_ms"].(float64), m["message"].(string)
					if m["offset"] != 50.0 || ms < 30_000 || ms > 31_000 || !strings.Contains(text, "has been worked on for at least 30.") {
						t.Errorf("%v", m)
					}
				}
			})
		})
	}
}

// Of a quick step it is known within a few records where its worker is, and the time is that of these.
func TestWhyOfAQuickStepThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		lines, all := whatHolds(t, Options{
			Source: &memory{lanes: 2, records: 600, batch: 600, endless: true}, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Events: log.emitter(t),
			Steps: []Step{{Name: "parse", Workers: 1, Stage: does(func(ctx context.Context, r *pipeline.Record) error {
				if r.Partition == 0 && r.Offset == 256+20 {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			})}},
		}, 5*time.Second+time.Millisecond)
		const hangs = "t/0@272: parse: it or one of the 15 records behind it is at work, together for at least 4.0 s; its worker took it with 255 others 5.0 s ago"
		if len(all) == 0 || !strings.Contains(lines[0], " waits for "+hangs) || all[0].Root.Offset != 272 {
			t.Errorf("%q", lines)
		}
		for i, h := range all[1:] {
			if !strings.Contains(lines[i+1], "which has had t/0@272 (it or one of the 15 records behind it, together) for at least 4.0 s") {
				t.Errorf("%q of %+v", lines[i+1], h)
			}
		}
	})
}
