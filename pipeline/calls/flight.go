package calls

import (
	"context"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A flight is a question that one record asks and others wait for. What is in it changes under
// the lock of Calls until it has landed, and not at all from then on.
type flight[A any] struct {
	key   string
	wakes map[*joining[A]]func()
	landing[A]
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

// joining is the call of a record that waits for a flight. It takes nothing from the host.
type joining[A any] struct {
	calls   *Calls[A]
	q       Question[A]
	attempt int
	flight  *flight[A]
}

func (j *joining[A]) Gate() any { return j.flight }

func (j *joining[A]) Enter(wake func()) (wait time.Duration, ok bool) {
	j.calls.mu.Lock()
	defer j.calls.mu.Unlock()
	if j.flight.how != aloft {
		return 0, true
	}
	if j.flight.wakes == nil {
		j.flight.wakes = map[*joining[A]]func(){}
	}
	j.flight.wakes[j] = wake
	return 0, false
}

func (j *joining[A]) Waits() string { return "an equal call to " + j.q.Host }

// Do comes behind an Enter that has seen the flight landed.
func (j *joining[A]) Do(_ context.Context, rec *pipeline.Record) error {
	switch j.flight.how {
	case answered:
		j.calls.joined.Add(1)
		return j.q.Use(rec, j.flight.answer)
	case errored:
		j.calls.joined.Add(1)
		return j.flight.err
	case alone:
		return pipeline.Next(j.calls.ask(j.q, j.attempt))
	default:
		return pipeline.Next(j.calls.Admit(j.q, j.attempt))
	}
}

func (j *joining[A]) Leave(r pipeline.CallResult) (counts bool) {
	j.calls.mu.Lock()
	defer j.calls.mu.Unlock()
	delete(j.flight.wakes, j)
	return j.flight.how != errored || j.flight.counts
}
