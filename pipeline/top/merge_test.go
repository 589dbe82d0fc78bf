package top

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func TestInstancesArePutTogether(t *testing.T) {
	a, b := newTestLog("one"), newTestLog("two")
	a.stats("orders", 100, 60)
	b.stats("orders", 1000, 600)
	a.line("source.partition.stats", "orders", `"topic":"orders","partition":1,"generation":3,"offset_committed":10,"lag":4,"lag_age_ms":100`)
	b.line("source.partition.stats", "orders", `"topic":"orders","partition":2,"generation":3,"offset_committed":20,"lag":3,"lag_age_ms":5000`)
	b.line("source.partition.stats", "orders", `"topic":"orders","partition":1,"generation":2,"offset_committed":5,"lag":9,"lag_age_ms":900`)
	a.line("error.stats", "orders", `"step":"map","error_type":"x","count":2,"count_total":5`)
	b.line("error.stats", "orders", `"step":"map","error_type":"x","count":3,"count_total":7`)
	v := read(t, a.String()+b.String()).View(all())
	if len(v.Instances) != 2 || len(v.Pipelines) != 1 {
		t.Fatalf("%d instances, %d pipelines; want 2, 1", len(v.Instances), len(v.Pipelines))
	}
	p := v.Pipelines[0]
	if p.In != 1100 || p.Out != 660 || p.Rate.In != 1101 || p.Lag.Sum != 14 || p.Lag.Max != 4 || p.Lag.AgeMs != 5000 {
		t.Errorf("in %d, out %d, rate %v, lag %+v; want sums, and the most of the ages", p.In, p.Out, p.Rate.In, p.Lag)
	}
	if p.E2E.P99 != 600.25 {
		t.Errorf("p99 %v, want the worst, 600.25", p.E2E.P99)
	}
	if len(p.Partitions) != 2 || p.Partitions[0].Committed != 10 {
		t.Errorf("partitions %+v; want two, of orders/1 that of the later generation", p.Partitions)
	}
	if len(p.Errors) != 1 || p.Errors[0].Total != 12 || p.Errors[0].Rate != 5 {
		t.Errorf("errors %+v, want one of 12, 5 in a second", p.Errors)
	}
	s := p.Steps[0]
	if s.Workers != 4 || s.Queue.Len != 2 || s.Queue.Cap != 8 || s.Queue.Fill != 0.5 || s.Shares.Busy != 0.25 || s.In != 1100 {
		t.Errorf("step %+v", s)
	}
	screen := NewModel(read(t, a.String()+b.String()), Options{FromLog: true}).Screen().Text()
	has(t, screen, "2 instances", "worst p99 600ms")
	one := read(t, a.String()+b.String()).View(ViewOf{Instance: 1})
	if one.Pipelines[0].In != 1000 {
		t.Errorf("the second alone has %d in, want 1000", one.Pipelines[0].In)
	}
}

func TestTwoRunsInOneLogAreTwo(t *testing.T) {
	for name, second := range map[string]string{"another id": "two", "the same id": "one"} {
		a, b := newTestLog("one"), newTestLog(second)
		a.started()
		a.stats("orders", 100, 60)
		a.stopped(110, 70)
		b.at = a.at.Add(time.Minute)
		b.started()
		b.stats("orders", 30, 20)
		b.stopped(40, 25)
		again := read(t, b.String()+a.String()+b.String()).View(all()) // the later first, and once more
		if len(again.Instances) != 2 || again.Pipelines[0].In != 150 {
			t.Errorf("%s, the later first: %d instances, in %d; want 2, 150", name, len(again.Instances), again.Pipelines[0].In)
		}
		s := read(t, a.String()+b.String())
		v := s.View(all())
		if len(v.Instances) != 2 || v.Pipelines[0].In != 150 || v.Pipelines[0].Out != 95 {
			t.Errorf("%s: %d instances, in %d, out %d; want 2, 150, 95", name, len(v.Instances), v.Pipelines[0].In, v.Pipelines[0].Out)
		}
		for i, want := range []int64{110, 40} {
			if one := s.View(ViewOf{Instance: i}); one.Pipelines[0].In != want {
				t.Errorf("%s: run %d has %d in, want %d", name, i, one.Pipelines[0].In, want)
			}
		}
		between := s.View(ViewOf{At: a.at, Instance: All})
		if between.Pipelines[0].In != 110 || between.Pipelines[0].State != "stopped" {
			t.Errorf("%s: at the end of the first: %+v", name, between.Pipelines[0])
		}
	}
}

func TestARunWhoseStartIsMissingIsAnother(t *testing.T) {
	a := newTestLog("one")
	a.stats("orders", 100, 60)
	a.stats("orders", 5, 4)
	v := read(t, a.String()).View(all())
	if len(v.Instances) != 2 || v.Pipelines[0].In != 105 {
		t.Errorf("%d instances, %d in; totals that fall are those of another run: 2, 105", len(v.Instances), v.Pipelines[0].In)
	}
}

func TestWhatHasEndedDoesNotFlow(t *testing.T) {
	a, b := newTestLog("one"), newTestLog("two")
	a.started()
	a.stats("orders", 100, 60)
	a.stopped(110, 70)
	b.at = a.at
	b.stats("orders", 50, 60)
	p := read(t, a.String()+b.String()).View(all()).Pipelines[0]
	if p.Mean || p.Rate.In != 50.5 || p.In != 160 || p.State != "running" {
		t.Errorf("rate %v, in %d, %s, mean %v; want that of the one that runs, 50.5, and 160", p.Rate.In, p.In, p.State, p.Mean)
	}
}

func TestAnInstanceThatSaysNothingMoreIsSilent(t *testing.T) {
	a, b := newTestLog("one"), newTestLog("two")
	a.stats("orders", 100, 60)
	for range 20 {
		b.stats("orders", 50, 60)
	}
	v := read(t, a.String()+b.String()).View(all())
	if v.Instances[0].State != "silent" || v.Pipelines[0].Rate.In != 50.5 || v.Pipelines[0].In != 150 {
		t.Errorf("%+v, rate %v, in %d; want silent, 50.5, 150", v.Instances[0], v.Pipelines[0].Rate.In, v.Pipelines[0].In)
	}
	has(t, NewModel(read(t, a.String()+b.String()), Options{FromLog: true}).Screen().Text(), "! one: nothing more since 12:00:01Z", "1 running, 1 silent")
}

func TestLinesThatAreMissingCostNoTotals(t *testing.T) {
	l := newTestLog("a")
	l.started()
	for i := range int64(50) {
		l.stats("orders", 100*(i+1), 60*(i+1))
	}
	l.stopped(5000, 3000)
	var kept []string
	for i, line := range strings.Split(strings.TrimSpace(l.String()), "\n") {
		if i%4 != 1 {
			kept = append(kept, line)
		}
	}
	p := read(t, strings.Join(kept, "\n")).View(all()).Pipelines[0]
	if p.In != 5000 || p.Out != 3000 || p.Filtered != 2000 {
		t.Errorf("in %d, out %d, filtered %d; want 5000, 3000, 2000", p.In, p.Out, p.Filtered)
	}
	if len(p.Steps) != 2 || p.Steps[0].In < 4900 {
		t.Errorf("steps %+v", p.Steps)
	}
}

func TestPartitionsThatWereRevokedAreGone(t *testing.T) {
	l := newTestLog("a")
	l.stats("orders", 100, 60)
	for i := range 5 {
		l.line("source.partition.stats", "orders", fmt.Sprintf(`"topic":"a:b","partition":%d,"lag":1`, i))
	}
	l.at = l.at.Add(time.Second)
	l.line("source.revoked", "orders", `"partitions":3,"partition_list":"a:b:0-1,4 other:2"`)
	l.stats("orders", 200, 60)
	p := read(t, l.String()).View(all()).Pipelines[0]
	if len(p.Partitions) != 2 || p.Partitions[0].Partition != 2 || p.Partitions[1].Partition != 3 {
		t.Errorf("partitions %+v, want 2 and 3", p.Partitions)
	}
}

func TestWhatIsWrongStandsThereUntilItIsRight(t *testing.T) {
	l := newTestLog("a")
	l.stats("orders", 100, 60)
	l.line("step.stalled", "orders", `"step":"map","stalled_ms":9000,"topic":"t","partition":1,"offset":7,"cause":"breaker","target":"api.example"`)
	l.line("source.disconnected", "orders", `"broker":"k:9092","error_type":"x","error_message":"refused"`)
	text := l.String()
	has(t, NewModel(read(t, text), Options{FromLog: true}).Screen().Text(), "! map makes no progress with t/1@7, breaker, api.example", "! the source is not connected: k:9092: refused")
	l.at = l.at.Add(time.Millisecond)
	l.line("step.recovered", "orders", `"step":"map"`)
	l.line("source.connected", "orders", `"broker":"k:9092"`)
	hasNot(t, NewModel(read(t, l.String()), Options{FromLog: true}).Screen().Text(), "! ")
}

func TestALongLogIsThinnedOut(t *testing.T) {
	s := NewStore("test", 0)
	start := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	in := s.run("a", start)
	p := s.pipelineOf(in, "orders")
	s.room = 1000
	n := 10*s.room + 10
	for i := range n {
		s.change(func() {
			s.putStats(p, &Pipeline{Name: "orders", At: start.Add(time.Duration(i) * time.Second), IntervalMs: 1000, State: "running", Counts: Counts{In: int64(i)}})
		})
	}
	if s.values > s.room || len(s.frames) > s.room {
		t.Errorf("%d values, %d frames; at most %d are kept", s.values, len(s.frames), s.room)
	}
	v := s.View(all())
	if v.Pipelines[0].In != int64(n-1) {
		t.Errorf("the end has %d in, want %d", v.Pipelines[0].In, n-1)
	}
	first := s.View(ViewOf{At: start, Instance: All})
	if len(first.Pipelines) != 1 || first.Pipelines[0].In > 1 {
		t.Errorf("the beginning is gone: %+v", first.Pipelines)
	}
}

func TestAStreamForgetsWhatIsOld(t *testing.T) {
	s := NewStore("test", time.Minute)
	log := NewLog(s)
	l := newTestLog("a")
	for i := range 300 {
		l.stats("orders", int64(i), 0)
	}
	for line := range strings.Lines(l.String()) {
		log.Line([]byte(line))
	}
	if n := len(s.Frames()); n < 60 || n > 70 {
		t.Errorf("%d intervals of a second are kept, want those of a minute and a tenth", n)
	}
}

func TestGraphsAddUpAndShowPeaks(t *testing.T) {
	a, b := newTestLog("one"), newTestLog("two")
	for i := range int64(10) {
		a.stats("orders", 100*(i+1), 60)
		b.stats("orders", 1000*(i+1), 60)
	}
	graphs, back := read(t, a.String()+b.String()).Graphs(all(), "orders", "map", 60)
	if back != time.Minute || len(graphs) != 10 {
		t.Fatalf("%v, %d graphs; want a minute, 10", back, len(graphs))
	}
	in := graphs[0]
	if got := in.Values[59]; got != 11001 || in.Most != "11001/s" {
		t.Errorf("the last value is %v, the most %s; want the sum of both, 11001", got, in.Most)
	}
	if !math.IsNaN(in.Values[0]) {
		t.Errorf("before the log there is %v, want nothing", in.Values[0])
	}
	for i, f := range graphs[7].Values[51:] {
		if f != 0.25 {
			t.Errorf("busy %d is %v, want 0.25", i, f)
		}
	}
}

func TestWhatIsSteeredIsShown(t *testing.T) {
	l := newTestLog("a")
	l.stats("orders", 100, 60)
	l.line("pipeline.stats", "orders", `"interval_ms":1000,"state":"paused","paused_by":"command","paused_lanes":2,"skipped":1,"records_in_total":100`)
	l.line("source.partition.stats", "orders", `"topic":"orders","partition":1,"lag":4,"paused":true,"paused_by":"command"`)
	s := read(t, l.String())
	has(t, NewModel(s, Options{FromLog: true}).Screen().Text(), "paused by command", "paused lanes 2")
	m := NewModel(s, Options{FromLog: true})
	m.width = 120
	has(t, press(t, m, "p"), "skipped keys 1", "paused by command")
	var b strings.Builder
	if err := WriteTable(&b, s.View(all())); err != nil {
		t.Fatal(err)
	}
	has(t, b.String(), "paused lanes 2, keys that are skipped 1")
}

// Room is made now and then, not with each line.
func TestShortSeriesAreNotThinnedOutAgainAndAgain(t *testing.T) {
	s := NewStore("test", 0)
	s.room = 1000
	p := s.pipelineOf(s.run("a", time.Time{}), "orders")
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	walks, was := 0, 0
	for i := range int64(3000) {
		s.change(func() { s.putPartition(p, at, &Partition{Topic: "orders", Partition: i}) })
		if s.thinAt != was {
			walks, was = walks+1, s.thinAt
		}
	}
	if walks == 0 || walks > 25 {
		t.Errorf("%d walks through all for 2000 values too many; want one for each 100", walks)
	}
}
