package httpstage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A network has servers in memory, by host, so that a minute of a test passes in no time.
type network struct {
	hosts map[string]*host
}

// A host is a server that notes when it was asked.
type host struct {
	server *http.Server
	conns  chan net.Conn
	began  time.Time

	mu     sync.Mutex
	down   func(at time.Duration) bool // connections are refused; nil: never
	asked  []time.Duration             // when each request came, since the test began
	dialed []time.Duration             // when each connection was tried
	open   []net.Conn
}

// serve adds a host. handler is told the number of the request, from 1, and when it comes.
func (n *network) serve(name string, handler func(w http.ResponseWriter, r *http.Request, number int, at time.Duration)) *host {
	h := &host{conns: make(chan net.Conn), began: time.Now()}
	h.server = &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := time.Since(h.began)
		h.mu.Lock()
		h.asked = append(h.asked, at)
		number := len(h.asked)
		h.mu.Unlock()
		handler(w, r, number, at)
	})}
	go func() { _ = h.server.Serve(h) }()
	if n.hosts == nil {
		n.hosts = map[string]*host{}
	}
	n.hosts[name] = h
	return h
}

// Accept, Close and Addr make a host a net.Listener.
func (h *host) Accept() (net.Conn, error) {
	if c, ok := <-h.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (h *host) Close() error {
	defer func() { _ = recover() }() // the server closes it more than once
	close(h.conns)
	return nil
}

func (h *host) Addr() net.Addr { return &net.TCPAddr{} }

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	name, _, _ := net.SplitHostPort(address)
	h := n.hosts[name]
	if h == nil {
		return nil, &net.OpError{Op: "dial", Err: errors.New("no such host")}
	}
	at := time.Since(h.began)
	h.mu.Lock()
	h.dialed = append(h.dialed, at)
	refused := h.down != nil && h.down(at)
	h.mu.Unlock()
	if refused {
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	}
	near, far := net.Pipe()
	h.mu.Lock()
	h.open = append(h.open, far)
	h.mu.Unlock()
	select {
	case h.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// cut ends the connections to a host.
func (h *host) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.open {
		_ = c.Close()
	}
	h.open = nil
}

func (n *network) close() {
	for _, h := range n.hosts {
		_ = h.server.Close()
	}
}

// A lines is a log that several goroutines write to.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// events gives those of a name.
func (l *lines) events(name string) (all []gjson.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if e := gjson.Parse(line); e.Get("event_name").String() == name {
			all = append(all, e)
		}
	}
	return all
}

// A table is a pipeline of one http step between values and memory.
type table struct {
	network
	settings func(*Settings)
	calls    func(*calls.Env)
	value    func(i int) string // of a record; nil: as run says
	workers  int
	wait     engine.Wait
	options  func(*engine.Options) // of the pipeline

	out, dead pipelinetest.Memory
	log       lines
	inFlight  func() []engine.InFlight // of the pipeline that runs
}

// run has n records pass: {"id": 0, "host": "a.example"} and so on, in turn for each of hosts. It
// must be called in a bubble.
func (x *table) run(t *testing.T, n int, hosts ...string) {
	t.Helper()
	if err := x.pipeline(t, n, hosts...).Run(t.Context()); err != nil {
		t.Errorf("the pipeline ended with %v", err)
	}
	x.close()
}

// pipeline makes the one that run runs.
func (x *table) pipeline(t *testing.T, n int, hosts ...string) *engine.Pipeline {
	t.Helper()
	s := Defaults()
	s.URL, s.Into = template(t, "http://{host}/{id}"), "got"
	s.Hosts = make(client.Hosts, len(hosts))
	for i, name := range hosts {
		if err := s.Hosts[i].UnmarshalText([]byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if x.settings != nil {
		x.settings(&s)
	}
	workers := x.workers
	if workers == 0 {
		workers = 16
	}
	e := env(workers)
	if x.calls != nil {
		x.calls(&e)
	}
	stage, err := open(s, "pipe/step", e, client.HTTPOptions{Dial: x.dial})
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for i := range n {
		if x.value != nil {
			values = append(values, x.value(i))
			continue
		}
		values = append(values, fmt.Sprintf(`{"id":%d,"host":%q}`, i, hosts[i%len(hosts)]))
	}
	o := engine.Options{
		Name: "pipe", Source: pipelinetest.NewValues(values...), Events: event.New(&x.log, event.Options{}),
		Steps:      []engine.Step{{Name: "step", Kind: "http", Stage: stage, Workers: workers, Wait: &x.wait}},
		Sinks:      []engine.Output{{Name: "out", Sink: &x.out}},
		DeadLetter: engine.DeadLetter{Sink: &x.dead},
	}
	if x.options != nil {
		x.options(&o)
	}
	p, err := engine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// all checks that every record came out, in order, with its own answer.
func (x *table) all(t *testing.T, n int) {
	t.Helper()
	for _, rec := range x.dead.Records() {
		t.Errorf("rejected: %v", headers(rec))
		break
	}
	values := x.out.Values()
	if len(values) != n {
		t.Errorf("%d records came out, want %d", len(values), n)
	}
	for i, v := range values {
		if id, got := gjson.GetBytes(v, "id").Int(), gjson.GetBytes(v, "got.id").Int(); id != int64(i) || got != id || !json.Valid(v) {
			t.Fatalf("place %d has %s", i, v)
		}
	}
}

func headers(rec *pipeline.Record) map[string]string {
	all := map[string]string{}
	for _, h := range rec.Headers() {
		all[h.Name] = string(h.Value)
	}
	return all
}

// well answers as every server of the table does when it is well: after 20 ms.
func well(w http.ResponseWriter, r *http.Request) {
	time.Sleep(20 * time.Millisecond)
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"id":%s}`, strings.TrimPrefix(r.URL.Path, "/"))
}

// circuit gives the states that circuits came to, in order.
func (x *table) circuit() (states []string) {
	for _, e := range x.log.events("circuit.changed") {
		states = append(states, e.Get("state").String())
	}
	return states
}

func within(times []time.Duration, from, to time.Duration) (n int) {
	for _, at := range times {
		if from < at && at < to {
			n++
		}
	}
	return n
}
