package calls

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// A Question is a call that a stage wants to make for one record. A is what an answer is to the
// stage: bytes to put into a field, mostly. An answer may be used for several records, at the same
// time, and is never changed.
type Question[A any] struct {
	// Host is who is asked, as in messages: "api.example", "api.example:8080", "db.example/shop".
	// Questions to one host share what is kept per host.
	Host string

	// Key is what makes the question equal to another of the step: the same key, the same answer.
	// "": it is equal to none; the answer is neither kept nor shared. See the function Key.
	Key string

	// Ask makes the call, within ctx. known is an answer to the same question that was kept and
	// is out of date, nil when there is none: whoever can ask whether it still holds gives it back
	// in the Reply. It is not changed.
	//
	// Its error is that of all records that wait for the same answer; what it says of the host stands
	// in the doc of the package. What pipeline.Next makes is of this record alone: where an answer
	// says where to go on, it is better Use that gives it.
	Ask func(ctx context.Context, rec *pipeline.Record, known *A) (Reply[A], error)

	// Use puts the answer into the record. It may come without Ask, for an answer that is known
	// or that another record has asked for. Its error is that of the attempt: pipeline.Filtered, say,
	// or what pipeline.Next makes.
	Use func(rec *pipeline.Record, answer A) error
}

// A Reply is an answer and how long it holds.
type Reply[A any] struct {
	Answer    A
	Bytes     int           // about how much memory it takes
	Negative  bool          // it says that there is none
	TTL       time.Duration // 0: as long as the settings say; below 0: it is not kept
	Stale     time.Duration // 0: as the settings say; below 0: it must not stand in once it is out of date, as one that is Negative never does
	Validates bool          // Ask can find out whether it still holds, so that it is kept for that once it is out of date
}

// Calls are the calls of one step.
type Calls[A any] struct {
	gates *gates
	share bool

	mu      sync.Mutex // never held while a wake is called; gates are asked under it
	kept    *cache[A]  // nil: no answer is kept
	flights map[string]*flight[A]

	hits, misses, stale, joined atomic.Int64
}

// New makes the calls of a step. The caller closes them. Where Settings.Share is nil, equal calls
// are shared: a stage that has others than those that only read sets it, or leaves their Key empty.
func New[A any](env Env) (*Calls[A], error) {
	g, err := newGates(env)
	if err != nil {
		return nil, err
	}
	c := &Calls[A]{gates: g, share: env.Settings.Share == nil || *env.Settings.Share, flights: map[string]*flight[A]{}}
	if env.Settings.Cache != nil {
		c.kept = newCache[A](*env.Settings.Cache)
	}
	return c, nil
}

// Attach implements pipeline.Attacher: e is for circuit.changed.
func (c *Calls[A]) Attach(e *event.Emitter) { c.gates.attach(e) }

// Account implements pipeline.Accounter: the cache is charged.
func (c *Calls[A]) Account(add func(bytes int64)) {
	if c.kept != nil {
		c.kept.charge = add
	}
}

// Report implements pipeline.Reporter. A call that was made because nothing was known that holds is a miss, also
// when an answer that is out of date stands in for what came of it, which is a hit of the record. A record that
// has the answer of another one's call is joined, and neither.
func (c *Calls[A]) Report() pipeline.Report {
	return pipeline.Report{
		CacheHits: c.hits.Load(), CacheMisses: c.misses.Load(), CacheStale: c.stale.Load(),
		CallsJoined: c.joined.Load(), OpenCircuits: c.gates.openCircuits(),
	}
}

// Resize implements engine.Resizer: where Settings.MaxPerHost was as many as the workers, or 0, it is as many as there are now.
func (c *Calls[A]) Resize(workers int) { c.gates.resize(workers) }

// Close lets go of what is kept. Calls that are still under way go on.
func (c *Calls[A]) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept != nil {
		c.kept.close()
	}
	c.gates.close()
}

// Delay has calls to a host begin no closer together than d, however many there may be at once and
// whichever steps of the process make them that have said so: the Crawl-delay of a robots.txt. from tells
// apart who says it, as there may be several for one host: the longest holds. 0 takes back what from has
// said. It may be forgotten of a host that was not called for long, when there are many: who has it says
// so before each call, which costs little.
func (c *Calls[A]) Delay(host, from string, d time.Duration) { c.gates.delay(host, from, d) }

// Admit makes the call of a question, for attempt, which is counted from 1: one that only uses an
// answer that is known, one that waits for the answer to an equal question, or one that asks.
func (c *Calls[A]) Admit(q Question[A], attempt int) pipeline.Call {
	if q.Key == "" || !c.share && c.kept == nil {
		return c.ask(q, attempt)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var old *entry[A]
	if c.kept != nil {
		var usable, stale bool
		old, usable, stale = c.look(q.Key, func() bool { return c.shut(q.Host) })
		if usable {
			return &known[A]{calls: c, q: q, entry: old, stale: stale}
		}
	}
	spare := old != nil && c.kept.now() < old.stands
	if !c.share {
		a := c.ask(q, attempt)
		a.spare = spare
		return a
	}
	if f := c.flights[q.Key]; f != nil {
		q.Key = f.key // one string for all that wait
		return &joining[A]{calls: c, q: q, attempt: attempt, flight: f}
	}
	l := &leading[A]{asking: c.asking(q, attempt), leads: flight[A]{key: q.Key}}
	l.flight, l.spare = &l.leads, spare
	c.flights[q.Key] = l.flight
	return &l.asking
}

// ask makes a call that asks, whatever is known or being asked.
func (c *Calls[A]) ask(q Question[A], attempt int) *asking[A] {
	a := c.asking(q, attempt)
	return &a
}

func (c *Calls[A]) asking(q Question[A], attempt int) asking[A] {
	return asking[A]{calls: c, q: q, attempt: attempt, passage: c.gates.of(q.Host)}
}

// shut says whether a host is left alone now.
func (c *Calls[A]) shut(host string) bool {
	g := c.gates.of(host)
	defer g.row.done()
	return g.shut()
}
