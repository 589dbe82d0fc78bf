// SPDX-License-Identifier: Apache-2.0

// Package crew runs long-lived workers that survive what they call: a panic in a piece of
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
	alive sync.WaitGroup // of the workers that have not ended

	mu   sync.Mutex
	over bool // Wait has been called: no worker starts any more
}

// New makes a crew without workers.
func New() *Crew { return &Crew{pool: pool.New()} }

// Wait blocks until every worker has ended. From the call on none is started: Wait comes when
// what is left has been given up, and whoever starts a worker may not know that yet. A start
// after the pool is closed would panic, and end the process.
//
// The pool is waited for last, since that closes it: until then a worker whose goroutine
// was ended by its work needs another goroutine of it.
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

	// Panicked is called when Work has panicked, with the value of the panic, or has ended its
	// goroutine, with nil. Then the worker calls Work again, after the end of its goroutine in
	// another one of the pool. A panic that escaped would end a worker of conc without a word,
	// until Wait. Panicked itself must not panic.
	Panicked func(value any, stack []byte)
	Ended    func() // called once Work has given false; may be nil

	run func() // loop, as a value that is made once: at low load a writer starts for each write (BenchmarkP1)
}

// Start has the worker begin, unless its crew is waited for.
func (w *Worker) Start() (started bool) {
	c := w.Crew
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	c.alive.Add(1)
	if w.run == nil {
		w.run = w.loop
	}
	c.pool.Go(w.run)
	return true
}

func (w *Worker) loop() {
	for w.once() {
	}
	if w.Ended != nil {
		w.Ended()
	}
	w.Crew.alive.Done()
}

// once calls Work once. It does not return when Work calls runtime.Goexit: that ends this
// goroutine in any case, and the loop goes on in another one.
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
