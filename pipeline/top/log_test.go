package top

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A testLog writes lines as the daemon does, with figures that grow.
type testLog struct {
	bytes.Buffer
	id string
	at time.Time
}

func newTestLog(id string) *testLog {
	return &testLog{id: id, at: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
}

// line adds a line with fields as they stand in JSON.
func (l *testLog) line(event, pipeline, fields string) {
	if pipeline != "" {
		fields = fmt.Sprintf(`"pipeline":%q,%s`, pipeline, fields)
	}
	fmt.Fprintf(l, `{"timestamp":%q,"level":"info","event_name":%q,"schema_version":"1.1","service_name":"penstock","service_instance_id":%q,"message":"m",%s}`+"\n",
		l.at.Format("2006-01-02T15:04:05.000Z"), event, l.id, strings.TrimSuffix(fields, ","))
}

func (l *testLog) started() {
	l.line("process.started", "", `"service_version":"v1.2.3","config_hash":"0123456789abcdef"`)
}

// stats adds the figures of an interval of a second for a pipeline with a step and a sink.
func (l *testLog) stats(pipeline string, in, out int64) {
	l.at = l.at.Add(time.Second)
	l.line("pipeline.stats", pipeline, fmt.Sprintf(`"interval_ms":1000,"state":"running","records_in_total":%d,"records_out_total":%d,"filtered_total":%d,"rate_in":%d.500,`+
		`"rate_out":2.000,"e2e_p99_ms":%d.250,"lag_sum":7,"lag_max":4,"backpressure":"ok"`, in, out, in-out, in, out))
	l.line("step.stats", pipeline, fmt.Sprintf(`"step":"map","step_kind":"map","step_index":0,"interval_ms":1000,"records_in":10,"errors":1,"records_in_total":%d,"records_out_total":%d,`+
		`"rate_in":10.000,"workers":2,"queue_len":1,"queue_cap":4,"queue_fill_max_ratio":0.500,"busy_ratio":0.250,"idle_ratio":0.500,"blocked_ratio":0.250`, in, out))
	l.line("sink.stats", pipeline, fmt.Sprintf(`"sink":"file","sink_kind":"file","interval_ms":1000,"records_in_total":%d,"records_out_total":%d`, out, out))
}

func (l *testLog) stopped(in, out int64) {
	l.at = l.at.Add(time.Second)
	l.line("process.stopped", "", fmt.Sprintf(`"exit_code":0,"reason":"signal","uptime_ms":5000,"records_in_total":%d,"records_out_total":%d,"filtered_total":%d`, in, out, in-out))
}

// read makes a store of a text.
func read(t *testing.T, text string) *Store {
	t.Helper()
	s := NewStore("test", 0)
	if err := NewLog(s).ReadFrom(context.Background(), strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return s
}

func all() ViewOf { return ViewOf{Instance: All, Events: 100} }

func TestALogsEndHasTheTotalsOfTheRun(t *testing.T) {
	l := newTestLog("a")
	l.started()
	l.stats("orders", 100, 60)
	l.stats("orders", 200, 120)
	l.stopped(230, 140) // the last interval's lines are missing
	v := read(t, l.String()).View(all())
	if len(v.Pipelines) != 1 {
		t.Fatalf("%d pipelines, want 1", len(v.Pipelines))
	}
	p := v.Pipelines[0]
	if p.In != 230 || p.Out != 140 || p.Filtered != 90 || p.State != "stopped" || !p.Mean {
		t.Errorf("in %d, out %d, filtered %d, %s, mean %v; want 230, 140, 90, stopped, true", p.In, p.Out, p.Filtered, p.State, p.Mean)
	}
	if p.Rate.In < 76 || p.Rate.In > 77 { // 230 in 3 s
		t.Errorf("the mean rate is %v, want 230 in 3 s", p.Rate.In)
	}
}
