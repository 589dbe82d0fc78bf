package http

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline/settings"
)

// A bucket keeps to a rate of records. A request with more than the burst passes when the bucket is full, and what it takes beyond is
// owed: it is taken whole or not at all, and one that never fitted would be sent for ever.
type bucket struct {
	perSecond, burst float64

	mu     sync.Mutex
	tokens float64
	at     time.Time // of tokens
}

const longestWait = 365 * 24 * time.Hour // a Duration has no room for much more

func newBucket(r settings.Rate, burst int) *bucket {
	b := &bucket{perSecond: r.PerSecond(), burst: float64(burst)}
	if burst == 0 {
		b.burst = max(b.perSecond, 1)
	}
	b.tokens, b.at = b.burst, time.Now()
	return b
}

// take takes n tokens, or says after which time there will be enough.
func (b *bucket) take(n float64, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(b.burst, b.tokens+d.Seconds()*b.perSecond)
		b.at = now
	}
	if missing := min(n, b.burst) - b.tokens; missing > 0 {
		seconds := min(missing/b.perSecond, longestWait.Seconds())
		return max(time.Duration(seconds*float64(time.Second)), time.Millisecond)
	}
	b.tokens -= n
	return 0
}

func (b *bucket) give(n float64) {
	b.mu.Lock()
	b.tokens = min(b.burst, b.tokens+n)
	b.mu.Unlock()
}

// tooFast refuses a request before its body is read, when not even one record would pass.
func (s *Source) tooFast() *refusal {
	no := s.tooMuch(1)
	if no == nil {
		s.giveBack(1)
	}
	return no
}

// tooMuch refuses a request whose records come too fast.
func (s *Source) tooMuch(records int) *refusal {
	if s.limit == nil {
		return nil
	}
	wait := s.limit.take(float64(records), time.Now())
	if wait == 0 {
		return nil
	}
	return &refusal{
		status: http.StatusTooManyRequests, reason: "rate", retry: wait, stored: "no",
		detail: fmt.Sprintf("more than %v records come: send the request again later", s.settings.Rate),
	}
}

func (s *Source) giveBack(records int) {
	if s.limit != nil {
		s.limit.give(float64(records))
	}
}
