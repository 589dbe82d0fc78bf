package calls

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/tracing"
)

// A flight is a question that one record asks and others wait for. What is in it changes under
// the lock of Calls, but for what is atomic, until it has landed, and not at all from then on.
type flight[A any] struct {
	key   string
	wakes map[*joining[A]]func()
	landing[A]

	under   atomic.Bool // the call of its leader is under way
	awaited atomic.Bool // some have waited for it

	trace tracing.Context // that its call was part of; written by the leader before it lands. nil: it was in none
}

// A landing is what came of a flight.
type landing[A any] struct {
	how    ending
	answer A
	err    error
	counts bool // whether err is one of the attempts that the step allows
}

type ending uint8

const (
	aloft     ending = iota
	answered         // answer is the one of all
	errored          // err is the error of all
	abandoned        // its leader was given up: it is up to the others
	alone            // what came of it is of no use to the others, now or later
)

// land ends a flight, if there is one that has not ended, and wakes those that wait for it. The
// caller holds no lock.
func (c *Calls[A]) land(f *flight[A], l landing[A]) {
	if f == nil {
		return
	}
	c.mu.Lock()
	wakes := c.landed(f, l)
	c.mu.Unlock()
	wake(wakes)
}

// landed is land under the lock. The caller calls wake with what it gives when it has let go of
// the lock.
func (c *Calls[A]) landed(f *flight[A], l landing[A]) (wakes map[*joining[A]]func()) {
	if f == nil || f.how != aloft {
		return nil
	}
	f.landing = l
	delete(c.flights, f.key)
	wakes, f.wakes = f.wakes, nil
	return wakes
}

func wake[K comparable](wakes map[K]func()) {
	for _, w := range wakes {
		w()
	}
}

// under says that the call of a flight has begun: what those that wait for it wait for is no limit any more.
// Enter of its leader calls it, so it takes no lock where nobody waits. Of this and of joining.Enter one
// sees what the other has stored.
func (c *Calls[A]) under(f *flight[A]) {
	if f == nil {
		return
	}
	f.under.Store(true)
	if !f.awaited.Load() {
		return
	}
	c.mu.Lock()
	wakes := f.wakes
	f.wakes = nil
	c.mu.Unlock()
	wake(wakes)
}

// joining is the call of a record that waits for a flight. It takes nothing from the host. When the flight
// ends without anything for it, another call stands in its place before it begins: it may have to wait at
// its host, and what waits has not begun.
type joining[A any] struct {
	calls   *Calls[A]
	q       Question[A]
	attempt int
	flight  *flight[A]
	under   bool          // its call was under way at the last Enter
	instead pipeline.Call // nil: none
}

func (j *joining[A]) Gate() any {
	if j.instead != nil {
		return j.instead.Gate()
	}
	return j.flight
}

func (j *joining[A]) Enter(wake func()) (wait time.Duration, ok bool) {
	if j.instead != nil {
		return j.instead.Enter(wake)
	}
	switch j.look(wake) {
	case aloft:
		return 0, false
	case answered, errored:
		return 0, true
	case alone:
		j.instead = j.calls.ask(j.q, j.attempt)
	default:
		switch call := j.calls.Admit(j.q, j.attempt).(type) {
		case *joining[A]:
			j.flight, j.under = call.flight, false
		default:
			j.instead = call
		}
	}
	return 0, false
}

// look says how the flight has ended, and has wake be called when that changes.
func (j *joining[A]) look(wake func()) ending {
	f := j.flight
	j.calls.mu.Lock()
	defer j.calls.mu.Unlock()
	if f.how != aloft {
		return f.how
	}
	if f.wakes == nil {
		f.wakes = map[*joining[A]]func(){}
	}
	f.wakes[j] = wake
	f.awaited.Store(true)
	j.under = f.under.Load()
	return aloft
}

// Joins implements pipeline.Joiner. While the leader waits itself, those behind it wait for what it waits
// for.
func (j *joining[A]) Joins() bool { return j.instead == nil && j.under }

func (j *joining[A]) Waits() string {
	if j.instead != nil {
		return j.instead.Waits()
	}
	return "an equal call to " + j.q.Host
}

// Do comes behind an Enter that has seen the flight landed.
func (j *joining[A]) Do(ctx context.Context, rec *pipeline.Record) error {
	if j.instead != nil {
		return j.instead.Do(ctx, rec)
	}
	j.calls.joined.Add(1)
	if j.flight.how == errored {
		return j.flight.err
	}
	return j.q.Use(rec, j.flight.answer)
}

// Answered says that the answer is from another's call, and which trace that was part of.
func (j *joining[A]) Answered() (how string, of any) {
	if j.instead != nil {
		return answeredBy(j.instead)
	}
	return "equal_call", j.flight.trace
}

// answeredBy asks a call where its answer is from; "": it has asked itself.
func answeredBy(c pipeline.Call) (how string, of any) {
	if a, ok := c.(interface{ Answered() (string, any) }); ok {
		return a.Answered()
	}
	return "", nil
}

func (j *joining[A]) Leave(r pipeline.CallResult) (counts bool) {
	if j.instead != nil {
		return j.instead.Leave(r)
	}
	j.calls.mu.Lock()
	defer j.calls.mu.Unlock()
	delete(j.flight.wakes, j)
	return j.flight.how != errored || j.flight.counts
}
