package cli

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/metrics"
)

// This file loads the files of a running process again.
//
// What it guarantees. All pipelines of the process change together, or none does and what runs goes on. One reload is under way at a
// time. Each ends with one event: config.applied or config.rejected.
//
// How. The files are loaded and checked like at the start, and compared with those that run. What is new is built and probed beside them.
// Then all pipelines with a difference are brought to rest and hold still (engine.Pipeline.Prepare); when all are, all go on with the
// new parts. A component whose settings are the same is kept.

// A configuration is what a process runs, and how it comes to another one.
type configuration struct {
	files sourceFiles // that it is loaded from; the zero value: it is not loaded again

	busy    sync.Mutex // held by the reload that is under way
	late    lateness   // guarded by busy
	asked   chan string
	current atomic.Pointer[configured]
}

// A configured is what a process has loaded, and has made of it.
type configured struct {
	set      *config.Set
	all      []*assembled // of the pipelines that have started; they are as many as those of set when nothing has failed
	applied  time.Time
	accepted bool // what was loaded last is this
}

// begin notes what the process starts with.
func (c *configuration) begin(set *config.Set) {
	c.asked = make(chan string, 1)
	c.current.Store(&configured{set: set, applied: time.Now(), accepted: true})
}

// runs notes what was made of it.
func (c *configuration) runs(all []*assembled) {
	now := *c.now()
	now.all = all
	c.current.Store(&now)
}

func (c *configuration) now() *configured { return c.current.Load() }

// figures is what metrics say of it.
func (c *configuration) figures() metrics.Config {
	now := c.now()
	return metrics.Config{Hash: now.set.Hash, Accepted: now.accepted, Applied: now.applied}
}

// ask asks for a reload, behind the one that is under way. One that is waited for already is enough.
func (c *configuration) ask(trigger string) {
	select {
	case c.asked <- trigger:
	default:
	}
}

// notLoadedAgain is said where a command has made its pipelines otherwise than of files alone.
const notLoadedAgain = "this process does not load its files again: restart it"

// reloadWhenAsked does the reloads that signals, and changes of files, ask for, until ctx ends.
func (p *process) reloadWhenAsked(ctx context.Context) {
	if p.config.files.flags.watch {
		go p.config.watchFiles(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case trigger := <-p.config.asked:
			of, leave, err := p.commands.enter()
			if err != nil {
				return // the process stops
			}
			p.config.busy.Lock()
			load := p.config.files.load
			if trigger == triggerWatch {
				load = func() (*config.Set, error) { return p.config.files.loadStill(of) }
			}
			_, _, _ = p.reloadOnce(of, load, trigger, "") // the event says it
			p.config.busy.Unlock()
			leave()
		}
	}
}

// reload loads the files of the process again and goes on with what they say. It gives the hashes of what ran before and runs now. It
// blocks until that is so; trigger and by say who asks, in the event. On an error everything is as it was.
func (p *process) reload(ctx context.Context, trigger, by string) (was, is string, err error) {
	if p.config.files.g == nil {
		return "", "", never(notLoadedAgain)
	}
	if !p.config.busy.TryLock() {
		return "", "", notNow("another reload is under way: ask again when it is done")
	}
	defer p.config.busy.Unlock()
	return p.reloadOnce(ctx, p.config.files.load, trigger, by)
}

// reloadOnce is reload by whoever is the only one.
func (p *process) reloadOnce(ctx context.Context, load func() (*config.Set, error), trigger, by string) (was, is string, err error) {
	before := p.config.now()
	was = before.set.Hash
	p.supervisor.reloading()
	next, changed, err := p.tryReload(ctx, load, before)
	if err != nil {
		kept := *before
		kept.accepted = false
		p.config.current.Store(&kept)
		if !p.commands.silent() {
			p.reloadRejected(err, trigger, by)
		}
		p.supervisor.notReloaded(firstLine(err))
		return was, was, err
	}
	p.config.current.Store(next)
	is = next.set.Hash
	if !p.commands.silent() {
		logProblems(p.events, next.set.Warnings)
		p.events.Emit(event.ConfigApplied{
			ConfigHash: is, ConfigHashPrev: was, Trigger: trigger, ChangedSteps: strings.Join(changed, ","), AskedBy: by,
		}, appliedWords(was, is, changed))
	}
	p.supervisor.reloaded(is)
	return was, is, nil
}

func appliedWords(was, is string, changed []string) string {
	switch {
	case len(changed) > 0:
		return "configuration applied: " + was + " -> " + is + ", changed: " + strings.Join(changed, ", ")
	case was == is:
		return "configuration applied: nothing has changed in it"
	}
	return "configuration applied: " + was + " -> " + is + ", no step and no sink has changed"
}

// reloadRejected says why what was loaded is not applied.
func (p *process) reloadRejected(err error, trigger, by string) {
	ev := event.ConfigRejected{Trigger: trigger, ErrorCount: 1, ErrorFirst: firstLine(err), AskedBy: by}
	var invalid *config.InvalidError
	if errors.As(err, &invalid) {
		logProblems(p.events, invalid.Problems)
		if errs := invalid.Problems.Errors(); len(errs) > 0 {
			ev.ErrorCount, ev.ErrorFirst = int64(len(errs)), errs[0].String()
		}
	} else {
		all := flatten(err)
		ev.ErrorCount = int64(len(all))
		for _, e := range all {
			p.events.Log().Error().Msg("not reloaded: " + e.Error())
		}
	}
	p.events.Emit(ev, "")
}

func firstLine(err error) string {
	var invalid *config.InvalidError
	if errors.As(err, &invalid) {
		if errs := invalid.Problems.Errors(); len(errs) > 0 {
			return errs[0].String()
		}
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
