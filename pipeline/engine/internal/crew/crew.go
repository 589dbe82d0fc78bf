// Package crew runs long-lived workers that outlive what they call: a panic in a piece of
// work, or the end of its goroutine, is reported, and the worker goes on.
package crew

import (
	"runtime/debug"
	"sync"

	"github.com/sourcegraph/conc/pool"
)

// A Crew is the workers of one place, which are waited for together.
type Crew struct {
	pool  *pool.Pool
	alive sync.WaitGroup

	mu   sync.Mutex
	over bool
}

// New makes a crew without workers.
func New() *Crew { return &Crew{pool: pool.New()} }

// Wait blocks until every worker has ended. None is started any more: Wait comes when
// what is left has been given up, and whoever starts workers may not have heard of that.
// A start behind it would end the process, as conc's pool is closed.
//
// The pool is waited for last, since that closes it: until then a worker whose goroutine
// was ended by its work needs another one of it.
func (c *Crew) Wait() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.alive.Wait()
	c.pool.Wait()
}

// A Worker calls Work until it gives false. It may be started again when it has ended.
type Worker struct {
	Crew *Crew
	Work func() (more bool)

	// Panicked hears of a Work that has panicked with a value, or has ended its goroutine:
	// then the value is nil. The worker goes on behind it, in another goroutine of the pool
	// in the latter case. A panic that escaped would end a worker of conc silently, until
	// Wait. Panicked itself must not panic.
	Panicked func(value any, stack []byte)
	Ended    func() // called once Work has given false; may be nil

	run func() // loop, made once: a writer starts with each write at low load (BenchmarkP1)
}

// Start has the worker begin, unless its crew is waited for.
func (w *Worker) Start() {
	c := w.Crew
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

func (w *Worker) loop() {
	for w.once() {
	}
	if w.Ended != nil {
		w.Ended()
	}
	w.Crew.alive.Done()
}

// once calls Work once. It does not return from a Goexit: that ends this goroutine
// whatever we do, and the loop goes on in another one.
func (w *Worker) once() (more bool) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		more = true
		w.Panicked(v, debug.Stack())
		if v == nil {
			w.Crew.pool.Go(w.run)
		}
	}()
	more = w.Work()
	returned = true
	return more
}
