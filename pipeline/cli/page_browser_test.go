//go:build browser && unix

package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

var pagePicture = flag.Bool("page.picture", false, "draw the page of the endpoint into docs/page-light.png and docs/page-dark.png, which takes two minutes")

const pageToken = "of-the-page-0123456789"

// A shownDaemon is a daemon that writes late flights with their weather, which a server says slowly.
type shownDaemon struct {
	t       *testing.T
	file    string
	address string
	cluster *kafkatest.Cluster
	topic   string
	flights []*kgo.Record
	pause   atomic.Int64 // of an answer, in nanoseconds
	log     *os.File
	running *running
}

// showDaemon starts it.
func showDaemon(t *testing.T) *shownDaemon {
	t.Helper()
	dir := t.TempDir()
	d := &shownDaemon{t: t, file: filepath.Join(dir, "late.yaml"), address: "127.0.0.1:" + freePort(t), cluster: kafkatest.Start(t)}
	d.topic = d.cluster.Topic(t, 4)
	out := d.cluster.Topic(t, 4)
	d.pause.Store(int64(20 * time.Millisecond))
	var asked atomic.Int64
	weather := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		time.Sleep(time.Duration(d.pause.Load()) * time.Duration(10+n*7%23) / 20)
		if n%41 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(`{"sky":"clear"}`))
	}))
	t.Cleanup(weather.Close)
	text := fmt.Sprintf(`pipeline: late-flights
source:
  kafka: {brokers: [%q], topics: [%s], group: %s, start: earliest}
stages:
  - filter: delay >= -20
  - name: route
    map:
      set:    {late_minutes: delay, route: origin + "-" + destination}
      remove: [delay]
  - name: weather
    http: {url: "%s/weather/{origin}", into: weather}
    workers: 4
    window: 256
    timeout: 2s
    deadline: 10s
sinks:
  - kafka: {topic: %s, key: origin}
  - name: severe
    when: late_minutes >= 60
    file: {path: out/severe.jsonl}
dead_letter:
  file: {path: out/rejected.jsonl}
admin: {listen: %q, token: %q}
log: {format: json, stats_every: 1s}
`, d.cluster.Addrs()[0], d.topic, d.cluster.Group(t), weather.URL, out, d.address, pageToken)
	if err := os.WriteFile(d.file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadFile(filepath.Join(repo, "testdata", "flights", "flights.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(all) {
		var f struct{ Origin string }
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatal(err)
		}
		d.flights = append(d.flights, &kgo.Record{Topic: d.topic, Key: []byte(f.Origin), Value: bytes.TrimSpace(line), Partition: int32(len(d.flights) % 4)})
	}
	if d.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if text, _ := os.ReadFile(d.log.Name()); t.Failed() {
			t.Log(string(text[max(0, len(text)-4000):]))
		}
		_ = d.log.Close()
	})
	d.start()
	return d
}

func (d *shownDaemon) start() {
	d.t.Helper()
	d.running = startCommand(d.t, nil, d.log, "run", d.file)
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		r, err := http.Get("http://" + d.address + "/readyz")
		if err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(until) {
			d.t.Fatalf("the daemon is not ready: %v", err)
		}
	}
}

func (d *shownDaemon) stop() {
	d.t.Helper()
	d.running.signal(syscall.SIGTERM)
	if code := d.running.end(); code != exitDone {
		d.t.Errorf("the daemon ended with %d", code)
	}
}

// fly produces the next n flights.
func (d *shownDaemon) fly(n int) {
	d.t.Helper()
	some := make([]*kgo.Record, n)
	for i := range some {
		r := *d.flights[i%len(d.flights)]
		some[i] = &r
	}
	d.cluster.Produce(d.t, d.topic, some...)
}

// countsViolations has the page count what its policy has kept it from.
const countsViolations = `var violations = []; addEventListener('securitypolicyviolation', e => violations.push(e.violatedDirective + ' ' + e.blockedURI));`

// visit opens the page of an endpoint.
func (b *browser) visit(name, address string) *person {
	b.t.Helper()
	p := b.tab(name)
	p.window(1280, 900, "light")
	if _, err := chromedp.Call(p.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: countsViolations}); err != nil {
		b.t.Fatal(err)
	}
	p.do(chromedp.Navigate("http://" + address + "/"))
	return p
}

// givesToken types the token.
func (p *person) givesToken(token string) {
	p.t.Helper()
	p.waitFor(`document.getElementById('ask').open`)
	p.types(token)
	p.enterKey()
}

// quiet looks at what the browser has told of a page of the endpoint: beside answers that the token is missing and calls
// that nobody answers, nothing.
func (p *person) quiet() {
	p.t.Helper()
	for _, v := range value[[]string](p, `violations`) {
		p.t.Errorf("%s: the policy has kept the page from %s", p.name, v)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.console {
		if !strings.Contains(m, "ERR_") && !strings.Contains(m, "status of 401") {
			p.t.Errorf("the browser says of the page of %s: %s", p.name, m)
		}
	}
}

// figure gives a tile of the page.
func figure(name string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('#tiles > div')].find(e => e.querySelector('dt').textContent === %q)?.querySelector('b').textContent`, name)
}

const stateShown = `document.querySelector('#state .pill').textContent`

// TestThePage looks at the page of the endpoint in a real browser, which is one for all, as its start takes longest.
func TestThePage(t *testing.T) {
	b := openBrowser(t)
	atWork(t, b)
	if *pagePicture {
		return
	}
	tellStates(t, b)
	reachAll(t, b)
}

// atWork shows a daemon at work.
func atWork(t *testing.T, b *browser) {
	d := showDaemon(t)
	p := b.visit("Ada", d.address)
	p.givesToken("not-the-token")
	p.waitFor(`document.getElementById('ask').open && document.getElementById('ask-wrong').textContent === 'That is not its token.'`)
	p.givesToken(pageToken)
	p.waitFor(stateShown + ` === 'idle'`)
	if *pagePicture {
		drawPage(t, d, p)
		return
	}

	d.fly(400)
	p.waitFor(stateShown + ` === 'running'`)
	p.waitFor(`parseFloat(` + figure("out") + `) > 0`)
	p.waitFor(graphAndTableAgree)
	p.waitFor(`[...document.querySelectorAll('#log li span')].some(e => e.textContent === 'ready')`)
	p.waitFor(`document.querySelectorAll('#partitions tbody tr').length === 4 && document.querySelectorAll('#why li').length > 0`)
	d.pause.Store(0)
	p.waitFor(figure("lag") + ` === '0' && document.getElementById('tiles').textContent.includes('400 in all')`)
	p.quiet()
	d.stop()
}

// graphAndTableAgree: each part in the graph has a row in the table, with the same rates, and the same note of what is special about it.
const graphAndTableAgree = `(() => {
	const parts = [...document.querySelectorAll('#graph .part')];
	return parts.length === 7 && parts.every(e => {
		const row = document.querySelector('#parts tr[data-id="' + e.dataset.id + '"]');
		if (!row) return false;
		const [name, , into, out] = [...row.cells].map(c => c.textContent), says = e.querySelector('.rates').textContent;
		if (e.querySelector('b').textContent !== name || e.querySelector('.mark').textContent !== row.cells[row.cells.length - 1].textContent) return false;
		if (e.classList.contains('source')) return says === out + ' /s';
		if (e.classList.contains('dead_letter')) return says.endsWith(', ' + out + '/s');
		return says === into + ' → ' + out + ' /s';
	});
})()`

// drawPage draws the page while it has something to show.
func drawPage(t *testing.T, d *shownDaemon, p *person) {
	d.pause.Store(int64(45 * time.Millisecond))
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
				d.fly(70 + 25*(n/15%3))
			}
		}
	}()
	time.Sleep(100 * time.Second) // a process of a test may take two minutes
	for _, theme := range []string{"light", "dark"} {
		p.window(1280, 900, theme)
		p.waitFor(`document.getElementById('charts').children.length > 1`)
		time.Sleep(1500 * time.Millisecond)
		raw, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(repo, "docs", "page-"+theme+".png"), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
