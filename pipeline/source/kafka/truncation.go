package kafkasource

import (
	"context"
	"errors"
	"sync"

	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// mostEpochs bounds what is remembered of a partition: changes of its leader.
const mostEpochs = 64

// An epochs is which leaders appended what has been read of a partition. It outlives
// the assignment, because marks are committed when the partition is given up already.
type epochs struct {
	mu     sync.Mutex
	list   []recordbatch.EpochStart // ascending by From
	id     kafka.TopicID            // of which it was read
	next   int64                    // behind what was read
	topics []termTopic              // the last is the newest
}

// epochsOf gives the epochs of a partition.
func (k *Source) epochsOf(tp kafka.TopicPartition) *epochs {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.epochs[tp]
	if e == nil {
		e = &epochs{}
		k.epochs[tp] = e
	}
	return e
}

// lineageOf says of which log an offset is that is committed in a term.
func (k *Source) lineageOf(tp kafka.TopicPartition, offset int64, term int) kafka.Lineage {
	e := k.epochsOf(tp)
	id, ok := e.topic(term)
	if !ok { // not begun: what Settle stores
		k.mu.Lock()
		if s := k.starts[tp.Topic]; s != nil {
			id = s.id
		}
		k.mu.Unlock()
	}
	return kafka.Lineage{Topic: id, Epoch: e.at(offset)}
}

// mostTerms bounds the terms whose topics are remembered: a commit of the one before
// may be under way when another begins.
const mostTerms = 4

// A termTopic is the topic that a partition is read of in a term.
type termTopic struct {
	term int
	id   kafka.TopicID
}

// note notes the topic that is read in a term, before anything is committed in it. Of
// what is committed it must be the one that the offset was read in, or one before that:
// by a later one the front of that one would be skipped.
func (e *epochs) note(term int, id kafka.TopicID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.topics {
		if e.topics[i].term == term {
			e.topics[i].id = id
			return
		}
	}
	e.topics = append(e.topics[max(0, len(e.topics)-mostTerms+1):], termTopic{term, id})
}

// topic gives the topic that is read in a term.
func (e *epochs) topic(term int) (kafka.TopicID, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.topics {
		if t.term == term {
			return t.id, true
		}
	}
	return kafka.TopicID{}, false
}

func (e *epochs) at(offset int64) int32 {
	e.mu.Lock()
	defer e.mu.Unlock()
	epoch := int32(-1)
	for _, s := range e.list {
		if s.From < offset {
			epoch = s.Epoch
		}
	}
	if offset > e.next {
		return -1
	}
	return epoch
}

// begin notes that reading goes on at an offset of a topic, in front of which a batch of
// that epoch stands; -1: not known. What was read of another topic says nothing of it.
func (e *epochs) begin(id kafka.TopicID, at int64, epoch int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if id != e.id {
		e.id, e.list = id, e.list[:0]
	}
	kept := 0
	for kept < len(e.list) && e.list[kept].From < at && at <= e.next {
		kept++
	}
	e.list, e.next = e.list[:kept], at
	if kept == 0 && epoch >= 0 {
		e.list = append(e.list, recordbatch.EpochStart{Epoch: epoch, From: at - 1})
	}
}

// named notes which topic it is that has been read.
func (e *epochs) named(id kafka.TopicID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.id = id
}

// add notes what a record set brought, up to next. A batch that was skipped unread has
// an epoch that nobody knows.
func (e *epochs) add(list []recordbatch.EpochStart, next int64, skipped bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if skipped {
		list = append(list, recordbatch.EpochStart{Epoch: -1, From: next - 1})
	}
	for _, s := range list {
		if n := len(e.list); n == 0 || e.list[n-1].Epoch != s.Epoch {
			e.list = append(e.list, s)
		}
	}
	if n := len(e.list) - mostEpochs; n > 0 {
		e.list = append(e.list[:0], e.list[n:]...)
	}
	e.next = next
}

// diverged gives the offset up to which a log has what was read before next, when end
// is what its leader says of the epoch of the last batch. cut is false when that is all
// of it. at is -1 when it cannot be known.
func (e *epochs) diverged(next int64, end recordbatch.EpochStart, leader int32) (at int64, cut bool) {
	last := e.at(next)
	switch {
	case end.Epoch < 0 || end.From < 0:
		// A leader of an older epoch than what was read leads another log. Any other has
		// kept no epochs that far back.
		return -1, last > leader
	case end.Epoch == last && end.From >= next:
		return next, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	at = min(end.From, next)
	for _, s := range e.list { // what was read of that epoch may have ended earlier
		if s.Epoch > end.Epoch || s.Epoch < 0 {
			return min(at, s.From), true
		}
	}
	return at, true
}

// checkCut finds out whether a new leader's log has what was read: one that was elected
// without being in sync has not, and may have outgrown what was read since, so that no
// offset is missing. It is done before the first fetch from a leader of another epoch.
// The caller gives p away.
func (k *Source) checkCut(p *partition) {
	for pause := firstBackoff; ; pause = min(2*pause, maxBackoff) {
		at, cut, err := k.divergence(p)
		switch {
		case p.isGone() || k.ctx.Err() != nil:
			return
		case err == nil && !cut:
			k.route(p)
			return
		case err == nil:
			k.mendCut(p, at)
			return
		case !kafka.Temporary(err) && !errors.Is(err, context.DeadlineExceeded):
			k.fail(k.readError(p, err))
			return
		}
		if !k.wait(p, pause) {
			return
		}
	}
}

// divergence asks the leader for the end of the epoch that was read last, and notes the
// leader's epoch as the one that fetches may name.
func (k *Source) divergence(p *partition) (at int64, cut bool, err error) {
	_, leader, err := k.client.Leader(k.ctx, p.tp)
	if err != nil {
		return -1, false, err
	}
	last := p.epochs.at(p.next)
	if last < 0 {
		p.leader = leader
		return -1, false, nil
	}
	end, err := k.client.EpochEnd(k.ctx, p.tp, leader, last)
	if err != nil && !errors.Is(err, kafka.ErrNoEpochs) {
		return -1, false, err
	}
	p.leader = leader
	at, cut = p.epochs.diverged(p.next, end, leader)
	return at, cut && err == nil, nil
}

// mendCut deals with a log that has what was read up to an offset alone.
func (k *Source) mendCut(p *partition, at int64) {
	p.to(mending)
	start, end, err := k.edges(p)
	if err != nil {
		if k.ctx.Err() == nil && !p.isGone() {
			k.fail(k.readError(p, err))
		}
		return
	}
	if k.recreated(p, firstBackoff) {
		return
	}
	reason := gapCut
	if p.next > end {
		reason = gapBeyond
	}
	k.gapTo(p, p.id, reason, max(at, start), start, end)
}
