package calls

import (
	"math"
	"time"
)

// leastRetries is the time within which a host gets at least one repeated call, however few other calls
// there are.
const leastRetries = time.Second

// lastWhile is the time within which most of what calls have paid, and no repeated one has taken, is
// gone.
const lastWhile = 10 * time.Second

// A budget has the repeated calls of a host that fail again be no more than a share of all. Its
// host's lock guards it.
//
// Each call pays the share of one repeated call. A repeated one takes a whole one, or, when the last one
// is long ago, what there is; when it is answered, or says nothing of the host, it gives that back. So a
// host that is well again is soon asked by all that wait for another attempt, of which the window may be full;
// were these a share of all calls whatever comes of them, there would be no others to be a share of.
type budget struct {
	share  float64 // 1: without limit
	credit float64
	paid   time.Duration // when the last call paid
	last   time.Duration // when a repeated call began
}

func newBudget(share float64) budget { return budget{share: share, last: never} }

// wait says how long it takes at most until a repeated call may begin.
func (b *budget) wait(at time.Duration) time.Duration {
	if b.share >= 1 || b.credit >= 1 || b.last == never {
		return 0
	}
	return max(b.last+leastRetries-at, 0)
}

// call counts one that begins.
func (b *budget) call(again bool, at time.Duration) {
	if b.share >= 1 {
		return
	}
	if again {
		b.credit = max(b.credit-1, 0)
		b.last = at
	}
	if b.credit > 0 {
		b.credit *= math.Exp(-(at - b.paid).Seconds() / lastWhile.Seconds())
	}
	b.paid = at
	b.credit += b.share
}

// back takes back what a repeated call has taken that did not fail.
func (b *budget) back() { b.credit++ }
