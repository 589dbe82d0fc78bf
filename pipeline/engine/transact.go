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

// This file commits the writes of all sinks and the marks together, in transactions.
//
// What it guarantees. Whoever reads only what is committed sees a record's writes and the mark
// behind it together, or neither. A mark is never committed before the writes of the records that
// it passes. A transaction is aborted when it holds a write of a record that was abandoned.
//
// How. One transaction follows the other; each is a cycle of the loop here. While a cycle is
// open, all writers may write. When the commit interval is over, or somebody waits for a mark,
// the cycle is cut: in each lane, records up to the last piece of which something was written
// may still be written, and those behind wait in their queues for the next cycle. Steps go on
// meanwhile. When no writer has a batch under way, and every record before the cuts has its
// outcome, the marks stand at the cuts or further, and are committed with the writes.
//
// Why the cut is behind what was written, and not at the mark. A sink may have written records
// far ahead of the mark, while an earlier record of the lane is slow in another sink. The
// transaction can only be committed with a mark that covers all it has written, so the earlier
// records have to be waited for. Records behind are not waited for, or the cycle of a busy lane
// would never end.
//
// Not chosen. A transaction for each write: every write would then cost the broker the work of
// a transaction, and the marks would fit into none of them, as a mark needs all sinks to have
// the record. Stopping all writers until nothing is in flight: they would stand still as long as
// the slowest call of a step takes, once in every interval.
//
// An error of Commit is ambiguous: the transaction may have been committed. All lanes are given
// up then, and Abort follows. The source opens the lanes again where the broker says that they
// are.
//
// No pipeline file can ask for this yet: delivery: exactly_once is refused until there is a
// Transactor for Kafka.

// A txnState is what writers may do at the moment.
type txnState uint8

const (
	txnClosed  txnState = iota // nothing may be written
	txnOpen                    // everything may be written
	txnCutting                 // only what is before the cut of its lane may be written
)

// transactions runs the cycles. One begins when a writer has something to write, or a mark has
// moved. A nil *transactions, that of a pipeline without a Transactor, lets everybody write and
// does nothing.
type transactions struct {
	p            *shared
	by           pipeline.Transactor // what makes the transactions
	startWriters func()              // of all sinks

	quit, ended chan struct{} // closed to end the cycles, and when they have ended
	once        sync.Once     // closes quit

	mu         sync.Mutex // also guards the laneWrites of all lanes
	state      txnState
	number     uint64        // of the transaction that is open, or of the last one; 0: there was none
	wanted     bool          // a writer has something that it may not write now
	inHand     int           // batches that writers have taken and not finished
	mustAbort  bool          // a record that was written in it has been abandoned
	endSoon    bool          // somebody waits for a mark: the cycle ends before its interval is over
	lastErr    error         // with which the last cycle ended
	cycleEnded chan struct{} // closed when the cycle ends, or the next one if none is under way
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

// stop ends the cycles; a transaction that is open is aborted. It waits for that until by.
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

// mayWrite says whether a record may be written now. The lock is held.
func (t *transactions) mayWrite(rec item) bool {
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

// isClosed says whether nothing may be written now, as a transaction begins or is committed. A nil one holds up nothing.
func (t *transactions) isClosed() bool {
	if t == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state == txnClosed
}

// took notes that a writer has taken a batch, which it will write in this transaction. The lock
// is held.
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

// resolved notes that a writer is done with its batch: each record is stored, rejected or
// abandoned.
func (t *transactions) resolved() {
	if t != nil {
		t.mu.Lock()
		t.inHand--
		t.mu.Unlock()
		t.p.wake()
	}
}

// abandoned says that records of a lane are abandoned. If any record of the lane was written in
// the transaction that is open, that has to be aborted; what was written in earlier transactions
// is committed.
func (t *transactions) abandoned(l *lane) {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.mustAbort = t.mustAbort || l.wroteIn == t.number && t.number > 0
	t.mu.Unlock()
	t.p.wake()
}

// run is the loop of the cycles. No timer runs while there is nothing to do.
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

// endCycle tells those who wait for it that a cycle has ended. The lock is held.
func (t *transactions) endCycle(err error) {
	t.lastErr = err
	close(t.cycleEnded)
	t.cycleEnded = make(chan struct{})
}

// needed says whether there is a reason to begin a cycle.
func (t *transactions) needed() bool {
	t.mu.Lock()
	wanted := t.wanted
	t.mu.Unlock()
	return wanted || t.p.dirty()
}

var errAbandoned = errors.New("records that it has written are abandoned")

// cycle is one transaction, from Begin to Commit or Abort.
func (t *transactions) cycle() error {
	if !t.wait(func() bool { return t.inHand == 0 }) {
		return errStopping
	}
	if err := t.call(t.by.Begin); err != nil {
		return t.abort(fmt.Errorf("beginning a transaction: %w", err))
	}
	t.mu.Lock()
	t.number++
	t.state, t.wanted, t.mustAbort = txnOpen, false, false
	t.mu.Unlock()
	t.startWriters()
	t.gather()
	t.cutLanes()
	if !t.wait(func() bool { return t.complete() || t.mustAbort }) {
		return t.abort(errStopping)
	}
	marks := unsaved(t.p.lanes.all())
	t.mu.Lock()
	// Looked at after the marks: a lane that was given up in between may be missing from them,
	// and has set mustAbort before that.
	mustAbort := t.mustAbort
	t.state, t.endSoon = txnClosed, false
	t.mu.Unlock()
	if mustAbort {
		return t.abort(errAbandoned)
	}
	if err := t.call(func(ctx context.Context) error { return t.by.Commit(ctx, slices.Clone(marks)) }); err != nil {
		return t.abort(fmt.Errorf("committing a transaction: %w", err))
	}
	saved(marks)
	return nil
}

// call makes a call of the transactor.
func (t *transactions) call(f func(context.Context) error) error {
	t.p.outstanding.Add(1)
	defer t.p.outstanding.Add(-1)
	return guarded(func() error { return f(t.p.work.ctx) })
}

// wait waits until ready, which is asked with the lock held. It gives false when the cycles are
// to end.
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

// abort aborts the transaction because of why, and ends all lanes: they are read again from what
// was committed.
func (t *transactions) abort(why error) error {
	t.mu.Lock()
	t.state, t.endSoon = txnClosed, false
	t.mu.Unlock()
	for _, l := range t.p.lanes.all() {
		l.abandon(true)
		t.p.forget(l)
	}
	ctx, cancel := context.WithTimeout(context.Background(), max(t.p.opts.reserve(), time.Second))
	defer cancel()
	t.p.outstanding.Add(1)
	err := guarded(func() error { return t.by.Abort(ctx) })
	t.p.outstanding.Add(-1)
	if err != nil {
		why = fmt.Errorf("%w; aborting it: %w", why, err)
	}
	if t.p.events != nil {
		t.p.events.Emit(event.TransactionAborted{
			ErrorType: errorType(why), ErrorMessage: clip(textOf(why.Error), maxMessage), Attempt: 1,
			Generation: t.p.report().Generation,
		}, "")
	}
	return why
}

// hurry ends the cycle before its interval is over: everything has its outcome.
func (t *transactions) hurry() {
	if t != nil {
		t.mu.Lock()
		t.endSoon = true
		t.mu.Unlock()
		t.p.wake()
	}
}

// flush ends the cycle early and waits until the marks of the lanes are committed.
func (t *transactions) flush(ctx context.Context, lanes []*lane) error {
	for {
		// The channel is fetched before the marks are looked at. Fetched after them, it could be
		// that of the next cycle, when this one ends in between and commits them: and no next
		// cycle need ever come.
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
