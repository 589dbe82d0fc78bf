package kafkasource

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
)

// This file is the end of a finite source, whose setting stop is end, or a time.
//
// Each partition has a bound, an offset in front of which reading stops; 0 where there is nothing
// to read. The source ends when this member has read its partitions up to their bounds and the
// other members have committed theirs. It waits for the others because the partitions of one that
// dies come to those that are left.
//
//   - Reading is at a bound only when the leader has answered a fetch at that offset
//     (partition.confirmed): an offset that the log does not have is a gap, and no end. The same is
//     asked of what others have committed (notCommitted). Comparing it with the log's end alone
//     took an offset of 500 for the end of a log of 10 to 20 (docs/decisions/0022-ends-and-gaps.md).
//   - Bounds only go down: a log that was truncated, or a topic that was deleted or made anew, would
//     be waited for without end. stop_deleted.go looks for these.
//   - A lane that the engine ends after its partition was read to the bound is opened again
//     (reopenEnded), because what was not committed has to be read again.

// stopLookEvery is how often a finite source looks whether the rest of its group has
// come to the end.
const stopLookEvery = 500 * time.Millisecond

// A stopPlan is where a finite source ends: when its own partitions have been read up
// to an offset each, and the other members have committed those of theirs. A nil one
// never ends.
type stopPlan struct {
	at    time.Time // of a time still to come; zero: bounds are known
	check chan struct{}

	mu      sync.Mutex
	known   bool
	bounds  map[kafka.TopicPartition]int64
	done    map[kafka.TopicPartition]bool
	deleted map[string]bool // topics that were deleted, which on_gap lets pass
}

// findStop notes where to stop; nil: never.
func (k *Source) findStop(ctx context.Context) (*stopPlan, error) {
	if k.s.Stop == "never" {
		return nil, nil
	}
	s := &stopPlan{check: make(chan struct{}, 1), done: map[kafka.TopicPartition]bool{}, deleted: map[string]bool{}}
	if at, err := time.Parse(time.RFC3339, k.s.Stop); err == nil && at.After(time.Now()) {
		s.at = at
		return s, nil
	}
	bounds, err := k.findBounds(ctx)
	if err != nil {
		return nil, &pipeline.EnvironmentError{Err: err}
	}
	s.known, s.bounds = true, bounds
	return s, nil
}

// findBounds asks for the offset to stop at in every partition. Where there is nothing
// to read it is 0.
func (k *Source) findBounds(ctx context.Context) (map[kafka.TopicPartition]int64, error) {
	at, moment := map[kafka.TopicPartition]int64{}, map[kafka.TopicPartition]int64{}
	for _, topic := range k.s.Topics {
		n, err := k.client.Partitions(ctx, topic)
		if err != nil {
			return nil, fmt.Errorf("finding where to stop in %s: %w", topic, err)
		}
		for p := range n {
			tp := kafka.TopicPartition{Topic: topic, Partition: p}
			at[tp] = kafka.Latest
			if k.s.Stop != "end" {
				moment[tp] = startOf(k.s.Stop)
			}
		}
	}
	committed := k.s.Isolation == "read_committed"
	bounds, err := k.client.ListOffsets(ctx, at, committed)
	if err != nil {
		return nil, fmt.Errorf("finding where to stop: %w", err)
	}
	until, err := k.client.ListOffsets(ctx, moment, committed)
	if err != nil {
		return nil, fmt.Errorf("finding where to stop: %w", err)
	}
	for tp, offset := range until {
		if offset >= 0 {
			bounds[tp] = min(bounds[tp], offset)
		}
	}
	for tp := range at {
		at[tp] = kafka.Earliest
	}
	starts, err := k.client.ListOffsets(ctx, at, committed)
	if err != nil {
		return nil, fmt.Errorf("finding where to stop: %w", err)
	}
	for tp, start := range starts {
		if bounds[tp] <= start {
			bounds[tp] = 0
		}
	}
	return bounds, nil
}

// begin notes that a partition is to be read.
func (s *stopPlan) begin(tp kafka.TopicPartition) {
	if s != nil {
		s.mu.Lock()
		delete(s.done, tp)
		s.mu.Unlock()
	}
}

// bound gives the offset to stop at; -1: none, or not known yet. It is 0 for a partition that was
// added after the bounds were asked for: nothing of it is read.
func (s *stopPlan) bound(tp kafka.TopicPartition) int64 {
	if s == nil {
		return -1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		return -1
	}
	return s.bounds[tp]
}

// reached notes that a partition has been read up to its bound.
func (s *stopPlan) reached(tp kafka.TopicPartition) {
	s.mu.Lock()
	s.done[tp] = true
	s.mu.Unlock()
	select {
	case s.check <- struct{}{}:
	default:
	}
}

// watchStop ends the source when everything has been read.
func (k *Source) watchStop() {
	s := k.stop
	s.mu.Lock()
	known := s.known
	s.mu.Unlock()
	if !known && !k.findLate() {
		return
	}
	prober := &stopProber{k: k, at: time.Now(), failed: map[string]int{}}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.check:
		case <-timer.C:
		case <-k.ctx.Done():
			return
		}
		reopened := k.reopenEnded()
		unread, known := k.unread()
		if !reopened && known && len(unread) == 0 {
			k.finish()
			return
		}
		prober.probe(unread)
		timer.Reset(stopLookEvery)
	}
}

// findLate waits until the time to stop at has come, and gives the partitions their bounds then.
func (k *Source) findLate() bool {
	timer := time.NewTimer(time.Until(k.stop.at))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.ctx.Done():
		return false
	}
	bounds, err := k.findBounds(k.ctx)
	if err != nil {
		if k.ctx.Err() == nil {
			k.fail(err)
		}
		return false
	}
	k.stop.mu.Lock()
	k.stop.known, k.stop.bounds = true, bounds
	k.stop.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	for tp, p := range k.parts {
		p.bound.Store(bounds[tp])
	}
	for _, l := range k.loops {
		l.lookAgain()
	}
	return true
}

// reopenEnded opens the partitions again whose lanes the engine has ended after they were read to
// their bounds, and says whether there are any.
func (k *Source) reopenEnded() bool {
	var ended []*partition
	k.mu.Lock()
	k.stop.mu.Lock()
	for tp, p := range k.parts {
		lane := p.currentLane()
		if !k.stop.done[tp] || lane == nil {
			continue
		}
		select {
		case <-lane.Ended():
			delete(k.stop.done, tp)
			ended = append(ended, p)
		default:
		}
	}
	k.stop.mu.Unlock()
	k.mu.Unlock()
	for _, p := range ended {
		k.reopen(p)
	}
	return len(ended) > 0
}

// unread gives the partitions that this member has not read to the end; if there are
// none, those of which the others have not committed the end. known is false while that
// cannot be told.
func (k *Source) unread() (tps []kafka.TopicPartition, known bool) {
	k.mu.Lock()
	joined := k.joined
	mine := make(map[kafka.TopicPartition]bool, len(k.parts))
	for tp := range k.parts {
		mine[tp] = true
	}
	k.mu.Unlock()
	if !joined {
		return nil, false
	}
	var others []kafka.TopicPartition
	k.stop.mu.Lock()
	for tp := range mine {
		if !k.stop.done[tp] {
			tps = append(tps, tp)
		}
	}
	for tp := range k.stop.bounds {
		if !mine[tp] {
			others = append(others, tp)
		}
	}
	k.stop.mu.Unlock()
	if len(tps) > 0 || len(others) == 0 {
		return tps, true
	}
	ctx, cancel := context.WithTimeout(k.ctx, stopProbeLimit)
	defer cancel()
	committed, err := k.group.Committed(ctx, others)
	if err != nil {
		if ctx.Err() == nil && !kafka.Temporary(err) { // a right that is missing: waiting does not help
			k.fail(fmt.Errorf("waiting for the end of %s: %w", list(others), err))
		}
		return nil, false
	}
	return k.notCommitted(ctx, others, committed), true
}

// notCommitted gives the partitions whose end has not been committed. An offset of an
// earlier topic of the name is not the end, and neither is one that the log does not
// have: whoever reads the partition is about to see that.
func (k *Source) notCommitted(ctx context.Context, others []kafka.TopicPartition, committed map[kafka.TopicPartition]int64) (tps []kafka.TopicPartition) {
	doubtful := map[kafka.TopicPartition]int64{}
	for _, tp := range others {
		if k.stop.isDeleted(tp.Topic) {
			continue
		}
		offset, known := committed[tp] // not known: a transaction is about to move it
		id, _ := k.client.Identity(tp.Topic)
		was := k.group.StoredLineage(tp, offset).Topic
		switch bound := k.stop.bound(tp); {
		case !known || max(offset, 0) < bound || was != id && was != (kafka.TopicID{}) && id != (kafka.TopicID{}):
			tps = append(tps, tp)
		case max(offset, 0) > bound:
			doubtful[tp] = offset
		}
	}
	return append(tps, k.outsideLog(ctx, doubtful)...)
}

// outsideLog gives the partitions whose logs do not have these offsets, or cannot be asked now.
func (k *Source) outsideLog(ctx context.Context, offsets map[kafka.TopicPartition]int64) (tps []kafka.TopicPartition) {
	at := make(map[kafka.TopicPartition]int64, len(offsets))
	ask := func(what int64) map[kafka.TopicPartition]int64 {
		for tp := range offsets {
			at[tp] = what
		}
		found, err := k.client.ListOffsets(ctx, at, false)
		if err != nil {
			return nil
		}
		return found
	}
	starts, ends := ask(kafka.Earliest), ask(kafka.Latest)
	for tp, offset := range offsets {
		start, ok := starts[tp]
		if end, too := ends[tp]; !ok || !too || offset < start || offset > end {
			tps = append(tps, tp)
		}
	}
	return tps
}
