package kafkasource

import (
	"context"
	"errors"
	"sync"

	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// This file is how a truncated log is noticed. A leader that was elected without being in sync
// lacks records that were read. While its log is shorter than what was read, it refuses the fetch;
// once the log has outgrown that, nothing is refused, and what was written up to there would be
// skipped.
//
// Each batch carries the epoch of the leader that appended it. The epochs of what was read are
// noted here, and before the first fetch from a leader of another epoch that leader is asked
// where the newest of them ends in its log (OffsetForLeaderEpoch). An end in front of what was
// read, or an older epoch, means that the log was truncated; reading goes on where the two part
// (see mend.go), which loses nothing and repeats nothing.
//
// The epoch in front of an offset, and the id of its topic, are stored with the offset in the
// group (see lineageOf), so that the next owner of the partition, or the next process, can
// compare as well. Kafka's own field for the epoch is not used: other clients go back when it is
// not exact, and some write 0 into it. Fetch 12 would tell the same with each answer; it is a
// flexible version, for which the parser of fetches would have to be built anew
// (docs/decisions/0012-logs-that-were-cut.md).

// mostEpochs bounds what is remembered of a partition: changes of its leader.
const mostEpochs = 64

// An epochs says which leaders appended what has been read of a partition. It outlives the
// assignment, because the last marks are committed after the partition was given up.
type epochs struct {
	mu     sync.Mutex
	list   []recordbatch.EpochStart // ascending by From
	id     kafka.TopicID            // of the topic that list is of
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
	if !ok { // nothing was read in this term: it is one of the first offsets, which SettleStart stores
		k.mu.Lock()
		if s := k.starts[tp.Topic]; s != nil {
			id = s.id
		}
		k.mu.Unlock()
	}
	return kafka.Lineage{Topic: id, Epoch: e.epochAt(offset)}
}

// mostTerms bounds the terms whose topics are remembered: a commit of the one before
// may be under way when another begins.
const mostTerms = 4

// A termTopic is the topic that a partition is read of in a term.
type termTopic struct {
	term int
	id   kafka.TopicID
}

// noteTopic notes the topic that is read in a term, before anything is committed in it. An offset
// must be stored with the id of the topic that it was read in, or of an earlier one. With the id
// of a later one it would count as an offset of that one, whose front would be skipped.
func (e *epochs) noteTopic(term int, id kafka.TopicID) {
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

// epochAt gives the epoch of the leader that appended what stands in front of an offset; -1: not
// known.
func (e *epochs) epochAt(offset int64) int32 {
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

// begin notes that reading goes on at an offset of a topic, in front of which a batch of that
// epoch stands; -1: not known. Epochs of another topic are forgotten: they say nothing of this one.
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

// setTopic notes which topic it is that has been read.
func (e *epochs) setTopic(id kafka.TopicID) {
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

// diverged gives the offset up to which a log has what was read in front of next. end is what its
// leader says of the epoch of the last batch. truncated is false when the log has all of it; at
// is -1 when it cannot be known.
func (e *epochs) diverged(next int64, end recordbatch.EpochStart, leader int32) (at int64, truncated bool) {
	last := e.epochAt(next)
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

// checkTruncation finds out whether a new leader's log has what was read, and has p read there or
// mended. It takes p over.
func (k *Source) checkTruncation(p *partition) {
	for pause := firstBackoff; ; pause = min(2*pause, maxBackoff) {
		at, truncated, err := k.divergence(p)
		switch {
		case p.isGivenUp() || k.ctx.Err() != nil:
			return
		case err == nil && !truncated:
			k.route(p)
			return
		case err == nil:
			k.mendTruncation(p, at)
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
func (k *Source) divergence(p *partition) (at int64, truncated bool, err error) {
	_, leader, err := k.client.Leader(k.ctx, p.tp)
	if err != nil {
		return -1, false, err
	}
	last := p.epochs.epochAt(p.next)
	if last < 0 {
		p.leaderEpoch = leader
		return -1, false, nil
	}
	end, err := k.client.EpochEnd(k.ctx, p.tp, leader, last)
	if err != nil && !errors.Is(err, kafka.ErrNoEpochs) {
		return -1, false, err
	}
	p.leaderEpoch = leader
	at, truncated = p.epochs.diverged(p.next, end, leader)
	return at, truncated && err == nil, nil
}

// mendTruncation applies on_gap to a log that has what was read only up to an offset.
func (k *Source) mendTruncation(p *partition, at int64) {
	p.moveTo(mending)
	start, end, err := k.edges(p)
	if err != nil {
		if k.ctx.Err() == nil && !p.isGivenUp() {
			k.fail(k.readError(p, err))
		}
		return
	}
	if k.mendIfRecreated(p, firstBackoff) {
		return
	}
	reason := gapTruncated
	if p.next > end {
		reason = gapBeyond
	}
	k.gapTo(p, p.id, reason, max(at, start), start, end)
}
