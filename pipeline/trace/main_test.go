package trace

import (
	"context"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/trace/tracetest"
)

func TestMain(m *testing.M) {
	// Connections that a server in a test keeps for a moment longer.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// open makes the traces of a test, which sends to a collector; nil: to one that change names.
func open(t *testing.T, c *tracetest.Collector, change func(*Options)) *Traces {
	if c == nil {
		c = new(tracetest.Collector)
	}
	o := Options{Endpoint: c.URL, Sample: 1, Parent: true, Service: "penstock", Instance: "i-1", Version: "v1", linger: 10 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		tr.Close(ctx)
	})
	return tr
}

// flush has all spans sent.
func flush(t *testing.T, tr *Traces) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tr.Close(ctx)
}

// record makes a record with headers, of names and values in turn.
func recordWith(headers ...string) *pipeline.Record {
	var h []pipeline.Header
	for i := 0; i < len(headers); i += 2 {
		h = append(h, pipeline.Header{Name: headers[i], Value: []byte(headers[i+1])})
	}
	r := new(pipeline.Record)
	r.Init(pipeline.Position{Topic: "flights", Partition: 3, Offset: 1042}, []byte("key-of-it"), []byte("value-of-it"), h, 0)
	return r
}

// eventually waits until f holds.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func always(status int) func(*http.Request) int { return func(*http.Request) int { return status } }
