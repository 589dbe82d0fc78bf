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

// Settle is one try: it does not wait for another member.
//
// One member alone may store the first offsets, the one with partition 0, signed with
// the generation in which it looked whether there are any. A generation has one owner
// of a partition, and the coordinator takes commits of the newest alone: so no two
// store, and none stores over what a member has read since. Whose the other partitions
// are does not matter to the coordinator.
func (m *member) Settle(ctx context.Context, life int, tps []TopicPartition, at func(context.Context) (map[TopicPartition]int64, error)) (map[TopicPartition]int64, error) {
	tps = slices.Compact(slices.SortedFunc(slices.Values(tps), comparePartitions))
	if len(tps) == 0 || tps[0].Partition != 0 || tps[len(tps)-1].Topic != tps[0].Topic {
		return nil, fmt.Errorf("settling where to begin in %v: give all partitions of one topic", tps)
	}
	id, generation, mine, err := m.settler(life, tps[0])
	if err != nil {
		return nil, err
	}
	stored, err := m.fetchOffsets(ctx, tps)
	if err != nil {
		return nil, fmt.Errorf("asking where to begin in %s: %w", tps[0].Topic, err)
	}
	for _, offset := range stored {
		if offset >= 0 {
			return stored, nil
		}
	}
	if !mine {
		return nil, ErrUnsettled
	}
	offsets, err := at(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.sendCommit(ctx, id, generation, tps, offsets); err != nil {
		return nil, fmt.Errorf("storing where to begin in %s: %w", tps[0].Topic, err)
	}
	return offsets, nil
}

// settler gives what the first offsets of a topic are signed with, and says whether it
// is this member who stores them: not while it gives partition 0 back.
func (m *member) settler(life int, first TopicPartition) (id string, generation int32, mine bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if life != m.life || m.stopped {
		return "", 0, false, ErrFenced
	}
	draining, owned := m.owned[first]
	return m.id, m.generation, owned && !draining, nil
}
