package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

const (
	offsetBackoff    = 20 * time.Millisecond
	maxOffsetBackoff = 250 * time.Millisecond
)

// identity gives what a commit is signed with, if all its partitions are the member's
// in that life.
func (m *member) identity(life int, tps []TopicPartition) (id string, generation int32, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if life != m.life || m.stopped {
		return "", 0, ErrFenced
	}
	for _, tp := range tps {
		if _, ok := m.owned[tp]; !ok {
			return "", 0, fmt.Errorf("%v: %w", tp, ErrFenced)
		}
	}
	return m.id, m.generation, nil
}

func (m *member) Commit(ctx context.Context, life int, offsets map[TopicPartition]int64) error {
	if len(offsets) == 0 {
		return nil
	}
	tps := slices.SortedFunc(maps.Keys(offsets), comparePartitions)
	for try := 0; ; try++ {
		id, generation, err := m.identity(life, tps)
		if err == nil {
			err = m.sendCommit(ctx, id, generation, tps, offsets)
		}
		if err == nil {
			return nil
		}
		if m.commitFinal(err) {
			return fmt.Errorf("committing offsets: %w", err)
		}
		if !sleep(ctx, min(offsetBackoff<<min(try, 6), maxOffsetBackoff)) {
			return fmt.Errorf("committing offsets: %w: %w", err, ctx.Err())
		}
	}
}

// commitFinal says whether a failed commit must not be tried again. What the group
// says of the member's place (22, 25, 27) is not: the loop hears the same, and either
// the member goes on with another generation, or it has lost everything and the next
// try is refused.
func (m *member) commitFinal(err error) bool {
	var code Error
	switch {
	case errors.Is(err, ErrFenced):
		return true
	case !errors.As(err, &code):
		return !Temporary(err)
	case code == UnknownMemberID, code == IllegalGeneration:
		m.mu.Lock()
		m.beat = true
		m.mu.Unlock()
		m.poke()
		return false
	}
	return !code.Temporary() || code == UnknownTopicOrPartition
}

// sendCommit is OffsetCommit version 7, with the leader epoch unknown: any other that
// is not the true one makes other clients go back.
func (m *member) sendCommit(ctx context.Context, id string, generation int32, tps []TopicPartition, offsets map[TopicPartition]int64) error {
	x := &exchange{key: protocol.OffsetCommit, body: func(w *writer) {
		w.string(m.config.Group)
		w.int32(generation)
		w.string(id)
		w.nullable(m.config.Instance)
		w.topics(tps, func(tp TopicPartition) {
			w.int32(tp.Partition)
			w.int64(offsets[tp])
			w.int32(-1)                              // leader epoch
			w.nullable(m.epochText(tp, offsets[tp])) // metadata
		})
	}}
	r, err := m.ask(ctx, m.requestPatience(), x)
	if err != nil {
		return err
	}
	r.int32() // throttle
	told, first := map[TopicPartition]bool{}, int16(0)
	for n := r.array(); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for p := r.array(); p > 0 && r.err == nil; p-- {
			tp, code := TopicPartition{topic, r.int32()}, r.int16()
			told[tp] = true
			if first == 0 {
				first = code
			}
		}
	}
	if err := m.code("committing to", r, first); err != nil {
		return err
	}
	for _, tp := range tps {
		if !told[tp] {
			return fmt.Errorf("committing to group %s: the answer leaves %v out", m.config.Group, tp)
		}
	}
	return nil
}

// topics writes an array of topics with an array of partitions each.
func (w *writer) topics(tps []TopicPartition, each func(TopicPartition)) {
	byTopic := [][]TopicPartition{}
	for i, tp := range tps {
		if i == 0 || tps[i-1].Topic != tp.Topic {
			byTopic = append(byTopic, nil)
		}
		last := len(byTopic) - 1
		byTopic[last] = append(byTopic[last], tp)
	}
	w.array(len(byTopic))
	for _, some := range byTopic {
		w.string(some[0].Topic)
		w.array(len(some))
		for _, tp := range some {
			each(tp)
		}
	}
}

func (m *member) Committed(ctx context.Context, tps []TopicPartition) (map[TopicPartition]int64, error) {
	tps = slices.Compact(slices.SortedFunc(slices.Values(tps), comparePartitions))
	for try := 0; ; try++ {
		got, err := m.fetchOffsets(ctx, tps)
		if err == nil {
			return got, nil
		}
		if !Temporary(err) {
			return nil, fmt.Errorf("asking for committed offsets: %w", err)
		}
		if !sleep(ctx, min(offsetBackoff<<min(try, 6), maxOffsetBackoff)) {
			return nil, fmt.Errorf("asking for committed offsets: %w: %w", err, ctx.Err())
		}
	}
}

// fetchOffsets is OffsetFetch version 7, which does not answer while a transaction
// may still move the offset, or 6. An error is never read as no offset.
func (m *member) fetchOffsets(ctx context.Context, tps []TopicPartition) (map[TopicPartition]int64, error) {
	x := &exchange{key: protocol.OffsetFetch, body: func(w *writer) {
		w.compactString(m.config.Group)
		topics := map[string][]int32{}
		for _, tp := range tps {
			topics[tp.Topic] = append(topics[tp.Topic], tp.Partition)
		}
		w.compactArray(len(topics))
		for name, ps := range topics {
			w.compactString(name)
			w.compactArray(len(ps))
			for _, p := range ps {
				w.int32(p)
			}
			w.tags()
		}
		if w.version >= 7 {
			w.bool(true) // stable
		}
		w.tags()
	}}
	r, err := m.ask(ctx, m.requestPatience(), x)
	if err != nil {
		return nil, err
	}
	r.int32() // throttle
	got := make(map[TopicPartition]int64, len(tps))
	first := int16(0)
	for n := r.compactArray(); n > 0 && r.err == nil; n-- {
		topic := r.compactString()
		for p := r.compactArray(); p > 0 && r.err == nil; p-- {
			tp, offset := TopicPartition{topic, r.int32()}, r.int64()
			r.int32() // leader epoch
			text, code := r.compactString(), r.int16()
			r.tags()
			if first == 0 {
				first = code
			}
			got[tp] = max(offset, -1)
			m.noteEpoch(tp, offset, text)
		}
		r.tags()
	}
	if code := r.int16(); code != 0 {
		first = code
	}
	if err := m.code("asking", r, first); err != nil {
		return nil, err
	}
	for _, tp := range tps {
		if _, ok := got[tp]; !ok {
			return nil, fmt.Errorf("asking group %s: the answer leaves %v out", m.config.Group, tp)
		}
	}
	return got, nil
}
