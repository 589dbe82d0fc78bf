package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
)

// at gives a snapshot at which so many records have passed.
func at(n int64) engine.Snapshot {
	return engine.Snapshot{
		Pipeline: `p "1"`, State: "running", Counts: engine.Counts{In: n, Out: n / 2, Rejected: n / 10, InFlight: 7}, Backpressure: "high",
		Latency: engine.Latency{Count: 1, P50: 1.5, P95: 2, P99: 3},
		Source:  pipeline.Report{Partitions: []pipeline.PartitionReport{{Topic: "t", Committed: 5, Fetched: 5, HighWatermark: 25}}},
		Steps: []engine.StepSnapshot{{Name: "s", Counts: engine.Counts{In: n}, QueueLen: 1, QueueCap: 4,
			Busy: time.Duration(n) * time.Millisecond, Blocked: time.Duration(n) * time.Millisecond}},
		Sinks:      []engine.SinkSnapshot{{Name: "k", Counts: engine.Counts{Out: n}}},
		DeadLetter: &engine.SinkSnapshot{Name: "dead", Counts: engine.Counts{Out: n}},
	}
}

func answered(t *testing.T, h *history, since int64) gjson.Result {
	t.Helper()
	text := h.appendJSON(nil, []string{`p "1"`}, since)
	if !json.Valid(text) {
		t.Fatalf("no JSON: %s", text)
	}
	return gjson.ParseBytes(text)
}

func TestTheHistorySaysWhatWas(t *testing.T) {
	h := newHistory()
	h.note([]engine.Snapshot{at(100)}, t0)
	if a := answered(t, h, 0); len(a.Get("at").Array()) != 0 || len(a.Get("pipelines.0.parts").Array()) != 0 {
		t.Errorf("one look is no rate: %s", a.Raw)
	}
	h.note([]engine.Snapshot{at(200)}, t0.Add(10*time.Second))
	h.note([]engine.Snapshot{at(150)}, t0.Add(20*time.Second)) // a part that has begun anew
	a := answered(t, h, 0)
	parts := a.Get("pipelines.0.parts")
	for path, want := range map[string]string{
		"0.series.rate_in": "[10,0]", "0.series.rate_out": "[5,0]", "0.series.rate_rejected": "[1,0]", "0.series.inflight": "[7,7]", "0.series.lag": "[20,20]",
		"0.series.lag_age_ms": "[null,null]", "0.series.e2e_p99_ms": "[3,3]", "0.series.backpressure": "[2,2]",
		"1.step": `"s"`, "1.series.fill": "[0.25,0.25]", "1.series.busy": "[0.5,null]", "1.series.blocked": "[0.5,null]", "1.series.idle": "[0,null]",
		"1.series.lat_p50_ms": "[null,null]",
		"2.sink":              `"k"`, "2.series.rate_out": "[10,0]", "3.dead_letter": `"dead"`,
	} {
		if got := parts.Get(path).Raw; got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if a := answered(t, h, t0.Add(10*time.Second).UnixMilli()); a.Get("at.#").Int() != 1 || a.Get("pipelines.0.parts.0.series.rate_in").Raw != "[0]" {
		t.Errorf("since the first point: %s", a.Raw)
	}
}

// TestTheHistoryIsBounded: it has an hour, and forgets what was not there in it; what comes later has no figures before.
func TestTheHistoryIsBounded(t *testing.T) {
	h := newHistory()
	now := t0
	look := func(all ...engine.Snapshot) {
		now = now.Add(historyEvery)
		h.note(all, now)
	}
	look(at(0))
	look(at(1))
	late := at(0)
	late.Steps = append(late.Steps, engine.StepSnapshot{Name: "late"})
	late.Sinks = nil
	look(late)
	look(late)
	a := answered(t, h, 0)
	if got := a.Get(`pipelines.0.parts.#(step=="late").series.rate_in`).Raw; got != "[null,null,0]" {
		t.Errorf("a step that came later: %s", got)
	}
	if got := a.Get(`pipelines.0.parts.#(sink=="k").series.rate_out`).Raw; got != "[0.1,null,null]" {
		t.Errorf("a sink that has gone: %s", got)
	}
	for range 2 * historyPoints {
		look(late)
	}
	a = answered(t, h, 0)
	if n := a.Get("at.#").Int(); n != historyPoints {
		t.Errorf("%d points", n)
	}
	for _, p := range a.Get("pipelines.0.parts").Array() {
		p.Get("series").ForEach(func(name, values gjson.Result) bool {
			if n := len(values.Array()); n != historyPoints {
				t.Errorf("%s %s has %d points", p.Get("step"), name, n)
			}
			return true
		})
	}
	if a.Get(`pipelines.0.parts.#(sink=="k")`).Exists() {
		t.Error("a sink that has been gone for an hour is remembered")
	}
	many := at(0)
	for i := range 2 * mostParts {
		many.Steps = append(many.Steps, engine.StepSnapshot{Name: strings.Repeat("x", i+1)})
	}
	look(many)
	look(many)
	if len(h.parts) != mostParts || h.parts[partKey{`p "1"`, "", ""}] == nil {
		t.Errorf("%d parts are kept", len(h.parts))
	}
}

// TestTheHistoryIsFollowed: the server looks every ten seconds, whether anybody asks or not, and no more when it is shut down.
func TestTheHistoryIsFollowed(t *testing.T) {
	looks := int64(0)
	o := healthy()
	o.Snapshots = func() []engine.Snapshot { looks++; return []engine.Snapshot{at(100 * looks)} }
	synctest.Test(t, func(t *testing.T) {
		h, quit := newHistory(), make(chan struct{})
		go h.follow(o.Snapshots, quit)
		time.Sleep(35 * time.Second)
		synctest.Wait()
		if looks != 4 {
			t.Errorf("%d looks in 35 seconds", looks)
		}
		close(quit)
		time.Sleep(time.Minute)
		if looks != 4 {
			t.Errorf("%d looks after the end", looks)
		}
	})
	s := start(t, healthy())
	if status, body, _ := ask(t, client(t, &http.Transport{}), "GET", "http://"+s.Addr()+"/api/v1/history", nil); status != 200 || body != `{"every_ms":10000,"at":[],"pipelines":[]}` {
		t.Errorf("%d %s", status, body)
	}
}
