package client

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"":                               0,
		"0":                              0,
		"7":                              7 * time.Second,
		" 7 ":                            7 * time.Second,
		"1.5":                            1500 * time.Millisecond,
		"-3":                             0,
		"NaN":                            0,
		"Inf":                            MaxRetryAfter,
		"99999":                          MaxRetryAfter,
		"999999999999999999999999":       MaxRetryAfter,
		strings.Repeat("9", 400):         MaxRetryAfter,
		"soon":                           0,
		"Fri, 20 Nov 2026 12:00:09 GMT":  9 * time.Second,
		"Fri, 20 Nov 2026 11:00:00 GMT":  0,
		"Sat, 20 Nov 2027 12:00:00 GMT":  MaxRetryAfter,
		"Friday, 20-Nov-26 12:00:09 GMT": 9 * time.Second,
	} {
		if got := retryAfter(in, now); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

func TestStatusError(t *testing.T) {
	tests := []struct {
		status    int
		after     string
		typ       string
		permanent bool
		hint      time.Duration
	}{
		{302, "", Type3xx, true, 0},
		{400, "", Type4xx, true, 0},
		{404, "5", Type4xx, true, 0},
		{408, "", Type4xx, false, 0},
		{425, "", Type4xx, false, 0},
		{429, "", Type429, false, 0},
		{429, "5", Type429, false, 5 * time.Second},
		{500, "", Type5xx, false, 0},
		{503, "86400", Type5xx, false, MaxRetryAfter},
		{503, "-1", Type5xx, false, 0},
	}
	for _, tt := range tests {
		a := &Answer{Status: tt.status, Header: http.Header{"Retry-After": {tt.after}}}
		err := StatusError("calling GET http://h", a, TransientStatuses)
		is(t, err, tt.typ, tt.permanent)
		if reason, _ := pipeline.IsPermanent(err); tt.permanent && reason != tt.typ {
			t.Errorf("%d: reason %s", tt.status, reason)
		}
		if got := pipeline.RetryHint(err); got != tt.hint {
			t.Errorf("%d: hint %v, want %v", tt.status, got, tt.hint)
		}
	}
}

func TestStatuses(t *testing.T) {
	for in, want := range map[string]StatusRange{"404": {404, 404}, "5xx": {500, 599}, "5XX": {500, 599}, "500-503": {500, 503}} {
		var r StatusRange
		if err := r.UnmarshalText([]byte(in)); err != nil || r != want {
			t.Errorf("%s: %v %v", in, r, err)
		}
		if in != "5XX" && r.String() != in {
			t.Errorf("%s prints as %s", in, r)
		}
	}
	for _, in := range []string{"", "99", "600", "9xx", "xx", "abc", "503-500", "1-2-3", "-5"} {
		var r StatusRange
		if err := r.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q was taken as %v", in, r)
		}
	}
	if !TransientStatuses.Has(503) || TransientStatuses.Has(404) {
		t.Error("wrong transient statuses")
	}
}
