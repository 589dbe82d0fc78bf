package scrape

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/stages/scrape/robotstxt"
)

// What a host answers for robots.txt decides, by RFC 9309, section 2.3.1.
func TestAnswersForRobots(t *testing.T) {
	const no = "User-agent: *\nDisallow: /"
	for name, c := range map[string]struct {
		status  int
		body    string
		allowed bool
		fails   bool // for now
	}{
		"a file that forbids":   {200, no, false, false},
		"a file that allows":    {200, "User-agent: *\nAllow: /", true, false},
		"an empty file":         {200, "", true, false},
		"a page in place of it": {200, "<html><body>not found</body></html>", true, false},
		"not found":             {404, no, true, false},
		"forbidden":             {403, no, true, false},
		"not logged in":         {401, no, true, false},
		"gone":                  {410, no, true, false},
		"too many":              {429, no, false, true},
		"in trouble":            {503, no, false, true},
		"in trouble 2":          {500, no, false, true},
		"no such status":        {599, no, false, true},
		"a redirect to nowhere": {301, "", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t)
			w.put("a.test/robots.txt", c.status, c.body)
			w.put("a.test/p", 200, "<title>P</title>")
			s := w.stage(t, nil)
			_, err := w.scraped(t, s, "a.test/p")
			if asked := strings.Contains(w.requests(), "a.test/p"); asked != c.allowed || (err == nil) != c.allowed {
				t.Errorf("asked for the page: %v, %v", asked, err)
			}
			if !c.allowed && (reason(err) == "") != c.fails {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestRobotsBehindRedirects(t *testing.T) {
	w := newWeb(t)
	w.put("a.test/robots.txt", 301, w.at("b.test/robots/a.txt"))
	w.put("b.test/robots/a.txt", 200, "User-agent: test-bot\nDisallow: /shut")
	for i := range 6 {
		w.put(fmt.Sprintf("c.test/r%d", i), 302, fmt.Sprintf("/r%d", i+1))
	}
	w.put("c.test/robots.txt", 302, "/r1")
	w.put("c.test/r5", 200, "User-agent: *\nDisallow: /shut")
	w.put("d.test/robots.txt", 302, w.at("c.test/r0"))
	w.put("e.test/robots.txt", 302, "http://169.254.169.254/robots.txt")
	for _, h := range "abcde" {
		for _, p := range []string{"open", "shut"} {
			w.put(string(h)+".test/"+p, 200, "<title>"+p+"</title>")
		}
	}
	s := w.stage(t, nil)
	for _, c := range []struct{ page, reason, asked string }{
		{"a.test/shut", ReasonRobots, "a.test/robots.txt b.test/robots/a.txt"},
		{"a.test/open", "", "a.test/open"},
		{"c.test/shut", ReasonRobots, "c.test/robots.txt c.test/r1 c.test/r2 c.test/r3 c.test/r4 c.test/r5"},
		{"d.test/shut", "", "d.test/robots.txt c.test/r0 c.test/r1 c.test/r2 c.test/r3 c.test/r4 d.test/shut"}, // a sixth is not followed
		{"e.test/open", client.TypeEgress, "e.test/robots.txt"},
		{"b.test/open", "", "b.test/robots.txt b.test/open"}, // what it holds for a.test is not its own
	} {
		_, err := w.scraped(t, s, c.page)
		if asked := w.requests(); reason(err) != c.reason || (err == nil) != (c.reason == "") || asked != c.asked {
			t.Errorf("%s: %v, asked for %s, want %s", c.page, err, asked, c.asked)
		}
	}
}

// A file is read as far as it counts, whatever max_bytes says of pages, and however it is packed.
func TestLongRobots(t *testing.T) {
	w := newWeb(t)
	var status atomic.Int64
	w.serve("a.test/robots.txt", func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(rw, "User-agent: *\nDisallow: /shut\n"+strings.Repeat("# filling\n", 100_000)+"Disallow: /\n")
	})
	w.serve("b.test/robots.txt", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Encoding", "gzip")
		rw.WriteHeader(int(status.Load()))
		fmt.Fprint(rw, "this is no gzip")
	})
	w.put("a.test/open", 200, "x")
	w.put("b.test/open", 200, "x")
	s := w.stage(t, func(s *Settings, _ *calls.Env) { s.MaxBytes = 1 << 10 })
	if _, err := w.scraped(t, s, "a.test/open"); err != nil {
		t.Error(err)
	}
	if _, err := w.scraped(t, s, "a.test/shut"); reason(err) != ReasonRobots {
		t.Error(err)
	}
	w.requests()
	status.Store(200)
	if _, err := w.scraped(t, s, "b.test/open"); err == nil || reason(err) != "" || w.requests() != "b.test/robots.txt" {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

// The file of a host is asked for once, however many records wait for it, and its pages come only
// then.
func TestRobotsComeFirstAndOnce(t *testing.T) {
	w := newWeb(t)
	var there atomic.Bool
	for _, h := range []string{"a.test", "b.test"} {
		w.serve(h+"/robots.txt", func(rw http.ResponseWriter, _ *http.Request) {
			time.Sleep(20 * time.Millisecond) // for the others to come
			fmt.Fprint(rw, "User-agent: *\nDisallow: /shut")
			there.Store(true)
		})
		for i := range 10 {
			w.serve(fmt.Sprintf("%s/%d", h, i), func(rw http.ResponseWriter, _ *http.Request) {
				if !there.Load() {
					t.Error("a page was asked for before any robots.txt was there")
				}
				rw.Header().Set("Content-Type", "text/html")
			})
		}
	}
	s := w.stage(t, func(_ *Settings, env *calls.Env) { env.Settings.MaxPerHost = 8 })
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if _, err := w.scraped(t, s, fmt.Sprintf("%c.test/%d", 'a'+i%2, i/2%10)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	asked := w.requests()
	if strings.Count(asked, "a.test/robots.txt") != 1 || strings.Count(asked, "b.test/robots.txt") != 1 {
		t.Errorf("asked for %s", sorted(asked))
	}
}

// A record waits at the gate of a host for its robots.txt first, and a redirect has it wait at the
// gate of the next host: each has one call at a time.
func TestEachHostHasItsTurn(t *testing.T) {
	w := newWeb(t)
	var under [2]atomic.Int64
	var most [2]atomic.Int64
	count := func(h int, page http.HandlerFunc) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			n := under[h].Add(1)
			defer under[h].Add(-1)
			for m := most[h].Load(); n > m && !most[h].CompareAndSwap(m, n); m = most[h].Load() {
			}
			time.Sleep(time.Millisecond)
			page(rw, r)
		}
	}
	for i := range 20 {
		w.serve(fmt.Sprintf("a.test/%d", i), count(0, func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, w.at("b.test"+r.URL.Path), http.StatusFound)
		}))
		w.serve(fmt.Sprintf("b.test/%d", i), count(1, func(rw http.ResponseWriter, r *http.Request) { rw.Header().Set("Content-Type", "text/html") }))
	}
	s := w.stage(t, nil)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if _, err := w.scraped(t, s, fmt.Sprintf("a.test/%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most[0].Load() != 1 || most[1].Load() != 1 {
		t.Errorf("%d and %d calls at once", most[0].Load(), most[1].Load())
	}
	if asked := strings.Fields(w.requests()); len(asked) != 42 {
		t.Errorf("%d calls", len(asked))
	}
}

// Rules that are out of date are asked for again; when the host cannot be asked, they hold on.
func TestRobotsOutOfDate(t *testing.T) {
	w := newWeb(t)
	w.put("a.test/robots.txt", 200, "User-agent: *\nDisallow: /shut")
	w.put("a.test/p", 200, "x")
	s := w.stage(t, nil)
	expire := func() {
		s.robots.mu.Lock()
		defer s.robots.mu.Unlock()
		for _, e := range s.robots.known {
			e.Value.(*ruling).until = time.Now().Add(-time.Second)
		}
	}
	for _, page := range []string{"a.test/p", "a.test/shut"} {
		_, _ = w.scraped(t, s, page)
	}
	expire()
	w.put("a.test/robots.txt", 500, "")
	w.requests()
	if _, err := w.scraped(t, s, "a.test/shut"); reason(err) != ReasonRobots {
		t.Errorf("what was forbidden is, while the host is in trouble: %v", err)
	}
	if _, err := w.scraped(t, s, "a.test/p"); err != nil {
		t.Error(err)
	}
	if asked := w.requests(); asked != "a.test/robots.txt a.test/p" {
		t.Errorf("asked for %s", asked)
	}
	expire()
	hung := make(chan struct{})
	w.serve("a.test/robots.txt", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); close(hung) })
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	value := fmt.Sprintf(`{"u":%q}`, w.at("a.test/p"))
	if _, err := process(short, s, value); err == nil || reason(err) != "" {
		t.Errorf("a host that hangs: %v", err)
	}
	<-hung
	if _, err := process(t.Context(), s, value); err != nil {
		t.Errorf("the next attempt: %v", err)
	}
	expire()
	w.put("a.test/robots.txt", 200, "User-agent: *\nDisallow: /p")
	if _, err := w.scraped(t, s, "a.test/p"); reason(err) != ReasonRobots {
		t.Errorf("the new file: %v", err)
	}
}

// How long rules hold is what the server says, within five minutes and a day.
func TestHowLongRulesHold(t *testing.T) {
	w := newWeb(t)
	s := w.stage(t, nil)
	for header, want := range map[string]time.Duration{
		"": 24 * time.Hour, "max-age=3600": time.Hour, "max-age=5": 5 * time.Minute, "no-store": 5 * time.Minute, "max-age=9999999": 24 * time.Hour,
	} {
		w.serve("a.test/robots.txt", func(rw http.ResponseWriter, _ *http.Request) {
			if header != "" {
				rw.Header().Set("Cache-Control", header)
			}
		})
		a, err := s.fetchRobots(t.Context(), mustParse(t, w.at("a.test/robots.txt")))
		if err != nil || a.hold.Round(time.Minute) != want {
			t.Errorf("%q: %v, %v, want %v", header, a.hold, err, want)
		}
	}
}

// The rules of many hosts stay within bounds; those that were used longest ago go.
func TestRulesOfManyHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRobots()
		var charged int64
		r.account(func(n int64) { charged += n })
		small := robotstxt.Parse([]byte("user-agent: *\ndisallow: /x"), "bot")
		for i := range maxOrigins + 100 {
			r.put(fmt.Sprint("http://h", i), small, time.Hour)
			if _, fresh := r.get("http://h0"); !fresh {
				t.Fatal("what is used goes")
			}
		}
		if len(r.known) != maxOrigins || r.used.Len() != maxOrigins || charged != r.bytes || charged <= 0 {
			t.Errorf("%d kept, %d bytes charged of %d", len(r.known), charged, r.bytes)
		}
		if rules, _ := r.get("http://h5"); rules != nil {
			t.Error("one that was not used is still there")
		}
		large := robotstxt.Parse([]byte("user-agent: *\n"+strings.Repeat("disallow: /*a*b*c*d\n", 20_000)), "bot")
		for i := range 100 {
			r.put(fmt.Sprint("http://l", i), large, time.Hour)
		}
		if r.bytes > maxRules || charged != r.bytes {
			t.Errorf("%d bytes, %d charged", r.bytes, charged)
		}
		time.Sleep(time.Hour)
		if rules, fresh := r.get("http://l99"); rules == nil || fresh {
			t.Errorf("an hour later: %v, fresh %v", rules != nil, fresh)
		}
		r.close()
		if charged != 0 || len(r.known) != 0 {
			t.Errorf("%d bytes charged behind the end", charged)
		}
	})
}

// A Crawl-delay keeps calls to the host apart, and no other's; one that is too long is cut.
func TestCrawlDelay(t *testing.T) {
	w := newWeb(t)
	w.put("a.test/robots.txt", 200, "User-agent: test-bot\nCrawl-delay: 3600")
	w.put("a.test/1", 200, "x")
	w.put("a.test/2", 200, "x")
	for most, wait := range map[time.Duration]bool{time.Minute: true, 0: false} {
		s := w.stage(t, func(s *Settings, _ *calls.Env) { s.MaxCrawlDelay = most })
		w.requests()
		if most == 0 {
			if _, err := w.scraped(t, s, "a.test/1"); err != nil {
				t.Error(err)
			}
		} else {
			var rec pipeline.Record
			rec.Init(pipeline.Position{}, nil, fmt.Appendf(nil, `{"u":%q}`, w.at("a.test/1")), nil, 0)
			first, err := s.Admit(&rec, 1)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := first.Enter(func() {}); !ok {
				t.Fatal("the first call waits")
			}
			err = first.Do(t.Context(), &rec)
			first.Leave(pipeline.CallResult{Begun: true, Err: err})
			if next, ok := pipeline.NextCall(err); ok {
				next.Leave(pipeline.CallResult{})
			} else {
				t.Fatal(err)
			}
		}
		var rec pipeline.Record
		rec.Init(pipeline.Position{}, nil, fmt.Appendf(nil, `{"u":%q}`, w.at("a.test/2")), nil, 0)
		call, err := s.Admit(&rec, 1)
		if err != nil {
			t.Fatal(err)
		}
		d, ok := call.Enter(func() {})
		if ok == wait || wait && (d > time.Minute || d < 50*time.Second) {
			t.Errorf("with at most %v, the call waits %v, ok %v", most, d, ok)
		}
		call.Leave(pipeline.CallResult{})
	}
}

func TestRobotsIgnored(t *testing.T) {
	w := newWeb(t)
	w.put("a.test/robots.txt", 200, "User-agent: *\nDisallow: /")
	w.put("a.test/p", 200, "<title>P</title>")
	s := w.stage(t, func(s *Settings, _ *calls.Env) { s.Robots = "ignore" })
	if _, err := w.scraped(t, s, "a.test/p"); err != nil || w.requests() != "a.test/p" {
		t.Error(err)
	}
}
