package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// This file makes the writes of all sinks and the marks one step.
//
// What it guarantees. Whoever reads only what is committed sees each record's writes and its
// mark together or not at all. No mark passes a record before the transaction that holds its
// writes. A transaction that holds a write of an abandoned record is undone.
//
// How. Time is cut into cycles. In one that is open all writers may write. When the commit
// interval is over, or somebody asks, each lane is cut behind the last piece of which
// something was written: up to there every record is to get its outcome, and what is behind
// waits with the writers for the next cycle. Steps go on meanwhile. When no writer has a batch
// in its hands and all before the cuts is done, the marks that stand there are committed with
// the writes.
//
// Why the cut is behind what was written, and not at the mark. A write holds records far
// ahead of the mark while an earlier one of the lane is slow in another sink. The transaction
// can only be committed with a mark that covers all it has written, so the earlier ones have
// to be waited for; but only those, or a busy lane would never come to an end.
//
// Not chosen. A transaction for each write: the broker's work for one would come with every
// write, and the marks, which need all sinks to have a record, fit into none. Stopping all
// writers until nothing is in flight: they would stand as long as the slowest call of a step,
// once in every interval.
//
// An error of Commit is ambiguous: it may have come through. All lanes are given up then, and
// Abort follows; the source opens them again where the broker says that they are.
//
// No pipeline file can ask for this yet: delivery: exactly_once is refused until there is a
// Transactor for Kafka.

type txnState uint8

const (
	txnClosed txnState = iota // nothing may be written
	txnOpen
	txnCutting // only what is before the cut may be written
)

// transactions makes the writes of all sinks and the marks one step, again and again.
// A cycle begins when somebody wants to write or a mark has moved. It ends after the
// commit interval: each lane is cut behind the last piece of which something was
// written, everything before the cut gets its outcome, and the marks are committed.
// A nil *transactions lets everybody write and does nothing.
type transactions struct {
	p            *shared
	by           pipeline.Transactor
	startWriters func() // of all sinks

	quit, ended chan struct{}
	once        sync.Once

	mu         sync.Mutex // also guards cut, wrote and wroteIn of the lanes
	state      txnState
	number     uint64 // of the transaction that is open, or was last
	wanted     bool   // somebody wanted to write and could not
	inHand     int    // batches that writers have taken
	mustAbort  bool   // records that were written are abandoned: it cannot be committed
	endSoon    bool   // somebody waits for the end of the cycle
	lastErr    error
	cycleEnded chan struct{} // closed at the end of the cycle
}

func newTransactions(p *shared, startWriters func()) *transactions {
	if p.opts.Transactor == nil {
		return nil
	}
	return &transactions{
		p: p, by: p.opts.Transactor, startWriters: startWriters, quit: make(chan struct{}), ended: make(chan struct{}),
		cycleEnded: make(chan struct{}),
	}
}

func (t *transactions) start() {
	if t != nil {
		go t.run()
	}
}

// stop aborts what is open and ends the cycles. It waits until by.
func (t *transactions) stop(by time.Time) {
	if t == nil {
		return
	}
	t.once.Do(func() { close(t.quit) })
	wait := time.NewTimer(time.Until(by))
	defer wait.Stop()
	select {
	case <-t.ended:
	case <-wait.C:
	}
}

// lock keeps the state while a writer takes its batch.
func (t *transactions) lock() {
	if t != nil {
		t.mu.Lock()
	}
}

func (t *transactions) unlock() {
	if t != nil {
		t.mu.Unlock()
	}
}

// admits says whether a record may be written now. The lock is held.
func (t *transactions) admits(rec item) bool {
	if t == nil {
		return true
	}
	pc := rec.piece
	if t.state == txnOpen || t.state == txnCutting && pc.Seq() < pc.lane.writeBefore {
		return true
	}
	t.wanted = true
	t.p.wake()
	return false
}

// took notes that a writer has a batch in its hands. The lock is held.
func (t *transactions) took(recs []item) {
	if t == nil || len(recs) == 0 {
		return
	}
	t.inHand++
	for _, rec := range recs {
		pc := rec.piece
		pc.lane.wrote = max(pc.lane.wrote, pc.Seq()+1)
		pc.lane.wroteIn = t.number
	}
}

// resolved notes that a writer has none of its batch any more.
func (t *transactions) resolved() {
	if t != nil {
		t.mu.Lock()
		t.inHand--
		t.mu.Unlock()
		t.p.wake()
	}
}

// abandoned says that records of a lane are abandoned. If any of it was written in this
// transaction, that cannot be committed. What it wrote in earlier ones is.
func (t *transactions) abandoned(l *lane) {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.mustAbort = t.mustAbort || l.wroteIn == t.number && t.number > 0
	t.mu.Unlock()
	t.p.wake()
}

// run is the cycles, one after another. No timer runs while there is nothing to do.
func (t *transactions) run() {
	defer close(t.ended)
	for {
		select {
		case <-t.p.moved:
		case <-t.quit:
			return
		}
		if !t.needed() {
			continue
		}
		err := t.cycle()
		t.mu.Lock()
		t.endCycle(err)
		t.mu.Unlock()
		if err != nil && !t.p.work.isOver() {
			pause(t.p.work.ctx, t.p.opts.CommitEvery)
		}
		if t.needed() {
			t.p.wake()
		}
	}
}

// endCycle tells whoever waits for it that a cycle is over. The lock is held.
func (t *transactions) endCycle(err error) {
	t.lastErr = err
	close(t.cycleEnded)
	t.cycleEnded = make(chan struct{})
}

func (t *transactions) needed() bool {
	t.mu.Lock()
	wanted := t.wanted
	t.mu.Unlock()
	return wanted || t.p.dirty()
}

var errAbandoned = errors.New("records that it has written are abandoned")

// cycle is one transaction.
func (t *transactions) cycle() error {
	if !t.wait(func() bool { return t.inHand == 0 }) {
		return errStopping
	}
	if err := t.call(t.by.Begin); err != nil {
		return t.undo(fmt.Errorf("beginning a transaction: %w", err))
	}
	t.mu.Lock()
	t.number++
	t.state, t.wanted, t.mustAbort = txnOpen, false, false
	t.mu.Unlock()
	t.startWriters()
	t.gather()
	t.cutLanes()
	if !t.wait(func() bool { return t.complete() || t.mustAbort }) {
		return t.undo(errStopping)
	}
	marks := unsaved(t.p.lanes.all())
	t.mu.Lock()
	mustAbort := t.mustAbort // looked at last: a lane that has no mark any more has spoiled it
	t.state, t.endSoon = txnClosed, false
	t.mu.Unlock()
	if mustAbort {
		return t.undo(errAbandoned)
	}
	if err := t.call(func(ctx context.Context) error { return t.by.Commit(ctx, slices.Clone(marks)) }); err != nil {
		return t.undo(fmt.Errorf("committing a transaction: %w", err))
	}
	saved(marks)
	return nil
}

// call calls the transactor.
func (t *transactions) call(f func(context.Context) error) error {
	t.p.calls.Add(1)
	defer t.p.calls.Add(-1)
	return guarded(func() error { return f(t.p.work.ctx) })
}

// gather lets everybody write until the commit interval is over.
func (t *transactions) gather() {
	timer := time.NewTimer(t.p.opts.CommitEvery)
	defer timer.Stop()
	for {
		t.mu.Lock()
		enough := t.mustAbort || t.endSoon
		t.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-timer.C:
			return
		case <-t.p.moved:
		case <-t.quit:
			return
		}
	}
}

// cutLanes stops each lane's writes behind the last piece of which something was written.
func (t *transactions) cutLanes() {
	lanes := t.p.lanes.all()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range lanes {
		l.writeBefore = l.wrote
	}
	t.state = txnCutting
}

// complete says whether everything before the cut has its outcome. What was abandoned
// there never gets another, which spoils the transaction; what was handed back had not
// been written, and the mark stands before it.
func (t *transactions) complete() bool {
	if t.inHand > 0 {
		return false
	}
	for _, l := range t.p.lanes.all() {
		l.mu.Lock()
		first, some := l.ring.First()
		done := !some || first.Seq() >= l.writeBefore
		if !done {
			done = first.Lost() && first.intact && first.Left() == 0
			t.mustAbort = t.mustAbort || first.Lost() && !first.intact
		}
		l.mu.Unlock()
		if !done {
			return false
		}
	}
	return true
}

// wait waits for a condition, which is looked at with the lock held, and fails when
// the cycles are to end.
func (t *transactions) wait(ready func() bool) bool {
	for {
		t.mu.Lock()
		ok := ready()
		t.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-t.p.moved:
		case <-t.quit:
			return false
		}
	}
}

// undo aborts, and ends all lanes: they are read again from what was committed.
func (t *transactions) undo(why error) error {
	t.mu.Lock()
	t.state, t.endSoon = txnClosed, false
	t.mu.Unlock()
	for _, l := range t.p.lanes.all() {
		l.abandon(true)
		t.p.forget(l)
	}
	ctx, cancel := context.WithTimeout(context.Background(), max(t.p.opts.reserve(), time.Second))
	defer cancel()
	t.p.calls.Add(1)
	err := guarded(func() error { return t.by.Abort(ctx) })
	t.p.calls.Add(-1)
	if err != nil {
		why = fmt.Errorf("%w; aborting it: %w", why, err)
	}
	if t.p.events != nil {
		t.p.events.Emit(event.TransactionAborted{
			ErrorType: errorType(why), ErrorMessage: clip(why.Error(), maxMessage), Attempt: 1,
			Generation: t.p.report().Generation,
		}, "")
	}
	return why
}

// flush ends the cycle early and waits until the marks of the lanes are committed.
func (t *transactions) flush(ctx context.Context, lanes []*lane) error {
	for {
		// Asked for before the marks are looked at: a cycle that ends between the two has
		// committed them, and nobody begins another one for whoever waits for the next.
		t.mu.Lock()
		cycleEnded := t.cycleEnded
		t.mu.Unlock()
		if len(unsaved(lanes)) == 0 {
			return nil
		}
		t.mu.Lock()
		if cycleEnded == t.cycleEnded {
			t.endSoon = true
		}
		t.mu.Unlock()
		t.p.wake()
		select {
		case <-cycleEnded:
			t.mu.Lock()
			err := t.lastErr
			t.mu.Unlock()
			if err != nil {
				return err
			}
		case <-t.ended:
			return errStopping
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
