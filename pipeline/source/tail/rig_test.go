package tail

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A rig is a folder with logs, and a pipeline that follows them. Time is that of a bubble.
type rig struct {
	*testing.T
	dir     string
	s       Settings
	log     lockedBuffer
	sink    *pipelinetest.Memory
	step    pipeline.Stage // a step that waits; nil: there is none
	records int            // of the budget; 0: its default
	src     *Source
	end     context.CancelFunc
	done    chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// inBubble calls test with a rig that follows *.log of a folder of its own.
func inBubble(t *testing.T, test func(r *rig)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, dir: dir, sink: new(pipelinetest.Memory)}
		r.s = Settings{Files: []settings.Path{settings.Path(r.at("*.log"))}, Position: settings.Path(r.at("position"))}
		test(r)
		if r.end != nil {
			r.stop()
		}
	})
}

func (r *rig) at(name string) string { return filepath.Join(r.dir, name) }

// add appends to a file, and makes it if there is none.
func (r *rig) add(name, text string) {
	r.Helper()
	f, err := os.OpenFile(r.at(name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		r.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		r.Fatal(err)
	}
	if err := f.Close(); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// start runs the pipeline.
func (r *rig) start() {
	r.Helper()
	src, err := New(r.s, Options{Pipeline: "p"})
	r.must(err)
	events := event.New(&r.log, event.Options{}).Pipeline("p")
	o := engine.Options{
		Name: "p", Source: src, Events: events, CommitEvery: 100 * time.Millisecond, Budget: engine.NewBudget(r.records, 0),
		Sinks: []engine.Output{{Name: "m", Kind: "memory", Sink: r.sink}},
	}
	if r.step != nil {
		o.Steps = []engine.Step{{Name: "ask", Kind: "ask", Stage: r.step, Workers: 3, Wait: &engine.Wait{}}}
	}
	p, err := engine.New(o)
	r.must(err)
	ctx, end := context.WithCancel(r.Context())
	r.src, r.end, r.done = src, end, make(chan error, 1)
	go func() {
		err := p.Run(ctx)
		events.Flush()
		events.Close()
		r.done <- err
	}()
	r.pass(time.Second)
}

// stop ends the pipeline, which has to end well.
func (r *rig) stop() {
	r.Helper()
	r.end()
	r.end = nil
	if err := <-r.done; err != nil {
		r.Errorf("the pipeline ended with %v", err)
	}
}

// fails waits for the pipeline to end with an error.
func (r *rig) fails(want string) {
	r.Helper()
	end := r.end
	r.end = nil
	defer end()
	select {
	case err := <-r.done:
		if err == nil || !strings.Contains(err.Error(), want) {
			r.Errorf("it ended with %v, want %s", err, want)
		}
	case <-time.After(time.Hour):
		r.Error("it goes on")
	}
}

func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// lines are what came, as NAME/NUMBER@OFFSET VALUE.
func (r *rig) lines() (all []string) {
	for _, rec := range r.sink.Records() {
		p := rec.Position
		all = append(all, fmt.Sprintf("%s/%d@%d %s", filepath.Base(p.Topic), p.Partition, p.Offset, rec.Value()))
	}
	return all
}

// came checks what has come by now, of each file in order.
func (r *rig) came(want ...string) {
	r.Helper()
	got := r.lines()
	slices.SortStableFunc(got, func(a, b string) int {
		return strings.Compare(a[:strings.IndexByte(a, '@')], b[:strings.IndexByte(b, '@')])
	})
	if !slices.Equal(got, want) {
		r.Errorf("there came\n\t%s\nwant\n\t%s\nlog:\n%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"), r.shortLog())
	}
}

// shortLog is the log without figures.
func (r *rig) shortLog() string {
	lines := strings.SplitAfter(r.log.String(), "\n")
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, ".stats") }), "")
}

// says checks that the log has each of the texts.
func (r *rig) says(texts ...string) {
	r.Helper()
	for _, want := range texts {
		if !strings.Contains(r.log.String(), want) {
			r.Errorf("the log lacks %s:\n%s", want, r.shortLog())
		}
	}
}

// lag is how many bytes are not read, of each file.
func (r *rig) lag() map[string]int64 {
	all := map[string]int64{}
	for _, p := range r.src.Report().Partitions {
		all[fmt.Sprintf("%s/%d", filepath.Base(p.Topic), p.Partition)] = p.Lag()
	}
	return all
}

var _ pipeline.Reporter = (*Source)(nil)

// sorted sorts lines by file, as came has them.
func sorted(lines []string) []string {
	slices.SortStableFunc(lines, func(a, b string) int {
		return strings.Compare(a[:strings.IndexByte(a, '@')], b[:strings.IndexByte(b, '@')])
	})
	return lines
}
