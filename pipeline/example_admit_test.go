package pipeline_test

import (
	"context"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
)

// A postcard stage writes to one host, which takes one postcard in ten milliseconds. Who has its
// calls wait for more than that, or for each of many hosts, makes them with package calls.
type postcard struct{ next time.Time }

// Process is for those who have no engine.
func (p *postcard) Process(_ context.Context, rec *pipeline.Record) error {
	return rec.SetBool("sent", true)
}

// Admit says what call the record needs. All calls of this stage wait at one gate, the stage.
func (p *postcard) Admit(*pipeline.Record, int) (pipeline.Call, error) { return posting{p}, nil }

type posting struct{ *postcard }

func (c posting) Gate() any     { return c.postcard }
func (c posting) Waits() string { return "rate of post.example" }

// Enter lets a call in, or says how long it has to wait. One call of a gate asks at a time: a lock
// is needed by stages alone that have several gates.
func (c posting) Enter(func()) (wait time.Duration, ok bool) {
	now := time.Now()
	if wait := c.next.Sub(now); wait > 0 {
		return wait, false
	}
	c.next = now.Add(10 * time.Millisecond)
	return 0, true
}

func (c posting) Do(ctx context.Context, rec *pipeline.Record) error { return c.Process(ctx, rec) }

// Leave says that every attempt counts.
func (c posting) Leave(pipeline.CallResult) (counts bool) { return true }

// An Admitter has its records wait without a slot and without a deadline: of five records that may
// go out one in ten milliseconds, none is too late for a deadline of fifteen.
func ExampleAdmitter() {
	run(engine.Step{
		Name: "post", Stage: &postcard{}, Workers: 2, Wait: &engine.Wait{Deadline: 15 * time.Millisecond},
	}, `{"to":1}`, `{"to":2}`, `{"to":3}`, `{"to":4}`, `{"to":5}`)
	// Output:
	// {"to":1,"sent":true}
	// {"to":2,"sent":true}
	// {"to":3,"sent":true}
	// {"to":4,"sent":true}
	// {"to":5,"sent":true}
}
