package calls

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxPause is the longest that a host is left alone because it has asked for it, however long
// that may be.
const maxPause = 5 * time.Minute

const (
	leastPause = 100 * time.Millisecond // however short the time that a host says
	firstPause = time.Second            // for a host that does not say how long
	mostPause  = time.Minute            // to which both double
)

// Shared is what the steps and pipelines of a process have in common: the rates by name, and which
// hosts have asked to be left alone. Its zero value has no rates.
type Shared struct {
	rates map[string]RateSettings // guarded by mu

	once    sync.Once
	began   time.Time   // what times within this package are counted from
	peers   table[peer] // by host
	process map[string]*bucket

	mu sync.Mutex // guards all buckets, so that several are taken all or none
}

// NewShared makes it of the entries of limits.rates, which SetRate may change later.
func NewShared(rates map[string]RateSettings) *Shared { return &Shared{rates: maps.Clone(rates)} }

// An Env is the place of a step that makes calls, or of a sink.
type Env struct {
	Shared   *Shared // nil: one of its own
	Settings Settings
	Workers  int // slots
}

func (s *Shared) start() {
	s.once.Do(func() {
		s.began = time.Now()
		s.process = map[string]*bucket{}
		s.peers.most = mostHosts
		s.peers.gone = func(*peer) {}
		s.peers.idle = func(p *peer) bool { return p.idle(s, time.Now()) }
		for name, r := range s.rates {
			if r.Per != perHost {
				s.process[name] = newBucket(name, r)
			}
		}
	})
}

// buckets gives those that calls to p take from, for the names of a step, each once.
func (s *Shared) buckets(p *peer, names []string) []*bucket {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*bucket
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		b := s.process[name]
		if b == nil {
			b = p.bucket(name, s.rates[name])
		}
		all = append(all, b)
	}
	return all
}

// check says whether the names are those of rates.
func (s *Shared) check(names []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		r, ok := s.rates[name]
		if !ok {
			return fmt.Errorf("limit: there is no rate %q in limits.rates", name)
		}
		if !(r.Rate.N > 0) || r.Rate.Per <= 0 {
			return fmt.Errorf("limit: the rate %q is not above 0", name)
		}
	}
	return nil
}

// A peer is what the process knows of a host.
type peer struct {
	paused  atomic.Int64 // until when it has asked to be left alone, as a time since Shared.began
	refused atomic.Int32 // refusals without a time, and without an answer between them

	mu   sync.Mutex
	set  time.Duration // when paused was last set
	next time.Duration // the shortest that the last pause could be, 0 behind an answer
	how  string        // the type of the error by which it has asked to wait last; "": it had none

	// Guarded by Shared.mu:
	rates  []*bucket // those per host, as far as a step has named them
	crawl  *bucket   // the time between calls that the host asks for; nil: nobody has said so
	delays map[delayer]time.Duration
}

// never is before all times since Shared.began.
const never = time.Duration(math.MinInt64)

func (p *peer) init() {
	p.paused.Store(int64(never))
	p.set = never
}

func (p *peer) bucket(name string, r RateSettings) *bucket {
	for _, b := range p.rates {
		if b.name == name {
			return b
		}
	}
	b := newBucket(name, r)
	p.rates = append(p.rates, b)
	return b
}

// asked gives until when the host has asked to be left alone.
func (p *peer) asked() time.Duration { return time.Duration(p.paused.Load()) }

// wait says how much longer the host wants to be left alone.
func (p *peer) wait(at time.Duration) time.Duration {
	until := time.Duration(p.paused.Load())
	if until <= at {
		return 0
	}
	return until - at
}

// fewRefusals in a row without a time are taken for a wish to be left alone. One now and then says no
// more than that this call came too much: a pause of the host for each, of a second, left it idle for
// most of the time at one such answer in a hundred.
const fewRefusals = 3

// pause has the host left alone for d, or, when that is longer or the host has not said how long, for a time that
// doubles while such answers follow one another. A call that had begun before the last pause was known
// tells nothing new of that. It gives false when the host is asked on. sure says that one refusal is enough.
func (p *peer) pause(began, at, d time.Duration, sure bool) (paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d <= 0 {
		if began < p.set {
			return true
		}
		if p.next == 0 && !sure && p.refused.Add(1) < fewRefusals {
			return false
		}
		p.next = min(max(2*p.next, firstPause), mostPause)
	} else if began >= p.set {
		p.next = min(max(2*p.next, leastPause), mostPause)
	}
	d = max(d, p.next)
	p.refused.Store(0)
	p.set = at
	if until := at + min(d, maxPause); until > time.Duration(p.paused.Load()) {
		p.paused.Store(int64(until))
	}
	return true
}

// note notes by what kind of error the host has asked to wait.
func (p *peer) note(kind string) {
	p.mu.Lock()
	p.how = kind
	p.mu.Unlock()
}

// saidHow is that in a message: " (http_429)".
func (p *peer) saidHow() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.how == "" {
		return ""
	}
	return " (" + p.how + ")"
}

// answered forgets how long the last pause was: a call that began after it was set has been
// answered.
func (p *peer) answered(began time.Duration) {
	if p.refused.Load() > 0 {
		p.refused.Store(0)
	}
	if p.paused.Load() == int64(never) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if began >= p.set {
		p.next = 0
	}
}

// idle says whether nothing is lost when the host is forgotten.
func (p *peer) idle(s *Shared, now time.Time) bool {
	at := now.Sub(s.began)
	p.mu.Lock()
	busy := p.wait(at) > 0 || p.next > 0 && at < p.set+2*mostPause
	p.mu.Unlock()
	if busy {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range p.rates {
		if !b.full(now) {
			return false
		}
	}
	return p.crawl == nil || p.crawl.full(now)
}
