package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/trace/tracetest"
)

// spans makes some spans, of a record each.
func spans(tr *Traces, n int) {
	p := tr.Pipeline(Pipeline{Name: "p"})
	for range n {
		p.Begin(recordWith(), time.Now(), true).End("delivered", time.Now())
	}
}

// told is what an operator is told.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (l *told) options(o *Options) {
	o.Warn = func(err error, _ int64) { l.add("warn: " + err.Error()) }
	o.Note = func(text string) { l.add(text) }
	o.Full = func(dropped int64) { l.add(fmt.Sprint("no room, ", dropped)) }
	o.Refused = func(dropped int64) { l.add(fmt.Sprint("refused, ", dropped)) }
}

func (l *told) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *told) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// TestNobodyListens: a collector that is not there costs its spans, and one line.
func TestNobodyListens(t *testing.T) {
	c, log := tracetest.Start(t), new(told)
	tr := open(t, c, func(o *Options) {
		log.options(o)
		o.Endpoint = "http://127.0.0.1:1" // nobody has this port
	})
	spans(tr, 1000)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	tr.Close(ctx)
	sent, dropped, waiting := tr.Counts()
	if sent != 0 || dropped != 1000 || waiting != 0 {
		t.Errorf("%d sent, %d dropped, %d wait", sent, dropped, waiting)
	}
	if l := log.all(); len(l) != 1 || !strings.HasPrefix(l[0], "warn: ") {
		t.Errorf("%q", l)
	}
	spans(tr, 3)
	if _, dropped, _ := tr.Counts(); dropped != 1003 {
		t.Errorf("%d are dropped, want 1003", dropped)
	}
}

// TestASlowCollectorHoldsUpNobody: while it takes its time, spans beyond the queue are dropped, which is said, and the others come.
func TestASlowCollectorHoldsUpNobody(t *testing.T) {
	c, log := tracetest.Start(t), new(told)
	asked, answer := make(chan struct{}), make(chan struct{})
	var once sync.Once
	c.Answer(func(*http.Request) int { once.Do(func() { close(asked) }); <-answer; return http.StatusOK })
	tr := open(t, c, func(o *Options) { log.options(o); o.Queue = 10 })
	spans(tr, 1)
	<-asked
	spans(tr, 100) // returns, though nobody takes anything
	if _, dropped, waiting := tr.Counts(); dropped != 90 || waiting != 10 {
		t.Errorf("%d are dropped, %d wait", dropped, waiting)
	}
	close(answer)
	flush(t, tr)
	if sent, _, _ := tr.Counts(); sent != 11 || len(c.Spans()) != 11 {
		t.Errorf("%d were sent, %d came", sent, len(c.Spans()))
	}
	if got := log.all(); len(got) != 1 || got[0] != "no room, 90" {
		t.Errorf("%q", got)
	}
}

// TestNoRoomIsSaidSometimes: once, and each minute in which there was none.
func TestNoRoomIsSaidSometimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(told)
		o := Options{Queue: 1}
		log.options(&o)
		q := newQueue(o, nil)
		defer q.cancel()
		say := func(after time.Duration, drops int) {
			time.Sleep(after)
			for range drops {
				q.noRoom()
			}
			q.tellFull()
		}
		say(0, 0)
		say(0, 5)
		say(time.Second, 5)
		say(fullEvery, 0) // said now
		say(fullEvery, 0) // nothing new
		q.failing, q.said = true, true
		say(fullEvery, 1) // said by another line
		q.works()
		say(fullEvery, 0)
		say(0, 1)
		want := "no room, 5|no room, 10|the collector takes spans again; 11 were dropped so far|no room, 12"
		if got := strings.Join(log.all(), "|"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestACollectorThatTakesEveryOtherRequest does not fill the log, and when it takes none for good that is said.
func TestACollectorThatTakesEveryOtherRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(told)
		o := Options{Queue: 1}
		log.options(&o)
		q := newQueue(o, nil)
		defer q.cancel()
		refused := errors.New("status 400")
		for range 90 { // a minute and a half
			q.fails(refused)
			time.Sleep(time.Second / 2)
			q.works()
			time.Sleep(time.Second / 2)
		}
		for range 90 {
			q.fails(refused)
			time.Sleep(time.Second)
		}
		q.works()
		const fails, again = "warn: status 400", "the collector takes spans again; 0 were dropped so far"
		if got, want := strings.Join(log.all(), "|"), strings.Join([]string{fails, again, fails, again, fails, again}, "|"); got != want {
			t.Errorf("%d lines: %s", len(log.all()), got[:min(len(got), 400)])
		}
	})
}

// TestAnAnswerThatDoesNotEnd: its head says that the spans are taken, and others are not held up by the rest of it.
func TestAnAnswerThatDoesNotEnd(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer s.Close()
	h, err := client.NewHTTP(client.HTTPOptions{Slots: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	u := &upload{http: h, url: s.URL, patience: time.Millisecond}
	if err := u.UploadTraces(ctx, nil); err != nil || ctx.Err() != nil {
		t.Errorf("%v, %v", err, ctx.Err())
	}
}

// TestACollectorThatIsBusy is asked again, and gets each span once.
func TestACollectorThatIsBusy(t *testing.T) {
	c, log := tracetest.Start(t), new(told)
	var n atomic.Int32
	c.Answer(func(*http.Request) int {
		if n.Add(1) == 1 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	tr := open(t, c, log.options)
	spans(tr, 700)
	eventually(t, "all are sent", func() bool { sent, _, _ := tr.Counts(); return sent == 700 })
	if len(c.Spans()) != 700 || len(log.all()) != 0 {
		t.Errorf("%d came, %q", len(c.Spans()), log.all())
	}
}

// TestACollectorThatRefuses: what it refuses is dropped without another try, and said once until it takes spans again.
func TestACollectorThatRefuses(t *testing.T) {
	c, log := tracetest.Start(t), new(told)
	c.Answer(always(http.StatusUnauthorized))
	tr := open(t, c, func(o *Options) {
		log.options(o)
		o.Header, o.Secrets = http.Header{"X-Team": {"hidden-word"}}, []string{"hidden-word"}
	})
	for n := int64(1); n <= 3; n++ {
		spans(tr, 1)
		eventually(t, "it is refused", func() bool { _, dropped, _ := tr.Counts(); return dropped == n })
	}
	c.Answer(nil)
	spans(tr, 1)
	flush(t, tr)
	want := []string{"warn: traces export: the collector answers with status 401", "the collector takes spans again; 3 were dropped so far"}
	if got := log.all(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q, want %q", got, want)
	}
	if c.Headers()[0].Get("X-Team") != "hidden-word" {
		t.Error("the collector was not told who asks")
	}
}

// TestCloseEndsWithItsContext: a collector that never answers does not hold up the end.
func TestCloseEndsWithItsContext(t *testing.T) {
	c := tracetest.Start(t)
	c.Answer(func(r *http.Request) int { <-r.Context().Done(); return http.StatusOK })
	tr := open(t, c, nil)
	spans(tr, 2*maxBatch)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tr.Close(ctx)
	if sent, dropped, waiting := tr.Counts(); sent != 0 || dropped+waiting != 2*maxBatch {
		t.Errorf("%d sent, %d dropped, %d wait", sent, dropped, waiting)
	}
}

func TestAddress(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://127.0.0.1:4318":              "http://127.0.0.1:4318/v1/traces",
		"http://127.0.0.1:4318/":             "http://127.0.0.1:4318/v1/traces",
		"http://127.0.0.1:4318?team=a":       "http://127.0.0.1:4318/v1/traces?team=a",
		"https://api.example/otlp/v1/traces": "https://api.example/otlp/v1/traces",
		"127.0.0.1:4318":                     "",
		"http://user:pass@host":              "",
		"grpc://127.0.0.1:4317":              "",
	} {
		if got, err := Address(endpoint); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", endpoint, got, err)
		}
	}
}
