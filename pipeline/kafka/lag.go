package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/segmentio/kafka-go/protocol"
)

// A PartitionLag is how far a group has come in a partition.
type PartitionLag struct {
	TopicPartition
	Committed int64  // -1: nothing
	Start     int64  // the first offset there is
	End       int64  // the high watermark: the offset behind the last record
	Lag       int64  // records at most from the committed offset, or the start, to the end
	Held      int64  // those of the lag that open transactions hold back from a committed reader
	Gap       string // why the log does not have the committed offset, like GapDeleted; "": it has
}

// Why a log does not have the offset that reading is to go on at. The lag is all that the log
// has, then.
const (
	GapDeleted   = "deleted"         // by retention, or by hand, before it was read
	GapBeyond    = "beyond_the_end"  // the log is shorter than what was read: it was truncated
	GapRecreated = "topic_recreated" // the topic is another one of the same name
)

// Lag tells how far a group has come, partition by partition, in order. Without
// topics: in all partitions for which the group has committed. The end is that of the
// log whatever the isolation, as other tools have it: a transaction that hangs must not
// look like a group that has read everything. With committed, Held says how much of the
// lag waits for transactions.
func (c *Client) Lag(ctx context.Context, group string, topics []string, committed bool) ([]PartitionLag, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var tps []TopicPartition
	for _, t := range topics {
		n, err := c.Partitions(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("looking at topic %s: %w", t, err)
		}
		for p := range n {
			tps = append(tps, TopicPartition{t, p})
		}
	}
	offsets, err := c.storedOffsets(ctx, group, tps)
	if err != nil {
		return nil, err
	}
	at := map[TopicPartition]int64{}
	for tp := range offsets {
		at[tp] = Earliest
	}
	starts, err := c.ListOffsets(ctx, at, false)
	if err != nil {
		return nil, err
	}
	for tp := range at {
		at[tp] = Latest
	}
	stable, err := c.ListOffsets(ctx, at, committed)
	if err != nil {
		return nil, err
	}
	ends := stable
	if committed { // asked for later, so that it is not below
		if ends, err = c.ListOffsets(ctx, at, false); err != nil {
			return nil, err
		}
	}
	out := make([]PartitionLag, 0, len(at))
	for tp, stored := range offsets {
		l := PartitionLag{TopicPartition: tp, Committed: stored.offset, Start: starts[tp], End: ends[tp]}
		id, err := c.TopicID(ctx, tp.Topic)
		if err != nil {
			return nil, fmt.Errorf("looking at topic %s: %w", tp.Topic, err)
		}
		from := l.Start
		if l.Gap = l.gap(stored.Topic, id); l.Gap == "" {
			from = max(l.Committed, l.Start)
		}
		l.Lag = max(l.End-from, 0)
		l.Held = max(l.End-max(stable[tp], from), 0)
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b PartitionLag) int { return comparePartitions(a.TopicPartition, b.TopicPartition) })
	return out, nil
}

// gap says why the log does not have the committed offset, which is one of a topic.
func (l *PartitionLag) gap(of, now TopicID) string {
	switch {
	case l.Committed < 0:
		return ""
	case of != now && of != (TopicID{}) && now != (TopicID{}):
		return GapRecreated
	case l.Committed < l.Start:
		return GapDeleted
	case l.Committed > l.End:
		return GapBeyond
	}
	return ""
}

// CommittedOffsets gives the offsets that a group has committed for partitions, -1
// for none; without partitions, all that it has. It waits while a transaction is
// about to move one of them.
func (c *Client) CommittedOffsets(ctx context.Context, group string, tps []TopicPartition) (map[TopicPartition]int64, error) {
	stored, err := c.storedOffsets(ctx, group, tps)
	if err != nil {
		return nil, err
	}
	found := make(map[TopicPartition]int64, len(stored))
	for tp, s := range stored {
		found[tp] = s.offset
	}
	return found, nil
}

// storedOffsets is CommittedOffsets with what is known of the logs they are of.
func (c *Client) storedOffsets(ctx context.Context, group string, tps []TopicPartition) (map[TopicPartition]storedLineage, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var found map[TopicPartition]storedLineage
	err := retry(ctx, func() (err error) {
		found, err = c.committedOffsets(ctx, group, tps)
		var code Error
		if errors.As(err, &code) && code.coordinatorMoved() || err != nil && Temporary(err) {
			c.DropCoordinator(group)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("asking for the offsets of group %s: %w", group, err)
	}
	return found, nil
}

func (c *Client) committedOffsets(ctx context.Context, group string, tps []TopicPartition) (map[TopicPartition]storedLineage, error) {
	broker, err := c.Coordinator(ctx, group)
	if err != nil {
		return nil, err
	}
	byTopic := map[string][]int32{}
	for _, tp := range tps {
		byTopic[tp.Topic] = append(byTopic[tp.Topic], tp.Partition)
	}
	x := &exchange{key: protocol.OffsetFetch, broker: broker, clientID: c.config.ClientID, body: func(w *writer) {
		w.compactString(group)
		if len(tps) == 0 {
			w.uvarint(0) // all
		} else {
			w.compactArray(len(byTopic))
		}
		for topic, ps := range byTopic {
			w.compactString(topic)
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
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := c.do(limited, x); err != nil {
		return nil, err
	}
	r := &reader{b: x.answer}
	r.int32() // throttle
	found := map[TopicPartition]storedLineage{}
	var failed error
	for n := r.compactArray(); n > 0 && r.err == nil; n-- {
		topic := r.compactString()
		for p := r.compactArray(); p > 0 && r.err == nil; p-- {
			tp, offset := TopicPartition{topic, r.int32()}, r.int64()
			r.int32() // leader epoch
			text := r.compactString()
			if err := codeError(r.int16()); err != nil && failed == nil {
				failed = fmt.Errorf("%v: %w", tp, err)
			}
			r.tags()
			found[tp] = storedLineage{max(offset, -1), text, parseLineage(text)}
		}
		r.tags()
	}
	if err := codeError(r.int16()); err != nil {
		failed = err
	}
	if r.err != nil {
		return nil, r.err
	}
	return found, failed
}
