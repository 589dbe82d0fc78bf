package calls

import (
	"context"
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
	// "": it is equal to none; the answer is neither kept nor shared.
	Key string

	// Ask makes the call, within ctx. known is an answer to the same question that was kept and
	// is out of date, nil when there is none: whoever can ask whether it still holds gives it back
	// in the Reply.
	Ask func(ctx context.Context, rec *pipeline.Record, known *A) (Reply[A], error)

	// Use puts the answer into the record. It may come without Ask, for an answer that is known
	// or that another record has asked for. Its error is that of the attempt: pipeline.Filtered, say.
	Use func(rec *pipeline.Record, answer A) error
}

// A Reply is an answer and how long it holds.
type Reply[A any] struct {
	Answer   A
	Bytes    int           // about how much memory it takes
	Negative bool          // it says that there is none
	TTL      time.Duration // 0: as long as the settings say; below 0: it is not kept
	Stale    time.Duration // 0: as the settings say; below 0: it must not stand in once it is out of date
}

// Calls are the calls of one step.
type Calls[A any] struct {
	gates *gates
}

// New makes the calls of a step. The caller closes them.
func New[A any](env Env) (*Calls[A], error) {
	g, err := newGates(env)
	if err != nil {
		return nil, err
	}
	return &Calls[A]{gates: g}, nil
}

// Attach implements pipeline.Attacher: e is for circuit.changed.
func (c *Calls[A]) Attach(e *event.Emitter) { c.gates.attach(e) }

// Account implements pipeline.Accounter: the cache is charged.
func (c *Calls[A]) Account(add func(bytes int64)) {}

// Report implements pipeline.Reporter.
func (c *Calls[A]) Report() pipeline.Report { return pipeline.Report{} }

// Close lets go of what is kept.
func (c *Calls[A]) Close() {}

// Delay has calls to a host begin no closer together than d, however many there may be at once:
// the Crawl-delay of a robots.txt. 0 takes that back.
func (c *Calls[A]) Delay(host string, d time.Duration) {}

// Admit makes the call of a question, for attempt, which is counted from 1.
func (c *Calls[A]) Admit(q Question[A], attempt int) pipeline.Call { return &call[A]{q: q} }

type call[A any] struct {
	q Question[A]
}

func (c *call[A]) Gate() any                                  { return nil }
func (c *call[A]) Enter(func()) (wait time.Duration, ok bool) { return 0, true }
func (c *call[A]) Waits() string                              { return "" }
func (c *call[A]) Leave(pipeline.CallResult) (counts bool)    { return true }

func (c *call[A]) Do(ctx context.Context, rec *pipeline.Record) error {
	r, err := c.q.Ask(ctx, rec, nil)
	if err != nil {
		return err
	}
	return c.q.Use(rec, r.Answer)
}
