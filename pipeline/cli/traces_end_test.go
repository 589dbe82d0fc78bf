//go:build unix

package cli

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/trace"
)

// TestTheEndSaysHowManySpansAreMissing: whoever looks for a trace later should not look in vain.
func TestTheEndSaysHowManySpansAreMissing(t *testing.T) {
	traces, err := trace.New(trace.Options{Endpoint: "http://127.0.0.1:1", Sample: 1}) // nobody has this port
	if err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	p := &process{events: event.New(&log, event.Options{Instance: "test"}), traces: traces}
	var rec pipeline.Record
	rec.Init(pipeline.Position{Topic: "flights"}, nil, nil, nil, 0)
	for range 3 {
		traces.Pipeline(trace.Pipeline{Name: "p"}).Begin(&rec, time.Now(), true).End("delivered", time.Now())
	}
	p.closeTraces()
	all := log.lines(t)
	if len(all) != 1 || all[0]["level"] != "warn" || all[0]["dropped"] != 3.0 || all[0]["sent"] != 0.0 {
		t.Errorf("%v", all)
	}
}

// TestAForcedEndDoesNotWaitForTraces: who asks for the end twice does not get what is left of the drain budget spent on a collector that does not
// answer.
func TestAForcedEndDoesNotWaitForTraces(t *testing.T) {
	p := &process{drain: time.Hour, stopping: time.Now()}
	if left := p.flushTime(); left != mostFlush {
		t.Errorf("the end waits for %v", left)
	}
	p.forcedBy = syscall.SIGTERM
	if left := p.flushTime(); left != leastFlush {
		t.Errorf("the end that is forced waits for %v", left)
	}
}

// TestASignalEndsTheWaitForTraces: one that comes while the last spans are sent is heard.
func TestASignalEndsTheWaitForTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 2)
		p := &process{signals: signals, signalled: signalled{signal: syscall.SIGTERM, signalAt: time.Now()}}
		signals <- syscall.SIGTERM // the same one
		time.AfterFunc(time.Second, func() { signals <- syscall.SIGTERM })
		began := time.Now()
		p.unlessForced(mostFlush, func(ctx context.Context) { <-ctx.Done() })
		if took := time.Since(began); took != time.Second {
			t.Errorf("the end has waited for %v", took)
		}
	})
}
