package engine

import (
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/sourcegraph/conc/pool"

	"github.com/penstockio/penstock/pipeline"
)

// A crew is a pool of long-lived workers that outlive what they call.
type crew struct {
	pool  *pool.Pool
	alive sync.WaitGroup

	mu   sync.Mutex
	over bool
}

func newCrew() *crew { return &crew{pool: pool.New()} }

// wait blocks until every worker has ended. None is started any more: it comes when
// what is left has been given up, of which a transaction that is still being begun
// does not know. A start behind it would end the process, as conc's pool is closed.
func (c *crew) wait() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.alive.Wait()
	c.pool.Wait()
}

// A worker calls turn until it gives false. When a turn panics, or ends its
// goroutine, trouble hears of it and the worker goes on, in another goroutine of the
// pool in the latter case: a panic that escaped would end a worker of conc silently,
// until Wait.
type worker struct {
	crew    *crew
	turn    func() bool
	trouble func(*pipeline.PanicError)
	ended   func()
	run     func() // loop, made once: a writer starts with each write at low load (BenchmarkP1)
}

func (w *worker) start() {
	c := w.crew
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.alive.Add(1)
	if w.run == nil {
		w.run = w.loop
	}
	c.pool.Go(w.run)
}

func (w *worker) loop() {
	for {
		more, gone := w.once()
		if gone {
			return
		}
		if !more {
			break
		}
	}
	if w.ended != nil {
		w.ended()
	}
	w.crew.alive.Done()
}

func (w *worker) once() (more, gone bool) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		more = true
		w.trouble(&pipeline.PanicError{Value: v, Stack: debug.Stack()})
		if v == nil { // Goexit: this goroutine ends whatever we do
			gone = true
			w.crew.pool.Go(w.run)
		}
	}()
	more = w.turn()
	returned = true
	return more, false
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

// sound runs f, which is the engine's own. A panic in it stops the pipeline and leaves
// the others of the process alone.
func (p *Pipeline) sound(f func()) {
	defer func() {
		if v := recover(); v != nil {
			_ = p.panicIn(v)
		}
	}()
	f()
}

// spawn is sound in a goroutine.
func (p *Pipeline) spawn(f func()) { go p.sound(f) }

// panicIn stops the pipeline because the engine panicked, and gives the error.
func (p *Pipeline) panicIn(v any) error {
	err := &pipeline.PanicError{Value: v, Stack: debug.Stack()}
	p.panicked("engine", &pipeline.Record{}, err)
	p.stop(fmt.Errorf("running the engine: %w", err))
	return fmt.Errorf("running the engine: %w", err)
}

// giveUpAll ends what is left of a run that panicked: reading, work and commits. No
// component is closed, as nobody knows what is in use.
func (p *Pipeline) giveUpAll() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	if !p.isGone() {
		_ = p.kill()
	}
	for _, c := range []chan struct{}{p.commits.stop, p.watch.quit, p.stats.quit} {
		select {
		case <-c:
		default:
			close(c)
		}
	}
	p.finishClosed()
	p.spawn(p.waitForWorkers) // nobody waits for that: one may hang
}
