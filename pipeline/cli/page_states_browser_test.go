//go:build browser && unix

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

// hostile is a name that is markup: shown as it stands, it is harmless.
const hostile = `<img src=x onerror="document.title='run'"><script>document.title='run'</script>`

// A staged process is an endpoint whose figures a test makes up.
type staged struct {
	t       *testing.T
	server  *admin.Server
	address string
	events  *event.Emitter
	recent  *event.Recent

	mu     sync.Mutex
	all    []engine.Snapshot
	silent string // a step of which there are no figures
}

// stage starts one.
func stage(t *testing.T, all ...engine.Snapshot) *staged {
	t.Helper()
	s := &staged{t: t, address: "127.0.0.1:" + freePort(t), recent: event.NewRecent(recentLines, recentBytes)}
	s.events = event.New(io.Discard, event.Options{Recent: s.recent})
	s.show(all...)
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *staged) start() {
	s.t.Helper()
	var err error
	s.server, err = admin.New(admin.Options{
		Listen: s.address, Live: func() error { return nil }, Ready: func() error { return nil }, Page: true, Recent: s.recent,
		Snapshots: s.snapshots, Shapes: s.shapes, Holds: s.holds,
		Files: func() ([]admin.File, error) {
			return []admin.File{{Pipeline: "p", File: "p.yaml", YAML: "pipeline: " + hostile}}, nil
		},
		Version: admin.Version{Service: "penstock", Version: "v1.2.3", ConfigHash: "0123456789ab", Instance: hostile},
	})
	if err == nil {
		err = s.server.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *staged) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.server.Shutdown(ctx)
}

// show sets the figures.
func (s *staged) show(all ...engine.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = all
}

func (s *staged) snapshots() []engine.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.all)
	for i := range all {
		all[i].At = time.Now()
	}
	return all
}

func (s *staged) shapes() (all []admin.Shape) {
	for _, one := range s.snapshots() {
		d := drawing{name: one.Pipeline, chain: []box{{name: "kafka", kind: "kafka", text: "topics: [" + hostile + "]"}}}
		for _, st := range one.Steps {
			d.chain = append(d.chain, box{name: st.Name, kind: st.Kind, text: hostile, how: []string{"4 at once"}})
		}
		if s.silent != "" {
			d.chain = append(d.chain, box{name: s.silent, kind: "map"})
		}
		for _, si := range one.Sinks {
			d.sinks = append(d.sinks, box{name: si.Name, kind: si.Kind, when: "x > 1"})
		}
		all = append(all, d.shape())
	}
	return all
}

func (s *staged) holds() (all []admin.PipelineHolds) {
	for _, one := range s.snapshots() {
		all = append(all, admin.PipelineHolds{Pipeline: one.Pipeline, State: one.State, Holds: one.Stalled})
	}
	return all
}

// running gives the figures of a pipeline that runs well, after n records.
func runningFigures(name string, n int64) engine.Snapshot {
	counts := engine.Counts{In: n, Out: n}
	return engine.Snapshot{
		Pipeline: name, State: "running", Started: time.Now().Add(-26 * time.Hour), Counts: counts, Backpressure: "ok",
		Latency: engine.Latency{Count: n, P50: 1.25, P95: 20, P99: 1234},
		Source:  pipeline.Report{Connected: true, Partitions: []pipeline.PartitionReport{{Topic: "orders", Partition: 3, Committed: n, Fetched: n, HighWatermark: n}}},
		Steps: []engine.StepSnapshot{
			{Name: "geo", Kind: "http", Counts: counts, Workers: 4, QueueLen: 3, QueueCap: 256, WindowCap: 256, Busy: time.Duration(n) * time.Millisecond, Idle: time.Duration(n) * time.Millisecond},
		},
		Sinks: []engine.SinkSnapshot{{Name: "out", Kind: "file", Counts: counts}},
	}
}

// tellStates: each state has its word and its sentence, and what is in names and messages is text.
func tellStates(t *testing.T, b *browser) {
	s := stage(t, runningFigures("p", 0))
	p := b.visit("Grace", s.address)
	p.waitFor(stateShown + ` === 'idle'`)
	notice := `document.getElementById('notice').textContent`
	states := []struct {
		change func(*engine.Snapshot)
		word   string
		text   string
	}{
		{func(f *engine.Snapshot) { f.State = "starting" }, "starting", "Nothing is read yet."},
		{func(f *engine.Snapshot) { f.State, f.InFlight = "paused", 7 }, "paused", "Paused. No record begins; 7 are in flight."},
		{func(f *engine.Snapshot) { f.State, f.PausedBy = "paused", "command" }, "paused", "By a command. No record begins"},
		{func(f *engine.Snapshot) { f.State, f.PausedBy = "paused", "dead_letter_budget" }, "paused", "Too many records were rejected. No record begins"},
		{func(f *engine.Snapshot) { f.State, f.InFlight = "draining", 8 }, "draining", "Nothing more is read; 8 records are on their way to an end."},
		{func(f *engine.Snapshot) { f.State = "stopped" }, "ended", "All that was to be read has been read, or it was stopped."},
		{func(f *engine.Snapshot) { f.State, f.Err = "failed", errors.New("writing "+hostile) }, "failed", "writing " + hostile},
		{func(f *engine.Snapshot) { f.Source = pipeline.Report{Away: "asking broker " + hostile} }, "not connected", "asking broker " + hostile},
		{func(f *engine.Snapshot) { f.InFlight = 9 }, "waiting", "and 9 records are in flight."},
		{func(f *engine.Snapshot) { f.Source.Partitions[0].HighWatermark = 20 }, "waiting", "Nothing is read, and the lag is 20."},
		{func(f *engine.Snapshot) {
			at := pipeline.Position{Topic: "orders", Partition: 3, Offset: 4711}
			f.InFlight, f.PausedLanes, f.Source.Partitions[0].Commanded = 1, []string{"orders/3"}, true
			f.Stalled = []engine.Hold{{Lane: "orders/3", Position: at, Root: at, Where: "geo", State: "running", Cause: "running", Since: 72 * time.Second, Age: 80 * time.Second}}
		}, "stalled", "orders/3@4711"},
	}
	var all []engine.Snapshot
	for i, tt := range states {
		f := runningFigures(fmt.Sprint("p", i), 0)
		tt.change(&f)
		all = append(all, f)
	}
	s.show(all...)
	p.waitFor(fmt.Sprintf(`document.querySelectorAll('#pipelines a').length === %d`, len(states)))
	for i, tt := range states {
		p.run(fmt.Sprintf(`location.hash = 'p%d'; undefined`, i))
		p.waitFor(fmt.Sprintf(`%s === %q && %s.includes(%q)`, stateShown, tt.word, notice, tt.text))
		p.waitFor(fmt.Sprintf(`document.querySelector('#pipelines a[aria-current]').textContent === 'p%d %s'`, i, tt.word))
	}
	p.waitFor(`document.querySelector('#graph .part[data-state="stalled"] .mark')?.textContent === 'stalled for 1 min 12 s'`)
	p.waitFor(`document.querySelector('#parts tr[data-state="stalled"]')?.textContent.includes('stalled for 1 min 12 s')`)
	p.waitFor(`document.querySelector('#why li')?.textContent.includes('orders/3@4711')`)

	p.waitFor(`document.querySelector('#partitions tbody').textContent.includes('paused by a command')`)

	showWhatHasFailed(s, p)
	showHostileNames(t, s, p)
	loseTheStream(t, s, p)
	p.quiet()
}

// showWhatHasFailed: of a pipeline that has failed nothing flows and nothing is held up, and its source is not looked for. A part
// without figures is in the table as it is in the graph, and the tables have names.
func showWhatHasFailed(s *staged, p *person) {
	s.silent = "mute"
	f := runningFigures("failed", 5)
	f.State, f.Err, f.Source, f.Backpressure, f.Bottleneck = "failed", errors.New("gone"), pipeline.Report{}, "high", "geo"
	s.show(f)
	p.waitFor(stateShown + ` === 'failed'`)
	p.waitFor(`document.querySelector('#graph .part[data-id="step:mute"] .rates')?.textContent === 'no figures'`)
	p.waitFor(`document.querySelector('#parts tr[data-id="step:mute"]')?.lastChild.textContent === 'no figures'`)
	p.waitFor(`[...document.querySelectorAll('#graph .mark')].every(e => e.textContent === '') && ` + figure("back pressure") + ` === '–'`)
	p.waitFor(`['parts', 'errors', 'partitions'].every(id => document.getElementById(document.getElementById(id).getAttribute('aria-labelledby'))?.textContent)`)
	s.silent = ""
}

// showHostileNames: a name or a message that is markup is shown as it stands, wherever it comes from.
func showHostileNames(t *testing.T, s *staged, p *person) {
	f := runningFigures("p", 10)
	f.Steps[0].Name, f.Steps[0].Kind, f.Sinks[0].Name = hostile, hostile, hostile+"2"
	f.Source.Partitions[0].Topic = hostile
	f.Errors = 3
	f.Steps[0].ErrorsByType = []engine.ErrorCount{{Type: "http_5xx", Total: 3, Message: hostile, At: time.Now(), Position: pipeline.Position{Topic: hostile}}}
	s.show(f, runningFigures(hostile+"3", 1))
	s.events.Pipeline("p").Step(hostile).Log().Error().Str("k", hostile).Msg(hostile)
	for _, where := range []string{"#graph .part.step b", "#parts tbody tr:nth-child(2) th", "#partitions th[scope=row]", "#errors td.long", "#log li:last-child span", "#pipelines a:last-child", "#facts"} {
		p.waitFor(fmt.Sprintf(`document.querySelector(%q)?.textContent.includes(%q)`, where, hostile))
	}
	p.run(`document.querySelector('#graph .part.step').click(); document.getElementById('settings').open = true; undefined`)
	p.waitFor(fmt.Sprintf(`document.getElementById('panel-head').textContent === %q && document.getElementById('panel-body').textContent.includes(%q)`, hostile, hostile))
	p.waitFor(fmt.Sprintf(`document.getElementById('settings-text').textContent.includes(%q)`, hostile))
	if n := p.count(`document.querySelectorAll('body img:not([src="/page/icon.svg"]), body script').length`); n != 0 {
		t.Errorf("%d elements were made of names", n)
	}
	if title := value[string](p, `document.title`); title == "run" {
		t.Error("a name has run")
	}
	p.run(`document.getElementById('panel-close').click(); undefined`)
	p.waitFor(`document.getElementById('panel').hidden && document.activeElement.classList.contains('part')`)

	p.run(`document.querySelector('#pipelines a:last-child').click(); undefined`)
	p.waitFor(fmt.Sprintf(`document.getElementById('title').textContent === %q && document.querySelector('#graph .part.step b').textContent === 'geo'`, hostile+"3"))
	p.run(`document.querySelector('#pipelines a').click(); undefined`)
	p.waitFor(`document.getElementById('title').textContent === 'p'`)
}

// loseTheStream: when the process is gone what was shown stays, and is marked as old; when it is back, it goes on.
func loseTheStream(t *testing.T, s *staged, p *person) {
	s.show(runningFigures("p", 123))
	p.waitFor(`document.getElementById('tiles').textContent.includes('123 in all')`)
	s.stop()
	p.waitFor(`document.body.classList.contains('old') && document.getElementById('live').dataset.state === 'bad'`)
	if text := value[string](p, `document.getElementById('live').textContent`); !strings.Contains(text, "; the figures are of ") {
		t.Errorf("the page says %q", text)
	}
	if !value[bool](p, `document.getElementById('tiles').textContent.includes('123 in all')`) {
		t.Error("the figures are gone")
	}
	s.show(runningFigures("p", 124))
	s.start()
	p.waitFor(`!document.body.classList.contains('old') && document.getElementById('live').textContent === 'live' && document.getElementById('tiles').textContent.includes('124 in all')`)
	s.events.Pipeline("p").Log().Warn().Msg("behind the gap")
	p.waitFor(`[...document.querySelectorAll('#log li span')].some(e => e.textContent === 'behind the gap')`)
}

// reachAll: by keys alone, in both themes, in narrow and wide windows.
func reachAll(t *testing.T, b *browser) {
	f := runningFigures("p", 1000)
	f.Errors, f.Steps[0].ErrorsByType = 3, []engine.ErrorCount{{Type: "http_5xx", Total: 3, Message: strings.Repeat("no", 300), At: time.Now()}}
	f.Stalled = []engine.Hold{{Lane: "orders/3", Where: "geo", State: "running", Cause: "running", Since: 72 * time.Second}}
	f.InFlight, f.Bottleneck, f.Backpressure = 1, "out", "high"
	for i := range 5 {
		st := f.Steps[0]
		st.Name = fmt.Sprintf("a_step_with_a_name_that_is_rather_long_%d", i)
		f.Steps = append(f.Steps, st)
	}
	s := stage(t, f)
	for _, level := range []string{"info", "warn", "error"} {
		s.events.Pipeline("p").Log().Info().Str("level_", level).Msg(strings.Repeat("long_", 100))
	}
	s.events.Pipeline("p").Log().Error().Msg("an error")
	p := b.visit("Linus", s.address)
	p.waitFor(`document.querySelectorAll('#graph .part').length === 8 && document.querySelectorAll('#errors tbody tr').length === 6 && document.querySelectorAll('#log li').length === 4`)

	keysOfThePage(t, p)
	p.do(chromedp.Focus(chromedp.CSS(`#graph .part.step`)))
	p.enterKey()
	p.readable("the page")
	for _, width := range []int64{1920, 1280, 800, 360} {
		p.window(width, 800, "light")
		p.waitFor(fmt.Sprintf(`innerWidth === %d && !!document.querySelector('#graph .part')`, width))
		if n := p.count(`document.documentElement.scrollWidth - innerWidth`); n > 0 {
			t.Errorf("a window of %d is too narrow by %d: %v", width, n,
				value[[]string](p, `[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.wide, #graph, pre')).map(e => e.tagName + '#' + e.id + '.' + e.className).slice(0, 5)`))
		}
	}
	p.waitFor(`document.querySelector('.sheet').clientHeight > document.querySelector('.sheet').clientWidth`) // records go down
	p.window(1280, 800, "light")
	p.waitFor(`document.querySelector('.sheet').clientWidth > document.querySelector('.sheet').clientHeight`) // and to the right again
	chooseTheme(t, p)
	p.quiet()
}

// keysOfThePage walks over it with Tab, opens a part with Enter, and closes it with Escape.
func keysOfThePage(t *testing.T, p *person) {
	var passed []string
	for range 40 {
		p.types("\t")
		passed = append(passed, value[string](p, `(e => e.dataset.id ?? (e.id || e.querySelector('table')?.id || e.textContent))(document.activeElement)`))
		if len(passed) == 1 && !value[bool](p, `document.activeElement.getBoundingClientRect().top >= 0`) {
			t.Error("the link that skips is not shown when it has the focus")
		}
		if !value[bool](p, `document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle !== 'none'`) {
			t.Errorf("the focus on %s is not to be seen", passed[len(passed)-1])
		}
	}
	for _, want := range []string{"To the figures as a table", "theme", "source:kafka", "step:geo", "sink:out", "parts", "geo", "errors", "partitions", "log-level", "log-all", "log-freeze", "log"} {
		if !slices.Contains(passed, want) {
			t.Errorf("the key Tab does not come to %s: %q", want, passed)
		}
	}
	p.do(chromedp.Focus(chromedp.CSS(`[data-id="step:geo"]`)))
	p.enterKey()
	p.waitFor(`!document.getElementById('panel').hidden && document.activeElement.id === 'panel-head' && document.activeElement.textContent === 'geo'`)
	p.waitFor(`document.querySelector('#graph [data-id="step:geo"]').getAttribute('aria-pressed') === 'true'`)
	p.do(chromedp.KeyEvent("\x1b"))
	p.waitFor(`document.getElementById('panel').hidden && document.activeElement.dataset.id === 'step:geo'`)
	p.do(chromedp.Focus(chromedp.CSS(`.skip`)))
	p.enterKey()
	p.waitFor(`document.activeElement.id === 'parts'`)
}

// chooseTheme: it follows the system, until one is chosen, which is remembered.
func chooseTheme(t *testing.T, p *person) {
	back := func() string { return value[string](p, `getComputedStyle(document.body).backgroundColor`) }
	p.window(1280, 900, "light")
	light := back()
	p.window(1280, 900, "dark")
	dark := back()
	if light == dark {
		t.Fatal("there is one theme alone")
	}
	p.run(`document.getElementById('theme').click(); undefined`)
	if back() != light {
		t.Error("light was chosen on a dark system, and it is dark")
	}
	p.do(chromedp.Reload())
	p.waitFor(`document.getElementById('theme')?.textContent === 'theme: light'`)
	if back() != light {
		t.Error("the choice is forgotten")
	}
	p.run(`document.getElementById('theme').click(); undefined`)
	p.window(1280, 900, "light")
	if back() != dark {
		t.Error("dark was chosen on a light system, and it is light")
	}
}
