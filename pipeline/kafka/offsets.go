package kafka

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

const (
	offsetBackoff    = 20 * time.Millisecond
	maxOffsetBackoff = 250 * time.Millisecond
)

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

// Committed asks for all of them in one request.
func (m *member) Committed(ctx context.Context, tps []TopicPartition) (map[TopicPartition]int64, error) {
	tps = slices.Compact(slices.SortedFunc(slices.Values(tps), comparePartitions))
	for try := 0; ; try++ {
		got, err := m.fetchOffsets(ctx, tps)
		if err == nil {
			return got, nil
		}
		if _, does := ruled(err, OnOffsets); does == Stop {
			return nil, fmt.Errorf("asking for committed offsets: %w", err)
		}
		if !sleep(ctx, min(offsetBackoff<<min(try, 6), maxOffsetBackoff)) {
			return nil, fmt.Errorf("asking for committed offsets: %w: %w", err, ctx.Err())
		}
	}
}

// fetchOffsets is OffsetFetch version 7, or 6. Version 7 gives no offset while a transaction may
// still move it: such partitions are left out. An error is never taken for no offset.
//
// Reason for its size: the request and the answer mirror each other.
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
	moving := map[TopicPartition]bool{}
	first, which := int16(0), ""
	for n := r.compactArray(); n > 0 && r.err == nil; n-- {
		topic := r.compactString()
		for p := r.compactArray(); p > 0 && r.err == nil; p-- {
			tp, offset := TopicPartition{topic, r.int32()}, r.int64()
			r.int32() // leader epoch
			text, code := r.compactString(), r.int16()
			r.tags()
			if Error(code).Ruling(OnOffsets).Does == Retry {
				moving[tp] = true
				continue
			}
			if first == 0 && code != 0 {
				first, which = code, tp.String()+": "
			}
			got[tp] = max(offset, -1)
			m.noteLineage(tp, offset, text)
		}
		r.tags()
	}
	if code := r.int16(); code != 0 {
		first, which = code, ""
	}
	if err := m.code("asking", r, first); err != nil {
		return nil, fmt.Errorf("%s%w", which, err)
	}
	for _, tp := range tps {
		if _, ok := got[tp]; !ok && !moving[tp] {
			return nil, fmt.Errorf("asking group %s: the answer leaves %v out", m.config.Group, tp)
		}
	}
	return got, nil
}
