package httpstage

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
)

// An error names the path as the file writes it. What the record puts there, the query and
// what the server said stay out of it: errors stand in logs.
func TestErrorsNameThePathAndNoValue(t *testing.T) {
	long := strings.Repeat("é", 150)
	for name, tt := range map[string]struct {
		status       int
		body, detail string
		says, not    string
	}{
		"refused":             {400, "the city canary is unknown", "the city canary is unknown", "answered status 400", "redirect"},
		"not modified":        {304, "", "", "answered status 304", "redirect"},
		"moved":               {301, "", "", "a redirect that is not followed", "canary"},
		"long":                {422, long, strings.Repeat("é", 100) + "…", "answered status 422", "é"},
		"cut at a character":  {422, "x" + long, "x" + strings.Repeat("é", 99) + "…", "answered status 422", "é"},
		"no text":             {422, "canary\x00\x01\xff", "(no text)", "answered status 422", "canary"},
		"tried in vain":       {503, "canary", "canary", "answered status 503", "canary"},
		"nothing of the kind": {404, "canary", "canary", "answered status 404", "canary"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newStage(t, answering(tt.status, "text/plain", tt.body), "/weather/{city}?key={key}", nil)
			err := h.Process(t.Context(), record(`{"city":"canary","key":"secret"}`))
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range []string{"calling GET " + h.to.base + "/weather/{city}: ", tt.says} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error %q does not say %q", err, part)
				}
			}
			for _, part := range []string{"canary", "secret", "key=", tt.not} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("the error %q says %q", err, part)
				}
			}
			var d pipeline.Detailer
			if !errors.As(err, &d) || d.Detail() != tt.detail {
				t.Errorf("detail %q, want %q", d.Detail(), tt.detail)
			}
		})
	}
}

func TestErrorOfACallThatTakesTooLong(t *testing.T) {
	release := make(chan struct{})
	h := newStage(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}, "/slow/{city}", nil)
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := h.Process(ctx, record(`{"city":"canary"}`))
	if err == nil || !strings.Contains(err.Error(), "/slow/{city}: no answer within ") || strings.Contains(err.Error(), "deadline") {
		t.Errorf("%v", err)
	}
	if _, permanent := pipeline.IsPermanent(err); permanent {
		t.Errorf("%v is permanent", err)
	}
}

// What the file says of a status wins over what 2xx means.
func TestStatusesOfTheFileComeFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		status      int
		miss, retry client.Statuses
		want        string // of the field; "": an error
	}{
		"204 is a miss":        {204, client.Statuses{{From: 204, To: 204}}, client.TransientStatuses, ""},
		"202 is not there yet": {202, client.Statuses{{From: 404, To: 404}}, client.Statuses{{From: 202, To: 202}}, ""},
		"202 is an answer":     {202, client.Statuses{{From: 404, To: 404}}, client.TransientStatuses, "1"},
	} {
		h := newStage(t, answering(tt.status, "application/json", "1"), "/", func(s *Settings) { s.MissStatus, s.RetryStatus = tt.miss, tt.retry })
		rec := record(`{}`)
		err := h.Process(t.Context(), rec)
		got, _ := rec.Field("got")
		if (err == nil) != (tt.want != "") || err == nil && string(got) != tt.want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		if _, permanent := pipeline.IsPermanent(err); err != nil && permanent != (tt.status == 204) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
