package cli

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline/catalog"
)

// TestPace: the rate is that since the start, or since the last look at the same run.
func TestPace(t *testing.T) {
	start := time.Date(2026, 11, 20, 1, 2, 3, 0, time.UTC)
	at := func(d time.Duration, in int64) pipelineStatus {
		return pipelineStatus{Started: start, Timestamp: start.Add(d), In: in}
	}
	other := at(time.Second, 900)
	other.Started = start.Add(-time.Hour)
	for name, tt := range map[string]struct {
		now, before pipelineStatus
		want        string
	}{
		"first look":     {at(10*time.Second, 25), pipelineStatus{}, "10s 2.5"},
		"second look":    {at(12*time.Second, 125), at(10*time.Second, 25), "12s 50.0"},
		"started anew":   {at(10*time.Second, 25), other, "10s 2.5"},
		"at once":        {at(0, 0), pipelineStatus{}, "0s -"},
		"the same again": {at(10*time.Second, 25), at(10*time.Second, 25), "10s -"},
		"never started":  {pipelineStatus{Timestamp: start}, pipelineStatus{}, "- -"},
	} {
		up, rate := tt.now.pace(tt.before)
		if got := up + " " + rate; got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// TestRepeated: what is watched is shown again after each interval, until ctx ends or it fails.
func TestRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var out bytes.Buffer
		began, times := time.Now(), 0
		show := func(context.Context) error {
			times++
			return onlyError(fmt.Fprintln(&out, times, time.Since(began)))
		}
		if err := repeated(ctx, &out, true, true, 2*time.Second, show); err != nil || out.String() != "1 0s\n\n2 2s\n\n3 4s\n" {
			t.Errorf("%v, shown:\n%s", err, out.String())
		}
		if err := repeated(t.Context(), &out, false, true, time.Hour, show); err != nil || times != 4 {
			t.Errorf("without watch: %v, %d times", err, times)
		}
		failed := errors.New("failed")
		if err := repeated(t.Context(), &out, true, true, time.Hour, func(context.Context) error { return failed }); err != failed {
			t.Error(err)
		}
	})
}

// TestStatusTable: the table has what the answer has, and "-" for what is not known.
func TestStatusTable(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/stats" {
			fmt.Fprint(w, `{"status":"ok"}`)
			return
		}
		fmt.Fprint(w, `{"pipelines":[
			{"pipeline":"orders","state":"running","started":"2026-11-20T01:02:03.000Z","timestamp":"2026-11-20T01:03:43.000Z","records_in_total":1000,
			 "records_out_total":900,"filtered_total":50,"rejected_total":7,"inflight":43,"backpressure":"high","bottleneck_step":"weather","source":{"connected":false,"lag_sum":812,"away":"asking broker a:9092: connection refused","away_since":"2026-11-20T01:03:40.000Z"},
			 "stalled":[{"where":"dead_letter","says":"orders/3@9: dead_letter: attempt 9 of the write of its dead letter fails with no_space (writing x: no space left on device); no progress for 4 min 2 s"}]},
			{"pipeline":"files","state":"running","timestamp":"2026-11-20T01:03:43.000Z","source":{"connected":true,"lag_sum":12345,"lag_unit":"bytes"}},
			{"pipeline":"gone","state":"failed","error":"no broker","timestamp":"2026-11-20T01:03:43.000Z","source":{"connected":false}}],
			"log":{"written_total":9,"dropped_total":1}}`)
	}))
	defer server.Close()
	var out, errs bytes.Buffer
	code := execute(t.Context(), []string{"status", "--addr", server.Listener.Addr().String()}, streams{strings.NewReader(""), &out, &errs}, catalog.Kinds())
	want := `  PIPELINE    STATE     UP    IN  PER SECOND  OUT  FILTERED  REJECTED  IN FLIGHT          LAG      BOTTLENECK
    orders  running  1m40s  1000        10.0  900        50         7         43          812  weather (high)
     files  running      -     0           -    0         0         0          0  12345 bytes               -
      gone   failed      -     0           -    0         0         0          0            -               -
orders: the source is not connected since 2026-11-20 01:03:40Z (asking broker a:9092: connection refused)
orders: stalled: orders/3@9: dead_letter: attempt 9 of the write of its dead letter fails with no_space (writing x: no space left on device); no progress for 4 min 2 s
gone: no broker
1 line of the log dropped, since nobody took them
`
	if code != exitDone || out.String() != want {
		t.Errorf("%d %s\n%s\nwant\n%s", code, errs.String(), out.String(), want)
	}
}

// TestAnotherServiceIsNoEmptyProcess: who asks a port on which something else answers is told so.
func TestAnotherServiceIsNoEmptyProcess(t *testing.T) {
	for _, body := range []string{`{}`, `{"status":"ok"}`, `[]`, `<html>`} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		for _, args := range [][]string{{"why"}, {"why", "--json"}, {"status"}, {"status", "--json"}} {
			var out, errs bytes.Buffer
			args = append(args, "--addr", server.Listener.Addr().String())
			code := execute(t.Context(), args, streams{strings.NewReader(""), &out, &errs}, catalog.Kinds())
			if code != exitEnvironment || out.Len() > 0 || !strings.Contains(errs.String(), "what listens there is not penstock") {
				t.Errorf("%s: %v: %d\n%s%s", body, args, code, out.String(), errs.String())
			}
		}
		server.Close()
	}
}

// TestCertificateOfAnotherName: who asks by a name that the certificate has not is told which it has, and what else helps.
func TestCertificateOfAnotherName(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	address := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	var out, errs bytes.Buffer
	code := execute(t.Context(), []string{"why", "--addr", address, "--ca", ca}, streams{strings.NewReader(""), &out, &errs}, catalog.Kinds())
	for _, want := range []string{"ask by one that it has (example.com, ", "of the pipeline file, given beside --addr"} {
		if code != exitEnvironment || out.Len() > 0 || !strings.Contains(errs.String(), want) {
			t.Errorf("%d\n%s%s", code, out.String(), errs.String())
		}
	}
}
