package scrape

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

func TestConforms(t *testing.T) {
	w := newWeb(t)
	var hang atomic.Pointer[func()] // called by each page
	for n := range 200 {
		w.serve(fmt.Sprintf("a.test/%d", n), func(rw http.ResponseWriter, r *http.Request) {
			if f := hang.Load(); f != nil {
				(*f)()
			}
			rw.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(rw, "<title>%s</title><a href=x>", r.URL.Path)
		})
	}
	pipelinetest.Stage(t, func(t *testing.T) pipelinetest.StageUnderTest {
		return pipelinetest.StageUnderTest{
			Stage: w.stage(t, nil),
			Hit: func(n int) []byte {
				return fmt.Appendf(nil, `{"u":%q,"page":"before"}`, w.at(fmt.Sprintf("a.test/%d", n%200)))
			},
			Reject: fmt.Appendf(nil, `{"u":%q}`, w.at("a.test/nothing")),
			Hang: func() (<-chan struct{}, func()) {
				stuck, free := make(chan struct{}), make(chan struct{})
				var once sync.Once
				f := func() {
					once.Do(func() { close(stuck) })
					<-free
				}
				hang.Store(&f)
				return stuck, func() { hang.Store(nil); close(free) }
			},
		}
	})
}

func TestScrape(t *testing.T) {
	w := newWeb(t)
	w.put("a.test/p?q=1", 200, `<title>P</title><a href="x.html#y">x</a><a href="//b.test/">b</a>`)
	w.put("a.test/gone", 410, "")
	w.put("a.test/no", 403, "no")
	w.put("a.test/down", 500, "")
	w.serve("a.test/pdf", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/pdf")
		fmt.Fprint(rw, strings.Repeat("%PDF-1.7 ", 1<<19)) // more than max_bytes
	})
	w.serve("a.test/big", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		rw.Header().Set("Content-Encoding", "gzip")
		zw := gzip.NewWriter(rw)
		fmt.Fprint(zw, strings.Repeat("<p>", 1<<20))
		zw.Close()
	})
	s := w.stage(t, func(s *Settings, _ *calls.Env) { s.URLInto, s.StatusInto = "at", "status" })

	got, err := w.scraped(t, s, "a.test/p?q=1#part")
	want := fmt.Sprintf(`"page":{"title":"P","links":["%s","http://b.test/"]},"at":%q,"status":200}`, w.at("a.test/x.html"), w.at("a.test/p?q=1"))
	if err != nil || !strings.HasSuffix(got, want) {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	if asked := w.requests(); asked != "a.test/robots.txt a.test/p?q=1" {
		t.Errorf("asked for %s", asked)
	}
	if len(w.agents) != 1 || !w.agents[agent] {
		t.Errorf("agents %v", w.agents)
	}
	for page, want := range map[string]string{
		"a.test/nothing": client.ReasonNoMatch, "a.test/gone": client.ReasonNoMatch, "a.test/no": client.Type4xx, "a.test/down": "",
		"a.test/pdf": client.TypeBadAnswer, "a.test/big": client.TypeTooLarge, "elsewhere.example/": client.TypeEgress,
	} {
		_, err := w.scraped(t, s, page)
		if err == nil || reason(err) != want || strings.Contains(err.Error(), "/nothing") {
			t.Errorf("%s: %v, want %q", page, err, want)
		}
	}
	for value, want := range map[string]string{
		`{"u":"ftp://a.test/"}`: client.TypeEgress, `{"u":"a.test"}`: client.TypeEgress, `{"u":"http://x:y@a.test/"}`: client.TypeEgress,
		`{"u":"http://a.test:22/"}`: client.TypeEgress, `{"u":"http://[::1]/"}`: client.TypeEgress, `{}`: pipeline.ReasonExpression, `[1]`: pipeline.ReasonNotObject,
		`{"u":"http://a b.test/"}`: client.TypeRequest, `{"u":"http://127.0.0.1/"}`: client.TypeEgress,
	} {
		if _, err := process(t.Context(), s, value); reason(err) != want {
			t.Errorf("%s: %v, want %q", value, err, want)
		}
	}
	if asked := w.requests(); strings.Contains(asked, "127.0.0.1") {
		t.Errorf("asked for %s", asked)
	}
}

// A record whose value can take no answer is rejected without a call, and alone: others that want the
// same page at the same time get it.
func TestWhatStandsInTheWayIsOfOneRecord(t *testing.T) {
	w := newWeb(t)
	w.put("a.test/p", 200, "<title>P</title>")
	s := w.stage(t, func(s *Settings, _ *calls.Env) { s.Into, s.StatusInto = "found.page", "found.status" })
	values := []string{`{"found":7,"u":%q}`, `{"u":%q}`, `[%q]`}
	var made []pipeline.Call
	var recs []*pipeline.Record
	for i, value := range values {
		rec := new(pipeline.Record)
		rec.Init(pipeline.Position{}, nil, fmt.Appendf(nil, value, w.at("a.test/p")), nil, 0)
		call, err := s.Admit(rec, 1)
		if wrong := i != 1; (err != nil) != wrong || wrong && reason(err) == "" {
			t.Errorf("%s: %v", value, err)
		}
		if err == nil {
			made, recs = append(made, call), append(recs, rec)
		}
	}
	if asked := w.requests(); asked != "" || len(made) != 1 {
		t.Fatalf("asked for %q, %d calls", asked, len(made))
	}
	made[0].Leave(pipeline.CallResult{})
	if err := s.Process(t.Context(), recs[0]); err != nil || !strings.Contains(string(recs[0].Value()), `"found":{"page":{"title":"P"`) {
		t.Errorf("%s, %v", recs[0].Value(), err)
	}
}

// What a miss, another type and a forbidden page do is the file's to say.
func TestWhatIsNotThere(t *testing.T) {
	w := newWeb(t)
	w.put("a.test/robots.txt", 200, "User-agent: TEST-BOT\nDisallow: /shut")
	w.serve("a.test/pdf", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/pdf")
		fmt.Fprint(rw, "%PDF")
	})
	for do, check := range map[client.OnMiss]func(value string, err error) bool{
		client.MissReject: func(_ string, err error) bool { return reason(err) != "" },
		client.MissFilter: func(_ string, err error) bool { return errors.Is(err, pipeline.Filtered) },
		client.MissNull:   func(v string, err error) bool { return err == nil && strings.Contains(v, `"page":null`) },
	} {
		s := w.stage(t, func(s *Settings, _ *calls.Env) {
			s.OnMiss, s.OnOther, s.OnForbidden, s.StatusInto, s.URLInto = do, do, do, "status", "at"
		})
		for page, status := range map[string]string{"a.test/nothing": "404", "a.test/pdf": "200", "a.test/shut/x": "null", "a.test/SHUT": "404", "a.test/%73hut": "null"} {
			v, err := w.scraped(t, s, page)
			if !check(v, err) || err == nil && !strings.Contains(v, `"status":`+status) {
				t.Errorf("%s, %s: %s, %v", do, page, v, err)
			}
			if strings.Contains(page, "hut/") && do == client.MissReject && (reason(err) != ReasonRobots || !strings.Contains(err.Error(), "forbids the page to test-bot")) {
				t.Errorf("forbidden: %v", err)
			}
		}
	}
	if asked := w.requests(); strings.Contains(asked, "/shut") || strings.Contains(asked, "%73") {
		t.Errorf("what is forbidden was asked for: %s", asked)
	}
}

func TestRedirects(t *testing.T) {
	w := newWeb(t)
	w.put("b.test/robots.txt", 200, "User-agent: *\nDisallow: /shut")
	w.put("a.test/near", 301, "/page")
	w.put("a.test/page", 200, "<title>near</title>")
	w.put("a.test/far", 302, w.at("b.test/page"))
	w.put("b.test/page", 200, "<title>far</title><a href=x>")
	w.put("a.test/to-shut", 307, w.at("b.test/shut/x"))
	w.put("a.test/circle", 308, "/circle")
	w.put("a.test/inside", 302, "http://169.254.169.254/latest/")
	w.put("a.test/outside", 302, "http://other.example/")
	w.put("a.test/nowhere", 302, "")
	w.put("a.test/mail", 302, "mailto:x@y.example")
	w.put("a.test/login", 303, "http://user:secret@b.test:"+w.port+"/page#x")
	for i := range 5 {
		w.put(fmt.Sprintf("a.test/hop%d", i), 302, fmt.Sprintf("/hop%d", i+1))
	}
	w.put("a.test/hop5", 200, "<title>five</title>")
	w.put("a.test/six", 302, "/hop0")
	s := w.stage(t, func(s *Settings, _ *calls.Env) { s.URLInto = "at" })
	for _, c := range []struct{ page, asked, want string }{
		{"a.test/near", "a.test/robots.txt a.test/near a.test/page", `"title":"near","links":[]},"at":"` + w.at("a.test/page")},
		{"a.test/far", "a.test/far b.test/robots.txt b.test/page", `"links":["` + w.at("b.test/x") + `"]},"at":"` + w.at("b.test/page")},
		{"a.test/login", "a.test/login b.test/page", `"at":"` + w.at("b.test/page") + `"`},
		{"a.test/to-shut", "a.test/to-shut", "!" + ReasonRobots},
		{"a.test/circle", strings.TrimSpace(strings.Repeat("a.test/circle ", 6)), "!" + client.TypeRedirect},
		{"a.test/inside", "a.test/inside", "!" + client.TypeEgress},
		{"a.test/outside", "a.test/outside", "!" + client.TypeEgress},
		{"a.test/nowhere", "a.test/nowhere", "!" + client.TypeRedirect},
		{"a.test/mail", "a.test/mail", "!" + client.TypeRedirect},
		{"a.test/hop0", "a.test/hop0 a.test/hop1 a.test/hop2 a.test/hop3 a.test/hop4 a.test/hop5", `"five"`},
		{"a.test/six", "a.test/six a.test/hop0 a.test/hop1 a.test/hop2 a.test/hop3 a.test/hop4", "!" + client.TypeRedirect},
	} {
		got, err := w.scraped(t, s, c.page)
		if asked := w.requests(); asked != c.asked {
			t.Errorf("%s: asked for %s, want %s", c.page, asked, c.asked)
		}
		if want, bad := strings.CutPrefix(c.want, "!"); bad && reason(err) != want || !bad && (err != nil || !strings.Contains(got, c.want)) {
			t.Errorf("%s: %s, %v, want %s", c.page, got, err, c.want)
		}
	}
}

// Equal pages that are asked for at the same time are fetched once, and each record has the result,
// behind a redirect too.
func TestEqualPagesAreOneCall(t *testing.T) {
	w := newWeb(t)
	in, out := make(chan struct{}), make(chan struct{})
	w.serve("a.test/p", func(rw http.ResponseWriter, r *http.Request) {
		close(in)
		<-out
		http.Redirect(rw, r, w.at("b.test/p"), http.StatusFound)
	})
	w.put("b.test/p", 200, "<title>B</title>")
	s := w.stage(t, func(s *Settings, _ *calls.Env) { s.Robots = "ignore" })
	// One is under way, and the others are admitted while it is.
	var all sync.WaitGroup
	work := func() {
		if got, err := w.scraped(t, s, "a.test/p"); err != nil || !strings.Contains(got, `"title":"B"`) {
			t.Errorf("%s, %v", got, err)
		}
	}
	all.Go(work)
	<-in
	waiting := make([]pipeline.Call, 7)
	recs := make([]pipeline.Record, len(waiting))
	for i := range waiting {
		recs[i].Init(pipeline.Position{}, nil, fmt.Appendf(nil, `{"u":%q}`, w.at("a.test/p")), nil, 0)
		call, err := s.Admit(&recs[i], 1)
		if err != nil {
			t.Fatal(err)
		}
		waiting[i] = call
	}
	for i, call := range waiting {
		all.Go(func() {
			for more := true; more; {
				if err := calls.Enter(t.Context(), call); err != nil {
					t.Error(err)
				}
				err := call.Do(t.Context(), &recs[i])
				call.Leave(pipeline.CallResult{Begun: true, Err: err})
				if call, more = pipeline.NextCall(err); err != nil && !more {
					t.Error(err)
				}
			}
			if got := string(recs[i].Value()); !strings.Contains(got, `"title":"B"`) {
				t.Error(got)
			}
		})
	}
	close(out)
	all.Wait()
	if asked := w.requests(); strings.Count(asked, "a.test/p") != 1 {
		t.Errorf("asked for %s", asked)
	}
}

// With a cache, a page is asked for again only when it is out of date, and then whether it has
// changed.
func TestCache(t *testing.T) {
	w := newWeb(t)
	w.serve("a.test/p", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Etag", `"1"`)
		rw.Header().Set("Content-Type", "text/html")
		if r.Header.Get("If-None-Match") == `"1"` {
			rw.WriteHeader(http.StatusNotModified)
			return
		}
		rw.Header().Set("Cache-Control", "no-cache")
		fmt.Fprint(rw, "<title>P</title>")
	})
	w.put("a.test/q", 200, "<title>Q</title>")
	s := w.stage(t, func(_ *Settings, env *calls.Env) {
		c := calls.DefaultCache()
		c.TTL, c.HTTP = time.Hour, true
		env.Settings.Cache = &c
	})
	var charged atomic.Int64
	s.Account(func(n int64) { charged.Add(n) })
	for range 3 {
		for _, page := range []string{"p", "q"} {
			if got, err := w.scraped(t, s, "a.test/"+page); err != nil || !strings.Contains(got, `"title":"`+strings.ToUpper(page)) {
				t.Errorf("%s, %v", got, err)
			}
		}
	}
	if asked := w.requests(); asked != "a.test/robots.txt a.test/p a.test/q a.test/p a.test/p" {
		t.Errorf("asked for %s", asked)
	}
	if charged.Load() <= 0 {
		t.Error("nothing is charged")
	}
	if err := s.Close(); err != nil || charged.Load() != 0 {
		t.Errorf("%d bytes are charged behind the end, %v", charged.Load(), err)
	}
}

func TestTombstonesAndEndedContexts(t *testing.T) {
	w := newWeb(t)
	s := w.stage(t, nil)
	var rec pipeline.Record
	rec.Init(pipeline.Position{}, nil, nil, nil, 0)
	if err := s.Process(t.Context(), &rec); err != nil || !rec.Tombstone() {
		t.Errorf("a tombstone: %v", err)
	}
	if asked := w.requests(); asked != "" {
		t.Errorf("asked for %s", asked)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := process(ended, s, `{"u":"`+w.at("a.test/")+`"}`); err == nil || reason(err) != "" {
		t.Errorf("under an ended ctx: %v", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
