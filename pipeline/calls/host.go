package calls

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// gates are those of a step, one for each host that it calls.
type gates struct {
	env    Env
	shared *Shared
	random func() float64
	hosts  table[host]
	fill   func(*row[host])
	events atomic.Pointer[event.Emitter]
	opened atomic.Int64 // circuits that are not closed
	most   atomic.Int64 // calls at once to one host; 0: any number
	follow bool         // most is how many workers the step has, and stays so
}

func newGates(env Env) (*gates, error) {
	if env.Shared == nil {
		env.Shared = NewShared(nil)
	}
	s := env.Shared
	if err := s.check(env.Settings.Limit); err != nil {
		return nil, err
	}
	env.Settings.Breaker = env.Settings.Breaker.complete()
	s.start()
	g := &gates{env: env, shared: s, random: rand.Float64}
	g.fill = g.newHost
	most := env.Settings.MaxPerHost
	if g.follow = most == 0 || most == env.Workers; g.follow {
		most = env.Workers
	}
	g.most.Store(int64(most))
	g.hosts.most = mostHosts
	g.hosts.idle, g.hosts.gone = g.idle, g.gone
	return g, nil
}

// attach has circuit.changed go to e.
func (g *gates) attach(e *event.Emitter) { g.events.Store(e) }

// openCircuits is how many hosts are left alone now because they fail.
func (g *gates) openCircuits() int64 { return g.opened.Load() }

// of gives a call its passage to a host. Each ends with one call of leave, whether
// the call was let in or not; until then it stays where it is in memory.
func (g *gates) of(name string) passage { return passage{row: g.hosts.use(name, g.fill)} }

// close lets go of the hosts that no call is at. Calls that are under way go on. Nothing is said of
// circuits any more.
func (g *gates) close() {
	g.events.Store(nil)
	g.hosts.clear()
}

// delay has calls to a host begin no closer together than d, as from says; 0 takes that back. What
// says so differently, here and in other steps of the process, counts too, and the longest holds.
func (g *gates) delay(name, from string, d time.Duration) {
	r := g.hosts.use(name, g.fill)
	defer r.done()
	h := &r.value
	h.mu.Lock()
	defer h.mu.Unlock()
	g.shared.mu.Lock()
	defer g.shared.mu.Unlock()
	p := &h.peer.value
	p.setDelay(delayer{h, from}, max(d, 0))
	if h.delayed || d <= 0 {
		return
	}
	if h.begun != never {
		p.crawl.limiter.AllowN(g.shared.began.Add(h.begun), 1)
	}
	h.delayed, h.buckets = true, append(h.buckets, p.crawl)
}

// A host is what a step knows of a host.
type host struct {
	gates *gates
	name  string
	peer  *row[peer]

	first, again byte // their addresses are what calls wait at: first attempts, and repeated ones

	mu       sync.Mutex
	buckets  []*bucket // of the rates, and the delay between calls
	delayed  bool      // the last of buckets is that of the peer's delay
	most     int       // calls at once; 0: as many as there are
	adaptive *adaptive // nil: most
	breaker  breaker
	budget   budget
	running  int
	pause    time.Duration // until when the host has asked to wait, the last time that it was tried after that
	proving  bool          // a call tries it after such a pause
	held     int           // first attempts that have asked in vain
	begun    time.Duration // when a call began last
	waiting  []*passage    // for a place, or for the call that tries the host
	poor     []*passage    // for the retry budget
}

func (g *gates) newHost(r *row[host]) {
	s := &g.env.Settings
	h := &r.value
	h.gates, h.name, h.begun = g, r.host, never
	h.peer = g.shared.peers.use(r.host, func(p *row[peer]) { p.value.init() })
	h.buckets = g.shared.buckets(&h.peer.value, s.Limit)
	h.most = int(g.most.Load())
	if s.Adaptive && h.most > 0 {
		h.adaptive = newAdaptive(h.most)
	}
	if p := &h.peer.value; p.wait(h.now()) == 0 {
		h.pause = p.asked()
	} else {
		h.pause = never
	}
	h.breaker = breaker{set: s.Breaker, state: closed, random: g.random}
	h.budget = newBudget(float64(s.RetryBudget))
}

// resize says how many workers there are now.
func (g *gates) resize(workers int) {
	if !g.follow {
		return
	}
	g.most.Store(int64(workers)) // first: hosts that come from here on go by it
	var wakes []func()
	g.hosts.each(func(r *row[host]) {
		h := &r.value
		h.mu.Lock()
		defer h.mu.Unlock()
		h.most = workers
		if h.adaptive != nil {
			h.adaptive.resize(workers)
		}
		if wake := h.next(); wake != nil {
			wakes = append(wakes, wake)
		}
	})
	for _, wake := range wakes {
		wake()
	}
}

// idle says whether nothing is lost when a host is forgotten.
func (g *gates) idle(h *host) bool {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.breaker.idle(now.Sub(g.shared.began)) {
		return false
	}
	if !h.delayed {
		return true
	}
	g.shared.mu.Lock()
	defer g.shared.mu.Unlock()
	return h.peer.value.crawl.full(now)
}

// gone is told of a host that is forgotten. Its circuit is closed from now on.
func (g *gates) gone(h *host) {
	h.mu.Lock()
	was := h.breaker.state
	h.mu.Unlock()
	if was != closed {
		g.opened.Add(-1)
		g.tell(&event.CircuitChanged{Target: h.name, State: string(closed)}, nil)
	}
	g.shared.mu.Lock()
	h.peer.value.forgetDelays(h)
	g.shared.mu.Unlock()
	h.peer.done()
}

// places is how many calls there may be at once; 0: any number.
func (h *host) places() int {
	if h.adaptive != nil {
		return h.adaptive.places()
	}
	return h.most
}

func (h *host) full() bool {
	n := h.places()
	return n > 0 && h.running >= n
}

// next takes the first off a list that waits for what there is now. The caller wakes it when it
// has let go of the lock. Whoever is woken asks or leaves, and looks for the next in turn: so one
// wake at a time is enough, and none is lost.
func (h *host) next() (wake func()) {
	if len(h.waiting) > 0 && !h.full() && !h.breaker.trying && !h.proving {
		return pop(&h.waiting)
	}
	if len(h.poor) > 0 && !h.budget.spent(h.places()) {
		return pop(&h.poor)
	}
	return nil
}

func pop(list *[]*passage) (wake func()) {
	t := (*list)[0]
	(*list)[0] = nil
	*list = (*list)[1:]
	t.in, t.woken = nil, true
	return t.wake
}

// changed makes the event of a circuit that has changed.
func (h *host) changed() *event.CircuitChanged {
	return &event.CircuitChanged{Target: h.name, State: string(h.breaker.state), ErrorCount: h.breaker.errors}
}

// tell emits an event, with no lock held. err is the error that led to it, or nil.
func (g *gates) tell(ev *event.CircuitChanged, err error) {
	if ev == nil {
		return
	}
	if err != nil {
		ev.ErrorType = errorType(err)
	}
	g.events.Load().Emit(ev, "")
}
