package calls

import "time"

// leastRetries is how many repeated calls a host gets in a second, however few other calls there are.
const leastRetries = 1

// savedRetries bounds how many repeated calls may come at once after a time with few of them.
const savedRetries = 10

// A budget has repeated calls of a host be no more than a share of all. Its host's lock guards it.
//
// Each call pays the share of one repeated call, and each repeated one takes a whole one. While that
// is less than one, time pays as well.
type budget struct {
	share  float64 // 1: without limit
	credit float64
	paid   time.Duration // when time paid last
}

func newBudget(share float64, at time.Duration) budget {
	return budget{share: share, credit: 1, paid: at}
}

// wait says how long it takes at most until a repeated call may begin.
func (b *budget) wait(at time.Duration) time.Duration {
	if b.share >= 1 {
		return 0
	}
	b.pay(at)
	if b.credit >= 1 {
		return 0
	}
	return time.Duration((1-b.credit)/leastRetries*float64(time.Second)) + 1
}

// call counts one that begins, and says whether a repeated one may follow.
func (b *budget) call(again bool, at time.Duration) (more bool) {
	if b.share >= 1 {
		return true
	}
	b.pay(at)
	if again {
		b.credit--
	}
	b.credit = min(b.credit+b.share, savedRetries)
	return b.credit >= 1
}

func (b *budget) pay(at time.Duration) {
	if b.credit < 1 {
		b.credit = min(b.credit+(at-b.paid).Seconds()*leastRetries, 1)
	}
	b.paid = at
}
