package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrUnsettled says that a group has stored no offset in a topic, and that it is for
// another member to store the first ones.
var ErrUnsettled = errors.New("the group has no offset in the topic yet; the member with its partition 0 stores the first")

// SettleStart is one try: it does not wait for another member.
//
// Only one member may store the first offsets, the one with partition 0, signed with the
// generation in which it looked whether there are any. A generation has one owner of a
// partition, and the coordinator takes commits of the newest generation alone: so no two members
// store first offsets, and none stores them over what was committed since. (Kafka has no commit
// that is conditional on what is stored.) The coordinator does not check who owns the other
// partitions. SettleStart waits for other commits of the member, like any of them. If a try is
// applied late, behind the first commit of another member, that partition goes back to where it
// began: records are read again, and none is skipped.
//
// Reason for its size: the argument above is about the order of its steps, which is read in one place.
func (m *member) SettleStart(ctx context.Context, tps []TopicPartition, at func(context.Context) (map[TopicPartition]int64, error)) (map[TopicPartition]int64, error) {
	tps = slices.Compact(slices.SortedFunc(slices.Values(tps), comparePartitions))
	if len(tps) == 0 || tps[0].Partition != 0 || tps[len(tps)-1].Topic != tps[0].Topic {
		return nil, fmt.Errorf("settling where to begin in %v: give all partitions of one topic", tps)
	}
	_, _, mine, err := m.settler(tps[0])
	if err != nil {
		return nil, err
	}
	stored, err := m.firstOffsets(ctx, tps)
	if stored != nil || err != nil {
		return stored, err
	}
	if !mine {
		return nil, ErrUnsettled
	}
	offsets, err := at(ctx) // which may take long: commits do not wait for it
	if err != nil {
		return nil, err
	}
	select {
	case m.busy <- struct{}{}:
		defer func() { <-m.busy }()
	case <-ctx.Done():
		return nil, fmt.Errorf("storing where to begin in %s: waiting for a commit: %w", tps[0].Topic, ctx.Err())
	}
	id, generation, mine, err := m.settler(tps[0])
	if err != nil {
		return nil, err
	}
	if stored, err = m.firstOffsets(ctx, tps); stored != nil || err != nil {
		return stored, err
	}
	s := m.sign(func(sign func(TopicPartition, *ownership, int64)) {
		if !mine || m.id != id || m.generation != generation {
			return
		}
		for tp, offset := range offsets {
			if h := m.owned[tp]; h != nil && !h.revoked {
				sign(tp, h, offset)
			}
		}
	})
	if len(s.offsets) == 0 { // the generation in which there were none has passed
		return nil, ErrUnsettled
	}
	for tp, offset := range offsets {
		if _, ok := s.offsets[tp]; !ok {
			s.offsets[tp], s.terms[tp], s.doubts[tp] = offset, -1, -1
		}
	}
	codes, err := m.store(ctx, s)
	for _, tp := range tps {
		if err == nil && codes[tp] != 0 {
			err = fmt.Errorf("%v: %w", tp, Error(codes[tp]))
		}
	}
	switch {
	case err != nil && !m.commitFinal(err) && !Temporary(err): // the generation has passed meanwhile
		return nil, fmt.Errorf("storing where to begin in %s: %w: %w", tps[0].Topic, ErrUnsettled, err)
	case err != nil:
		return nil, fmt.Errorf("storing where to begin in %s: %w", tps[0].Topic, err)
	}
	return offsets, nil
}

// firstOffsets gives the stored offsets of a topic's partitions, nil when there is none
// in any of them. One that a transaction is about to move is an error that passes.
func (m *member) firstOffsets(ctx context.Context, tps []TopicPartition) (map[TopicPartition]int64, error) {
	stored, err := m.fetchOffsets(ctx, tps)
	if err != nil {
		return nil, fmt.Errorf("asking where to begin in %s: %w", tps[0].Topic, err)
	}
	for _, offset := range stored {
		if offset >= 0 {
			return stored, nil
		}
	}
	if len(stored) < len(tps) {
		return nil, fmt.Errorf("asking where to begin in %s: %w", tps[0].Topic, UnstableOffsetCommit)
	}
	return nil, nil
}

// settler gives what the first offsets of a topic are signed with, and says whether it
// is this member who stores them: not while it gives partition 0 back.
func (m *member) settler(first TopicPartition) (id string, generation int32, mine bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return "", 0, false, ErrFenced
	}
	h := m.owned[first]
	return m.id, m.generation, h != nil && !h.revoked, nil
}
