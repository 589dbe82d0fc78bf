package sql

import "time"

const (
	// quickly is how long a query for several may take, whatever one alone takes.
	quickly = 50 * time.Millisecond
	// shared is how long a look-up takes for which it matters that all connections are at work.
	shared = 500 * time.Microsecond
	// A query larger than those before is tried when so many have been answered since one took too long.
	holdLeast, holdMost = 16, 1024
	// firstSize is the smallest size that is tried for several: where the time goes into the work and
	// not into the way, so many take clearly longer than one, and where it goes into the way they do not,
	// even when a statement has to be prepared first.
	firstSize = 4
)

// A pace is how many look-ups go together. A server works on those of one query one after another, so that
// a query for several takes as long as all of them, and each waits for that: it begins with one, and is
// larger as long as queries stay quick, or take no longer than one alone does, as far away.
type pace struct {
	size   int           // most that go together; 0: 1
	single time.Duration // about what a query for one takes; 0: not known
	each   time.Duration // about what a query takes for each of its look-ups
	hold   int           // queries until a larger one is tried
	held   int           // how many that were the last time
	stalls int           // how often a query took too long
}

// most says how many of n look-ups go together, at least 1. Each connection's part of all that are
// wanted is share. left is how long those who wait still have, 0: not known.
func (p *pace) most(n, share int, left time.Duration) int {
	n = min(n, max(p.size, 1))
	if p.each >= shared {
		n = min(n, share)
	}
	if left > 0 && p.each > 0 {
		n = min(n, int(left/4/p.each))
	}
	return max(n, 1)
}

// limit says how long a query for several may take before each is asked for alone, when those who wait have
// so much time left; 0: as long as it takes.
func (p *pace) limit(left time.Duration) time.Duration {
	if left == 0 {
		return 0
	}
	return max(left/3, 4*p.bound())
}

// bound is how long a query for several may take for the next to be as large.
func (p *pace) bound() time.Duration { return max(quickly, p.single*5/2) }

// took is told of a query for n that was answered, and of the stalls when it began: queries that run at once
// and all take too long are one.
func (p *pace) took(n int, d time.Duration, stalls int) {
	d = max(d, 1)
	if n == 1 {
		if p.single == 0 || d < p.single {
			p.single = d
		} else {
			p.single += (d - p.single) / 8
		}
	}
	if each := d / time.Duration(n); p.each == 0 {
		p.each = each
	} else {
		p.each += (each - p.each) / 4
	}
	switch {
	case n > 1 && d > p.bound():
		p.smaller(n/2, stalls)
	case p.hold > 0:
		p.hold--
	case n >= max(p.size, 1) && n < 1000:
		if p.size = max(firstSize, 2*n); n > 1 {
			p.held = 0
		}
	}
}

// late is told of a query for several that took too long to be answered, as took.
func (p *pace) late(stalls int) { p.smaller(1, stalls) }

func (p *pace) smaller(size, stalls int) {
	if size < firstSize {
		size = 1
	}
	p.size = min(max(p.size, 1), size)
	if stalls == p.stalls {
		p.held = min(max(2*p.held, holdLeast), holdMost)
		p.stalls++
	}
	p.hold = p.held
}
