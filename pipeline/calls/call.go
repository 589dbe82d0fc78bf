package calls

import (
	"context"
	"errors"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/tracing"
)

// known is the call of a record whose answer is kept.
type known[A any] struct {
	unheld
	calls *Calls[A]
	q     Question[A]
	entry *entry[A]
	stale bool
}

func (k *known[A]) Do(_ context.Context, rec *pipeline.Record) error {
	k.calls.hit(k.stale)
	return k.q.Use(rec, k.entry.answer)
}

// Answered says that nobody was asked.
func (k *known[A]) Answered() (how string, of any) { return "cache", nil }

// hit counts an answer that was kept.
func (c *Calls[A]) hit(stale bool) {
	c.hits.Add(1)
	if stale {
		c.stale.Add(1)
	}
}

// asking is the call of a record that asks its question, for itself alone or as the leader of a
// flight.
type asking[A any] struct {
	calls   *Calls[A]
	q       Question[A]
	attempt int
	passage passage
	flight  *flight[A] // that it leads; nil: none
	spare   bool       // it came with an answer that may stand in

	kept  *entry[A] // what was kept when it last tried to enter; nil: nothing
	using bool      // kept is the answer: the host is not asked, or has not answered
	stale bool      // and it is out of date

	asked bool  // Ask has returned
	err   error // with that
}

// leading is an asking with the flight that it leads: the two are made at once.
type leading[A any] struct {
	asking[A]
	leads flight[A]
}

// Gate has calls that can do without their host not wait behind those that cannot.
func (a *asking[A]) Gate() any {
	gate := a.passage.identity(a.attempt)
	if a.spare {
		return spared{gate}
	}
	return gate
}

// spared is where those wait for a gate of a host who can do without.
type spared struct{ gate any }

// Enter lets the call in too when there is an answer by now: where calls are not shared another may
// have asked, and what is out of date may stand in since the host is left alone.
func (a *asking[A]) Enter(wake func()) (wait time.Duration, ok bool) {
	if a.calls.keeps(a.q.Key) {
		a.calls.mu.Lock()
		a.kept, a.using, a.stale = a.calls.look(a.q.Key, a.passage.shut)
		a.calls.mu.Unlock()
		if a.using {
			return 0, true
		}
	}
	if wait, ok = a.passage.enter(a.attempt, wake); ok {
		a.calls.under(a.flight)
	}
	return wait, ok
}

func (a *asking[A]) Waits() string { return a.passage.waits() }

func (a *asking[A]) Do(ctx context.Context, rec *pipeline.Record) error {
	if a.using {
		return a.use(rec)
	}
	if err := a.passage.refusal(); err != nil {
		return err
	}
	var old *A
	if a.kept != nil {
		old = &a.kept.answer
	}
	if a.calls.keeps(a.q.Key) {
		a.calls.misses.Add(1) // here: a call that panics was made too
	}
	reply, err := a.q.Ask(ctx, rec, old)
	if a.flight != nil {
		a.flight.trace = tracing.Of(ctx)
	}
	a.asked, a.err = true, err
	switch {
	case err == nil:
		a.calls.learn(a.q.Key, reply, a.flight)
		return a.q.Use(rec, reply.Answer)
	case a.calls.standsIn(a.kept, err):
		a.using, a.stale = true, true
		return a.use(rec)
	}
	return err
}

// Answered says that nobody was asked when what is kept was the answer.
func (a *asking[A]) Answered() (how string, of any) {
	if a.using && !a.asked {
		return "cache", nil
	}
	return "", nil
}

// use takes what is kept for the answer, of the others too.
func (a *asking[A]) use(rec *pipeline.Record) error {
	a.calls.hit(a.stale)
	a.calls.land(a.flight, landing[A]{how: answered, answer: a.kept.answer})
	return a.q.Use(rec, a.kept.answer)
}

// Leave tells the gate of the host what the host has said, and not what the record made of it, and
// the others what they are to make of an error.
func (a *asking[A]) Leave(r pipeline.CallResult) (counts bool) {
	if a.asked {
		r.Err = a.err
	}
	counts = a.passage.leave(r) || a.using
	if !a.asked { // given up, down, or a panic
		a.calls.land(a.flight, landing[A]{how: abandoned})
	} else if a.err != nil && !a.using {
		a.calls.fail(a.q.Key, a.err, counts, a.flight)
	}
	return counts
}

// keeps says whether an answer to a question with that key is kept.
func (c *Calls[A]) keeps(key string) bool { return key != "" && c.kept != nil }

// look gives what is kept, nil when there is nothing, and whether it can be used without asking:
// because it is fresh, or because it may stand in for a host that is left alone. The caller
// holds mu.
func (c *Calls[A]) look(key string, shut func() bool) (e *entry[A], usable, stale bool) {
	now := c.kept.now()
	switch e = c.kept.get(key, now); {
	case e == nil:
		return nil, false, false
	case now < e.fresh:
		return e, true, false
	}
	stale = now < e.stands && shut()
	return e, stale, stale
}

// standsIn says whether what is kept may stand in for a host that has given an error.
func (c *Calls[A]) standsIn(e *entry[A], err error) bool {
	if e == nil || c.kept.now() >= e.stands {
		return false
	}
	said := judge(pipeline.CallResult{Begun: true, Err: err})
	return said.failure || said.waits
}

// learn keeps the answer that a host has given, and gives it to those that wait for it.
func (c *Calls[A]) learn(key string, r Reply[A], f *flight[A]) {
	if !c.keeps(key) {
		c.land(f, landing[A]{how: answered, answer: r.Answer})
		return
	}
	c.mu.Lock()
	c.kept.put(key, r, c.kept.now())
	wakes := c.landed(f, landing[A]{how: answered, answer: r.Answer})
	c.mu.Unlock()
	wake(wakes)
}

// fail says what the error of a question is to others: their own error too, unless it comes of
// the record alone that has asked.
func (c *Calls[A]) fail(key string, err error, counts bool, f *flight[A]) {
	reason, refused := pipeline.IsPermanent(err)
	_, more := pipeline.NextCall(err)
	if c.keeps(key) && (refused || errors.Is(err, pipeline.Filtered)) { // it is news of what was kept
		c.mu.Lock()
		c.kept.forget(key)
		c.mu.Unlock()
	}
	switch {
	case more:
		c.land(f, landing[A]{how: alone})
	case errors.Is(err, context.Canceled), refused && reason == pipeline.ReasonPanic:
		c.land(f, landing[A]{how: abandoned})
	default:
		c.land(f, landing[A]{how: errored, err: err, counts: counts})
	}
}
