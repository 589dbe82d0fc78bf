package kafkasource

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka"
)

const (
	settlePause = 50 * time.Millisecond // between two looks whether the start is stored, at first
	reportAfter = 2 * time.Second       // how long something is tried before that is reported
	reportAgain = 30 * time.Second      // how long after that it is reported again
)

// A topicStart says where a group that has no offset in a topic begins there.
type topicStart struct {
	busy chan struct{} // capacity 1: one goroutine settles at a time

	// of whoever has taken busy
	at      map[kafka.TopicPartition]int64 // what `start` means, as it was first asked for
	settled bool                           // offsets have been seen in this run
	id      kafka.TopicID                  // the topic in which at was asked for; Source.mu guards it
}

// startIn gives the topicStart of a topic.
func (k *Source) startIn(topic string) *topicStart {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.starts[topic]
	if s == nil {
		s = &topicStart{busy: make(chan struct{}, 1)}
		k.starts[topic] = s
	}
	return s
}

// openFresh opens the lanes of partitions for which nothing has been committed. It is
// not done where events are followed, so that a partition that waits can be given back.
func (k *Source) openFresh(parts []*partition) {
	if k.s.Start == "earliest" { // which is the same for an old group and a new one
		k.openEarliest(parts)
		return
	}
	byTopic := map[string][]*partition{}
	for _, p := range parts {
		byTopic[p.tp.Topic] = append(byTopic[p.tp.Topic], p)
	}
	for topic, some := range byTopic {
		k.start(func() { k.openSettled(topic, some) })
	}
}

// openSettled opens partitions of one topic without a committed offset, as soon as the group has
// an offset in any partition of the topic. A partition that has one by then begins there. One
// that has none is younger than the group, and begins at its start: `start` says where the group
// begins, not what of later partitions is skipped. While the group has none at all, it waits and
// reports. If records were read before the place where the group begins is stored, a member that
// takes the partition over would ask anew what `start` means, and skip those.
func (k *Source) openSettled(topic string, parts []*partition) {
	began, lastReport := time.Now(), time.Time{}
	for pause := settlePause; ; pause = min(2*pause, maxBackoff) {
		stored, err := k.settle(topic, parts)
		parts = slices.DeleteFunc(parts, func(p *partition) bool { return !k.stillOurs(p) })
		switch {
		case k.ctx.Err() != nil || len(parts) == 0 || errors.Is(err, kafka.ErrFenced):
			return // the partitions are not ours any more
		case err == nil:
			k.openStored(parts, stored)
			return
		case !errors.Is(err, kafka.ErrUnsettled) && !kafka.Temporary(err) && !errors.Is(err, context.DeadlineExceeded):
			k.fail(k.readError(parts[0], err))
			return
		}
		if time.Since(began) > reportAfter && (lastReport.IsZero() || time.Since(lastReport) > reportAgain) {
			lastReport = time.Now()
			k.events.Log().Warn().Err(err).Msg("beginning to read " + topic + " waits until the group has stored where")
		}
		if !k.wait(parts[0], pause) && k.ctx.Err() != nil {
			return
		}
	}
}

// openStored opens partitions at the offsets that the group has, the others at their
// start.
func (k *Source) openStored(parts []*partition, stored map[kafka.TopicPartition]int64) {
	var rest []*partition
	for _, p := range parts {
		at, ok := stored[p.tp]
		if !ok || at < 0 {
			rest = append(rest, p)
			continue
		}
		k.openAtCommit(p, at)
	}
	if len(rest) > 0 {
		k.openEarliest(rest)
	}
}

// settle is one try to learn where the group begins in a topic, and to store it if that is up to
// this member (see kafka.Group.SettleStart). parts are partitions of the topic without an offset.
func (k *Source) settle(topic string, parts []*partition) (map[kafka.TopicPartition]int64, error) {
	s := k.startIn(topic)
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	case <-k.ctx.Done():
		return nil, k.ctx.Err()
	}
	n, err := k.client.Partitions(k.ctx, topic)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		n = max(n, p.tp.Partition+1)
	}
	all := make([]kafka.TopicPartition, n)
	for i := range all {
		all[i] = kafka.TopicPartition{Topic: topic, Partition: int32(i)}
	}
	stored, err := k.group.SettleStart(k.ctx, all, func(ctx context.Context) (map[kafka.TopicPartition]int64, error) {
		if len(s.at) != len(all) {
			id, err := k.client.TopicID(ctx, topic) // before the offsets: see epochs.noteTopic
			if err != nil {
				return nil, err
			}
			k.mu.Lock()
			s.id = id
			k.mu.Unlock()
			if s.at, err = k.startOffsets(ctx, all, s.settled); err != nil {
				return nil, err
			}
		}
		return s.at, nil
	})
	if err == nil {
		s.settled, s.at = true, nil
	}
	return stored, err
}

// startOffsets gives what `start` means in partitions. A topic in which this run has
// seen offsets before has been made again: what is in it now has come since, and none
// of it is skipped.
func (k *Source) startOffsets(ctx context.Context, tps []kafka.TopicPartition, remade bool) (map[kafka.TopicPartition]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, freshAlone)
	defer cancel()
	at := make(map[kafka.TopicPartition]int64, len(tps))
	for _, tp := range tps {
		at[tp] = startOf(k.s.Start)
		if remade {
			at[tp] = kafka.Earliest
		}
	}
	committed := k.s.Isolation == "read_committed"
	found, err := k.offsets(ctx, at, committed)
	if err != nil {
		return nil, err
	}
	none := map[kafka.TopicPartition]int64{} // nothing as late as the time to start at
	for tp, offset := range found {
		at[tp] = offset
		if offset < 0 {
			none[tp] = kafka.Latest
		}
	}
	if found, err = k.offsets(ctx, none, committed); err != nil {
		return nil, err
	}
	for tp, offset := range found {
		at[tp] = offset
	}
	return at, nil
}
