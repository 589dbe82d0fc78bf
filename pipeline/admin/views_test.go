package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

// TestViews: each side of the snapshots has a path of its own, with the names of the events.
func TestViews(t *testing.T) {
	o := healthy()
	at := time.Date(2026, 11, 20, 1, 2, 3, 4e6, time.UTC)
	o.Snapshots = func() []engine.Snapshot {
		return []engine.Snapshot{
			{Pipeline: "idle"},
			{
				Pipeline: "p", At: at,
				Source: pipeline.Report{Connected: true, Generation: 3, Partitions: []pipeline.PartitionReport{
					{Topic: "t", Partition: 1, Committed: 5, Fetched: 9, HighWatermark: 12, Held: 2}}},
				Steps: []engine.StepSnapshot{{Name: "ask", ErrorsByType: []engine.ErrorCount{
					{Type: "http_503", Total: 7, Message: "calling: 503", Position: pipeline.Position{Topic: "t", Partition: 1, Offset: 4}, At: at}}}},
				Sinks:      []engine.SinkSnapshot{{Name: "out", ErrorsByType: []engine.ErrorCount{{Type: "timeout", Total: 1}}}},
				DeadLetter: &engine.SinkSnapshot{Name: "dead_letter", ErrorsByType: []engine.ErrorCount{{Type: "disk", Total: 2}}},
			},
		}
	}
	o.Files = func() ([]File, error) {
		return []File{{Pipeline: "p", File: "p.yaml", Hash: "0123456789ab", YAML: "pipeline: p\n"}}, nil
	}
	s := start(t, o)
	c := client(t, &http.Transport{})
	for path, want := range map[string]string{
		"/api/v1/partitions": `{"pipelines":[{"pipeline":"idle","connected":false,"partitions":[]},` +
			`{"pipeline":"p","connected":true,"generation":3,"partitions":[{"topic":"t","partition":1,"offset_committed":5,"offset_fetched":9,"offset_hwm":12,"lag":7,"lag_held":2,"uncommitted":4,"paused":false}]}]}`,
		"/api/v1/errors": `{"pipelines":[{"pipeline":"idle","errors":[]},{"pipeline":"p","errors":[` +
			`{"step":"ask","error_type":"http_503","count_total":7,"sample_message":"calling: 503","sample_topic":"t","sample_partition":1,"sample_offset":4,"sample_time":"2026-11-20T01:02:03.004Z"},` +
			`{"step":"out","error_type":"timeout","count_total":1,"sample_message":"","sample_topic":"","sample_partition":0,"sample_offset":0,"sample_time":""},` +
			`{"step":"dead_letter","error_type":"disk","count_total":2,"sample_message":"","sample_topic":"","sample_partition":0,"sample_offset":0,"sample_time":""}]}]}`,
		"/api/v1/config": `{"pipelines":[{"pipeline":"p","file":"p.yaml","config_hash":"0123456789ab","yaml":"pipeline: p\n"}]}`,
	} {
		if status, body, _ := ask(t, c, "GET", "http://"+s.Addr()+path, nil); status != 200 || body != want {
			t.Errorf("%s: %d\n%s\nwant\n%s", path, status, body, want)
		}
	}
	var schema, want any
	if err := ofClient(t, ClientOptions{Address: s.Addr()}).Get(t.Context(), "/api/v1/events", &schema); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(event.Schema(), &want); err != nil {
		t.Fatal(err)
	}
	if got, _ := json.Marshal(schema); !strings.Contains(string(got), `"pipeline.stats"`) {
		t.Error("no schema of the events")
	} else if all, _ := json.Marshal(want); string(got) != string(all) {
		t.Error("another schema of the events")
	}
	o.Files = func() ([]File, error) { return nil, errors.New("writing the settings of p: no") }
	failing := start(t, o)
	if status, body, _ := ask(t, c, "GET", "http://"+failing.Addr()+"/api/v1/config", nil); status != 500 || !strings.Contains(body, "writing the settings") {
		t.Errorf("%d %s", status, body)
	}
}

// TestUnknownPathsNameTheOthers: what is there stands in the answer, and nothing else.
func TestUnknownPathsNameTheOthers(t *testing.T) {
	s := start(t, healthy())
	c := client(t, &http.Transport{})
	want := `{"error":"there is /livez, /readyz, /version, /api/v1/stats, /api/v1/stats/stream, /api/v1/history, /api/v1/partitions, /api/v1/errors and /api/v1/events"}`
	for _, path := range []string{"/", "/metrics", "/api/v1/config", "/livez/", "//livez", "/api/v1/../../livez", "/debug/pprof/"} {
		if status, body, _ := ask(t, c, "GET", "http://"+s.Addr()+path, nil); status != 404 || body != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}
