package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

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
		"/api/v1/inflight?limit=0":                       `{"error":"limit is a number from 1 to 10000, not \"0\""}`,
		"/api/v1/inflight?limit=10001":                   `{"error":"limit is a number from 1 to 10000, not \"10001\""}`,
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
		var got struct {
			Pipelines []struct {
				InFlight int
				Records  []recordInFlight
				LeftOff  int `json:"left_off"`
			}
		}
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

// What is known of some records alone has keys where it is: until when a limit holds, that a call is equal to another, and with how many a record
// came to a worker.
func TestWhyAnswersWhatElseIsKnown(t *testing.T) {
	o := healthy()
	at := pipeline.Position{Topic: "orders", Offset: 7}
	other := pipeline.Position{Topic: "orders", Partition: 1, Offset: 9}
	o.Holds = func() []PipelineHolds {
		return []PipelineHolds{{Pipeline: "orders", State: "running", Holds: []engine.Hold{
			{
				Lane: "orders/0", Position: at, Root: other, Joins: true, Where: "ask", State: "throttled", Cause: engine.CauseRate, For: "rate api",
				Since: time.Second, Age: time.Second, Until: time.Date(2026, 11, 20, 12, 0, 5, 0, time.FixedZone("", 3600)),
			},
			{
				Lane: "orders/1", Position: other, Root: other, Where: "parse", State: "running", Cause: engine.CauseCall, Attempt: 1, Attempts: 1,
				Since: 4 * time.Second, Age: 4 * time.Second, Batch: 256, BatchSince: 5 * time.Second,
			},
		}}}
	}
	s := start(t, o)
	_, body, _ := ask(t, client(t, &http.Transport{}), "GET", "http://"+s.Addr()+"/api/v1/why", nil)
	for _, want := range []string{
		`"waits_for":"orders/1@9","equal_call":true,"where":"ask","state":"throttled","cause":"rate","for":"rate api","since_ms":1000,"until":"2026-11-20T11:00:05Z","attempt":0,`,
		`"says":"orders/0@7 waits for the equal call of orders/1@9: ask: has waited 1.0 s for rate api, until 11:00:05Z"`,
		`"where":"parse","state":"running","cause":"call","since_ms":4000,"batch":256,"batch_ms":5000,"attempt":1,"attempts":1,`,
		`"says":"orders/1@9: parse: has been worked on for at least 4.0 s; its worker took it with 255 others 5.0 s ago"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("there is no %s in\n%s", want, body)
		}
	}
}

// TestFiguresOfOnePipeline: the paths that show figures take the same parameters as those that show records, and refuse what these refuse.
func TestFiguresOfOnePipeline(t *testing.T) {
	o := healthy()
	o.Snapshots = func() []engine.Snapshot { return []engine.Snapshot{{Pipeline: "one"}, {Pipeline: "two"}} }
	s := start(t, o)
	c := client(t, &http.Transport{})
	names := func(body string) (all []string) {
		for _, p := range gjson.Get(body, "pipelines.#.pipeline").Array() {
			all = append(all, p.String())
		}
		return all
	}
	for _, path := range []string{"/api/v1/stats", "/api/v1/errors", "/api/v1/partitions"} {
		for query, want := range map[string]string{
			"": "one two", "?pipeline=two": "two", "?pipeline=one": "one",
		} {
			if status, body, _ := ask(t, c, "GET", "http://"+s.Addr()+path+query, nil); status != 200 || strings.Join(names(body), " ") != want {
				t.Errorf("%s%s: %d %s, want %s", path, query, status, body, want)
			}
		}
		for query, want := range map[string]struct {
			status int
			body   string
		}{
			"?x=1":                       {400, `{"error":"there is no parameter \"x\" here: there is pipeline"}`},
			"?pipeline=nope":             {404, `{"error":"there is no pipeline \"nope\" here: there is one, two"}`},
			"?pipeline=":                 {404, `{"error":"there is no pipeline \"\" here: there is one, two"}`},
			"?pipeline=one&pipeline=two": {400, `{"error":"the parameter pipeline comes twice"}`},
		} {
			if status, body, _ := ask(t, c, "GET", "http://"+s.Addr()+path+query, nil); status != want.status || body != want.body {
				t.Errorf("%s%s: %d %s, want %d %s", path, query, status, body, want.status, want.body)
			}
		}
	}
}
