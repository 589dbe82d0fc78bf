package scrape

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A web is some hosts, which all stand on one server on loopback: a.test, b.test and so on. It knows what
// it was asked for.
type web struct {
	*httptest.Server
	port string

	mu     sync.Mutex
	pages  map[string]http.HandlerFunc // by host and path with query: "a.test/x?y"
	asked  []string
	agents map[string]bool
}

func newWeb(t testing.TB) *web {
	t.Helper()
	w := &web{pages: map[string]http.HandlerFunc{}, agents: map[string]bool{}}
	w.Server = httptest.NewServer(w)
	t.Cleanup(w.Close)
	u, err := url.Parse(w.URL)
	if err != nil {
		t.Fatal(err)
	}
	w.port = u.Port()
	return w
}

func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(r.Host, ":")
	at := host + r.URL.RequestURI()
	w.mu.Lock()
	w.asked = append(w.asked, at)
	w.agents[r.UserAgent()] = true
	page := w.pages[at]
	w.mu.Unlock()
	if page == nil {
		http.NotFound(rw, r)
		return
	}
	page(rw, r)
}

// put has a page answer with a status and a body. What begins with / or http is where a redirect leads.
func (w *web) put(at string, status int, body string) {
	w.serve(at, func(rw http.ResponseWriter, _ *http.Request) {
		switch {
		case client.IsRedirect(status):
			rw.Header().Set("Location", body)
		case strings.HasSuffix(at, "/robots.txt"):
			rw.Header().Set("Content-Type", "text/plain")
		default:
			rw.Header().Set("Content-Type", "text/html")
		}
		rw.WriteHeader(status)
		fmt.Fprint(rw, body)
	})
}

func (w *web) serve(at string, page http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages[at] = page
}

// at gives the address of a page: "a.test/x".
func (w *web) at(page string) string {
	host, path, _ := strings.Cut(page, "/")
	return "http://" + host + ":" + w.port + "/" + path
}

// requests gives what was asked for so far, and forgets it.
func (w *web) requests() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := strings.Join(w.asked, " ")
	w.asked = nil
	return asked
}

const agent = "test-bot/1.0 (+https://bots.example/)"

// stage makes one that takes the address from the field u, and takes the title and the links of a page.
func (w *web) stage(t testing.TB, change func(*Settings, *calls.Env)) *Stage {
	t.Helper()
	s := Defaults()
	unmarshal(t, &s.URL, "{u}")
	s.Agent, s.Into = agent, "page"
	s.Hosts, s.Allow = make(client.Hosts, 2), make([]client.Allow, 1)
	unmarshal(t, &s.Hosts[0], "*.test:"+w.port)
	unmarshal(t, &s.Hosts[1], "*.test")
	unmarshal(t, &s.Allow[0], "127.0.0.0/8")
	var title, links Field
	unmarshal(t, &title.CSS, "title")
	unmarshal(t, &links.CSS, "a")
	links.Attr, links.All, links.Absolute = "href", true, true
	*s.Select.Add("title").(*Field) = title
	*s.Select.Add("links").(*Field) = links
	env := calls.Env{Settings: calls.Defaults(), Workers: 8}
	if change != nil {
		change(&s, &env)
	}
	st, err := open(s, env, client.HTTPOptions{Resolver: pipelinetest.Names(func(name string) (string, []netip.Addr) {
		if strings.HasSuffix(name, ".test") {
			return "", []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		}
		return "", nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func unmarshal(t testing.TB, into interface{ UnmarshalText([]byte) error }, text string) {
	t.Helper()
	if err := into.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// scraped gives the value of a record for a page, or how the error begins.
func (w *web) scraped(t testing.TB, s *Stage, page string) (string, error) {
	t.Helper()
	return process(t.Context(), s, fmt.Sprintf(`{"u":%q}`, w.at(page)))
}

func process(ctx context.Context, s *Stage, value string) (string, error) {
	var rec pipeline.Record
	rec.Init(pipeline.Position{}, nil, []byte(value), nil, 0)
	err := s.Process(ctx, &rec)
	return string(rec.Value()), err
}

// reason gives the reason of a permanent error, "" of another.
func reason(err error) string {
	r, _ := pipeline.IsPermanent(err)
	return r
}

func sorted(requests string) string {
	all := strings.Fields(requests)
	slices.Sort(all)
	return strings.Join(all, " ")
}

func mustParse(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
