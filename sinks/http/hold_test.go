package httpsink

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A fewRecords is a source of one lane, t/3, with the records of run, in batches of ten.
type fewRecords struct {
	n    int
	lane pipeline.Lane
	at   int

	mu   sync.Mutex
	mark int64
}

func (s *fewRecords) Open(ctx context.Context, e pipeline.Feed) (err error) {
	s.lane, _, err = e.Lane(ctx, "t/3", 0)
	return err
}

func (s *fewRecords) Read(context.Context) (*pipeline.Batch, error) {
	if s.at == s.n {
		return nil, io.EOF
	}
	n := min(10, s.n-s.at)
	recs := make([]pipeline.Record, n)
	for i, rec := range run(s.at, n) {
		recs[i].Init(rec.Position, rec.Key(), rec.Value(), nil, 5)
	}
	s.at += n
	return &pipeline.Batch{Lane: s.lane, Fill: pipeline.Records(recs), Next: int64(s.at)}, nil
}

func (s *fewRecords) Commit(_ context.Context, marks []pipeline.Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range marks {
		s.mark = m.Next
	}
	return nil
}

func (s *fewRecords) Close(context.Context) error { return nil }

// Statuses that are about the request hold the records, however often they come: when the
// server is itself again all of them are stored, in order, and none is a dead letter.
func TestHTTPOutageOfTheLogIn(t *testing.T) {
	elsewhere := newHook(t, nil)
	for _, tt := range []struct {
		status int
		url    string
		to     string // Location
	}{
		{401, "/", ""}, {407, "/", ""}, {402, "/", ""}, {421, "/", ""},
		{401, "/{n}", ""}, {407, "/{n}", ""}, {421, "/{n}", ""},
		{403, "/", ""}, {404, "/", ""}, {405, "/", ""}, {410, "/", ""}, {451, "/", ""},
		{302, "/", "/login"}, {302, "/", elsewhere.server.URL}, {303, "/", "/login"},
		{307, "/", elsewhere.server.URL}, {308, "/", elsewhere.server.URL},
	} {
		t.Run(fmt.Sprint(tt.status, tt.url, tt.to), func(t *testing.T) {
			h := newHook(t, func(n int, _ received) int {
				if n%7 != 0 && n < 20 { // now and then it lets one through
					return tt.status
				}
				return 0
			})
			h.location, h.soon = tt.to, true
			src, letters := &fewRecords{n: 30}, new(pipelinetest.Memory)
			sink := h.sink(t, tt.url, func(s *Settings) { s.MaxRecords = 4 })
			p, err := engine.New(engine.Options{
				Name: "p", Source: src,
				Sinks: []engine.Output{{Name: "hook", Sink: sink, MaxRecords: 12,
					Retry: engine.Retry{Backoff: time.Microsecond, MaxBackoff: time.Microsecond}}},
				DeadLetter: engine.DeadLetter{Name: "letters", Sink: letters},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			var want []int
			for i := range 30 {
				want = append(want, i)
			}
			if got := h.numbers(); !reflect.DeepEqual(got, want) {
				t.Errorf("stored %v", got)
			}
			if n := len(letters.Records()); n != 0 {
				t.Errorf("%d dead letters", n)
			}
			if src.mark != 30 {
				t.Errorf("committed up to %d", src.mark)
			}
		})
	}
	if n := len(elsewhere.seen()); n != 0 {
		t.Errorf("%d requests went to another host", n)
	}
}

// Where the address is made of a record, a status about the address may be that record's
// fault: it rejects, and the rest goes on.
func TestHTTPStatusOfARecordsAddress(t *testing.T) {
	for _, status := range []int{302, 403, 404, 405, 410} {
		h := newHook(t, func(_ int, r received) int {
			if r.path == "/1" {
				return status
			}
			return 0
		})
		got := outcome(3, h.sink(t, "/{n}", nil).Write(t.Context(), run(0, 3)))
		want := "," + client.Type4xx + ","
		if status == 302 {
			want = "," + client.Type3xx + ","
		}
		if got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}

func TestHTTPHoldStatus(t *testing.T) {
	statuses := func(texts ...string) client.Statuses {
		s := client.Statuses{}
		for _, text := range texts {
			var r client.StatusRange
			if err := r.UnmarshalText([]byte(text)); err != nil {
				t.Fatal(err)
			}
			s = append(s, r)
		}
		return s
	}
	for name, tt := range map[string]struct {
		url    string
		change func(*Settings)
		status int
		want   string
	}{
		"none holds":                {"/", func(s *Settings) { s.HoldStatus = statuses() }, 401, client.Type4xx},
		"another does":              {"/", func(s *Settings) { s.HoldStatus = statuses("404") }, 401, client.Type4xx},
		"it does":                   {"/{n}", func(s *Settings) { s.HoldStatus = statuses("403") }, 403, "later"},
		"one of a record":           {"/", func(s *Settings) { s.HoldStatus = statuses("422") }, 422, "later"},
		"redirects":                 {"/", func(s *Settings) { s.HoldStatus = statuses() }, 302, client.Type3xx},
		"redirects that go on":      {"/", func(s *Settings) { s.HoldStatus = statuses() }, 307, client.TypeRedirect},
		"the default leaves out ok": {"/", func(s *Settings) { s.OKStatus = statuses("2xx", "404") }, 404, ""},
		"and what is retried":       {"/", func(s *Settings) { s.RetryStatus = statuses("401") }, 401, "later"},
	} {
		h := newHook(t, func(int, received) int { return tt.status })
		err := h.sink(t, tt.url, tt.change).Write(t.Context(), run(0, 1))
		if got := outcome(1, err); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		if tt.want == "later" && name != "and what is retried" && !strings.Contains(err.Error(), "the records wait") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What Retry-After asks for holds of these as well.
func TestHTTPHeldUntil(t *testing.T) {
	h := newHook(t, func(int, received) int { return http.StatusForbidden })
	if d := pipeline.RetryHint(h.sink(t, "/", nil).Write(t.Context(), run(0, 1))); d != time.Second {
		t.Errorf("hint %v", d)
	}
}
