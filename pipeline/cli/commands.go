package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

// This file does what a running process is asked to do over its endpoint.

// commands are what a process has been asked to do and does. Its zero value takes none until open.
type commands struct {
	mu      sync.Mutex
	opened  bool
	ctx     context.Context // of the commands, until close
	cancel  context.CancelFunc
	running sync.WaitGroup
	ended   bool // nothing is said of commands any more

	holding chan struct{} // a lock, of capacity one, made by open: full while a command pauses or resumes

	level levels
	rates *calls.Shared // of all pipelines; nil: they have none
}

// open has commands be taken, until close.
func (c *commands) open(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened, c.holding = true, make(chan struct{}, 1)
	c.ctx, c.cancel = context.WithCancel(ctx)
}

// close takes no more commands, and waits a second at most for those under way: what they have done stands in the log before the
// last line, or nowhere.
func (c *commands) close() {
	c.mu.Lock()
	c.opened = false
	if c.cancel != nil {
		c.cancel()
	}
	c.mu.Unlock()
	_, _ = withinSecond(func() struct{} { c.running.Wait(); return struct{}{} })
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.level.stop()
}

// enter begins a command, whose ctx ends with the process.
func (c *commands) enter() (ctx context.Context, leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ctx == nil:
		return nil, nil, notNow("the process is starting")
	case !c.opened:
		return nil, nil, notNow("the process is stopping")
	}
	c.running.Add(1)
	return c.ctx, c.running.Done, nil
}

// silent says whether the last line has been written.
func (c *commands) silent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

func notNow(format string, args ...any) error {
	return &admin.RefusedError{Status: http.StatusConflict, Err: fmt.Errorf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &admin.RefusedError{Status: http.StatusNotFound, Err: fmt.Errorf(format, args...)}
}

// never is of what no command of this process can do.
func never(format string, args ...any) error {
	return &admin.RefusedError{Status: http.StatusNotImplemented, Err: fmt.Errorf(format, args...)}
}

// unfit is of what is steered and does not take it.
func unfit(err error) error {
	return &admin.RefusedError{Status: http.StatusUnprocessableEntity, Err: err}
}

// A steered process does the commands of its endpoint.
type steered struct{ *process }

// Do implements admin.Commander.
func (p steered) Do(_ context.Context, c admin.Command) (done admin.Done, err error) {
	began := time.Now()
	ctx, leave, err := p.commands.enter()
	if err == nil {
		defer leave()
		done, err = p.obey(ctx, c)
	}
	if !p.commands.silent() {
		ev := commandDone(c, done, err, time.Since(began))
		if m, err := p.pipelineOf(c.Pipeline); err == nil && c.Key != nil && !m.hidesKeys.Load() {
			ev.KeyHash = engine.KeyHash(c.Key)
		}
		p.emitterOf(c.Pipeline).Emit(ev, "")
	}
	return done, err
}

// emitterOf gives the emitter of a pipeline; of the process when it has none of that name.
func (p *process) emitterOf(name string) *event.Emitter {
	for _, m := range p.pipelines {
		if m.name == name {
			return m.events
		}
	}
	return p.events
}

// commandDone makes the event of a command.
func commandDone(c admin.Command, done admin.Done, err error, took time.Duration) event.CommandDone {
	ev := event.CommandDone{
		Command: string(c.Verb), Outcome: "done", Lane: c.Lane, Step: c.Step, Limit: c.Rate, Was: done.Was, Is: done.Is,
		ForMs: c.For.Milliseconds(), DurationMs: took.Milliseconds(), AskedBy: c.By, AskedFrom: c.From,
	}
	if c.Record != nil {
		ev.Topic, ev.Partition, ev.Offset = c.Record.Topic, int64(c.Record.Partition), c.Record.Offset
	}
	if err == nil {
		return ev
	}
	ev.Outcome, ev.ErrorMessage = "failed", err.Error()
	if refused := (*admin.RefusedError)(nil); errors.As(err, &refused) {
		ev.Outcome = "refused"
	}
	return ev
}

// commanding says who may steer the process.
func (p *process) commanding(a *config.Admin) admin.Commanding {
	if !a.Commands {
		return admin.Commanding{}
	}
	return admin.Commanding{
		Do: steered{p}, Token: a.CommandToken, TokenFile: a.CommandTokenFile,
		Denied: func(pipeline string, ev event.CommandDenied) { p.emitterOf(pipeline).Emit(ev, "") },
	}
}

// levels is how the level of free lines has been changed.
type levels struct {
	mu    sync.Mutex
	lasts zerolog.Level // what holds when timer ends
	timer *time.Timer   // nil: what is now lasts
	turn  int           // counts the commands: a timer is of one of them
}

func (l *levels) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// load has the level of a file hold, which is another than before: at once, or when one ends that holds for a while.
func (l *levels) load(events *event.Emitter, to zerolog.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.lasts = to
		return
	}
	events.SetLevel(to)
}

// setLevel changes the level of free lines, for a while or for good. What holds for a while ends with the next one.
func (p *process) setLevel(c admin.Command) (admin.Done, error) {
	to, err := zerolog.ParseLevel(c.Level)
	if err != nil {
		return admin.Done{}, unfit(fmt.Errorf("there is no level %q", c.Level))
	}
	l := &p.commands.level
	l.mu.Lock()
	defer l.mu.Unlock()
	was := p.events.SetLevel(to)
	l.turn++
	if l.timer == nil {
		l.lasts = was
	} else {
		l.timer.Stop()
		l.timer = nil
	}
	if turn := l.turn; c.For > 0 {
		l.timer = time.AfterFunc(c.For, func() { p.endLevel(turn, c) })
	}
	return admin.Done{Was: was.String(), Is: to.String()}, nil
}

// endLevel puts back what was before a level that held for a while.
func (p *process) endLevel(turn int, c admin.Command) {
	l := &p.commands.level
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil || l.turn != turn {
		return // another command has come, or the process ends
	}
	l.timer = nil
	was := p.events.SetLevel(l.lasts)
	c.For, c.From = 0, "timer"
	p.events.Emit(commandDone(c, admin.Done{Was: was.String(), Is: l.lasts.String()}, nil, 0), "")
}

// pipelineOf gives the pipeline that a command names.
func (p *process) pipelineOf(name string) (*managedPipeline, error) {
	var names []string
	for _, m := range p.pipelines {
		if m.name == name {
			return m, nil
		}
		names = append(names, m.name)
	}
	return nil, notFound("there is no pipeline %q here: there is %s", name, strings.Join(names, ", "))
}

// controllerOf gives what steers a pipeline that runs.
func (p *process) controllerOf(name string) (engine.Controller, error) {
	m, err := p.pipelineOf(name)
	if err != nil {
		return nil, err
	}
	if m.hasEnded() {
		return nil, notNow("the pipeline %s has ended", name)
	}
	return m.runner, nil
}
