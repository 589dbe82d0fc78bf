package top

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A process answers as an endpoint does.
type process struct {
	started  string
	in, busy int64
	down     error
	asked    []string
	more     string // members of the pipeline
}

func (p *process) get(_ context.Context, path string, into any) error {
	p.asked = append(p.asked, path)
	if p.down != nil {
		return p.down
	}
	text := map[string]string{
		"/version": `{"version":"v1.2.3","config_hash":"0123456789ab"}`,
		"/api/v1/stats": fmt.Sprintf(`{"pipelines":[{"pipeline":"orders","state":"running","started":%q,"timestamp":"2026-11-20T12:00:00Z","records_in_total":%d,
			"records_out_total":5,"e2e_ms":{"count":3,"p99":12.5},"backpressure":"ok",%s
			"source":{"connected":true,"lag_sum":9,"lag_max":7,"partitions":[{"topic":"orders","partition":1,"lag":9,"lag_age_ms":700,"paused":true}]},
			"steps":[{"step":"map","step_kind":"map","step_index":0,"records_in_total":%d,"errors_total":%d,"workers":2,"queue_len":1,"queue_cap":2,
				"busy_ms_total":%d,"idle_ms_total":100,"blocked_ms_total":0,"lat_ms":{"p50":1}}],
			"sinks":[{"sink":"file","sink_kind":"file","records_in_total":%d}],"dead_letter":{"sink":"dead_letter","sink_kind":"file"}}],"log":{"dropped_total":3}}`,
			p.started, p.in, p.more, p.in, p.in/10, p.busy, p.in),
		"/api/v1/errors": `{"pipelines":[{"pipeline":"orders","errors":[{"step":"map","error_type":"http_429","count_total":4,"sample_message":"slow down"}]}]}`,
		"/api/v1/why":    `{"pipelines":[{"pipeline":"orders","holds":[{"says":"orders/1@7: map: waits"}]}]}`,
	}[path]
	return json.Unmarshal([]byte(text), into)
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func look(t *testing.T, e *Endpoint, at time.Time) {
	t.Helper()
	if err := e.Look(t.Context(), at); err != nil {
		t.Fatal(err)
	}
}

func TestAnEndpointGivesRatesAfterTwoLooks(t *testing.T) {
	p := &process{started: "2026-11-20T11:00:00Z", in: 100, busy: 50}
	s := NewStore("x", time.Minute)
	e := NewEndpoint(s, "x:9600", p.get)
	look(t, e, noon)
	screen := NewModel(s, Options{}).Screen().Text()
	has(t, screen, "in -", "total in 100", "v1.2.3", "up 1h00m", "lag 9 (700ms)")
	p.in, p.busy = 300, 150
	look(t, e, noon.Add(2*time.Second))
	v := s.View(all())
	got := v.Pipelines[0]
	if got.Rate.In != 100 || got.E2E.P99 != 12.5 || len(got.Steps) != 3 || got.Steps[2].Role != RoleDeadLetters {
		t.Errorf("%+v", got)
	}
	if m := got.Steps[0]; m.Rate.In != 100 || m.Rate.Errors != 10 || m.Shares.Busy != 1 || m.Queue.Fill != 0.5 || m.Latency.P50 != 1 {
		t.Errorf("%+v", m)
	}
	if in := v.Instances[0]; in.LogDropped != 3 || in.Version != "v1.2.3" {
		t.Errorf("%+v", in)
	}
	if n := strings.Count(strings.Join(p.asked, " "), "/version"); n != 1 {
		t.Errorf("the version is asked for %d times, want once", n)
	}
}

func TestAnEndpointIsAskedForWhatIsLookedAt(t *testing.T) {
	p := &process{started: "2026-11-20T11:00:00Z", in: 100}
	s := NewStore("x", time.Minute)
	e := NewEndpoint(s, "x:9600", p.get)
	look(t, e, noon)
	m := NewModel(s, Options{Wants: e.Wants.Store})
	if asked := strings.Join(p.asked, " "); strings.Contains(asked, "why") || strings.Contains(asked, "errors") {
		t.Errorf("asked for %s, and nobody looks at it", asked)
	}
	has(t, press(t, m, "e"), "asking")
	look(t, e, noon.Add(time.Second))
	m.Update(tick{})
	has(t, m.Screen().Text(), "http_429", "slow down")
	has(t, press(t, m, "w"), "asking")
	e.Ask(t.Context(), noon.Add(1500*time.Millisecond))
	m.Update(tick{})
	has(t, m.Screen().Text(), "orders/1@7: map: waits")
	has(t, press(t, m, "p"), "orders/1", "paused")
	if e.Wants.Load() != 0 {
		t.Error("it is asked for what nobody looks at any more")
	}
}

func TestWhatAnEndpointSaidStaysWhenItGoesAway(t *testing.T) {
	p := &process{started: "2026-11-20T11:00:00Z", in: 100}
	s := NewStore("x", time.Minute)
	e := NewEndpoint(s, "x:9600", p.get)
	m := NewModel(s, Options{})
	m.width = 100
	look(t, e, noon)
	p.down = errors.New("nothing listens there")
	if err := e.Look(t.Context(), noon.Add(time.Second)); err == nil {
		t.Fatal("no error")
	}
	m.Update(tick{})
	screen := press(t, m, "l")
	has(t, screen, "stale, was running", "total in 100", "! x:9600: the figures are of 12:00:00Z: nothing listens there", "endpoint.away")
	p.down, p.in = nil, 150
	look(t, e, noon.Add(5*time.Second))
	m.Update(tick{})
	has(t, m.Screen().Text(), "total in 150", "in 10.0/s", "endpoint.back")
	hasNot(t, m.Screen().Text(), "! ", "stale")
}

func TestAProcessThatWasStartedAgainBeginsAnew(t *testing.T) {
	p := &process{started: "2026-11-20T11:00:00Z", in: 100}
	s := NewStore("x", time.Minute)
	e := NewEndpoint(s, "x:9600", p.get)
	look(t, e, noon)
	p.started, p.in = "2026-11-20T11:59:59Z", 5
	look(t, e, noon.Add(time.Second))
	v := s.View(all())
	if got := v.Pipelines[0]; got.In != 5 || got.Rate.In == got.Rate.In {
		t.Errorf("in %d, rate %v; want 5, and no rate", got.In, got.Rate.In)
	}
	if n := len(v.Events); n != 1 || v.Events[0].Name != "process.started" {
		t.Errorf("events %+v", v.Events)
	}
}

func TestChangesBetweenLooksAreEvents(t *testing.T) {
	p := &process{started: "2026-11-20T11:00:00Z"}
	s := NewStore("x", time.Minute)
	e := NewEndpoint(s, "x:9600", p.get)
	look(t, e, noon)
	p.more = `"rejected_total":3,"stalled":[{"says":"map has stalled"}],`
	look(t, e, noon.Add(time.Second))
	p.more = `"rejected_total":3,`
	look(t, e, noon.Add(2*time.Second))
	var names []string
	for _, ev := range s.View(all()).Events {
		names = append(names, ev.Name)
	}
	if got := strings.Join(names, " "); got != "stalled rejected recovered" {
		t.Errorf("events %s", got)
	}
}

func TestSeveralEndpointsOnOneScreen(t *testing.T) {
	s := NewStore("x, y", time.Minute)
	one, two := &process{started: "2026-11-20T11:00:00Z", in: 10}, &process{started: "2026-11-20T11:30:00Z", in: 20}
	a, b := NewEndpoint(s, "x:9600", one.get), NewEndpoint(s, "y:9600", two.get)
	look(t, a, noon)
	look(t, b, noon.Add(100*time.Millisecond))
	two.down = errors.New("gone")
	_ = b.Look(t.Context(), noon.Add(time.Second))
	v := s.View(all())
	if p := v.Pipelines[0]; p.In != 30 || p.Of != 2 || p.Lag.Sum != 18 {
		t.Errorf("%+v", p)
	}
	if v.Instances[0].Stale != "" || v.Instances[1].Stale == "" || v.Instances[1].State != "stale" {
		t.Errorf("instances %+v", v.Instances)
	}
}
