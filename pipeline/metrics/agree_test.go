package metrics_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/metrics"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A source with a partition, of which it knows everything.
type partitioned struct{ *pipelinetest.Values }

func (partitioned) Report() pipeline.Report {
	return pipeline.Report{Connected: true, Generation: 4, Partitions: []pipeline.PartitionReport{{
		Topic: "t", Partition: 3, Generation: 4, Committed: 5, Fetched: 60, HighWatermark: 99, Held: 1,
		Oldest: time.Now().Add(-1234 * time.Millisecond), CommittedAt: time.Now().Add(-567 * time.Millisecond),
	}}}
}

// asks is a stage that filters, fails, rejects and hangs, each at values of its own, and has figures.
type asks struct{}

func (asks) Process(ctx context.Context, rec *pipeline.Record) error {
	n := int(rec.Value()[0]) - '0'
	time.Sleep(time.Duration(n+1) * 41 * time.Millisecond)
	switch n {
	case 2:
		return pipeline.Filtered
	case 3:
		return pipeline.Reject("bad", errors.New("it is bad"))
	case 4:
		return errors.New("not now")
	case 9:
		<-ctx.Done()
	}
	return nil
}

func (asks) Report() pipeline.Report {
	return pipeline.Report{CacheHits: 3, CacheMisses: 2, CacheStale: 1, CallsJoined: 5, OpenCircuits: 6}
}

type passes struct{}

func (passes) Process(context.Context, *pipeline.Record) error { return nil }

type slowSink struct{ pipelinetest.Memory }

func (s *slowSink) Write(ctx context.Context, recs []*pipeline.Record) error {
	time.Sleep(73 * time.Millisecond)
	return s.Memory.Write(ctx, recs)
}

// oneMoment runs a pipeline that has values for all figures, in virtual time, until records hang in it,
// and gives its snapshot at the moment of stats events, how many records of its step are answered and
// wait for those before them, and all lines of the log up to then.
func oneMoment(t *testing.T) (snapshot engine.Snapshot, answered uint64, lines map[string][]map[string]any) {
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		events := event.New(&log, event.Options{Service: "test", Instance: "test"})
		var values []string
		for i := range 60 {
			values = append(values, fmt.Sprint(i%9))
		}
		p, err := engine.New(engine.Options{
			Name: "p", Source: partitioned{pipelinetest.NewValues(append(values, "9", "9")...)}, Events: events,
			StatsEvery: time.Second, PartitionStatsEvery: time.Second,
			Steps: []engine.Step{{Name: "pass", Kind: "map", Stage: passes{}}, {Name: "ask", Kind: "http", Stage: asks{}, Workers: 4,
				Wait: &engine.Wait{Retry: engine.Retry{Attempts: 3}, Deadline: time.Hour, Timeout: time.Hour}}},
			Sinks:      []engine.Output{{Name: "out", Kind: "memory", Sink: &slowSink{}, MaxRecords: 3}},
			DeadLetter: engine.DeadLetter{Name: "dead", Kind: "memory", Sink: &pipelinetest.Memory{}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		snapshot = p.Snapshot()
		for _, r := range p.InFlight() {
			if r.Where == "ask" && r.State == "waiting for its turn" {
				answered++
			}
		}
		text := bytes.Clone(log.Bytes())
		cancel()
		p.Abort()
		<-done
		events.Close()
		lines = linesOf(t, text)
	})
	return snapshot, answered, lines
}

func linesOf(t *testing.T, text []byte) map[string][]map[string]any {
	lines := map[string][]map[string]any{}
	for line := range bytes.Lines(text) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		name := m["event_name"].(string)
		for _, of := range []string{"step", "sink"} {
			if s, ok := m[of].(string); ok {
				name += " " + s
			}
		}
		lines[name] = append(lines[name], m)
	}
	return lines
}

// shown gives what an endpoint shows of a snapshot: the answer of /api/v1/stats, and /metrics as text.
func shown(t *testing.T, snapshot engine.Snapshot) (answer map[string]any, families map[string]*dto.MetricFamily) {
	t.Helper()
	snapshots := func() []engine.Snapshot { return []engine.Snapshot{snapshot} }
	fine := func() error { return nil }
	s, err := admin.New(admin.Options{Listen: "127.0.0.1:0", Live: fine, Ready: fine, Snapshots: snapshots, Metrics: metrics.Handler(metrics.Options{Snapshots: snapshots})})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(t.Context())
	get := func(path string) []byte {
		resp, err := http.Get("http://" + s.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v %s", path, resp.StatusCode, err, text)
		}
		return text
	}
	var all struct{ Pipelines []map[string]any }
	if err := json.Unmarshal(get("/api/v1/stats"), &all); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err = parser.TextToMetricFamilies(bytes.NewReader(get("/metrics")))
	if err != nil {
		t.Fatal(err)
	}
	return all.Pipelines[0], families
}

// A place is where the figures of a level are shown.
type place struct {
	lines    []map[string]any // the events, the last of which is of the moment
	answer   map[string]any   // nil: the answer has none of it
	families map[string]*dto.MetricFamily
	labels   string // of the series, without those of the metric: `pipeline="p"`
}

// series gives the value of a metric here. ok: there is one.
func (p place) series(name, more string) (v float64, ok bool) {
	f := p.families["penstock_"+name]
	for _, m := range f.GetMetric() {
		var is []string
		for _, l := range m.GetLabel() {
			is = append(is, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
		}
		for _, want := range strings.Split(p.labels+more, ",") {
			if !strings.Contains(strings.Join(is, ","), want) {
				is = nil
			}
		}
		if is != nil {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue(), true
		}
	}
	return 0, false
}

func (p place) member(path string) (any, bool) {
	object, name, inside := strings.Cut(path, ".")
	if !inside {
		v, ok := p.answer[path]
		return v, ok
	}
	in, _ := p.answer[object].(map[string]any)
	v, ok := in[name]
	return v, ok
}

// TestMetricsEventsAndAnswersOfOneMomentAgree: in the middle of a run, the stats events, the answer
// of /api/v1/stats and /metrics say the same, figure by figure.
func TestMetricsEventsAndAnswersOfOneMomentAgree(t *testing.T) {
	s, answered, lines := oneMoment(t)
	answer, families := shown(t, s)
	item := func(list any, i int) map[string]any { return list.([]any)[i].(map[string]any) }
	compared := agree(t, engine.PipelineFigures, place{lines["pipeline.stats"], answer, families, `pipeline="p"`})
	for i, name := range []string{"pass", "ask"} {
		compared += agree(t, engine.StepFigures, place{lines["step.stats "+name], item(answer["steps"], i), families, `step="` + name + `"`})
	}
	compared += agree(t, engine.SinkFigures, place{lines["sink.stats out"], item(answer["sinks"], 0), families, `sink="out"`})
	compared += agree(t, engine.SinkFigures, place{lines["sink.stats dead"], nil, families, `sink="dead"`})
	partition := item(answer["source"].(map[string]any)["partitions"], 0)
	compared += agree(t, engine.PartitionFigures, place{lines["source.partition.stats"], partition, families, `topic="t"`})
	if compared < 120 {
		t.Errorf("%d values were compared", compared)
	}
	// The run had something of everything, or the test says little.
	for _, n := range []int64{s.InFlight, s.Out, s.Filtered, s.Rejected, s.Errors, s.Retries, s.DeadLetterCount, s.Sinks[0].Batches} {
		if n == 0 {
			t.Errorf("a count is 0: %+v", s.Counts)
		}
	}
	if !s.Balanced() {
		t.Errorf("the counts are not balanced: %+v", s.Counts)
	}
	histogramsAgree(t, s, answered, families)
	errorsAgree(t, s, lines, families)
}

// agree compares each figure of a level in the forms that it has, and gives how many pairs there were.
func agree[S any](t *testing.T, figures []engine.Figure[S], p place) (compared int) {
	t.Helper()
	if len(p.lines) < 4 {
		t.Fatalf("%d events of %s", len(p.lines), p.labels)
	}
	last := p.lines[len(p.lines)-1]
	for i := range figures {
		f := &figures[i]
		said := map[string]float64{}
		if v, ok := last[f.Event].(float64); ok && f.Event != "" {
			said["event"] = v
		}
		if f.During != "" { // what all intervals together have is the total
			sum := 0.0
			for _, l := range p.lines {
				n, _ := l[f.During].(float64)
				sum += n
			}
			said["events"] = sum
		}
		if v, ok := p.member(f.Admin); ok && f.Admin != "" {
			if n, ok := asNumber(v); ok {
				said["answer"] = n
			}
		}
		if m := f.Metric; m.Name != "" && m.Label == "" {
			if v, ok := p.series(m.Name, ""); ok {
				said["metric"] = v * unit(m.Name, f.Event+f.During+f.Admin)
			}
		}
		if text, ok := last[f.Event].(string); ok && f.Metric.Label != "" {
			if v, _ := p.series(f.Metric.Name, fmt.Sprintf(",%s=%q", f.Metric.Label, text)); v != 1 {
				t.Errorf("%s: the event says %q, and the metric of that is %v", f.Metric.Name, text, v)
			}
			compared++
		}
		for form, v := range said {
			for other, w := range said {
				if math.Abs(v-w) > 1e-6*math.Abs(v)+tolerance(f.Event) {
					t.Errorf("%s %s%s%s: %s %v, %s %v", p.labels, f.Event, f.During, f.Admin, form, v, other, w)
				}
			}
		}
		compared += max(len(said)-1, 0)
	}
	return compared
}

// unit is how many units of a figure make one of its metric, by what both are called.
func unit(metric, figure string) float64 {
	if strings.Contains(metric, "_seconds") && strings.Contains(figure, "_ms") {
		return 1000
	}
	return 1
}

// tolerance is what two forms may differ by: an event has whole records in the percentiles of sizes.
func tolerance(key string) float64 {
	if strings.HasPrefix(key, "batch_records") {
		return 1
	}
	return 0
}

// asNumber gives a value of the answer as metrics have it.
func asNumber(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case string:
		at, err := time.Parse(time.RFC3339Nano, v)
		return float64(at.UnixMilli()) / 1000, err == nil
	}
	return 0, false
}

// histogramsAgree: a histogram has as many values as the counts say.
func histogramsAgree(t *testing.T, s engine.Snapshot, answered uint64, families map[string]*dto.MetricFamily) {
	t.Helper()
	of := func(name, label string) *dto.Histogram {
		for _, m := range families["penstock_"+name].GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == label {
					return m.GetHistogram()
				}
			}
		}
		t.Fatalf("there is no %s of %s", name, label)
		return nil
	}
	ask, out := s.Steps[1], s.Sinks[0]
	for _, c := range []struct {
		what      string
		got, want uint64
	}{
		{"outcomes", of("pipeline_duration_seconds", "p").GetSampleCount(), uint64(s.Out + s.Filtered + s.Rejected)},
		{"records of the step", of("step_duration_seconds", "ask").GetSampleCount(), uint64(ask.Out+ask.Filtered+ask.Rejected) + answered},
		{"writes", of("sink_write_duration_seconds", "out").GetSampleCount(), uint64(out.Batches)},
		{"sizes", of("sink_batch_records", "out").GetSampleCount(), uint64(out.Batches)},
		{"records of writes", uint64(of("sink_batch_records", "out").GetSampleSum()), uint64(out.Out)},
		{"dead letters", uint64(of("sink_batch_records", "dead").GetSampleSum()), uint64(s.DeadLetterCount)},
	} {
		if c.got != c.want || c.want == 0 {
			t.Errorf("%s: the histogram has %d, the counts say %d", c.what, c.got, c.want)
		}
	}
}

// errorsAgree: errors by type are those of the events error.stats, and all of them are the errors.
func errorsAgree(t *testing.T, s engine.Snapshot, lines map[string][]map[string]any, families map[string]*dto.MetricFamily) {
	t.Helper()
	want := map[string]float64{}
	for _, l := range lines["error.stats ask"] {
		want[l["error_type"].(string)] += l["count"].(float64)
	}
	sum := 0.0
	for _, m := range families["penstock_step_errors_by_type_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "error_type" && want[l.GetValue()] != m.GetCounter().GetValue() {
				t.Errorf("%s: %v, the events say %v", l.GetValue(), m.GetCounter().GetValue(), want[l.GetValue()])
			}
		}
		sum += m.GetCounter().GetValue()
	}
	if len(want) < 2 || sum != float64(s.Steps[1].Errors) {
		t.Errorf("%v of %d types, the step says %d", sum, len(want), s.Steps[1].Errors)
	}
}
