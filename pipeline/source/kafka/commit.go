package kafkasource

import (
	"context"
	"errors"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
)

// This file has marks committed.

// Commit implements pipeline.Source. Marks of a lane that the group has given to
// somebody else are refused, and the lane ends; the others are stored.
func (k *Source) Commit(ctx context.Context, marks []pipeline.Mark) error {
	byTP := make(map[kafka.TopicPartition]kafka.Mark, len(marks))
	lanes := make(map[kafka.TopicPartition]pipeline.Lane, len(marks))
	parts := make(map[kafka.TopicPartition]*partition, len(marks))
	for _, m := range marks {
		lane, ok := k.known(m.Lane)
		if !ok {
			continue // it has ended, and its partition has another
		}
		tp := lane.part.tp
		if k.stop.isDeleted(tp.Topic) {
			continue // the group can store nothing for it
		}
		if was, ok := byTP[tp]; !ok || was.Term <= lane.term { // else a lane that its partition has left
			byTP[tp], lanes[tp], parts[tp] = kafka.Mark{Offset: m.Next, Term: lane.term}, m.Lane, lane.part
		}
	}
	err := k.group.Commit(ctx, byTP)
	var failed *kafka.CommitError
	errors.As(err, &failed)
	now := time.Now().UnixNano()
	for tp, m := range byTP {
		lane := lanes[tp]
		switch {
		case err == nil || failed != nil && failed.Partitions[tp] == nil:
			p := parts[tp]
			p.committed.Store(m.Offset)
			p.committedAt.Store(now)
		case failed != nil && errors.Is(failed.Partitions[tp], kafka.ErrFenced):
			k.start(func() { _, _ = lane.End(endedContext()) })
		}
	}
	return err
}

// commitAt commits offsets for partitions in the terms that they are read in.
func (k *Source) commitAt(ctx context.Context, at map[kafka.TopicPartition]int64) error {
	marks := make(map[kafka.TopicPartition]kafka.Mark, len(at))
	k.mu.Lock()
	for tp, offset := range at {
		if p := k.parts[tp]; p != nil {
			marks[tp] = kafka.Mark{Offset: offset, Term: p.termNow()}
		}
	}
	k.mu.Unlock()
	return k.group.Commit(ctx, marks)
}

// renew begins a new term of a partition whose offsets begin anew, lower perhaps: what is
// still in flight from the earlier log must not be committed any more.
func (k *Source) renew(p *partition) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	term, ok := k.group.Renew(p.tp, p.term)
	if ok {
		p.term = term
	}
	return ok
}
