package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// ErrNoEpochs says that the brokers do not tell where leaders' epochs end.
var ErrNoEpochs = errors.New("the brokers do not tell where the epoch of a leader ends")

// EpochEnd asks the leader of a partition for the end of an epoch in its log: the newest epoch
// that is not above the given one, and the offset behind its last batch. Both are -1 when the
// leader cannot tell. leader is the leader's own epoch; a broker that leads in another refuses. An
// end in front of what was read in that epoch, or an older epoch, means that the log was truncated.
// The error is ErrNoEpochs, or as Leader's; EpochEnd tries once.
func (c *Client) EpochEnd(ctx context.Context, tp TopicPartition, leader, epoch int32) (end recordbatch.EpochStart, err error) {
	none := recordbatch.EpochStart{Epoch: -1, From: -1}
	broker, _, err := c.Leader(ctx, tp)
	if err != nil {
		return none, fmt.Errorf("asking where epoch %d of %v ends: %w", epoch, tp, err)
	}
	x := &exchange{key: protocol.OffsetForLeaderEpoch, broker: broker, clientID: c.config.ClientID, body: func(w *writer) {
		w.int32(-1) // replica: a consumer
		w.array(1)
		w.string(tp.Topic)
		w.array(1)
		w.int32(tp.Partition)
		w.int32(leader)
		w.int32(epoch)
	}}
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := c.do(limited, x); err != nil {
		var old *VersionError
		if errors.As(err, &old) {
			return none, ErrNoEpochs
		}
		c.Invalidate(tp)
		return none, fmt.Errorf("asking where epoch %d of %v ends: %w", epoch, tp, err)
	}
	r := &reader{b: x.answer}
	r.int32() // throttle
	found := false
	for n := r.array(); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for p := r.array(); p > 0 && r.err == nil; p-- {
			code := Error(r.int16())
			answered := TopicPartition{topic, r.int32()}
			answer := recordbatch.EpochStart{Epoch: r.int32(), From: r.int64()}
			if answered != tp {
				continue
			}
			if code != 0 {
				if code.leaderMoved() {
					c.Invalidate(tp)
				}
				return none, fmt.Errorf("asking where epoch %d of %v ends: %w", epoch, tp, code)
			}
			end, found = answer, true
		}
	}
	switch {
	case r.err != nil:
		return none, fmt.Errorf("asking where epoch %d of %v ends: %w", epoch, tp, r.err)
	case !found:
		return none, fmt.Errorf("asking where epoch %d of %v ends: the answer leaves it out", epoch, tp)
	}
	return end, nil
}
