package calls

import (
	"time"

	"golang.org/x/time/rate"
)

// A delayer is who says how far apart the calls to a host are to be: what a step has read, the
// robots.txt of http or that of https, say.
type delayer struct {
	host *host
	from string
}

// setDelay notes what one of them says. Of all the longest holds, for all. Shared.mu is held.
func (p *peer) setDelay(who delayer, d time.Duration) {
	if p.delays[who] == d {
		return
	}
	if p.delays == nil {
		p.delays = map[delayer]time.Duration{}
	}
	if p.delays[who] = d; d == 0 {
		delete(p.delays, who)
	}
	p.applyDelays()
}

// forgetDelays is told of the host of a step that is forgotten. Shared.mu is held.
func (p *peer) forgetDelays(h *host) {
	for who := range p.delays {
		if who.host == h {
			delete(p.delays, who)
		}
	}
	p.applyDelays()
}

func (p *peer) applyDelays() {
	longest := time.Duration(0)
	for _, d := range p.delays {
		longest = max(longest, d)
	}
	switch b := p.crawl; {
	case b == nil && longest == 0 || b != nil && b.interval == longest:
	case b == nil:
		p.crawl = &bucket{crawl: true, interval: longest, limiter: rate.NewLimiter(rate.Every(longest), 1)}
	case longest == 0:
		b.interval = 0
		b.limiter.SetLimitAt(time.Now(), rate.Inf)
	default:
		b.interval = longest
		b.limiter.SetLimitAt(time.Now(), rate.Every(longest))
	}
}
