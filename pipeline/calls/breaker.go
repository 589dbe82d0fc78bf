package calls

import (
	"cmp"
	"time"
)

// A state of a circuit, by its word in circuit.changed.
type state string

const (
	closed   state = "closed"
	open     state = "open"
	halfOpen state = "half_open"
)

// parts is into how many parts the window of a breaker is cut.
const parts = 10

// A breaker leaves a host alone that fails. Its host's lock guards it.
//
// It opens when enough of the calls within the window have failed, or as many in a row as it takes
// at least: after a good time the window is full of answers, and a host that is gone would be
// asked as often again before they are outweighed. It opens too when a few have failed in a row and
// the host has been silent for as long as it is left alone then: calls that take seconds to fail, in
// few slots, would not be enough within the window, and each record would use up its attempts. Two
// are enough behind ten times as long a silence, since two such calls use up the time of a record. For
// failures that say themselves that the host is out of service (no connection, 502, 503, 504) a
// tenth of that time is enough: where a record comes now and then, each would have used up its
// attempts before. Not less: of many calls at once three failures in a row say nothing. But the fourth
// attempt of one record does, when nothing else has come since its first: its waits may be short.
//
// When its time is over one call tries the host; an answer closes it, another failure opens it for
// twice as long. A call counts only in the period in which it began: what comes late to a circuit
// that is no longer closed says how the host was, not how it is.
//
// What rather the record is to blame for than the host does not open it, and is an attempt of the record
// whatever the state: see suspects. When such a call tries the host it leaves the circuit open all the same.
type breaker struct {
	set    BreakerSettings
	random func() float64
	state  state
	period uint64 // grows with each change of state
	until  time.Duration
	times  int // that it opened, one behind another
	trying bool
	again  bool // a repeated call was the last that tried

	counted [parts]count
	slice   int64
	calls   int // sum over the parts, so is failed
	failed  int
	row     int           // failures without an answer between them
	out     int           // of these, that say that the host is out of service
	heard   time.Duration // when the last answer came
	silent  time.Duration // since when there was none: it came, or the first of the row began
	errors  int64         // failures for which it is open
	answer  time.Duration // when the last answer came since the circuit opened, or it did

	suspects suspects
}

type count struct{ calls, failed int }

// complete gives the settings with the defaults for what is 0.
func (s BreakerSettings) complete() BreakerSettings {
	d := DefaultBreaker()
	if s.Failures == 0 {
		s.Failures = d.Failures
	}
	s.Calls, s.Window = cmp.Or(s.Calls, d.Calls), cmp.Or(s.Window, d.Window)
	s.Open, s.MaxOpen = cmp.Or(s.Open, d.Open), cmp.Or(s.MaxOpen, d.MaxOpen)
	return s
}

// behind says whether a repeated call leaves it to a first one to try the host, of which there is one: they
// take turns, so that records which always fail do not try it for ever in place of others.
func (b *breaker) behind() bool { return b.state != closed && b.again }

// wait says whether a call may begin, and else how long it is until one may; 0 then: until the one that
// tries the host is back.
func (b *breaker) wait(at time.Duration) (wait time.Duration, ok bool) {
	switch {
	case b.state == closed:
		return 0, true
	case b.trying:
		return 0, false
	case b.until > at:
		return b.until - at, false
	}
	return 0, true
}

// begin says that a call begins which wait has let in, and whether it is the one that tries the host.
func (b *breaker) begin(again bool) (tries, changed bool) {
	if b.state == closed {
		return false, false
	}
	b.trying, b.again = true, again
	return true, b.change(halfOpen)
}

// back says that the call that tried the host is back and has shown nothing: the next one tries.
func (b *breaker) back() { b.trying = false }

// answered counts an answer to a call that began in period, at began.
func (b *breaker) answered(period uint64, tries bool, began, at time.Duration) (changed bool) {
	b.suspects.answered(began, at)
	switch {
	case b.set.Off:
	case b.state != closed && !tries:
		b.answer = at
	case tries:
		b.trying, b.times, b.errors = false, 0, 0
		b.forget()
		return b.change(closed)
	case b.state == closed && period == b.period:
		b.turn(at)
		b.current().calls++
		b.calls++
		b.row, b.out, b.heard = 0, 0, at
	}
	return false
}

// fewFailures in a row are enough when nothing else comes from a host.
const fewFailures = 3

// failure counts what a call has failed with. counts says whether the attempt is the record's: it is
// not when the host is known to fail, and it is not rather the record that does.
func (b *breaker) failure(f *failure, at time.Duration) (changed, counts bool) {
	if b.set.Off {
		return false, true
	}
	own, sign := b.suspects.failed(f, b.state != closed, at)
	switch {
	case f.tries:
		b.trying = false
		b.errors++
		return b.open(at), own
	case b.state != closed:
		return false, own
	case !sign, f.period != b.period:
		return false, true
	}
	b.turn(at)
	b.current().calls++
	b.current().failed++
	b.calls++
	b.failed++
	if b.row++; b.row == 1 {
		b.silent = max(f.began, b.heard)
	}
	if f.out {
		b.out++
	}
	stubborn := f.out && b.out >= fewFailures && f.attempt > fewFailures && f.first >= b.heard
	if !stubborn && !b.fails(at-b.silent) {
		return false, true
	}
	b.errors = int64(max(b.failed, b.row))
	return b.open(at), own
}

// fails says whether enough calls have failed for the host to be left alone, behind so long a time
// without an answer.
func (b *breaker) fails(silence time.Duration) bool {
	switch {
	case b.calls >= b.set.Calls && float64(b.failed) >= float64(b.set.Failures)*float64(b.calls):
	case b.row >= b.set.Calls:
	case b.row >= fewFailures && silence >= b.set.Open:
	case b.row >= 2 && silence >= 10*b.set.Open:
	case b.out >= fewFailures && silence >= b.set.Open/10:
	default:
		return false
	}
	return true
}

// givesUp says in how long the records of the host are to wait for it no longer. It gives false when there is no
// such time.
func (b *breaker) givesUp(at time.Duration) (in time.Duration, ok bool) {
	if b.state == closed || b.set.GiveUp <= 0 {
		return 0, false
	}
	return max(b.answer+b.set.GiveUp-at, 0), true
}

// jitter is by how much the times for which a circuit is open differ, so that steps do not keep step with one
// another, or with a host that comes and goes.
const jitter = 0.2

func (b *breaker) open(at time.Duration) (changed bool) {
	if b.state == closed {
		b.answer = at
	}
	d := b.set.Open
	for range b.times {
		if d *= 2; d >= b.set.MaxOpen {
			break
		}
	}
	b.times++
	longest := time.Duration(float64(max(b.set.MaxOpen, b.set.Open)) / (1 + jitter))
	b.until = at + time.Duration(float64(min(d, longest))*(1-jitter+2*jitter*b.random()))
	return b.change(open)
}

func (b *breaker) change(to state) bool {
	if b.state == to {
		return false
	}
	b.state = to
	b.period++
	return true
}

// turn lets go of what is older than the window.
func (b *breaker) turn(at time.Duration) {
	now := int64(at / max(b.set.Window/parts, 1))
	if now-b.slice >= parts || now < b.slice {
		b.forgetWindow()
		b.slice = now
		return
	}
	for b.slice < now {
		b.slice++
		old := b.current()
		b.calls -= old.calls
		b.failed -= old.failed
		*old = count{}
	}
}

func (b *breaker) current() *count { return &b.counted[(b.slice%parts+parts)%parts] }

// forget forgets all that calls have shown.
func (b *breaker) forget() {
	b.forgetWindow()
	b.row, b.out = 0, 0
}

// forgetWindow forgets what is counted by time. What came in a row stays: it may take longer.
func (b *breaker) forgetWindow() {
	clear(b.counted[:])
	b.calls, b.failed = 0, 0
}

// idle says whether nothing is lost when it is forgotten.
func (b *breaker) idle(at time.Duration) bool {
	return b.state == closed || !b.trying && b.until+b.set.MaxOpen <= at
}
