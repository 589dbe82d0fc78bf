package trace

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/pipeline/trace/tracetest"
)

// partial is the answer of a collector that has refused some spans, as OTLP has it.
func partial(refused uint64, message string) []byte {
	var p []byte
	p = protowire.AppendVarint(protowire.AppendTag(p, 1, protowire.VarintType), refused)
	p = protowire.AppendString(protowire.AppendTag(p, 2, protowire.BytesType), message)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), p)
}

// TestSpansThatAreRefused: a collector may take some spans of a request alone, and says so beside a status of success. What it refuses is not
// sent again, is counted, and is said, without the words of the collector, which may quote spans.
func TestSpansThatAreRefused(t *testing.T) {
	says := new(told)
	answer, requests := partial(3, "secret-of-a-span"), 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(answer)
	}))
	defer s.Close()
	tr := open(t, nil, func(o *Options) { o.Endpoint, o.linger = s.URL, time.Minute; says.options(o) })
	spans(tr, 10)
	flush(t, tr)
	if sent, dropped, waiting := tr.Counts(); sent != 7 || dropped != 3 || waiting != 0 || requests != 1 {
		t.Errorf("%d are sent, %d dropped, %d wait, in %d requests", sent, dropped, waiting, requests)
	}
	if got := says.all(); len(got) != 1 || got[0] != "refused, 3" {
		t.Errorf("%q", got)
	}
}

// TestRefused: what answers say of spans that are refused, whatever stands in them.
func TestRefused(t *testing.T) {
	other := protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 1)
	for name, tt := range map[string]struct {
		body []byte
		want int64
	}{
		"nothing":         {nil, 0},
		"some":            {partial(3, "m"), 3},
		"a warning alone": {partial(0, "m"), 0},
		"below zero":      {partial(^uint64(0), "m"), 0},
		"more than came":  {partial(11, "m"), 10},
		"a later version": {append(other, append(partial(3, "m"), other...)...), 3},
		"cut":             {partial(3, "a message")[:8], 0},
		"JSON":            {[]byte(`{"partialSuccess":{"rejectedSpans":"3"}}`), 0},
		"text":            {[]byte("ok"), 0},
	} {
		if got := refused(tt.body, 10); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

// TestWhenToAskAgain: a collector that is busy says when, in seconds or by a date.
func TestWhenToAskAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		value string
		least time.Duration
	}{"seconds": {"20", 20 * time.Second}, "a date": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), time.Minute}, "nothing": {"", 0}, "no time": {"soon", 0}} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", tt.value)
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		h, err := client.NewHTTP(client.HTTPOptions{Slots: 1})
		if err != nil {
			t.Fatal(err)
		}
		err = (&upload{http: h, url: s.URL, patience: time.Second}).UploadTraces(t.Context(), nil)
		if _, final := pipeline.IsPermanent(err); err == nil || final || pipeline.RetryHint(err) < tt.least || tt.least == 0 && pipeline.RetryHint(err) != 0 {
			t.Errorf("%s: %v, in %v", name, err, pipeline.RetryHint(err))
		}
		h.Close()
		s.Close()
	}
}

// TestACollectorWithAnAuthorityOfItsOwn is sent to where the settings name that authority, and not without.
func TestACollectorWithAnAuthorityOfItsOwn(t *testing.T) {
	taken := new(tracetest.Collector)
	s := httptest.NewUnstartedServer(taken)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int64{ca: 2, "": 0} {
		tr := open(t, nil, func(o *Options) { o.Endpoint, o.TLS.CA = s.URL, settings.Path(path) })
		spans(tr, 2)
		flush(t, tr)
		if sent, dropped, _ := tr.Counts(); sent != want || dropped != 2-want {
			t.Errorf("with %q %d are sent, and %d dropped", path, sent, dropped)
		}
	}
	_, err := New(Options{Endpoint: s.URL, TLS: client.TLS{CA: "not-there.pem"}})
	if away := (*pipeline.EnvironmentError)(nil); !errors.As(err, &away) {
		t.Errorf("of a file that is not there: %v", err)
	}
}

// TestALogInFromAFile goes with the spans. One that is not there is said at once. That it is read again when it changes is the client's.
func TestALogInFromAFile(t *testing.T) {
	c := tracetest.Start(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("hidden-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	bearer := func(path string) *client.Auth {
		return &client.Auth{Bearer: &client.BearerAuth{TokenFile: settings.Path(path)}}
	}
	tr := open(t, c, func(o *Options) { o.Auth = bearer(file) })
	spans(tr, 1)
	flush(t, tr)
	if h := c.Headers(); len(h) != 1 || h[0].Get("Authorization") != "Bearer hidden-token" {
		t.Errorf("%v", h)
	}
	_, err := New(Options{Endpoint: c.URL, Auth: bearer("not-there")})
	if away := (*pipeline.EnvironmentError)(nil); !errors.As(err, &away) {
		t.Errorf("of a file that is not there: %v", err)
	}
}
