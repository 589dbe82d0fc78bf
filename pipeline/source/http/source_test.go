package http

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A rig is a pipeline from a source to memory, with a client of its own.
type rig struct {
	t      *testing.T
	src    *Source
	sink   pipeline.Sink
	memory *pipelinetest.Memory
	budget *engine.Budget
	drain  time.Duration
	client *http.Client
	stop   context.CancelFunc
	ran    chan error
}

// newRig makes a pipeline; change may change the settings.
func newRig(t *testing.T, change func(*Settings)) *rig {
	t.Helper()
	s := Defaults()
	s.Listen = "127.0.0.1:0"
	if change != nil {
		change(&s)
	}
	src, err := New(s, "orders")
	if err != nil {
		t.Fatal(err)
	}
	m := new(pipelinetest.Memory)
	return &rig{t: t, src: src, sink: m, memory: m, client: &http.Client{Transport: &http.Transport{}}, drain: 5 * time.Second}
}

// start starts the pipeline and waits until it listens. It is stopped with the test, if not before.
func (r *rig) start() *rig {
	r.t.Helper()
	if r.budget == nil {
		r.budget = engine.NewBudget(0, 0)
	}
	p, err := engine.New(engine.Options{
		Name: "orders", Source: r.src, Budget: r.budget, CommitEvery: 10 * time.Millisecond, Drain: r.drain,
		Sinks:      []engine.Output{{Name: "memory", Kind: "memory", Sink: r.sink}},
		DeadLetter: engine.DeadLetter{Name: "dead", Sink: new(pipelinetest.Memory)},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop, r.ran = cancel, make(chan error, 1)
	go func() { r.ran <- p.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		r.client.CloseIdleConnections()
		if r.ran != nil {
			r.end()
		}
	})
	waitFor(r.t, "the source listens", r.src.open.Load)
	return r
}

// end stops the pipeline, waits for its end, and gives what it ended with.
func (r *rig) end() error {
	r.t.Helper()
	r.stop()
	select {
	case err := <-r.ran:
		r.ran = nil
		return err
	case <-time.After(time.Minute):
		r.t.Fatal("the pipeline does not end")
		return nil
	}
}

// waitFor waits for a condition.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after 30 s: %s", what)
		}
	}
}

// An answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, strings.TrimSpace(a.body)) }

// post posts a body. header are names and values in turn.
func (r *rig) post(body string, header ...string) answer {
	r.t.Helper()
	a, err := r.do(http.MethodPost, r.src.settings.Path, strings.NewReader(body), header...)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *rig) do(method, path string, body io.Reader, header ...string) (a answer, err error) {
	req, err := http.NewRequest(method, "http://"+r.src.server.Addr()+path, body)
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

func (a answer) want(t *testing.T, status int, parts ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("answered %v, want %d", a, status)
	}
	for _, part := range parts {
		if !strings.Contains(a.body, part) {
			t.Errorf("answered %v, want %s", a, part)
		}
	}
	if a.status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d has Content-Type %s", a.status, a.header.Get("Content-Type"))
	}
}

func (r *rig) values() (all []string) {
	for _, v := range r.memory.Values() {
		all = append(all, string(v))
	}
	return all
}

func expression(t *testing.T, text string) *expr.Expr {
	t.Helper()
	e := new(expr.Expr)
	if err := e.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestForms: what is posted in each form leaves byte for byte as it came, in its order.
func TestForms(t *testing.T) {
	for name, c := range map[string]struct {
		kind, as, body string
		want           []string
	}{
		"a value":               {"application/json", "", ` {"a": 1.0} ` + "\n", []string{`{"a": 1.0}`}},
		"an array":              {"application/json; charset=utf-8", "", `[{"a":1}, [2] ,"x",null]`, []string{`{"a":1}`, `[2]`, `"x"`, `null`}},
		"white space before it": {"application/json", "", "\r\n [1, 2]\n", []string{"1", "2"}},
		"an empty array":        {"application/json", "", `[]`, nil},
		"a type of JSON":        {"application/cloudevents+json", "", `{"id":"1"}`, []string{`{"id":"1"}`}},
		"lines":                 {"application/x-ndjson", "", "{\"a\":1}\r\n\n 2 \n[3]", []string{`{"a":1}`, "2", "[3]"}},
		"text":                  {"text/plain", "", "a\nb", []string{"a\nb"}},
		"bytes":                 {"application/octet-stream", "", "\xff\x00", []string{"\xff\x00"}},
		"no bytes":              {"application/octet-stream", "", "", []string{""}},
		"the file says text":    {"application/json", "text", "{", []string{"{"}},
		"the file says lines":   {"application/x-www-form-urlencoded", "ndjson", "1\n2", []string{"1", "2"}},
		"the file says a value": {"text/plain", "json", "7", []string{"7"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(s *Settings) { s.As = c.as }).start()
			r.post(c.body, "Content-Type", c.kind).want(t, 200, fmt.Sprintf(`{"records":%d}`, len(c.want)))
			if got := r.values(); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestRecords: position, key, time and headers are as the file says, and positions of another process are others.
func TestRecords(t *testing.T) {
	change := func(s *Settings) {
		s.Topic, s.Key, s.Time, s.Headers = "incoming", expression(t, "id"), expression(t, "at"), []string{"X-From", "x-none"}
	}
	offsets := map[int64]bool{}
	for range 2 {
		r := newRig(t, change).start()
		before := time.Now().UnixMilli()
		r.post(`[{"id":"a","at":5},{"id":7}]`, "X-From", "here").want(t, 200)
		recs := r.memory.Records()
		if len(recs) != 2 {
			t.Fatalf("%d records", len(recs))
		}
		for i, rec := range recs {
			offsets[rec.Offset] = true
			if rec.Topic != "incoming" || rec.Offset != recs[0].Offset+int64(i) || rec.Offset >= 1<<53 {
				t.Errorf("at %v", rec.Position)
			}
			if h := rec.Headers(); len(h) != 1 || h[0].Name != "x-from" || string(h[0].Value) != "here" {
				t.Errorf("headers %v", h)
			}
		}
		if string(recs[0].Key()) != "a" || recs[0].Time != 5 || string(recs[1].Key()) != "7" || recs[1].Time < before {
			t.Errorf("key %q at %d, key %q at %d", recs[0].Key(), recs[0].Time, recs[1].Key(), recs[1].Time)
		}
	}
	if len(offsets) != 4 {
		t.Errorf("two processes have %d offsets for 4 records", len(offsets))
	}
}

// TestNothingOfARefusedRequestIsTaken posts what is refused, and looks that no record came.
func TestNothingOfARefusedRequestIsTaken(t *testing.T) {
	r := newRig(t, func(s *Settings) {
		s.MaxBody, s.MaxRecords, s.Key, s.Token, s.Origins = 2048, 3, expression(t, "id + 1"), "secret-of-ours", []string{"https://chat.example"}
	}).start()
	good := []string{"Authorization", "Bearer secret-of-ours"}
	with := func(more ...string) []string { return append(slices.Clone(good), more...) }
	large := `{"id":1,"x":"` + strings.Repeat("x", 2048) + `"}`
	for name, c := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		part               string
	}{
		"no token":          {"POST", "/records", "{}", nil, 401, "token"},
		"another site":      {"POST", "/records", "{}", with("Origin", "https://evil.example"), 403, "origins"},
		"another path":      {"POST", "/other", "{}", good, 404, "/records"},
		"another method":    {"GET", "/records", "", good, 405, "POST"},
		"no JSON":           {"POST", "/records", `{"id":1,`, good, 400, "column 9"},
		"a bad line":        {"POST", "/records", "{\"id\":1}\n\n {\"id\":}\n", with("Content-Type", "application/x-ndjson"), 400, "line 3, which begins at byte 11,"},
		"one of two is bad": {"POST", "/records", `[{"id":1},{"id":"secret-value"}]`, good, 400, "record 2 of 2 has no key"},
		"empty":             {"POST", "/records", " ", good, 400, "empty"},
		"two values":        {"POST", "/records", "1 2", good, 400, "column 3"},
		"too many":          {"POST", "/records", "[1,2,3,4]", good, 413, "more than 3 records"},
		"too many lines":    {"POST", "/records", "1\n2\n3\n4", with("Content-Type", "application/x-ndjson"), 413, "more than 3 records"},
		"too large":         {"POST", "/records", large, good, 413, "2KiB"},
		"a form":            {"POST", "/records", "a=b", with("Content-Type", "application/x-www-form-urlencoded"), 415, "Content-Type"},
		"no type":           {"POST", "/records", "{}", with("Content-Type", ""), 415, "Content-Type"},
		"another charset":   {"POST", "/records", "{}", with("Content-Type", "application/json; charset=latin1"), 415, "charset"},
		"another encoding":  {"POST", "/records", "{}", with("Content-Encoding", "br"), 415, "gzip, zstd"},
		"no gzip":           {"POST", "/records", "{}", with("Content-Encoding", "gzip"), 400, "gzip"},
		"no zstd":           {"POST", "/records", "{}", with("Content-Encoding", "zstd"), 400, "zstd"},
	} {
		a, err := r.do(c.method, c.path, strings.NewReader(c.body), c.header...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		t.Run(name, func(t *testing.T) {
			a.want(t, c.status, c.part)
			if strings.Contains(a.body, "secret") {
				t.Errorf("the answer quotes: %s", a.body)
			}
			if c.status == 405 && a.header.Get("Allow") != "POST, OPTIONS" || c.status == 401 && a.header.Get("Www-Authenticate") == "" {
				t.Errorf("header %v", a.header)
			}
		})
	}
	if got := r.values(); len(got) > 0 {
		t.Errorf("taken: %q", got)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if n, bytes := r.budget.Use(); n != 0 || bytes != 0 {
		t.Errorf("%d records and %d bytes are not given back", n, bytes)
	}
}
