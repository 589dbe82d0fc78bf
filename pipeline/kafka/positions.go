package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/segmentio/kafka-go/protocol"
)

// A StoredPosition is what stands under the name of a group for a partition: an offset, and a text
// beside it. Brokers take 4,096 bytes of text unless they are told otherwise
// (offset.metadata.max.bytes).
type StoredPosition struct {
	Offset int64 // -1: nothing is stored
	Text   string
}

// ErrGroupInUse says that a group has members: only they may store positions under its name.
var ErrGroupInUse = errors.New("the group has members, and only they may store offsets in it")

// StoredPositions gives what is stored under the name of a group for partitions; a group that is not
// there has nothing. It tries again
// until ctx ends, or for 30 s.
func (c *Client) StoredPositions(ctx context.Context, group string, tps []TopicPartition) (map[TopicPartition]StoredPosition, error) {
	stored, err := c.storedOffsets(ctx, group, tps)
	if errors.Is(err, GroupIDNotFound) {
		stored, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := make(map[TopicPartition]StoredPosition, len(tps))
	for _, tp := range tps {
		found[tp] = StoredPosition{Offset: -1}
	}
	for tp, s := range stored {
		found[tp] = StoredPosition{s.offset, s.text}
	}
	return found, nil
}

// StorePositions stores positions under the name of a group that has no members, and waits until
// they are stored. It tries again until ctx ends, or for 30 s. With an error some may be stored.
// Nobody keeps two callers apart: who stores last wins.
func (c *Client) StorePositions(ctx context.Context, group string, at map[TopicPartition]StoredPosition) error {
	if len(at) == 0 {
		return nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := retry(ctx, func() error {
		err := c.storePositions(ctx, group, at)
		var code Error
		if errors.As(err, &code) && code.coordinatorMoved() || err != nil && Temporary(err) {
			c.DropCoordinator(group)
		}
		return err
	})
	if errors.Is(err, UnknownMemberID) || errors.Is(err, IllegalGeneration) {
		err = fmt.Errorf("%w: %w", ErrGroupInUse, err)
	}
	if err != nil {
		return fmt.Errorf("storing the offsets of group %s: %w", group, err)
	}
	return nil
}

// storePositions is OffsetCommit version 7 of no member, which a group takes while it has none.
func (c *Client) storePositions(ctx context.Context, group string, at map[TopicPartition]StoredPosition) error {
	broker, err := c.Coordinator(ctx, group)
	if err != nil {
		return err
	}
	tps := slices.SortedFunc(maps.Keys(at), comparePartitions)
	x := &exchange{key: protocol.OffsetCommit, broker: broker, clientID: c.config.ClientID, body: func(w *writer) {
		w.string(group)
		w.int32(-1)    // generation: none
		w.string("")   // member: none
		w.nullable("") // nor a static one
		w.topics(tps, func(tp TopicPartition) {
			w.int32(tp.Partition)
			w.int64(at[tp].Offset)
			w.int32(-1) // leader epoch
			w.nullable(at[tp].Text)
		})
	}}
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := c.do(limited, x); err != nil {
		return err
	}
	r := &reader{b: x.answer}
	r.int32() // throttle
	answered := 0
	for n := r.array(); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for p := r.array(); p > 0 && r.err == nil; p-- {
			tp, code := TopicPartition{topic, r.int32()}, r.int16()
			if code != 0 {
				return fmt.Errorf("%v: %w", tp, Error(code))
			}
			answered++
		}
	}
	if r.err == nil && answered < len(tps) {
		return errors.New("the answer leaves partitions out")
	}
	return r.err
}
