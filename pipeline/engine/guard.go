package engine

import (
	"fmt"
	"runtime/debug"

	"github.com/penstockio/penstock/pipeline"
)

// onPanic makes the Panicked of a crew's worker of a function that takes the panic as an error.
func onPanic(panicked func(*pipeline.PanicError)) func(value any, stack []byte) {
	return func(value any, stack []byte) { panicked(&pipeline.PanicError{Value: value, Stack: stack}) }
}

// guarded calls f and turns a panic, or the end of the goroutine, into an error. f
// runs in a goroutine of its own: it is for calls that are rare.
func guarded(f func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			if !returned {
				err = &pipeline.PanicError{Value: recover(), Stack: debug.Stack()}
			}
		}()
		err = f()
		returned = true
	}()
	<-done
	return err
}

// contained runs f, which is code of the engine and not of a component. A panic in it stops
// this pipeline; the other pipelines of the process go on.
func (p *Pipeline) contained(f func()) {
	defer func() {
		if v := recover(); v != nil {
			_ = p.panicIn(v)
		}
	}()
	f()
}

// spawn runs f contained, in a goroutine.
func (p *Pipeline) spawn(f func()) { go p.contained(f) }

// panicIn stops the pipeline because the engine panicked, and gives the error.
func (p *Pipeline) panicIn(v any) error {
	err := &pipeline.PanicError{Value: v, Stack: debug.Stack()}
	p.panicked("engine", &pipeline.Record{}, err)
	p.stop(fmt.Errorf("running the engine: %w", err))
	return fmt.Errorf("running the engine: %w", err)
}

// tearDown ends what is left of a run in which the engine panicked: reading, work and commits.
// No component is closed, as nobody knows which calls are under way.
func (p *Pipeline) tearDown() {
	p.lanes.close()
	if !p.work.isOver() {
		_ = p.abandonAll()
	}
	for _, c := range []chan struct{}{p.commits.stop, p.watch.quit, p.stats.quit} {
		select {
		case <-c:
		default:
			close(c)
		}
	}
	p.endWork()
	p.spawn(p.waitForWorkers) // it ends the crews; nobody waits for it, as a worker may hang
}
