//go:build unix

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

// TestAReloadThatHangs: reading that does not come back holds up who asks for a while, the next one is told at once, and when it has come back all is as before.
func TestAReloadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := reloadable(t, &log)
		hung := make(chan struct{})
		hangs := func() (*config.Set, error) { <-hung; return p.config.files.load() }
		reload := func(load func() (*config.Set, error)) (string, time.Duration) {
			began := time.Now()
			_, _, err := p.reloadOnce(t.Context(), load, "api", "")
			return fmt.Sprint(err), time.Since(began)
		}
		if said, took := reload(hangs); !strings.HasPrefix(said, "reading the files takes longer than 30s") || took != readLimit {
			t.Errorf("%s after %v", said, took)
		}
		if said, took := reload(p.config.files.load); said != errStillReading.Error() || took != 0 {
			t.Errorf("%s after %v", said, took)
		}
		if n := strings.Count(log.String(), "config.rejected"); n != 2 {
			t.Errorf("%d were refused:\n%s", n, log.String())
		}
		close(hung)
		synctest.Wait()
		if said, _ := reload(p.config.files.load); said != "<nil>" {
			t.Error(said)
		}
	})
}

// TestWhatIsMadeTooLateIsDropped: what comes back late is given up by who made it.
func TestWhatIsMadeTooLateIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lateness
		hung, dropped := make(chan struct{}), false
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late, err := l.wait(ctx, func() error { <-hung; return nil }, func() { dropped = true })
		if !late || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%t, %v", late, err)
		}
		close(hung)
		synctest.Wait()
		if !dropped {
			t.Error("it is not dropped")
		}
		wrong := errors.New("no")
		if late, err := l.wait(t.Context(), func() error { return wrong }, nil); late || !errors.Is(err, wrong) {
			t.Errorf("then: %t, %v", late, err)
		}
	})
}

// A stopping change is of a pipeline that is told to stop, or not.
type stoppingChange bool

func (s stoppingChange) Commit() bool { return !bool(s) }
func (s stoppingChange) Cancel()      {}

// TestAReloadOfPipelinesThatStop: what does not run is not said to be applied: when none goes on with the new file the reload is refused, and when some do not, they
// are not named, and keep what they had.
func TestAReloadOfPipelinesThatStop(t *testing.T) {
	var log bytes.Buffer
	p := &process{events: event.New(&log, event.Options{}), drain: time.Second}
	one := func(name string, stops bool) *reloadOf {
		m := &managedPipeline{name: name, events: p.events.Pipeline(name)}
		now, next := &assembled{file: &config.Pipeline{Name: name, File: name + ".yaml"}}, &assembled{file: &config.Pipeline{Name: name, File: name + ".yaml"}}
		m.goesOnAs(now)
		return &reloadOf{member: m, now: now, next: next, change: stoppingChange(stops)}
	}
	if _, err := p.commit([]*reloadOf{one("a", true), one("b", true)}); !errors.Is(err, engine.ErrStopping) || !strings.HasPrefix(err.Error(), "a.yaml: ") {
		t.Errorf("both stop: %v", err)
	}
	all := []*reloadOf{one("a", true), one("b", false)}
	stopped, err := p.commit(all)
	if err != nil || len(stopped) != 1 || stopped[0] != all[0] {
		t.Errorf("one stops: %v, %v", stopped, err)
	}
	if all[0].member.runs.Load() != all[0].now || all[1].member.runs.Load() != all[1].next {
		t.Error("a pipeline is taken for what it is not")
	}
	if !strings.Contains(log.String(), "it ends with the steps and sinks that it had") {
		t.Errorf("the log: %s", log.String())
	}
	set := &config.Set{Pipelines: []*config.Pipeline{all[0].next.file, all[1].next.file}}
	gone := []config.Difference{{Gone: []string{"x"}, DeadLetter: true}, {Gone: []string{"y"}, DeadLetter: true}}
	if names := changedParts(set, gone, stopped); len(names) != 1 || names[0] != "b/y" {
		t.Errorf("changed: %v", names)
	}
	if _, err := p.commit(nil); err != nil {
		t.Errorf("no pipeline: %v", err)
	}
}
