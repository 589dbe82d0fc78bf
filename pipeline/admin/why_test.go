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
)

// stuck gives options of a process with two pipelines, in one of which a record waits for an earlier one.
func stuck() Options {
	o := healthy()
	o.Holds = func() []PipelineHolds {
		at := func(offset int64) pipeline.Position {
			return pipeline.Position{Topic: "orders", Partition: 3, Offset: offset}
		}
		return []PipelineHolds{
			{Pipeline: "orders", State: "running", Holds: []engine.Hold{{
				Lane: "orders/3", Position: at(4712), Root: at(4711), Where: "weather", Kind: "http", Host: "api.example", State: "retrying",
				Cause: engine.CauseRetry, Since: 4200 * time.Millisecond, Attempt: 3, Attempts: 5, ErrorType: "http_5xx",
				ErrorMessage: "answered status 503", Age: 9 * time.Second, Behind: 812,
			}}},
			{Pipeline: "idle", State: "failed", Err: errors.New("no such topic"), Disconnected: true},
		}
	}
	o.InFlight = func() []PipelineInFlight {
		var all []engine.InFlight
		for i := range 5 {
			all = append(all, engine.InFlight{
				Position: pipeline.Position{Topic: "orders", Offset: int64(i)}, Lane: "orders/0", Where: "weather", State: "running",
				Attempt: 1, Age: time.Duration(i) * time.Second,
			})
		}
		return []PipelineInFlight{{"orders", all}, {"idle", nil}}
	}
	return o
}

func TestWhyAnswers(t *testing.T) {
	s := start(t, stuck())
	c := client(t, &http.Transport{})
	const hold = `{"lane":"orders/3","topic":"orders","partition":3,"offset":4712,"waits_for":"orders/3@4711","where":"weather","kind":"http",` +
		`"host":"api.example","state":"retrying","cause":"retry","since_ms":4200,"attempt":3,"attempts":5,"error_type":"http_5xx",` +
		`"error_message":"answered status 503","age_ms":9000,"behind":812,"says":"orders/3@4712 (in flight for 9.0 s) waits for orders/3@4711: weather, host api.example: ` +
		`attempt 3 of 5 fails with http_5xx (answered status 503); has waited 4.2 s for its next attempt; 812 records behind it"}`
	const idle = `{"pipeline":"idle","state":"failed","error":"no such topic","disconnected":true,"holds":[]}`
	for path, want := range map[string]string{
		"/api/v1/why":                                    `{"pipelines":[{"pipeline":"orders","state":"running","holds":[` + hold + `]},` + idle + `]}`,
		"/api/v1/why?pipeline=idle":                      `{"pipelines":[` + idle + `]}`,
		"/api/v1/why?older_than=1s":                      `{"error":"there is no parameter \"older_than\" here: there is pipeline"}`,
		"/api/v1/inflight?older_than=soon":               `{"error":"older_than is a time like 30s, not \"soon\""}`,
		"/api/v1/inflight?limit=0":                       `{"error":"limit is a number from 1 on, not \"0\""}`,
		"/api/v1/inflight?limit=1&limit=2":               `{"error":"the parameter limit comes twice"}`,
		"/api/v1/inflight?older_than=9s&pipeline=orders": `{"pipelines":[{"pipeline":"orders","inflight":5,"records":[]}]}`,
	} {
		if _, body, _ := ask(t, c, "GET", "http://"+s.Addr()+path, nil); body != want {
			t.Errorf("%s answers\n%s, want\n%s", path, body, want)
		}
	}
}

// TestNoSuchPipeline: a name that is misspelt is not answered as a pipeline in which nothing waits.
func TestNoSuchPipeline(t *testing.T) {
	s := start(t, stuck())
	c := client(t, &http.Transport{})
	for path, name := range map[string]string{"/api/v1/why?pipeline=nope": "nope", "/api/v1/inflight?limit=1&pipeline=nope": "nope", "/api/v1/why?pipeline=": ""} {
		want := `{"error":"there is no pipeline \"` + name + `\" here: there is orders, idle"}`
		if status, body, _ := ask(t, c, "GET", "http://"+s.Addr()+path, nil); status != 404 || body != want {
			t.Errorf("%s: %d %s, want 404 %s", path, status, body, want)
		}
	}
}

// What is in flight comes oldest first, and no more than is asked for.
func TestInFlightAnswers(t *testing.T) {
	s := start(t, stuck())
	c := client(t, &http.Transport{})
	for query, want := range map[string]string{
		"":                           "4 3 2 1 0, 0 left off",
		"?older_than=2s":             "4 3 2, 0 left off",
		"?older_than=1500ms&limit=2": "4 3, 1 left off",
	} {
		_, body, _ := ask(t, c, "GET", "http://"+s.Addr()+"/api/v1/inflight"+query, nil)
		var got struct{ Pipelines []inFlightJSON }
		if err := json.Unmarshal([]byte(body), &got); err != nil || len(got.Pipelines) != 2 {
			t.Fatal(err, body)
		}
		p := got.Pipelines[0]
		var offsets []string
		for _, r := range p.Records {
			offsets = append(offsets, string(rune('0'+r.Offset)))
			if r.AgeMs != r.Offset*1000 || r.Where != "weather" || r.State != "running" || r.Lane != "orders/0" {
				t.Errorf("%s: %+v", query, r)
			}
		}
		if text := strings.Join(offsets, " ") + ", " + string(rune('0'+p.LeftOff)) + " left off"; text != want || p.InFlight != 5 {
			t.Errorf("%s gives %s, want %s", query, text, want)
		}
	}
}

// A process that cannot say why has no such path.
func TestWhyIsNotThereWithoutFunctions(t *testing.T) {
	s := start(t, healthy())
	c := client(t, &http.Transport{})
	for _, path := range []string{"/api/v1/why", "/api/v1/inflight"} {
		if status, body, _ := ask(t, c, "GET", "http://"+s.Addr()+path, nil); status != 404 || strings.Contains(body, path) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}
