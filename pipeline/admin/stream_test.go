package admin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A reading is a stream that a test reads.
type reading struct {
	t    *testing.T
	resp *http.Response
	scan *bufio.Scanner
}

// read opens a stream.
func read(t *testing.T, s *Server, path, last string) *reading {
	t.Helper()
	if last == "" {
		return readAs(t, s, path, http.Header{})
	}
	return readAs(t, s, path, http.Header{"Last-Event-Id": {last}})
}

func readAs(t *testing.T, s *Server, path string, header http.Header) *reading {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.Addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := client(t, &http.Transport{}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode == 200 && resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: %v", path, resp.Header)
	}
	scan := bufio.NewScanner(resp.Body)
	scan.Buffer(nil, 1<<20)
	return &reading{t, resp, scan}
}

// next gives the next event: "name id data". "" is the end.
func (r *reading) next() string {
	r.t.Helper()
	var name, id, data string
	for r.scan.Scan() {
		switch field, text, _ := strings.Cut(r.scan.Text(), ": "); {
		case field == "event":
			name = text
		case field == "id":
			id = text
		case field == "data":
			data = text
		case field == "" && data != "":
			return name + " " + id + " " + data
		}
	}
	return ""
}

// line gives id and message of the next event, which has to be a line of the log.
func (r *reading) line() (id, message string) {
	r.t.Helper()
	name, rest, _ := strings.Cut(r.next(), " ")
	if name != "line" {
		r.t.Fatalf("%s %s comes in place of a line", name, rest)
	}
	id, data, _ := strings.Cut(rest, " ")
	return id, gjson.Get(data, "message").String()
}

// TestReadersShareAFrame: however many read the figures, they are taken once a second, and not at all when nobody reads.
func TestReadersShareAFrame(t *testing.T) {
	var taken atomic.Int64
	o := healthy()
	o.Snapshots = func() []engine.Snapshot {
		taken.Add(1)
		return []engine.Snapshot{{Pipeline: "p", State: "running"}}
	}
	s := start(t, o)
	for until := time.Now().Add(time.Minute); taken.Load() != 1; time.Sleep(time.Millisecond) { // the first point of the history
		if time.Now().After(until) {
			t.Fatalf("%d snapshots were taken", taken.Load())
		}
	}
	before := time.Now().Unix()
	var all []*reading
	for range 8 {
		all = append(all, read(t, s, "/api/v1/stats/stream", ""))
	}
	for range 2 {
		for _, r := range all {
			event := r.next()
			if !strings.HasPrefix(event, "stats ") || !strings.Contains(event, `"pipeline":"p"`) {
				t.Fatal(event)
			}
		}
	}
	// One for each second that has begun, and perhaps further points of the history on a slow machine.
	passed := time.Now().Unix() - before + 1
	if n := taken.Load() - 1; n > passed+passed/10+1 {
		t.Errorf("%d snapshots were taken in %d seconds", n, passed)
	}
}

func TestStreamsAreRefusedWhatTheyDoNotKnow(t *testing.T) {
	o := healthy()
	o.Recent = event.NewRecent(10, 1000)
	o.Snapshots = func() []engine.Snapshot { return []engine.Snapshot{{Pipeline: "p"}} }
	s := start(t, o)
	c := client(t, &http.Transport{})
	for path, want := range map[string]string{
		"/api/v1/stats/stream?every=100ms":   `400 {"error":"every is a number of seconds from 1s to 60s"}`,
		"/api/v1/stats/stream?each=1s":       `400 {"error":"there is no parameter \"each\" here: there is every"}`,
		"/api/v1/logs/stream?level=loud":     `400 {"error":"level is one of debug, info, warn, error, not \"loud\""}`,
		"/api/v1/logs/stream?pipeline=other": `404 {"error":"there is no pipeline \"other\" here: there is p"}`,
		"/api/v1/history?since=yesterday":    `400 {"error":"since is a time in milliseconds since 1970, not \"yesterday\""}`,
		"/api/v1/history?pipeline=other":     `404 {"error":"there is no pipeline \"other\" here: there is p"}`,
	} {
		if status, body, _ := ask(t, c, "GET", "http://"+s.Addr()+path, nil); fmt.Sprint(status, " ", body) != want {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
	}
	if status, body, h := ask(t, c, "HEAD", "http://"+s.Addr()+"/api/v1/stats/stream", nil); status != 200 || body != "" || h.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %q %v", status, body, h)
	}
}

// TestStreamsHaveABound: when it is reached the next one is refused, and others are answered.
func TestStreamsHaveABound(t *testing.T) {
	s := start(t, healthy())
	var all []*reading
	for range mostStreams {
		r := read(t, s, "/api/v1/stats/stream", "")
		if !strings.HasPrefix(r.next(), "stats ") {
			t.Fatal("no figures")
		}
		all = append(all, r)
	}
	c := client(t, &http.Transport{})
	if status, body, h := ask(t, c, "GET", "http://"+s.Addr()+"/api/v1/stats/stream", nil); status != 503 || h.Get("Retry-After") == "" {
		t.Errorf("one too many: %d %s", status, body)
	}
	for _, path := range []string{"/livez", "/api/v1/stats"} {
		if status, body, _ := ask(t, c, "GET", "http://"+s.Addr()+path, nil); status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	_ = all[0].resp.Body.Close()
	for until := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // until the server sees that it has gone
		r := read(t, s, "/api/v1/stats/stream", "")
		if r.resp.StatusCode == 200 {
			break
		}
		if time.Now().After(until) {
			t.Fatal("the place of one that has left is not free")
		}
	}
}

// TestStreamsEndWithTheServer: they say so, and a shutdown does not wait for them.
func TestStreamsEndWithTheServer(t *testing.T) {
	o := healthy()
	o.Recent = event.NewRecent(10, 1000)
	s, err := New(o)
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	figures, log := read(t, s, "/api/v1/stats/stream?every=60s", ""), read(t, s, "/api/v1/logs/stream", "")
	figures.next()
	if err := s.Shutdown(context.Background()); err != nil { // without a time: it would never end otherwise
		t.Fatal(err)
	}
	for _, r := range []*reading{figures, log} {
		if end := r.next(); end != `end  {"reason":"the process ends"}` || r.next() != "" {
			t.Errorf("the end is %q", end)
		}
	}
}

// TestAStreamEndsWithItsToken: who has been reading may not read on when the token is another one.
func TestAStreamEndsWithItsToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("the-first-token")
	o := healthy()
	o.TokenFile = settings.Path(path)
	s := start(t, o)
	r := readAs(t, s, "/api/v1/stats/stream", http.Header{"Authorization": {"Bearer the-first-token"}})
	if !strings.HasPrefix(r.next(), "stats ") {
		t.Fatal("no figures")
	}
	write("the-second-token")
	for n := 0; r.next() != ""; n++ {
		if n > 30 {
			t.Fatal("it goes on with a token that is none any more")
		}
	}
}

// TestTheLogIsFollowed: the last lines and those that come, by level and pipeline; who comes again gets what he has not seen.
func TestTheLogIsFollowed(t *testing.T) {
	o := healthy()
	o.Recent = event.NewRecent(500, 1<<20)
	o.Snapshots = func() []engine.Snapshot { return []engine.Snapshot{{Pipeline: "a"}, {Pipeline: "b"}} }
	log := event.New(new(strings.Builder), event.Options{Recent: o.Recent, Console: true})
	s := start(t, o)
	log.Log().Info().Msg("one")
	log.Pipeline("a").Log().Warn().Msg("two")

	all := read(t, s, "/api/v1/logs/stream", "")
	warnings := read(t, s, "/api/v1/logs/stream?level=warn", "")
	ofB := read(t, s, "/api/v1/logs/stream?pipeline=b", "")
	_, one := all.line()
	id, two := all.line()
	if one != "one" || two != "two" {
		t.Errorf("%q, %q", one, two)
	}
	if _, got := warnings.line(); got != "two" {
		t.Errorf("from warn up: %q", got)
	}
	log.Pipeline("b").Log().Info().Msg("three")
	log.Pipeline("b").Emit(event.PipelineStats{State: "running"}, "")
	log.Pipeline("b").Emit(event.PipelineStopped{Reason: "failed", ErrorMessage: "four"}, "four")
	for _, want := range []string{"three", "four"} {
		if _, got := all.line(); got != want {
			t.Errorf("%q, want %q: events of figures are left out", got, want)
		}
		if _, got := ofB.line(); got != want {
			t.Errorf("of b %q, want %q", got, want)
		}
	}
	again := read(t, s, "/api/v1/logs/stream", id)
	if _, got := again.line(); got != "three" {
		t.Errorf("behind two comes %q", got)
	}
	other := read(t, s, "/api/v1/logs/stream", "of-another-life-2")
	if _, got := other.line(); got != "one" {
		t.Errorf("a number of another process is taken: %q", got)
	}
}

// TestAReaderOfTheLogThatIsTooSlow loses lines, hears how many, and holds up nobody.
func TestAReaderOfTheLogThatIsTooSlow(t *testing.T) {
	o := healthy()
	o.Recent = event.NewRecent(100, 1<<30)
	log := event.New(io.Discard, event.Options{Recent: o.Recent})
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.streams.patience = 10 * time.Minute // it is slow in any case, and how slow depends on the machine
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	log.Log().Info().Msg("first")
	slow := read(t, s, "/api/v1/logs/stream", "")
	if _, got := slow.line(); got != "first" {
		t.Fatal(got)
	}
	text := strings.Repeat("x", 4000)
	const lines = 10_000 // 40 MB: more than lies between two ends of a connection
	for i := range lines {
		log.Log().Info().Str("text", text).Msg(fmt.Sprint(i))
	}
	seen, missed := 0, 0
	for last := ""; last != fmt.Sprint(lines-1); {
		switch name, rest, _ := strings.Cut(slow.next(), " "); name {
		case "line":
			seen++
			_, data, _ := strings.Cut(rest, " ")
			last = gjson.Get(data, "message").String()
		case "missed":
			missed += int(gjson.Get(rest, "lines").Int())
		default:
			t.Fatalf("%q after %d lines", name, seen)
		}
	}
	if seen+missed != lines || missed == 0 {
		t.Errorf("%d lines were seen and %d missed, of %d", seen, missed, lines)
	}
}
