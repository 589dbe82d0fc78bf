package calls

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// A passage is the way of one call past all that holds back the calls to its host. It must not be copied
// once enter has been called.
type passage struct {
	row *row[host]

	entered bool
	attempt int
	again   bool // it is a repeated call
	owes    bool // and there was no credit for it
	held    bool // it has asked in vain
	proves  bool // it is the first since the host has asked to wait
	pause   time.Duration
	tries   bool // it tries a host whose circuit is open
	down    bool // it is let in to be told that the host is down
	woken   bool // it was taken off a list, and is to ask or to leave
	period  uint64
	reason  reason
	slow    *bucket // that it waits for
	turn    turn
	in      *[]*passage // the list that it is on
	wake    func()
}

// A reason is what a call waits for.
type reason uint8

const (
	forNothing reason = iota
	forPause
	forCircuit
	forBudget
	forPlace
	forRate
)

// identity is what the call waits at: the host, apart for repeated calls, which may have to wait
// while others go on.
func (t *passage) identity(attempt int) any {
	if attempt > 1 {
		return &t.row.value.again
	}
	return &t.row.value.first
}

// enter is Enter of pipeline.Call.
func (t *passage) enter(attempt int, wake func()) (wait time.Duration, ok bool) {
	h := &t.row.value
	h.mu.Lock()
	at := h.now()
	wait, t.reason = h.ask(t, attempt, at)
	var list *[]*passage
	switch t.reason {
	case forNothing, forRate:
		if wait, t.slow = t.take(wake); wait > 0 {
			t.reason = forRate
		} else {
			t.reason = forNothing
		}
	case forPlace:
		list = &h.waiting
	case forPause:
		if wait == 0 {
			list = &h.waiting
		}
	case forCircuit:
		if wait == 0 {
			list = &h.waiting
		}
		switch in, ends := h.breaker.givesUp(at); {
		case ends && in == 0:
			list, wait, t.reason, t.down = nil, 0, forNothing, true
		case ends && (wait == 0 || in < wait):
			wait = in
		}
	case forBudget:
		list = &h.poor
	}
	t.list(list)
	t.wake = wake
	h.hold(t, attempt == 1 && t.reason != forNothing)
	var ev *event.CircuitChanged
	if t.down {
		ok = true
	} else if t.reason == forNothing {
		ev, ok = h.begin(t, attempt, at), true
	} else if t.reason != forRate {
		h.gates.shared.giveUp(h.buckets, &t.turn)
	}
	other := h.next()
	h.mu.Unlock()
	h.gates.tell(ev, nil)
	if other != nil {
		other()
	}
	return wait, ok
}

// take takes from the rates.
func (t *passage) take(wake func()) (wait time.Duration, slow *bucket) {
	h := &t.row.value
	if len(h.buckets) == 0 {
		return 0, nil
	}
	return h.gates.shared.take(h.buckets, &t.turn, wake)
}

// list has the call be on a list, or on none. One that was woken in vain is the first again.
func (t *passage) list(in *[]*passage) {
	woken := t.woken
	t.woken = false
	if t.in == in {
		return
	}
	t.unlist()
	if in == nil {
		return
	}
	t.in = in
	if woken {
		*in = append([]*passage{t}, *in...)
	} else {
		*in = append(*in, t)
	}
}

func (t *passage) unlist() {
	if t.in == nil {
		return
	}
	list := *t.in
	for i, other := range list {
		if other == t {
			copy(list[i:], list[i+1:])
			list[len(list)-1] = nil
			*t.in = list[:len(list)-1]
			break
		}
	}
	t.in = nil
}

// waits is Waits of pipeline.Call.
func (t *passage) waits() string {
	h := &t.row.value
	h.mu.Lock()
	defer h.mu.Unlock()
	switch t.reason {
	case forPause:
		return h.name + ", which has asked to wait" + h.peer.value.saidHow()
	case forCircuit:
		return "circuit of " + h.name
	case forBudget:
		return "the retry budget of " + h.name
	case forPlace:
		return "a place at " + h.name
	case forRate:
		switch b := t.slow; {
		case b.crawl:
			return "the crawl delay of " + h.name
		case b.perHost:
			return "rate " + b.name + " of " + h.name
		default:
			return "rate " + b.name
		}
	}
	return ""
}

// refusal is the error of a call that is not made since its host is down, or nil.
func (t *passage) refusal() error {
	if !t.down {
		return nil
	}
	h := &t.row.value
	return pipeline.Reject(pipeline.ReasonHostDown,
		fmt.Errorf("calling %s: no answer from the host for %s", h.name, h.breaker.set.GiveUp))
}

// shut says whether the host must be left alone now: an answer that is out of date may stand in.
func (t *passage) shut() bool {
	h := &t.row.value
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.now()
	_, ok := h.breaker.wait(at)
	return !ok || h.proving || h.peer.value.wait(at) > 0
}

// leave is Leave of pipeline.Call. It comes once, last.
func (t *passage) leave(r pipeline.CallResult) (counts bool) {
	h := &t.row.value
	defer t.row.done()
	a := judge(r) // with no lock held: the methods of an error are somebody else's
	h.mu.Lock()
	h.gates.shared.giveUp(h.buckets, &t.turn)
	t.unlist()
	h.hold(t, false)
	var ev *event.CircuitChanged
	if t.entered {
		h.running--
		ev, counts = h.back(t, r, a, h.now())
	}
	wake := h.next()
	h.mu.Unlock()
	h.gates.tell(ev, r.Err)
	if wake != nil {
		wake()
	}
	return counts || t.down
}

// hold counts the first attempts that have asked in vain.
func (h *host) hold(t *passage, held bool) {
	switch {
	case held && !t.held:
		h.held++
	case t.held && !held:
		h.held--
	}
	t.held = held
}

func (h *host) now() time.Duration { return time.Since(h.gates.shared.began) }

// turnAfter is how soon a repeated call comes back that has left it to a first one to try the host: that one is
// about to ask.
const turnAfter = 10 * time.Millisecond

// ask says what a call has to wait for but the rates.
func (h *host) ask(t *passage, attempt int, at time.Duration) (wait time.Duration, r reason) {
	if wait = h.peer.value.wait(at); wait > 0 {
		return wait, forPause
	}
	if h.proving {
		return 0, forPause
	}
	wait, ok := h.breaker.wait(at)
	switch {
	case !ok:
		return wait, forCircuit
	case attempt > 1 && h.held > 0 && h.breaker.behind():
		return turnAfter, forCircuit
	case h.full(), len(h.waiting) > 0 && t.in != &h.waiting && !t.woken:
		return 0, forPlace
	case attempt > 1 && h.budget.spent(h.places()):
		return 0, forBudget
	}
	return 0, forNothing
}

// begin has a call begin.
func (h *host) begin(t *passage, attempt int, at time.Duration) (ev *event.CircuitChanged) {
	t.entered, t.attempt, t.again = true, attempt, attempt > 1
	h.running++
	h.begun = at
	if t.pause = h.peer.value.asked(); t.pause != h.pause {
		t.proves, h.proving = true, true
	}
	t.owes = h.budget.call(t.again, at)
	if h.adaptive != nil {
		h.adaptive.entered(h.running)
	}
	var changed bool
	if t.tries, changed = h.breaker.begin(t.again); changed {
		ev = h.changed()
	}
	t.period = h.breaker.period
	return ev
}

// back judges what came of a call.
func (h *host) back(t *passage, r pipeline.CallResult, a account, at time.Duration) (ev *event.CircuitChanged, counts bool) {
	began := at - r.Took
	p := &h.peer.value
	counts = true
	f := newFailure(t, &r, &a, h.gates.shared.began, began)
	if a.waits {
		paused := p.pause(began, at, a.pause, t.tries)
		if paused {
			p.note(a.kind)
		}
		counts = !paused || h.breaker.suspects.refused(&f)
	}
	if t.proves {
		h.proving = false
		if (a.answer || a.failure) && !a.waits {
			h.pause = t.pause
		}
	}
	if t.again {
		h.budget.back(t.owes, a.failure)
	}
	var changed bool
	was := h.breaker.state
	switch {
	case a.answer:
		p.answered(began)
		changed = h.breaker.answered(t.period, t.tries, began, at)
	case a.failure:
		var own bool
		changed, own = h.breaker.failure(&f, at)
		counts = counts && own
	case t.tries:
		h.breaker.back()
	}
	if h.adaptive != nil {
		switch {
		case a.waits || a.late:
			h.adaptive.refused(began, at)
		case a.answer:
			h.adaptive.answered(began, at, r.Took, r.Released)
		}
	}
	if !changed {
		return nil, counts
	}
	if was == closed {
		h.gates.opened.Add(1)
	} else if h.breaker.state == closed {
		h.gates.opened.Add(-1)
	}
	return h.changed(), counts
}

// An account is what a call says of its host.
type account struct {
	answer  bool // it is there
	failure bool
	waits   bool // it has asked to wait
	out     bool // it is out of service, says the failure
	late    bool // it did not answer in time
	pause   time.Duration
	kind    string // the type of the error by which it has asked to wait; "": it has none
}

func judge(r pipeline.CallResult) (a account) {
	err := r.Err
	if !r.Begun {
		return a
	}
	if err == nil || errors.Is(err, pipeline.Filtered) {
		a.answer = true
		return a
	}
	if _, next := pipeline.NextCall(err); next {
		a.answer = true
		return a
	}
	var made interface{ NotAsked() bool }
	if errors.As(err, &made) && made.NotAsked() { // it is about the record, and says nothing of the host
		return a
	}
	var asks interface{ AsksToWait() bool }
	refused := errors.As(err, &asks) && asks.AsksToWait()
	a.pause = pipeline.RetryHint(err)
	if a.waits = refused || a.pause > 0; a.waits {
		a.kind, _ = event.TypeOf(err)
	}
	if refused {
		return a
	}
	reason, permanent := pipeline.IsPermanent(err)
	switch {
	case permanent:
		a.answer = reason != pipeline.ReasonPanic
	case pipeline.IsFatal(err), errors.Is(err, context.Canceled):
	default:
		a.failure = true
		a.late = errors.Is(err, context.DeadlineExceeded)
		var says interface{ OutOfService() bool }
		a.out = errors.As(err, &says) && says.OutOfService()
	}
	return a
}

func errorType(err error) string {
	if t, ok := event.TypeOf(err); ok {
		return t
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return "error"
}
