package calls

import (
	"math"
	"time"
)

// lastWhile is the time within which most of what calls have paid, and no repeated one has taken, is
// gone.
const lastWhile = 10 * time.Second

// A budget has the repeated calls of a host that fail again be no more than a share of all. Its
// host's lock guards it.
//
// Each call pays the share of one repeated call. A repeated one takes a whole one, and gives it back when it
// is answered, or says nothing of the host. So a host that is well again is soon asked by all that wait for
// another attempt, of which the window may be full; were these a share of all calls whatever comes of them,
// there would be no others to be a share of.
//
// One for which there is nothing to take owes it: of those there are at once no more than the share of the
// places, and at least one. When the window is full of records that fail again and again there are
// no other calls that pay, and they have to come to an end.
type budget struct {
	share  float64 // 1: without limit
	credit float64
	paid   time.Duration // when the last call paid
	owing  int           // calls under way that owe
}

func newBudget(share float64) budget { return budget{share: share} }

// spent says whether a repeated call has to wait until others are back, or pay.
func (b *budget) spent(places int) bool {
	return b.share < 1 && b.credit < 1 && b.owing >= max(1, int(b.share*float64(places)))
}

// call counts one that begins, and says whether it owes.
func (b *budget) call(again bool, at time.Duration) (owes bool) {
	if b.share >= 1 {
		return false
	}
	if again {
		if owes = b.credit < 1; owes {
			b.owing++
		} else {
			b.credit--
		}
	}
	if b.credit > 0 {
		b.credit *= math.Exp(-(at - b.paid).Seconds() / lastWhile.Seconds())
	}
	b.paid = at
	b.credit += b.share
	return owes
}

// back takes back what a repeated call has taken that has not failed, and what it owes in any case.
func (b *budget) back(owes, failed bool) {
	if owes {
		b.owing--
	} else if !failed {
		b.credit++
	}
}
