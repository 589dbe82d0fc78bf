package scrape

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A site is three hosts in memory, in the time of a bubble. Of each host it knows when it was asked.
type site struct {
	server *http.Server
	conns  chan net.Conn
	began  time.Time
	down   time.Duration // how long b.test is in trouble, from the beginning

	once      sync.Once
	mu        sync.Mutex
	asked     map[string][]time.Duration
	wrong     []string // requests that must not be
	now, most int      // requests under way
}

func newSite(down time.Duration) *site {
	s := &site{conns: make(chan net.Conn), began: time.Now(), asked: map[string][]time.Duration{}, down: down}
	s.server = &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = s.server.Serve(s) }()
	return s
}

// Accept, Close and Addr make a site a net.Listener.
func (s *site) Accept() (net.Conn, error) {
	if c, ok := <-s.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (s *site) Close() error {
	s.once.Do(func() { close(s.conns) })
	return nil
}

func (s *site) Addr() net.Addr { return &net.TCPAddr{} }

func (s *site) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case s.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *site) end() { _ = s.server.Close() }

// ServeHTTP answers slowly, and every seventh page by a redirect to the next host. c.test wants to
// have two seconds between its pages.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Since(s.began)
	s.mu.Lock()
	s.asked[r.Host] = append(s.asked[r.Host], at)
	s.now++
	s.most = max(s.most, s.now)
	if strings.HasPrefix(r.URL.Path, "/shut") {
		s.wrong = append(s.wrong, r.Host+r.URL.Path)
	}
	s.mu.Unlock()
	time.Sleep(time.Duration(100+len(r.URL.Path)*37%200) * time.Millisecond)
	s.mu.Lock()
	s.now--
	s.mu.Unlock()
	var n int
	_, _ = fmt.Sscanf(r.URL.Path, "/page/%d", &n)
	switch {
	case r.Host == "b.test" && at < s.down:
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.URL.Path == "/robots.txt" && r.Host == "c.test":
		fmt.Fprint(w, "User-agent: *\nCrawl-delay: 2\nDisallow: /shut/\n")
	case r.URL.Path == "/robots.txt":
		fmt.Fprint(w, "User-agent: *\nDisallow: /shut/\n")
	case n%7 == 3 && r.Host == "a.test":
		http.Redirect(w, r, "http://b.test"+r.URL.Path, http.StatusFound)
	default:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<title>%d</title>", n)
	}
}

// scrape has n records pass a pipeline of one step, as a file would make it, and gives what came out
// and what was rejected.
func (s *site) scrape(t *testing.T, n int) (out, dead *pipelinetest.Memory) {
	t.Helper()
	set := Defaults()
	unmarshal(t, &set.URL, "{u}")
	set.Agent, set.Into = agent, "page"
	set.Hosts = make(client.Hosts, 1)
	unmarshal(t, &set.Hosts[0], "*.test")
	var title Field
	unmarshal(t, &title.CSS, "title")
	*set.Select.Add("title").(*Field) = title
	env := calls.Env{Settings: calls.Defaults(), Workers: 10,
		Shared: calls.NewShared(map[string]calls.RateSettings{"polite": {Rate: settings.Rate{N: 5, Per: time.Second}, Burst: 1, Per: "host"}})}
	env.Settings.Limit, env.Settings.MaxPerHost = []string{"polite"}, 10
	stage, err := open(set, env, client.HTTPOptions{Dial: s.dial})
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for i := range n {
		path := "page"
		if i%11 == 5 {
			path = "shut"
		}
		values = append(values, fmt.Sprintf(`{"id":%d,"u":"http://%c.test/%s/%d"}`, i, 'a'+i%3, path, i))
	}
	out, dead = new(pipelinetest.Memory), new(pipelinetest.Memory)
	p, err := engine.New(engine.Options{
		Name: "docs", Source: pipelinetest.NewValues(values...),
		Steps:      []engine.Step{{Name: "page", Kind: "scrape", Stage: stage, Workers: env.Workers, Wait: &engine.Wait{}}},
		Sinks:      []engine.Output{{Name: "out", Sink: out}},
		DeadLetter: engine.DeadLetter{Sink: dead},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Errorf("the pipeline ended with %v", err)
	}
	s.end()
	return out, dead
}

// Hosts are asked at their pace and no faster, one that is in trouble for a minute holds back its own
// pages and costs none, what is forbidden is not asked for, and all comes out in order.
func TestThroughThePipeline(t *testing.T) {
	for name, down := range map[string]time.Duration{"all are well": 0, "one is in trouble for a minute": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { throughThePipeline(t, down) })
		})
	}
}

func throughThePipeline(t *testing.T, down time.Duration) {
	const n = 600
	s := newSite(down)
	out, dead := s.scrape(t, n)
	took := time.Since(s.began)
	var want, shut []int
	for i := range n {
		if i%11 == 5 {
			shut = append(shut, i)
		} else {
			want = append(want, i)
		}
	}
	if got := ids(out.Values()); !slices.Equal(got, want) {
		t.Errorf("%d records came out, want %d, in order", len(got), len(want))
	}
	for _, v := range out.Values() {
		if id, got := gjson.GetBytes(v, "id").String(), gjson.GetBytes(v, "page.title").String(); id != got {
			t.Fatalf("record %s has the page %s", id, got)
		}
	}
	if got := ids(dead.Values()); !slices.Equal(got, shut) {
		t.Errorf("%d are rejected, want %d", len(got), len(shut))
	}
	for _, rec := range dead.Records() {
		if reason := header(rec, "penstock-reason"); reason != ReasonRobots {
			t.Errorf("rejected: %s, %s", reason, header(rec, "penstock-error"))
			break
		}
	}
	if len(s.wrong) > 0 {
		t.Errorf("what is forbidden was asked for: %v", s.wrong)
	}
	if s.most > 10 {
		t.Errorf("%d calls at once", s.most)
	}
	for host, times := range s.asked {
		slices.Sort(times)
		for i := 5; i < len(times); i++ {
			if times[i]-times[i-5] < time.Second {
				t.Errorf("%s: six calls within %v", host, times[i]-times[i-5])
				break
			}
		}
		for i := 2; host == "c.test" && i < len(times); i++ { // from the first page on
			if times[i]-times[i-1] < 2*time.Second {
				t.Errorf("%s: call %d came %v behind the one before it", host, i, times[i]-times[i-1])
				break
			}
		}
		t.Logf("%s: %d calls, the last at %v", host, len(times), times[len(times)-1].Round(time.Millisecond))
	}
	// c.test has about 180 pages, two seconds apart: nothing else may have held them up.
	if c := s.asked["c.test"]; took > time.Duration(len(c))*2*time.Second+down+5*time.Second {
		t.Errorf("it took %v", took)
	}
	if tries := len(s.asked["b.test"]); tries > 260+20 {
		t.Errorf("b.test was asked %d times", tries)
	}
}

func ids(values [][]byte) (all []int) {
	for _, v := range values {
		all = append(all, int(gjson.GetBytes(v, "id").Int()))
	}
	return all
}

func header(rec *pipeline.Record, name string) string {
	for _, h := range rec.Headers() {
		if h.Name == name {
			return string(h.Value)
		}
	}
	return ""
}
