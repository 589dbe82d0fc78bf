package calls

import (
	"context"
	"io"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// A Limiter has the calls of a sink keep to its rates and to what hosts ask for.
type Limiter struct {
	gates *gates
}

// NewLimiter makes one. Without settings of a breaker there is none: a sink tries again by itself,
// without end and less and less often. The caller closes it.
func NewLimiter(env Env) (*Limiter, error) {
	if env.Settings.Breaker == (BreakerSettings{}) {
		env.Settings.Breaker.Off = true
	}
	g, err := newGates(env)
	if err != nil {
		return nil, err
	}
	return &Limiter{g}, nil
}

// Attach implements pipeline.Attacher: e is for circuit.changed.
func (l *Limiter) Attach(e *event.Emitter) { l.gates.attach(e) }

// Close lets go of the hosts. It comes after the last Do.
func (l *Limiter) Close() { l.gates.close() }

// Do calls f, which makes one call to host, when that may begin. Until then the time of the attempt
// that ctx belongs to stands still. The error is that of f, or of ctx when that ends before. It may be
// called from several goroutines.
func (l *Limiter) Do(ctx context.Context, host string, f func(context.Context) error) error {
	call := &way{passage: l.gates.of(host), attempt: 1, f: func(ctx context.Context, _ *pipeline.Record) error { return f(ctx) }}
	if err := Enter(ctx, call); err != nil {
		call.Leave(pipeline.CallResult{})
		return err
	}
	return do(ctx, call, nil)
}

// A way is a call that is nothing but let in.
type way struct {
	passage passage
	attempt int
	f       func(context.Context, *pipeline.Record) error
}

func (w *way) Gate() any { return w.passage.identity(w.attempt) }
func (w *way) Enter(wake func()) (wait time.Duration, ok bool) {
	return w.passage.enter(w.attempt, wake)
}
func (w *way) Waits() string { return w.passage.waits() }
func (w *way) Do(ctx context.Context, rec *pipeline.Record) error {
	if err := w.passage.refusal(); err != nil {
		return err
	}
	return w.f(ctx, rec)
}
func (w *way) Leave(r pipeline.CallResult) (counts bool) { return w.passage.leave(r) }

// Limited gives a stage that waits, and is no pipeline.Admitter, the limits of env: its calls are all
// to one host, by the name of its step. What else the stage can do, it can still.
func Limited(stage pipeline.Stage, host string, env Env) (pipeline.Admitter, error) {
	g, err := newGates(env)
	if err != nil {
		return nil, err
	}
	l := &limited{stage: stage, host: host, gates: g}
	undoer, undoes := stage.(pipeline.Undoer)
	pinger, pings := stage.(pipeline.Pinger)
	switch {
	case undoes && pings:
		return struct {
			*limited
			pipeline.Undoer
			pipeline.Pinger
		}{l, undoer, pinger}, nil
	case undoes:
		return struct {
			*limited
			pipeline.Undoer
		}{l, undoer}, nil
	case pings:
		return struct {
			*limited
			pipeline.Pinger
		}{l, pinger}, nil
	}
	return l, nil
}

type limited struct {
	stage pipeline.Stage
	host  string
	gates *gates
}

// Process implements pipeline.Stage.
func (l *limited) Process(ctx context.Context, rec *pipeline.Record) error {
	return Process(ctx, l, rec)
}

// Admit implements pipeline.Admitter.
func (l *limited) Admit(_ *pipeline.Record, attempt int) (pipeline.Call, error) {
	return &way{passage: l.gates.of(l.host), attempt: attempt, f: l.stage.Process}, nil
}

// Attach implements pipeline.Attacher.
func (l *limited) Attach(e *event.Emitter) {
	l.gates.attach(e)
	if a, ok := l.stage.(pipeline.Attacher); ok {
		a.Attach(e)
	}
}

// Account implements pipeline.Accounter.
func (l *limited) Account(add func(bytes int64)) {
	if a, ok := l.stage.(pipeline.Accounter); ok {
		a.Account(add)
	}
}

// Report implements pipeline.Reporter.
func (l *limited) Report() (r pipeline.Report) {
	if reporter, ok := l.stage.(pipeline.Reporter); ok {
		r = reporter.Report()
	}
	r.OpenCircuits += l.gates.openCircuits()
	return r
}

// Resize implements engine.Resizer.
func (l *limited) Resize(workers int) {
	l.gates.resize(workers)
	if r, ok := l.stage.(interface{ Resize(workers int) }); ok {
		r.Resize(workers)
	}
}

// Close closes the stage.
func (l *limited) Close() (err error) {
	if c, ok := l.stage.(io.Closer); ok {
		err = c.Close()
	}
	l.gates.close()
	return err
}
