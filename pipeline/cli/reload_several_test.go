//go:build unix

package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

// TestReloadBesideAPipelineThatHasEnded: a pipeline of which nothing has changed, and that has ended, keeps no reload from the others, also when it has a step
// that each reload makes anew.
func TestReloadBesideAPipelineThatHasEnded(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "in.jsonl"), `{"payload_json":{"n":1}}`+"\n")
	writeFile(t, filepath.Join(dir, "ended.yaml"), `pipeline: ended
source:
  replay: {files: [in.jsonl]}
stages:
  - validate: {schema: {inline: {type: object}}}
sinks:
  - file: {path: ended.jsonl}
`)
	other := func(version string) string {
		return `pipeline: other
source:
  tail: {files: [in.jsonl], position: position}
stages:
  - map: {set: {version: "` + version + `"}}
sinks:
  - file: {path: other.jsonl}
log: {format: json}
`
	}
	writeFile(t, filepath.Join(dir, "other.yaml"), other("1"))
	d := startDaemon(t, dir)
	d.read(`"event_name":"pipeline.stopped"`)
	writeFile(t, filepath.Join(dir, "other.yaml"), other("2"))
	d.signal(syscall.SIGHUP)
	if line := d.read(`"event_name":"config.`); gjson.Get(line, "changed_steps").String() != "other/map" {
		t.Errorf("the reload says %s", line)
	}
	d.signal(syscall.SIGTERM)
	if code := d.end(); code != exitDone {
		t.Errorf("exit code %d\n%s", code, d.log.String())
	}
}

// A preparing runner is brought to rest as prepare says.
type preparing struct {
	neverStarted
	prepare func(ctx context.Context) error
}

func (p *preparing) Prepare(ctx context.Context, _ engine.Parts) (*engine.Change, error) {
	return nil, p.prepare(ctx)
}

func (p *preparing) SetConfigHash(string) {}

// TestAReloadSaysWhatItFailsOf: what cannot be done is said, and not that the other pipelines were not waited for.
func TestAReloadSaysWhatItFailsOf(t *testing.T) {
	waits, fails := make(chan struct{}), errors.New("the sink does not open")
	one := func(name string, prepare func(context.Context) error) *reloadOf {
		return &reloadOf{
			member: &managedPipeline{name: name, runner: &preparing{prepare: prepare}},
			next:   &assembled{file: &config.Pipeline{Name: name, File: name + ".yaml"}},
		}
	}
	p := &process{drain: time.Hour}
	err := p.holdStill(t.Context(), []*reloadOf{
		one("busy", func(ctx context.Context) error {
			close(waits)
			<-ctx.Done()
			return &engine.NotAtRestError{InFlight: 7}
		}),
		one("wrong", func(context.Context) error { <-waits; return fails }),
	})
	if err == nil || err.Error() != "wrong.yaml: the sink does not open" {
		t.Errorf("the reload fails of %v", err)
	}
}

// TestAReloadWaitsForTheStart: one that is asked for while a pipeline is starting is not refused.
func TestAReloadWaitsForTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, wrong := time.Now(), errors.New("asked when it runs")
		r := &reloadOf{next: &assembled{}, member: &managedPipeline{runner: &preparing{prepare: func(context.Context) error {
			if time.Since(began) < 3*time.Second {
				return engine.ErrNotRunning
			}
			return wrong
		}}}}
		if err := r.prepare(t.Context()); !errors.Is(err, wrong) {
			t.Errorf("the reload says %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if err := r.prepare(ctx); !errors.Is(err, engine.ErrNotRunning) {
			t.Errorf("when the time is over the reload says %v", err)
		}
	})
}

// reloadable makes a process that has loaded a file, and whose pipeline stands still. Each reload makes its step anew.
func reloadable(t *testing.T, log io.Writer) *process {
	t.Helper()
	file := filepath.Join(t.TempDir(), "p.yaml")
	writeFile(t, file, `pipeline: p
source:
  tail: {files: [in.jsonl], position: position}
stages:
  - validate: {schema: {inline: {type: object}}}
sinks:
  - file: {path: out.jsonl}
`)
	g := &globals{kinds: catalog.Kinds()}
	set, err := g.load([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{events: event.New(log, event.Options{}), drain: time.Second}
	p.commands.rates = calls.NewShared(nil)
	p.config.begin(set)
	p.config.files = sourceFiles{g: g, files: []string{file}}
	p.pipelines = []*managedPipeline{{name: "p", runner: &preparing{}}}
	return p
}

// TestAReloadThatIsTooLateSaysNothing: nothing stands behind the last line of the log.
func TestAReloadThatIsTooLateSaysNothing(t *testing.T) {
	var log bytes.Buffer
	p := reloadable(t, &log)
	if _, _, err := p.reload(t.Context(), "api", ""); err != nil || !strings.Contains(log.String(), "config.applied") {
		t.Fatalf("%v\n%s", err, log.String())
	}
	p.commands.close()
	log.Reset()
	if _, _, err := p.reload(t.Context(), "api", ""); err != nil || log.Len() > 0 {
		t.Errorf("%v\n%s", err, log.String())
	}
}

// TestAReloadSetsTheLimitOfMemory: what components may hold beside the budget is another with other settings.
func TestAReloadSetsTheLimitOfMemory(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	t.Setenv("GOGC", "100")
	before := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(before)
	p := reloadable(t, io.Discard)
	if _, _, err := p.reload(t.Context(), "api", ""); err != nil {
		t.Fatal(err)
	}
	if limit := debug.SetMemoryLimit(-1); limit == math.MaxInt64 {
		t.Error("the limit is that of before the reload")
	}
}

// TestAReloadOfWhatEnds: what keeps a reload from being done is said to be the end of the process, or of a pipeline, with what to do; and a pipeline that ends keeps
// it from nothing when the file says the same of it.
func TestAReloadOfWhatEnds(t *testing.T) {
	const sink = "  - file: {path: other.jsonl}\n"
	for name, tt := range map[string]struct {
		change  string // of the file
		during  func(p *process, stop func())
		refused string // "": it is not
		status  int
	}{
		"the process stops meanwhile": {sink, func(_ *process, stop func()) { stop() }, "the process is stopping", http.StatusConflict},
		"the process stops":           {sink, func(p *process, _ func()) { p.draining.Store(true) }, "the process is stopping", http.StatusConflict},
		"the pipeline drains":         {sink, func(p *process, _ func()) { p.pipelines[0].drained.Store(true) }, "the pipeline p is draining: no record of it begins", http.StatusConflict},
		"the pipeline has ended":      {sink, func(p *process, _ func()) { close(p.pipelines[0].finished) }, "the pipeline p has ended, and a reload does not start it again: restart the process, or leave what its file says of it as it was", 422},
		"it drains as it is":          {"", func(p *process, _ func()) { p.pipelines[0].drained.Store(true) }, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := reloadable(t, io.Discard)
			file := p.config.files.files[0]
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			m := p.pipelines[0]
			m.runner = &preparing{prepare: func(ctx context.Context) error {
				stop()
				<-ctx.Done()
				return &engine.NotAtRestError{InFlight: 7}
			}}
			m.finished = make(chan struct{})
			now, err := assemble(p.config.now().set.Pipelines[0], p.events, engine.NewBudget(10, 1<<20), p.commands.rates, standIns{})
			if err != nil {
				t.Fatal(err)
			}
			m.goesOnAs(now)
			if writeFile(t, file, string(text)+tt.change); name != "the process stops meanwhile" {
				tt.during(p, stop)
			}
			_, err = p.reloadFor(ctx, admin.Command{})
			var refused *admin.RefusedError
			switch {
			case tt.refused == "" && err == nil:
			case !errors.As(err, &refused), refused.Status != tt.status, !strings.HasSuffix(err.Error(), tt.refused):
				t.Errorf("the reload says %v, %+v", err, refused)
			}
		})
	}
}
