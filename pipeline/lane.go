package pipeline

import "context"

// A Lane is one run of records within which order holds, opened by the source
// through [Engine]. Its methods may be called from several goroutines.
type Lane struct {
	name string
	// Tag is the source's own: set before the first batch, never touched by the
	// engine.
	Tag any
}

// Name is what the lane was opened with.
func (l *Lane) Name() string { return l.name }

// Room is how many bytes the lane may take now. Zero: leave it out of the next
// fetch; Engine.Room receives when it grows.
func (l *Lane) Room() int64 { panic("engine") }

// Take waits until bytes may be read for the lane and charges them to the process's
// budget. A lane with nothing in flight may always take one charge, however large.
// It fails when ctx or the lane ends.
func (l *Lane) Take(ctx context.Context, bytes int64) (*Charge, error) { panic("engine") }

// Ended is closed when the lane is over: by End, or by the engine. Batches of it
// that are still handed over are dropped, as abandoned, and freed. When it was the
// engine, open a new lane at the committed offset.
func (l *Lane) Ended() <-chan struct{} { panic("engine") }

// End gives the lane up, beside Read and Commit and for several lanes at once. From
// the call on no further batch of it is admitted. It waits for the outcomes, has
// the last mark committed, and fences the lane (I8). When ctx ends first it fences
// at once, counts the rest as abandoned, cancels the lane's calls, retry timers and
// endless sink retries, and returns without waiting for them: nothing new is begun;
// a write on its way may still land, its result is ignored. With a ctx already
// ended (the partition is lost) it commits nothing. Draining a revoked partition is
// End with the drain budget. The error is that of the last commit.
func (l *Lane) End(ctx context.Context) (EndReport, error) { panic("engine") }

// An EndReport says what became of the records in flight when End was called.
type EndReport struct {
	InFlight, Drained, Abandoned int
}

// A Charge is a number of bytes taken from the budget for a lane. It belongs to the
// source until the batch that holds it is returned by Read, then to the engine.
type Charge struct{}

// Resize makes the charge n bytes, without waiting: what is given back can be taken
// at once, growth beyond the budget is allowed and slows the sources down.
func (c *Charge) Resize(n int64) { panic("engine") }

// Release gives everything back. It is for a charge that no batch took.
func (c *Charge) Release() { panic("engine") }

// A Budget bounds what a process has in flight, in records and in bytes. Several
// pipelines may share one; each has an equal share for certain, the rest is first
// come. At most half goes to one lane while another waits.
type Budget struct{}

// NewBudget makes a budget. Zero stands for 100,000 records and 256 MiB.
func NewBudget(records int, bytes Size) *Budget { panic("engine") }

// Use gives what is in flight now.
func (b *Budget) Use() (records int, bytes int64) { panic("engine") }
