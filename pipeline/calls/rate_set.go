package calls

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstockio/penstock/pipeline/settings"
)

// This file changes a rate while calls wait for it.

// A NoRateError says that there is no rate of a name.
type NoRateError struct {
	Name  string
	There []string // the names that there are
}

func (e *NoRateError) Error() string {
	if len(e.There) == 0 {
		return fmt.Sprintf("there is no rate %q: the process has none", e.Name)
	}
	return fmt.Sprintf("there is no rate %q: there is %s", e.Name, strings.Join(e.There, ", "))
}

// SetRate changes a rate of the process, at each host where it is one per host, and gives what it was and is. A
// zero r or burst leaves that as it is. Calls that wait keep their order, and begin as the new rate has it; those that have begun
// are not concerned. Tokens that were earned stay, as far as the burst allows. The error is a *NoRateError, or says what r lacks.
func (s *Shared) SetRate(name string, r settings.Rate, burst int) (was, is RateSettings, err error) {
	s.start()
	s.mu.Lock()
	was, ok := s.rates[name]
	if !ok {
		there := slices.Sorted(maps.Keys(s.rates))
		s.mu.Unlock()
		return was, was, &NoRateError{name, there}
	}
	is = was
	if r != (settings.Rate{}) {
		is.Rate = r
	}
	if burst > 0 {
		is.Burst = burst
	}
	if !(is.Rate.N > 0) || is.Rate.Per <= 0 {
		s.mu.Unlock()
		return was, was, fmt.Errorf("the rate %q is not above 0", name)
	}
	s.rates[name] = is // buckets that are made from now on are of the new one
	var wakes []func()
	if b := s.process[name]; b != nil {
		wakes = b.set(is, time.Now())
	}
	s.mu.Unlock()
	s.peers.each(func(r *row[peer]) { wakes = append(wakes, s.setAt(&r.value, name)...) })
	for _, wake := range wakes {
		wake()
	}
	return was, is, nil
}

// setAt changes the bucket of a rate per host, at one host. Who else sets the rate meanwhile has the last word at each host.
func (s *Shared) setAt(p *peer, name string) (wakes []func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range p.rates {
		if b.name == name {
			wakes = append(wakes, b.set(s.rates[name], time.Now())...)
		}
	}
	return wakes
}

// set changes the rate of a bucket. The moments of its timetable come closer, or go away, all by the same factor, so
// that their order stays; wakes are for those who have them, as each sleeps until its old one. Shared.mu is held.
func (b *bucket) set(r RateSettings, now time.Time) (wakes []func()) {
	before := b.interval
	b.interval = interval(r)
	b.limiter.SetLimitAt(now, rate.Limit(r.Rate.PerSecond()))
	b.limiter.SetBurstAt(now, max(r.Burst, 1))
	scaled := func(at time.Time) time.Time {
		if !at.After(now) {
			return at
		}
		return now.Add(span(float64(at.Sub(now)) / float64(before) * float64(b.interval)))
	}
	b.last = scaled(b.last)
	for i := range b.free {
		b.free[i] = scaled(b.free[i])
	}
	for t, i := range b.turns {
		t.moments[i] = scaled(t.moments[i])
		if t.wake != nil {
			wakes = append(wakes, t.wake)
		}
	}
	b.next = nil // its token was of another time; whoever it was kept for is among those who are woken
	return wakes
}

// interval gives the time between two tokens.
func interval(r RateSettings) time.Duration {
	return max(span(math.Ceil(float64(r.Rate.Per)/r.Rate.N)), 1)
}
