package httpsink

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Requests keep to the rates that the sink names, together with those of others of the process, and
// what waits for one is not sent when the write ends before.
func TestHTTPKeepsToRates(t *testing.T) {
	h := newHook(t, nil)
	shared := calls.NewShared(map[string]calls.RateSettings{"api": {Rate: settings.Rate{N: 1, Per: time.Hour}, Burst: 3, Per: "process"}})
	env := calls.Env{Shared: shared, Workers: 64, Settings: calls.Settings{Limit: []string{"api"}}}
	var sinks []*Sink
	for range 2 {
		s := Defaults()
		s.URL, s.Format = template(t, h.server.URL+"/"), "single"
		sink, err := New(s, "pipe/hook", env)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sink.Close(context.Background()) })
		sinks = append(sinks, sink)
	}
	if err := sinks[0].Write(t.Context(), run(0, 2)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := sinks[1].Write(ctx, run(2, 2))
	var failed *pipeline.WriteError
	if !errors.As(err, &failed) || len(failed.Failed) != 1 || failed.Failed[0].Index != 1 || !errors.Is(failed.Failed[0].Err, context.DeadlineExceeded) {
		t.Errorf("the fourth request of three an hour: %v", err)
	}
	if len(sinks[0].unknown)+len(sinks[1].unknown) > 0 {
		t.Error("a request that was not sent is to be sent again as it was")
	}
	if n := len(h.seen()); n != 3 {
		t.Errorf("%d requests", n)
	}
	env.Settings.Limit = []string{"none"}
	s := Defaults()
	s.URL = template(t, h.server.URL+"/")
	if _, err := New(s, "pipe/hook", env); err == nil {
		t.Error("a rate that there is not is taken")
	}
}

// A host that has asked to wait is not sent anything by other sinks of the process either.
func TestHTTPLeavesAHostAlone(t *testing.T) {
	h := newHook(t, func(int, received) int { return 429 })
	env := calls.Env{Shared: calls.NewShared(nil), Workers: 64}
	s := Defaults()
	s.URL = template(t, h.server.URL+"/")
	for range 2 {
		sink, err := New(s, "pipe/hook", env)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sink.Close(context.Background()) })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := sink.Write(ctx, run(0, 1)); err == nil {
			t.Error("it is stored")
		}
	}
	if n := len(h.seen()); n != 1 {
		t.Errorf("%d requests within the second that the host has asked for", n)
	}
}
