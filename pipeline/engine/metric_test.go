package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// A worker that hands a chunk over counts as blocked while it does, and did not wait when it turns
// out that nobody kept it: what was shown stays.
func TestTimesOfAStepNeverFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p, done := start(t, ctx, Options{
			Name: "p", Source: &memory{lanes: 1, records: 1, endless: true}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
			Steps: []Step{{Name: "map", Kind: "map", Workers: 2, Stage: does(func(context.Context, *pipeline.Record) error { return nil })}},
		})
		synctest.Wait()
		m := p.chain().steps[0].core().meter
		hand := func(what func(time.Duration)) {
			m.mu.Lock()
			defer m.mu.Unlock()
			what(time.Since(m.began))
		}
		hand(m.handing.enter)
		at := time.Since(m.began)
		time.Sleep(time.Second)
		first := p.Snapshot().Steps[0]
		hand(func(time.Duration) { m.handing.leave(at) })
		second := p.Snapshot().Steps[0]
		if first.Blocked != time.Second || second.Blocked != time.Second || second.Idle != first.Idle+time.Second {
			t.Errorf("first %+v, then %+v", first, second)
		}
		hand(func(now time.Duration) { m.working.enter(now - 5*time.Second) }) // it was at work all the time
		if third := p.Snapshot().Steps[0]; third.Idle != second.Idle || third.Busy != 5*time.Second {
			t.Errorf("second %+v, then %+v", second, third)
		}
		cancel()
		<-done
	})
}

// samples gives the counts of a snapshot that are counters of Prometheus, by their names.
func samples(s *Snapshot) map[string]int64 {
	all := map[string]int64{}
	add := func(m Metric, of string, v any) {
		switch v := v.(type) {
		case int64:
			if m.Kind == MetricCounter {
				all[m.Name+of] = v
			}
		case Histogram:
			all[m.Name+of+" count"], all[m.Name+of+" sum"] = v.Count, v.Sum
			n := int64(0)
			for _, b := range v.Bars {
				n += b.Count
				all[fmt.Sprint(m.Name, of, " from ", b.From)] = b.Count
			}
			if n != v.Count {
				all[m.Name+of+" count"] = -1
			}
		case []ErrorCount:
			for _, e := range v {
				all[m.Name+of+" "+e.Type] = e.Total
			}
		}
	}
	eachSample(PipelineFigures, s, "", add)
	for j := range s.Steps {
		eachSample(StepFigures, &s.Steps[j], fmt.Sprint(" ", j), add)
	}
	for _, sink := range append(slices.Clone(s.Sinks), *s.DeadLetter) {
		eachSample(SinkFigures, &sink, " "+sink.Name, add)
	}
	return all
}

func eachSample[S any](figures []Figure[S], s *S, of string, add func(Metric, string, any)) {
	for i := range figures {
		if f := &figures[i]; f.Metric.Name != "" {
			add(f.Metric, of, f.Sample(s))
		}
	}
}

// Counters never fall, whatever happens to a run: errors, retries, rejections, parts, intervals that
// end, a stop in the middle.
func TestCountersNeverFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		random := func(most time.Duration) {
			time.Sleep(time.Duration(rand.Int64N(int64(most)) + 1))
		}
		fails := func(_ context.Context, r *pipeline.Record) error {
			random(20 * time.Millisecond)
			switch r.Offset % 7 {
			case 1:
				return pipeline.Filtered
			case 2:
				return errors.New("fails")
			case 3:
				return pipeline.Reject("bad", errors.New("fails for good"))
			}
			return nil
		}
		p, done := start(t, ctx, Options{
			Name: "p", Source: &memory{lanes: 4, records: 2000, endless: true}, StatsEvery: time.Second,
			Steps: []Step{
				{Name: "map", Kind: "map", Workers: 3, Stage: does(func(context.Context, *pipeline.Record) error { random(time.Millisecond); return nil })},
				{Name: "ask", Kind: "http", Wait: &Wait{}, Workers: 8, Stage: does(fails)},
			},
			Sinks: []Output{{Name: "out", MaxRecords: 20, Sink: &collect{write: func(context.Context, []*pipeline.Record) error {
				random(100 * time.Millisecond)
				return nil
			}}}},
			DeadLetter: DeadLetter{Name: "dead", Sink: &collect{}},
		})
		was, looked := map[string]int64{}, 0
		for i := range 400 {
			random(50 * time.Millisecond)
			s := p.Snapshot()
			now := samples(&s)
			for name, n := range was {
				if after, ok := now[name]; !ok || after < n {
					t.Fatalf("look %d: %s was %d, and is %d", i, name, n, after)
				}
			}
			was, looked = now, looked+1
			if i == 350 {
				cancel()
			}
		}
		<-done
		for _, name := range []string{"pipeline_records_out_total", "pipeline_retries_total", "step_idle_seconds_total 0", "sink_batches_total dead",
			"pipeline_duration_seconds count", "step_errors_by_type_total 1 " + event.Other} {
			if was[name] == 0 {
				t.Errorf("%s is 0 after %d looks", name, looked)
			}
		}
	})
}

// A histogram of the whole run has the values of all intervals, each within its bar.
func TestAHistogramIsOfTheWholeRun(t *testing.T) {
	var d distribution
	var values []int64
	sum := int64(0)
	for i := range int64(3000) {
		v := rand.Int64N(1 << (1 + i%40))
		d.value(v, 1)
		values, sum = append(values, min(v, longest)), sum+min(v, longest)
		if i%500 == 499 {
			d.rotate(1)
		}
	}
	d.value(-5, 2) // counts as 0
	values = append(values, 0, 0)
	h := d.sample().histogram()
	if h.Count != int64(len(values)) || h.Sum != sum {
		t.Fatalf("count %d and sum %d of %d values of %d", h.Count, h.Sum, len(values), sum)
	}
	slices.Sort(values)
	last := int64(-1)
	for _, b := range h.Bars {
		if b.From <= last || b.To < b.From || float64(b.To-b.From) > 0.008*float64(b.From) || b.Count <= 0 {
			t.Fatalf("bar %+v behind %d", b, last)
		}
		last = b.To
		for range b.Count {
			if values[0] < b.From || values[0] > b.To {
				t.Fatalf("%d is in bar %+v", values[0], b)
			}
			values = values[1:]
		}
	}
	if len(values) > 0 {
		t.Errorf("%d values are in no bar", len(values))
	}
	before := h.Bars[0].Count
	d.value(0, 1)
	if h.Bars[0].Count != before {
		t.Error("a histogram that was given has changed")
	}
}

// TestTextsAreThoseOfTheEvents: what a text of an event may be has a series, so that a rule finds a 0
// where it is something else. An event says nothing of a pipeline that has failed.
func TestTextsAreThoseOfTheEvents(t *testing.T) {
	found := 0
	keys := eventKeys[reflect.TypeFor[event.PipelineStats]()]
	for _, f := range PipelineFigures {
		if len(f.Metric.Values) == 0 {
			continue
		}
		found++
		want := strings.Split(reflect.TypeFor[event.PipelineStats]().Field(keys[f.Event]).Tag.Get("enum"), ",")
		for i, v := range want {
			want[i], _, _ = strings.Cut(v, "@") // behind it stands the schema that brought the value
		}
		have := slices.DeleteFunc(slices.Clone(f.Metric.Values), func(v string) bool { return v == "failed" })
		if !slices.Equal(have, want) {
			t.Errorf("%s has series for %v, the event says %v", f.Metric.Name, have, want)
		}
	}
	if found != 3 {
		t.Errorf("%d figures are texts with known values", found)
	}
}

// notMetrics are the figures that have no metric, and why.
var notMetrics = map[string]string{
	"pipeline": "a label", "step": "a label", "step_kind": "a label", "sink": "a label", "sink_kind": "a label", "topic": "a label", "partition": "a label",
	"source.away": "text", "source.away_since": "stands beside the text; source_connected says that it is away",
	"error": "text", "timestamp": "Prometheus has its own", "step_index": "says nothing in figures",
	"generation": "of the group: source_generation", "source.lag_max": "the largest of partition_lag_records",
	"source.lag_unit": "text", "lag_unit": "text",
	"paused_by of partition": "pipeline_paused says it of the pipeline, and partition_paused that it is",
	"queue_fill_max_ratio":   "of an interval", "created_total of sink": "a sink makes none",
	"cache_hits_total of sink": "no sink has a cache", "cache_misses_total of sink": "no sink has a cache",
}

// TestEveryFigureHasAMetric: a figure is a metric, or it is one of an interval, or it is said why it is
// none.
func TestEveryFigureHasAMetric(t *testing.T) {
	told := map[string]bool{}
	figuresHaveMetrics(t, "pipeline", PipelineFigures, told)
	figuresHaveMetrics(t, "partition", PartitionFigures, told)
	figuresHaveMetrics(t, "step", StepFigures, told)
	figuresHaveMetrics(t, "sink", SinkFigures, told)
	for name := range notMetrics {
		if !told[name] {
			t.Errorf("%s has a metric, or is no figure", name)
		}
	}
}

func figuresHaveMetrics[S any](t *testing.T, level string, figures []Figure[S], told map[string]bool) {
	t.Helper()
	for _, f := range figures {
		object, member, inside := strings.Cut(f.Admin, ".")
		ofInterval := f.over != nil || inside && strings.HasSuffix(object, "_ms") || object == "batch_records" && inside
		switch name := cmp.Or(f.Admin, f.Event); {
		case f.Metric.Name != "" || ofInterval && member != "" || f.over != nil:
			if f.Metric.Name != "" && f.Metric.Label == "" && !strings.HasPrefix(f.Metric.Name, level+"_") && !strings.HasPrefix(f.Metric.Name, "source_") {
				t.Errorf("the metric %s is one of a %s", f.Metric.Name, level)
			}
		case notMetrics[name] != "":
			told[name] = true
		case notMetrics[name+" of "+level] != "":
			told[name+" of "+level] = true
		default:
			t.Errorf("%s of a %s has no metric", name, level)
		}
	}
}
