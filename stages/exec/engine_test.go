//go:build unix

package execstage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// through runs values through a pipeline of one exec step, and gives what was delivered and what was rejected.
func through(t testing.TB, s Settings, timeout time.Duration, events *event.Emitter, values []string) (out, dead *pipelinetest.Memory) {
	t.Helper()
	st, err := New(s, Place{Pipeline: "p", Step: "enrich", Calls: calls.Env{Settings: calls.Defaults(), Workers: s.Slots()}})
	if err != nil {
		t.Fatal(err)
	}
	out, dead = new(pipelinetest.Memory), new(pipelinetest.Memory)
	p, err := engine.New(engine.Options{
		Name: "p", Source: pipelinetest.NewValues(values...), Order: engine.OrderPartition, Events: events,
		Steps: []engine.Step{{Name: "enrich", Kind: "exec", Stage: st, Workers: s.Slots(), Wait: &engine.Wait{
			Window: max(64*s.Slots(), 4096), Timeout: timeout, Deadline: time.Minute, Retry: engine.Retry{Attempts: 2, Backoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond},
		}}},
		Sinks:      []engine.Output{{Name: "out", Kind: "memory", Sink: out}},
		DeadLetter: engine.DeadLetter{Name: "dead_letter", Kind: "memory", Sink: dead},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out, dead
}

// Under the engine each record that does the worst is rejected with its reason, and the others are delivered in
// order. What processes did is told, and nothing of what records hold.
func TestUnderTheEngine(t *testing.T) {
	faults := []string{"exit", "junk", "hang", "reject", "filter", "unknown id", "kill"}
	for _, inFlight := range []int{1, 4} {
		t.Run(fmt.Sprint(inFlight), func(t *testing.T) {
			s := testSettings(t, "protocol")
			s.Processes, s.InFlight, s.StopTimeout = 2, inFlight, 50*time.Millisecond
			var values []string
			for i := range 280 {
				do := ""
				if i%40 == 20 {
					do = faults[i/40]
				}
				values = append(values, fmt.Sprintf(`{"n":%d,"do":%q,"secret":"canary-5"}`, i, do))
			}
			var log bytes.Buffer
			events := event.New(&log, event.Options{})
			out, dead := through(t, s, time.Second, events.Pipeline("p"), values)
			events.Close()
			last := -1
			for _, value := range out.Values() {
				var v struct {
					N   int
					Do  string
					Got struct{ N int }
				}
				if err := json.Unmarshal(value, &v); err != nil || v.Do != "" || v.Got.N != v.N || v.N <= last {
					t.Errorf("delivered behind %d: %s, %v", last, value, err)
				}
				last = v.N
			}
			if n := len(out.Values()); n != 280-len(faults) {
				t.Errorf("%d are delivered", n)
			}
			reasons := map[string]string{}
			for _, rec := range dead.Records() {
				do, err := rec.Text("do")
				if err != nil {
					t.Error(err)
				}
				reasons[do] = header(rec, "penstock-reason")
				if text := header(rec, "penstock-error"); strings.Contains(text, "canary") {
					t.Errorf("the error quotes the record: %s", text)
				}
			}
			for _, do := range faults {
				want := "attempts"
				switch do {
				case "reject":
					want = ReasonRejected
				case "filter":
					want = ""
				}
				if reasons[do] != want {
					t.Errorf("%s: rejected for %q, want %q", do, reasons[do], want)
				}
			}
			if text := log.String(); !strings.Contains(text, `"event_name":"child.ended"`) || strings.Contains(text, "canary") || strings.Contains(text, "child.line") {
				t.Errorf("the log says\n%s", text)
			}
			for line := range strings.Lines(log.String()) {
				if err := event.Validate([]byte(line)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func header(rec *pipeline.Record, name string) (value string) {
	for _, h := range rec.Headers() {
		if h.Name == name {
			value = string(h.Value)
		}
	}
	return value
}

// Standard error is logged where the file says so, a few lines of it.
func TestLoggedLines(t *testing.T) {
	s := testSettings(t, "protocol")
	s.Stderr = "log"
	var log bytes.Buffer
	events := event.New(&log, event.Options{})
	through(t, s, time.Minute, events.Pipeline("p"), []string{`{"do":"flood"}`, `{"n":1}`})
	events.Close()
	lines := strings.Count(log.String(), `"event_name":"child.line"`)
	if lines < 1 || lines > 10 {
		t.Errorf("%d lines of a flood", lines)
	}
	for line := range strings.Lines(log.String()) {
		if err := event.Validate([]byte(line)); err != nil {
			t.Error(err)
		}
		if len(line) > 1500 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}
