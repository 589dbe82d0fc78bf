package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/penstockio/penstock/pipeline/settings"
)

// This file bounds what a process has in flight (I4).
//
// What it guarantees. Records never exceed the budget, but for one of each lane that has none.
// Bytes are taken before they are read, and stay within the budget but for one charge of each
// lane that has none, and for what is charged late. No lane and no pipeline stands still because
// of others.
//
// Who waits. Only sources, and the filler, which makes records: nothing in flight depends on
// them. A step or a sink never waits for the budget. What it waited for could only be given back
// by records behind it, or by other lanes that wait in front of it: a deadlock.
//
// Why bytes may be charged late, and records never. How large something gets is often known only
// when it is there: what a batch opens into, what a stage adds to a record, what a sink holds to
// send. Then it is charged without waiting, the bytes in use may exceed the budget, and it is
// the next reads that wait. What could grow past any budget meanwhile has bounds of its own: what
// an expression builds, the parts of a split, and what paths to many places add to a record. A
// record is counted before it is made, by the filler, which can let its batch wait as bytes
// instead. So there is no reason to exceed the budget of records.
//
// What is never charged. A record in a step that waits has a call beside it, of about 700 bytes. A step has as many as its window has
// places at most, and keeps them for the next records: 3 MB with 64 workers, 46 MB with 1,024, and a window of its own may be larger.
//
// Shares. Half of the budget is set aside in equal parts, one for each pipeline, so that each
// can always take its part, whatever the others have. The other half is for whoever comes first.
// A pipeline that is alone may have everything.
//
// Why a lane that holds no charge may always take one, and a lane without a record make one. Else a
// lane would wait for others whenever its next batch is larger than what is free, and for ever when
// it is larger than the budget. A lane that holds something goes on when that is done. So this
// exception is enough for every lane to move, and it bounds by how much the budget is exceeded.
//
// Who may overtake. Within a pipeline, requests for bytes are served in the order in which they
// came: if small ones were served whenever a few bytes come free, there would never be enough
// free at once for a large one. A request that waits for another reason than free bytes lets
// the others pass: its lane is held back, or has enough that waits to be made records, or has
// half of the budget while other lanes wait. Lanes that hold no charge overtake, as they may
// always take one, and so do requests of other pipelines, which have a part of their own.

// A Budget bounds what a process has in flight, in records and in bytes (I4).
// Several pipelines may share one. Half of it is set aside in equal shares, one for
// each pipeline for certain; the rest is first come. At most half goes to one lane
// while another waits. A lane that holds no charge may always take one.
type Budget struct {
	maxRecords, maxBytes int64 // the bounds

	mu             sync.Mutex
	records, bytes int64          // in use, by all pipelines
	pipelines      []*pipelineUse // that are running
	waiters        []*waiter      // in the order in which they came
}

// A pipelineUse is what one pipeline has of a budget. Guarded by the budget.
type pipelineUse struct {
	records, bytes int64         // in use
	lanes          int           // how many lanes it has open
	blocked        bool          // set while grant runs: a lane of it waits for bytes, and others may not overtake
	ended          bool          // the pipeline has ended: what comes back late is not counted
	room           chan struct{} // Feed.Room: receives when something was given back
	starved        int64         // the fewest bytes that the filler needs to make a record, after it got none; 0: it wants none
	lookAgain      func()        // called, under the lock, when the starved filler can make a record
}

// A waiter is a call of Take that waits.
type waiter struct {
	lane  *lane
	bytes int64         // how many it asks for
	ready chan struct{} // closed when it has them
}

// NewBudget makes a budget. Zero stands for DefaultInFlight records, 100,000, and for
// DefaultInFlightBytes, 256 MiB.
func NewBudget(records int, bytes settings.Size) *Budget {
	b := &Budget{maxRecords: int64(records), maxBytes: int64(bytes)}
	if b.maxRecords <= 0 {
		b.maxRecords = DefaultInFlight
	}
	if b.maxBytes <= 0 {
		b.maxBytes = int64(DefaultInFlightBytes)
	}
	return b
}

// Use gives how many records and bytes are in flight now.
func (b *Budget) Use() (records int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int(b.records), b.bytes
}

// join takes a pipeline in.
func (b *Budget) join(u *pipelineUse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pipelines = append(b.pipelines, u)
}

// lanes notes how many lanes a pipeline has.
func (b *Budget) lanes(u *pipelineUse, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u.lanes = n
}

// leave takes a pipeline out, with everything that it has not given back.
func (b *Budget) leave(u *pipelineUse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u.ended = true
	b.records -= u.records
	b.bytes -= u.bytes
	for i, o := range b.pipelines {
		if o == u {
			b.pipelines = append(b.pipelines[:i], b.pipelines[i+1:]...)
			break
		}
	}
	b.grant()
}

// free gives the bytes that a pipeline may take without touching what is set aside for
// the others. It is negative when more is charged than there is.
func (b *Budget) free(u *pipelineUse) int64 {
	return b.left(u, b.maxBytes, b.bytes, func(u *pipelineUse) int64 { return u.bytes })
}

// recordsFree gives how many more records a pipeline may have, with what is set aside for the
// others left alone. It never goes over the budget, though a record for each lane that had
// none may stand in a part that is set aside for another pipeline.
func (b *Budget) recordsFree(u *pipelineUse) int64 {
	n := b.left(u, b.maxRecords, b.records, func(u *pipelineUse) int64 { return u.records })
	return min(n, b.maxRecords-b.records)
}

// left gives how much of a whole, in bytes or in records, a pipeline may take. used is what is
// in use of it, and has tells how much of that a pipeline has.
func (b *Budget) left(u *pipelineUse, whole, used int64, has func(*pipelineUse) int64) int64 {
	share := whole / int64(2*max(len(b.pipelines), 1))
	n := whole - used
	for _, o := range b.pipelines {
		if has := has(o); o != u && has < share {
			n -= share - has
		}
	}
	return max(n, share-has(u))
}

// reserve reserves up to n more records of a lane, whose making will take that many bytes more,
// and gives how many were granted: at least one for a lane that has none, so that no lane stands
// still because of another (I4). At most a quarter of the lane's part of the budget is taken at
// once, so that with a small budget all lanes get some. giveBack gives them back.
func (b *Budget) reserve(l *lane, n int, bytes int64) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := l.use
	some := max(b.maxRecords/int64(4*max(u.lanes, 1)), 1)
	got := min(int64(n), some, b.recordsFree(u))
	bytes = max(bytes, 1)
	if b.free(u) < bytes {
		got = 0
	}
	if got <= 0 && l.records == 0 {
		got = 1
	}
	if got <= 0 {
		if u.starved == 0 || bytes < u.starved {
			u.starved = bytes
		}
		return 0
	}
	b.count(l, got)
	return int(got)
}

// hasFree says whether so many bytes are free for a lane. No bytes always are, also when more
// is charged than there is.
func (b *Budget) hasFree(l *lane, bytes int64) bool {
	if bytes == 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free(l.use) >= bytes
}

// giveBack gives back the places of records that have their outcome.
func (b *Budget) giveBack(l *lane, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(l, -n)
	if u := l.use; u.starved > 0 && l.records == 0 { // the lane gets one place whatever is free
		u.starved = 0
		u.lookAgain()
	}
	b.wakeFillers()
}

// count books n more records of a lane, or fewer. The lock is held.
func (b *Budget) count(l *lane, n int64) {
	l.records += n
	if u := l.use; !u.ended {
		u.records += n
		b.records += n
	}
}

// wakeFillers tells the pipelines that could make no record when there is room for one again.
// The lock is held.
func (b *Budget) wakeFillers() {
	for _, u := range b.pipelines {
		if u.starved > 0 && b.recordsFree(u) > 0 && b.free(u) >= u.starved {
			u.starved = 0
			u.lookAgain()
		}
	}
}

// room gives the bytes that a lane may take now. For a lane that holds no charge there is
// always some, so that the source does not leave it out. The lock is held.
func (b *Budget) room(l *lane) int64 {
	free := b.free(l.use)
	if l.charges == 0 {
		return max(free, min(1<<20, b.maxBytes/16), 1)
	}
	if l.holds.Load() > 0 || l.unfilled.Load() >= b.ahead(l.use) {
		return 0
	}
	if b.othersWait(l) {
		free = min(free, b.maxBytes/2-l.bytes)
	}
	return max(free, 0)
}

// readAhead is the most bytes of a lane that wait to be made records while more of it is read.
// So few are still in the cache when their records are made.
const readAhead = 1 << 20

// ahead is how many bytes of a lane may wait to be made records before no more of it is
// read: readAhead, or a quarter of the lane's part of the budget if that is less. The lock is
// held.
func (b *Budget) ahead(u *pipelineUse) int64 {
	return max(min(readAhead, b.maxBytes/int64(4*max(u.lanes, 1))), 1)
}

// othersWait says whether another lane waits for bytes that is not held back: the lane then
// gets no more than half. The lock is held.
func (b *Budget) othersWait(l *lane) bool {
	for _, w := range b.waiters {
		if w.lane != l && w.lane.holds.Load() == 0 {
			return true
		}
	}
	return false
}

var errLaneEnded = errors.New("taking bytes: the lane has ended")

// take charges bytes to a lane when there is room for them, and waits until then. It fails
// when ctx or the lane ends.
func (b *Budget) take(ctx context.Context, l *lane, bytes int64) (*charge, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-l.closing:
		return nil, errLaneEnded
	default:
	}
	b.mu.Lock()
	if l.charges == 0 || len(b.waiters) == 0 && b.room(l) >= bytes {
		b.charge(l, bytes)
		b.mu.Unlock()
		return &charge{lane: l, bytes: bytes}, nil
	}
	w := &waiter{lane: l, bytes: bytes, ready: make(chan struct{})}
	b.waiters = append(b.waiters, w)
	b.grant()
	b.mu.Unlock()

	var err error
	select {
	case <-w.ready:
		return &charge{lane: l, bytes: bytes}, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-l.closing:
		err = errLaneEnded
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, o := range b.waiters {
		if o == w {
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			b.grant()
			return nil, err
		}
	}
	b.uncharge(l, bytes) // it was granted between the end of the wait and the lock
	return nil, err
}

// charge books a charge of a lane, and uncharge takes it back. The lock is held.
func (b *Budget) charge(l *lane, bytes int64) {
	l.charges++
	b.add(l, bytes)
}

func (b *Budget) uncharge(l *lane, bytes int64) {
	l.charges--
	b.add(l, -bytes)
	b.grant()
}

// open makes a charge of no bytes, for a batch that came without one: its records' bytes are
// added as they are made.
func (b *Budget) open(l *lane, c *charge) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.charge(l, 0)
	*c = charge{lane: l}
}

// add books more bytes of a lane, or fewer, without waiting. The lock is held.
func (b *Budget) add(l *lane, bytes int64) {
	l.bytes += bytes
	if u := l.use; !u.ended {
		u.bytes += bytes
		b.bytes += bytes
	}
}

// account charges bytes that are there already, without waiting: what a component holds beside
// records, and blocks.
func (b *Budget) account(u *pipelineUse, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if u.ended {
		return
	}
	u.bytes += bytes
	b.bytes += bytes
	if bytes < 0 {
		b.grant()
	}
}

// grant serves those who wait, in the order in which they came. Behind one for whose request
// too few bytes are free, only lanes that hold no charge are served in that pipeline; all of
// this is at the head of the file. Then it tells the sources and the fillers to look again. The
// lock is held.
func (b *Budget) grant() {
	for _, u := range b.pipelines {
		u.blocked = false
	}
	for i := 0; i < len(b.waiters); {
		w := b.waiters[i]
		l := w.lane
		switch {
		case l.charges == 0, !l.use.blocked && b.room(l) >= w.bytes:
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			b.charge(l, w.bytes)
			close(w.ready)
			continue
		case l.holds.Load() == 0 && b.free(l.use) < w.bytes:
			l.use.blocked = true
		}
		i++
	}
	for _, u := range b.pipelines {
		select {
		case u.room <- struct{}{}:
		default:
		}
	}
	b.wakeFillers()
}

// regrant is grant for who does not hold the lock, after something has changed that keeps a
// lane from taking bytes: it is held back no longer, has fewer bytes that wait to be made
// records, or has ended.
func (b *Budget) regrant() {
	b.mu.Lock()
	b.grant()
	b.mu.Unlock()
}
