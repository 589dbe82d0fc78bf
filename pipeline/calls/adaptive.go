package calls

import "time"

const (
	firstLimit   = 8    // calls at once that an adaptive limit begins with
	windowCalls  = 30   // fewest calls that are looked at together
	regainCalls  = 10   // the same, on the way back to a limit that was known
	mostCalls    = 150  // as many are enough, however much their latencies differ
	unsure       = 0.1  // how far, as a part of it, a mean may be off for that (its standard error)
	calm         = 1.25 // slower than this than with an idle host: no more calls at once
	crowded      = 1.6  // slower than this: fewer
	same         = 0.8  // of another mean: not much less than it
	backOff      = 0.7  // what is left of the limit when the host says that it is too much
	measureAfter = 40   // windows until the latency of an idle host is measured again
	doubtful     = 4    // the same, when it may be that calls from before were still in the way
)

// An adaptive is a limit on the calls at once to a host that finds out how many it answers without getting
// slower. Its host's lock guards it.
//
// It looks at the calls of one window after another, which all began under the limit of that window.
// Their mean latency is compared with that of few calls: while it is not much higher, all places
// were taken and the step releases records, the limit grows; when it is much higher, a part of the calls waits
// at the host for the others, and the limit shrinks. When fewer calls are not faster, the host itself has
// become slower, and that is its latency from then on. So that a latency which has risen little by
// little is not taken for that of an idle host, now and then a window has half the calls, and the next one half
// of these if that is much faster than the host was taken to be.
type adaptive struct {
	most  int
	limit float64
	fast  bool // it has never had to shrink: it grows in large steps

	base  time.Duration // mean latency of few calls
	since time.Duration // when the limit was set: calls that began before do not count

	calls    int
	sum      time.Duration
	squares  float64 // of the latencies in seconds
	full     bool    // all places were taken
	released int64   // when the window began
	latest   int64

	refusals int     // since the last window that was whole
	regain   float64 // the limit to come back to after them, in large steps and small windows

	windows int
	before  float64       // the limit before the window that measures, or 0
	shrunk  time.Duration // the mean before the limit shrank, or 0
}

func newAdaptive(most int) *adaptive {
	return &adaptive{most: most, limit: float64(min(firstLimit, most)), fast: true, since: never}
}

// resize changes the most calls that there may be. What has been found out stays, as far as it is below that.
func (a *adaptive) resize(most int) {
	a.most = most
	a.limit = min(a.limit, float64(most))
	a.before = min(a.before, float64(most))
	a.regain = min(a.regain, float64(most))
}

// places is how many calls there may be at once.
func (a *adaptive) places() int { return max(int(a.limit), 1) }

// entered says how many calls there are now.
func (a *adaptive) entered(running int) {
	if running >= a.places() {
		a.full = true
	}
}

// refused says that the host was asked too much, by a call that began at a time.
func (a *adaptive) refused(began, at time.Duration) {
	if began < a.since {
		return
	}
	if a.refusals == 0 {
		a.regain = backOff * max(a.limit, a.before)
	}
	a.refusals++
	a.fast = false
	a.set(a.limit*backOff, at)
}

// answered counts an answer. released is how many records the step has let go.
func (a *adaptive) answered(began, at, took time.Duration, released int64) {
	a.latest = max(a.latest, released)
	if began < a.since {
		return
	}
	a.calls++
	a.sum += took
	a.squares += took.Seconds() * took.Seconds()
	if !a.enough() {
		return
	}
	a.refusals = 0
	mean := max(a.sum/time.Duration(a.calls), 1)
	a.windows++
	switch {
	case a.base == 0:
		a.base = mean
		a.measure(a.limit, at)
	case a.before != 0 && float64(mean) < same*float64(a.base) && a.places() > 1:
		a.base = mean
		a.measure(a.before, at)
	case a.before != 0:
		if a.base < mean && float64(a.base) > same*float64(mean) {
			mean = (a.base + mean) / 2
		}
		a.base = mean
		a.set(a.before, at)
	case a.shrunk != 0 && float64(mean) > 0.9*float64(a.shrunk):
		a.base = mean
		a.windows = max(a.windows, measureAfter-doubtful)
		a.set(a.limit, at)
	default:
		a.judge(mean, at)
	}
}

// enough says whether the calls of the window say how fast the host is.
func (a *adaptive) enough() bool {
	if a.limit < a.regain {
		return a.calls >= max(regainCalls, 2*a.places())
	}
	if a.calls < max(windowCalls, 2*a.places()) {
		return false
	}
	n := float64(a.calls)
	mean := a.sum.Seconds() / n
	return a.calls >= mostCalls || a.squares/n-mean*mean <= unsure*unsure*mean*mean*n
}

func (a *adaptive) judge(mean, at time.Duration) {
	if mean < a.base {
		a.base -= (a.base - mean) / 4
	}
	slower := float64(mean) / float64(a.base)
	switch {
	case slower > crowded:
		a.fast = false
		if a.places() > 1 { // else there is nothing to shrink: the calls of an outage are among them
			a.regain = 0
		}
		a.set(a.limit*max(calm/slower, 0.5), at)
		a.shrunk = mean
	case a.windows >= measureAfter && a.places() > 1:
		a.measure(a.limit, at)
	case slower > calm:
		a.fast, a.regain = false, 0
		a.set(a.limit, at)
	default:
		a.grow(at)
	}
}

// measure begins a window with half the calls, before the limit is as it was.
func (a *adaptive) measure(before float64, at time.Duration) {
	a.windows = 0
	a.set(a.limit/2, at)
	a.before = before
}

func (a *adaptive) grow(at time.Duration) {
	step := max(a.limit/8, 1)
	switch {
	case a.fast:
		step = max(a.limit/2, 1)
	case a.limit < a.regain:
		step = min(max(a.limit/2, 1), a.regain-a.limit)
	}
	if !a.full || a.latest <= a.released {
		step = 0
	}
	a.set(a.limit+step, at)
}

// set begins a window under a limit.
func (a *adaptive) set(limit float64, at time.Duration) {
	a.limit = min(max(limit, 1), float64(a.most))
	a.since, a.calls, a.sum, a.squares, a.full = at, 0, 0, 0, false
	a.released, a.before, a.shrunk = a.latest, 0, 0
}
