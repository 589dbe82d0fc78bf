//go:build unix

package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/trace/tracetest"
)

const (
	producerTrace = "0af7651916cd43dd8448eb211c80319c"
	producerSpan  = "b7ad6b7169203331"
	baggage       = "user=u-1"
)

// calledService is one that keeps the headers of each call.
type calledService struct {
	mu  sync.Mutex
	got []http.Header
}

func (a *calledService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, r.Header)
	fmt.Fprint(w, `{"sky":"clear"}`)
}

func headerOf(r *kgo.Record, name string) (values []string) {
	for _, h := range r.Headers {
		if h.Key == name {
			values = append(values, string(h.Value))
		}
	}
	return values
}

// TestTraceFromTopicToTopic follows a record that comes in a trace through a daemon: over a call of the http stage into the
// header of the message that is written.
func TestTraceFromTopicToTopic(t *testing.T) {
	c, spans, service := kafkatest.Start(t), tracetest.Start(t), new(calledService)
	server := httptest.NewServer(service)
	defer server.Close()
	in, out, group := c.Topic(t, 1), c.Topic(t, 1), c.Group(t)
	file := filepath.Join(t.TempDir(), "traced.yaml")
	text := fmt.Sprintf(`pipeline: traced
source:
  kafka: {brokers: [%s], topics: [%s], group: %s, start: earliest}
stages:
  - filter: n > 0
  - http: {url: "%s/sky/{n}", into: sky}
sinks:
  - kafka: {topic: %s}
traces: {endpoint: "%s", sample: 0%%, secret_headers: {x-team: hidden-word}}
log: {format: json, stats_every: 100ms}
`, c.Addrs()[0], in, group, server.URL, out, spans.URL)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	header := func(name, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: name, Value: []byte(value)} }
	c.Produce(t, in,
		&kgo.Record{Value: []byte(`{"n":1}`), Headers: []kgo.RecordHeader{header("a", "b"),
			header("traceparent", "00-"+producerTrace+"-"+producerSpan+"-01"), header("tracestate", "us=1"), header("baggage", baggage)}},
		&kgo.Record{Value: []byte(`{"n":2}`)},
		&kgo.Record{Value: []byte(`{"n":3}`), Headers: []kgo.RecordHeader{header("traceparent", "00-"+producerTrace+"-"+producerSpan+"-00")}},
	)
	d := startDaemon(t, file)
	read := make(chan struct{})
	go func() { defer close(read); d.follow(`"event_name":"process.stopping"`) }()
	got := c.ConsumeN(t, out, 3)
	d.signal(syscall.SIGTERM)
	<-read
	if code := d.end(); code != exitDone {
		t.Fatalf("exit code %d\n%s", code, d.log.String())
	}

	process, call, send := spans.One("process "+in), spans.One("http attempt"), spans.One("send kafka")
	filter, step := spans.One("filter"), spans.One("http")
	if process.Trace != producerTrace || process.Parent != producerSpan || process.Kind != "consumer" || process.State != "us=1" {
		t.Errorf("%+v", process)
	}
	for _, s := range []tracetest.Span{filter, step, send} {
		if s.Trace != process.Trace || s.Parent != process.ID {
			t.Errorf("%s is in %s, not in that of the record", s.Name, s.Parent)
		}
	}
	if call.Parent != step.ID || call.Kind != "client" || step.Kind != "internal" || send.Kind != "producer" {
		t.Errorf("%s", spans)
	}
	for name, want := range map[string]string{
		"messaging.system": "kafka", "messaging.destination.name": in, "messaging.destination.partition.id": "0", "messaging.kafka.offset": "0",
		"messaging.consumer.group.name": group, "penstock.pipeline": "traced", "penstock.outcome": "delivered",
	} {
		if process.Attrs[name] != want {
			t.Errorf("%s is %q, want %q", name, process.Attrs[name], want)
		}
	}
	if process.Resource["service.name"] != "penstock" || spans.Headers()[0].Get("X-Team") != "hidden-word" {
		t.Errorf("%v, %v", process.Resource, spans.Headers())
	}

	service.mu.Lock()
	defer service.mu.Unlock()
	traced := 0
	for _, h := range service.got {
		if h.Get("Baggage") != "" {
			t.Error("a call got the baggage without being asked for")
		}
		if v := h.Get("Traceparent"); v != "" {
			traced++
			if want := "00-" + producerTrace + "-" + call.ID + "-01"; v != want || h.Get("Tracestate") != "us=1" {
				t.Errorf("the call has %s, want %s", v, want)
			}
		}
	}
	if traced != 1 {
		t.Errorf("%d calls have a trace, want 1", traced)
	}
	want := [][]string{{"00-" + producerTrace + "-" + process.ID + "-01"}, nil, {"00-" + producerTrace + "-" + producerSpan + "-00"}}
	for i, r := range got {
		if v := headerOf(r, "traceparent"); fmt.Sprint(v) != fmt.Sprint(want[i]) {
			t.Errorf("message %d has %v, want %v", i, v, want[i])
		}
	}
	if r := got[0]; fmt.Sprint(headerOf(r, "a"), headerOf(r, "tracestate"), headerOf(r, "baggage")) != "[b] [us=1] [user=u-1]" {
		t.Errorf("headers %v", r.Headers)
	}
}

// TestARejectedRecordIsFoundByItsTrace: the event of its rejection, its dead letter and the exemplars of /metrics all name the trace of
// a record.
func TestARejectedRecordIsFoundByItsTrace(t *testing.T) {
	c, spans := kafkatest.Start(t), tracetest.Start(t)
	in, out, dead, group := c.Topic(t, 1), c.Topic(t, 1), c.Topic(t, 1), c.Group(t)
	dir := t.TempDir()
	file, socket := filepath.Join(dir, "traced.yaml"), filepath.Join(dir, "s")
	text := fmt.Sprintf(`pipeline: traced
source:
  kafka: {brokers: [%s], topics: [%s], group: %s, start: earliest}
stages:
  - map: {set: {n: int(text)}}
sinks:
  - kafka: {topic: %s}
dead_letter:
  kafka: {topic: %s}
traces: {endpoint: "%s", sample: 100%%, service: flights}
admin: {listen: "unix:%s"}
log: {format: json, stats_every: 100ms}
`, c.Addrs()[0], in, group, out, dead, spans.URL, socket)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	from := kgo.RecordHeader{Key: "traceparent", Value: []byte("00-" + producerTrace + "-" + producerSpan + "-01")}
	state := kgo.RecordHeader{Key: "tracestate", Value: []byte("us=1")}
	c.Produce(t, in, &kgo.Record{Value: []byte(`{"text":"1"}`)}, &kgo.Record{Value: []byte(`{"text":"no number"}`), Headers: []kgo.RecordHeader{from, state}})
	d := startDaemon(t, file)
	d.socket = socket
	read := make(chan struct{})
	go func() { defer close(read); d.follow(`"event_name":"process.stopping"`) }()
	letter := c.ConsumeN(t, dead, 1)[0]
	c.ConsumeN(t, out, 1)
	missing := "?"
	for deadline := time.Now().Add(time.Minute); missing != "" && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		missing = ""
		_, metrics := d.getAs("/metrics", "application/openmetrics-text; version=1.0.0")
		for _, name := range []string{"penstock_pipeline_duration_seconds_bucket", "penstock_step_duration_seconds_bucket"} {
			if !regexp.MustCompile(name + `\{.*\} \d+ # \{trace_id="[0-9a-f]{32}"\}`).MatchString(metrics) {
				missing = name + " has no exemplar:\n" + metrics
			}
		}
	}
	if missing != "" {
		t.Error(missing)
	}
	d.signal(syscall.SIGTERM)
	<-read
	if code := d.end(); code != exitDone {
		t.Fatalf("exit code %d\n%s", code, d.log.String())
	}

	var rejected tracetest.Span
	for _, s := range spans.Named("process " + in) {
		if s.Resource["service.name"] != "flights" {
			t.Errorf("%v", s.Resource)
		}
		if s.Attrs["penstock.outcome"] == "rejected" {
			rejected = s
		}
	}
	if rejected.Trace != producerTrace || !rejected.Error || rejected.Attrs["penstock.rejected.by"] != "map" {
		t.Errorf("%+v\n%s", rejected, spans)
	}
	if v := headerOf(letter, "traceparent"); fmt.Sprint(v) != "[00-"+producerTrace+"-"+rejected.ID+"-01]" || fmt.Sprint(headerOf(letter, "tracestate")) != "[us=1]" {
		t.Errorf("the dead letter has %v", letter.Headers)
	}
	if !strings.Contains(d.log.String(), `"trace_id":"`+producerTrace+`"`) {
		t.Errorf("no event names the trace:\n%s", d.log.String())
	}
}
