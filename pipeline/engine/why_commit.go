package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file is what the committer says of marks that have been earned and are not committed.

// commitSlow is how much later than it is due a commit may be until it is said to hold the mark, beside a record that has been there
// for longer: most take some milliseconds.
const commitSlow = time.Second

// hold says that the commit holds the mark. It does alone where what waits for it has been done for longer than the first record
// without an outcome has been there; and beside that record, which holds the mark next, when the commit fails or is late.
func (c *committer) hold(l *lane, now time.Time) (h Hold, ok, alone bool) {
	late := c.isLate()
	l.mu.Lock()
	defer l.mu.Unlock()
	_, unsaved := l.unsavedMark()
	if !unsaved || l.dirtyAt.IsZero() {
		return h, false, false
	}
	oldest, some := l.ring.Oldest()
	alone = !some || l.frozen || !oldest.read.Before(l.dirtyAt)
	if !alone && !late(now.Sub(l.dirtyAt)) {
		return h, false, false
	}
	topic, partition := l.coordinates()
	h = Hold{
		Lane: l.name, Position: pipeline.Position{Topic: topic, Partition: int32(partition), Offset: l.committed},
		Where: commitPlace, State: stateNames[stateQueued], Cause: CauseCommit, Since: now.Sub(l.dirtyAt), Attempt: int(c.fails.Load()),
		Behind: l.ring.Passed() - l.committed - 1, // less than none, where the commit stands within the first piece
	}
	h.Root, h.Age = h.Position, h.Since
	for pc := range l.ring.All() {
		h.Behind += int64(pc.Size())
	}
	h.offsets = l.read - l.committed
	if len(c.busy) > 0 {
		h.State = "committing"
		h.Attempt++
	}
	if e := c.lastErr.Load(); e != nil {
		h.ErrorType, h.ErrorMessage = e.kind, e.message
	}
	if c.txn != nil {
		h.Cause = CauseTransaction
	}
	return h, true, alone
}

// isLate gives what says whether marks that have waited for so long are late: beyond the interval and commitSlow, or as commits fail.
// Those of a transaction are late only while its Begin or Commit is under way: before that it waits for records, which say why.
func (c *committer) isLate() func(waited time.Duration) bool {
	if !c.txn.isClosed() {
		return func(time.Duration) bool { return false }
	}
	fails := c.fails.Load() > 0
	return func(waited time.Duration) bool { return fails || waited >= c.p.opts.CommitEvery+commitSlow }
}
