package calls

import (
	"time"

	"golang.org/x/time/rate"
)

const perHost = "host"

// A bucket has the tokens of one rate: each call takes one when it begins. Shared.mu guards it, and
// whoever asks reads the clock behind that lock: a limiter that sees time go back gives too much.
//
// Beside it is a timetable for those who wait. It makes nothing allowed, as the tokens decide
// that: it tells each of them another moment at which to come back, in the order in which they came,
// so that many who share a rate neither ask in vain nor overtake one another.
type bucket struct {
	name     string
	perHost  bool
	crawl    bool // it is no rate of the file, but the time between calls that a host asks for
	limiter  *rate.Limiter
	interval time.Duration // of tokens

	turns map[*turn]int // those that have a moment in the timetable: which of theirs it is
	last  time.Time     // the latest of these
	free  []time.Time   // moments before it that were given up

	next       *turn // the token of this time is kept for it; nil: for nobody
	from, ends time.Time
}

// mostFree bounds what is remembered of moments that were given up.
const mostFree = 64

func newBucket(name string, r RateSettings) *bucket {
	return &bucket{
		name: name, perHost: r.Per == perHost,
		limiter:  rate.NewLimiter(rate.Limit(r.Rate.PerSecond()), max(r.Burst, 1)),
		interval: interval(r),
	}
}

// full says whether the bucket is as one that was just made.
func (b *bucket) full(now time.Time) bool {
	return len(b.turns) == 0 && (b.limiter.Limit() == rate.Inf || b.limiter.TokensAt(now) >= float64(b.limiter.Burst()))
}

// until says how long it takes until there are n tokens, 0 when they are there.
func (b *bucket) until(n int, now time.Time) time.Duration {
	if b.limiter.Limit() == rate.Inf {
		return 0
	}
	missing := float64(n) - b.limiter.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	d := missing / float64(b.limiter.Limit()) * float64(time.Second)
	if d < 1 {
		return 0 // so little that the limiter, too, lets it pass, and makes up for it
	}
	return span(d) + 1
}

// span gives so many nanoseconds, if that is not beyond all times.
func span(ns float64) time.Duration { return time.Duration(min(ns, 1<<61)) }

// wait says how long a call has to wait that has the given moment in the timetable; zero: none.
func (b *bucket) wait(t *turn, moment, now time.Time) time.Duration {
	need := 1
	if b.kept(t, now) {
		need = 2
	}
	switch {
	case moment.After(now):
		return moment.Sub(now)
	case moment.IsZero() && len(b.turns) > 0:
		if d := b.until(need+len(b.turns), now); d == 0 {
			return 0
		}
		return max(b.vacant(now).Sub(now), 1)
	}
	return b.until(need, now)
}

// kept says whether the next token is kept for another call.
func (b *bucket) kept(t *turn, now time.Time) bool {
	return b.next != nil && b.next != t && !now.Before(b.from) && !now.After(b.ends)
}

// vacant gives the moment that the next one to wait would get.
func (b *bucket) vacant(now time.Time) time.Time {
	for len(b.free) > 0 && !b.free[0].After(now) {
		b.free = b.free[1:]
	}
	if len(b.free) > 0 {
		return b.free[0]
	}
	at := now.Add(b.until(1, now))
	if next := b.last.Add(b.interval); len(b.turns) > 0 && next.After(at) {
		return next
	}
	return at
}

// join gives a turn a moment in the timetable, its i-th.
func (b *bucket) join(t *turn, i int, now time.Time) time.Time {
	at := b.vacant(now)
	if len(b.free) > 0 {
		b.free = b.free[1:]
	} else {
		b.last = at
	}
	if b.turns == nil {
		b.turns = map[*turn]int{}
	}
	b.turns[t] = i
	return at
}

// part takes the moment of a turn out of the timetable, which somebody else may have if it is still to come.
func (b *bucket) part(t *turn, moment, now time.Time) {
	delete(b.turns, t)
	switch {
	case len(b.turns) == 0:
		b.free = nil
	case moment.After(now) && moment.Equal(b.last):
		b.last = moment.Add(-b.interval)
	case moment.After(now) && len(b.free) < mostFree:
		i := 0
		for i < len(b.free) && b.free[i].Before(moment) {
			i++
		}
		b.free = append(b.free[:i], append([]time.Time{moment}, b.free[i:]...)...)
	}
}

// A turn is the place of one call in the timetables of the buckets that it takes from.
type turn struct {
	moments []time.Time // by bucket; zero: none. nil: none at all
	wake    func()      // to ask again when a rate has changed
}

// take takes one token of each bucket, or none. Else slow is the bucket that the call waits for
// longest, and wait how long.
//
// A call that needs several comes when the last of its moments is there, and by then others have
// taken what it has left in the other buckets. Of each the token of the time at which it comes back is then
// kept for it: of all buckets at once, so that two calls cannot keep from one another what both need, and
// for as long as that token takes, however long the call has to wait.
func (s *Shared) take(all []*bucket, t *turn, wake func()) (wait time.Duration, slow *bucket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.wake = wake
	now := time.Now()
	ready := len(all) > 1 && t.moments != nil
	for i, b := range all {
		if d := b.wait(t, t.at(i), now); d > wait {
			wait, slow = d, b
		}
		ready = ready && !t.at(i).After(now) && (b.next == nil || b.next == t || now.After(b.ends))
	}
	if wait == 0 {
		for _, b := range all {
			b.limiter.AllowN(now, 1)
		}
		t.part(all, now)
		return 0, nil
	}
	if len(t.moments) < len(all) {
		t.moments = append(t.moments, make([]time.Time, len(all)-len(t.moments))...)
	}
	for i, b := range all {
		if t.moments[i].IsZero() && b.wait(t, time.Time{}, now) > 0 {
			t.moments[i] = b.join(t, i, now)
		}
	}
	if ready {
		for _, b := range all {
			b.next, b.from, b.ends = t, now.Add(wait-b.interval), now.Add(wait+b.interval)
		}
	}
	return wait, slow
}

func (t *turn) at(i int) time.Time {
	if i < len(t.moments) {
		return t.moments[i]
	}
	return time.Time{}
}

// giveUp takes the call out of all timetables.
func (s *Shared) giveUp(all []*bucket, t *turn) {
	if t.moments == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.part(all, time.Now())
}

func (t *turn) part(all []*bucket, now time.Time) {
	for i, m := range t.moments {
		if !m.IsZero() {
			all[i].part(t, m, now)
		}
		if all[i].next == t {
			all[i].next = nil
		}
	}
	t.moments = nil
}
