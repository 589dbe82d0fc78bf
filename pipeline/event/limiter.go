package event

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

const (
	limitWindow = 10 * time.Second
	limitBurst  = 5    // lines of a key in its first window
	limitKeys   = 1024 // keys remembered; the rest share one
)

// limitKey names lines that count as the same. The message is not part of it: it may differ
// each time.
type limitKey struct {
	event, pipeline, step, errorType string
}

// A limiter lets the first lines of a key pass, then one a window, until a window
// goes by in which nothing was held back. It counts what it holds back, and reports
// that by a timer, which is armed only while there is something to report.
type limiter struct {
	report func(limitKey, int64)

	mu     sync.Mutex
	keys   map[limitKey]*limitState
	timer  *time.Timer
	closed bool
}

type limitState struct {
	start      time.Time // of the window
	allowed    int
	passed     int
	exceeded   bool  // something was held back in this window
	suppressed int64 // held back, and not reported yet
}

func newLimiter(report func(limitKey, int64)) *limiter {
	return &limiter{report: report, keys: map[limitKey]*limitState{}}
}

// pass says whether a line of key may be written now.
func (l *limiter) pass(key limitKey, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return true
	}
	s := l.state(key, now)
	if age := now.Sub(s.start); age >= limitWindow || age < 0 {
		s.allowed = 1
		if !s.exceeded || age >= 2*limitWindow {
			s.allowed = limitBurst
		}
		s.start, s.passed, s.exceeded = now, 0, false
	}
	if s.passed < s.allowed {
		s.passed++
		return true
	}
	s.suppressed++
	s.exceeded = true
	if l.timer == nil {
		l.timer = time.AfterFunc(limitWindow, l.flush)
	}
	return false
}

// state gives what is known of key, which shares the state of all others when too
// many keys are in use.
func (l *limiter) state(key limitKey, now time.Time) *limitState {
	if s := l.keys[key]; s != nil {
		return s
	}
	if len(l.keys) >= limitKeys {
		for k, s := range l.keys {
			if s.suppressed == 0 && now.Sub(s.start) >= 2*limitWindow {
				delete(l.keys, k)
			}
		}
	}
	if len(l.keys) >= limitKeys {
		key = limitKey{event: key.event, step: Other, errorType: Other}
		if s := l.keys[key]; s != nil {
			return s
		}
	}
	s := &limitState{start: now, allowed: limitBurst}
	l.keys[key] = s
	return s
}

// flush reports what was held back and disarms the timer.
func (l *limiter) flush() {
	type keyCount struct {
		key   limitKey
		count int64
	}
	var all []keyCount
	l.mu.Lock()
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	for k, s := range l.keys {
		if s.suppressed > 0 {
			all = append(all, keyCount{k, s.suppressed})
			s.suppressed = 0
		}
	}
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b keyCount) int {
		return cmp.Or(cmp.Compare(a.key.event, b.key.event), cmp.Compare(a.key.pipeline, b.key.pipeline),
			cmp.Compare(a.key.step, b.key.step), cmp.Compare(a.key.errorType, b.key.errorType))
	})
	for _, h := range all {
		l.report(h.key, h.count)
	}
}

func (l *limiter) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.flush()
}
