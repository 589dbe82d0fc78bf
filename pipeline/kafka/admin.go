package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

const (
	retryPause = 20 * time.Millisecond
	maxPause   = 250 * time.Millisecond
	adminLimit = 30 * time.Second // of a call whose context has no deadline
)

// bounded gives ctx a deadline if it has none.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, adminLimit)
}

// retry calls f until it gives no error or one that does not pass by itself, or ctx
// ends.
func retry(ctx context.Context, f func() error) error {
	for try := 0; ; try++ {
		err := f()
		if err == nil || !Temporary(err) {
			return err
		}
		if !sleep(ctx, min(retryPause<<min(try, 4), maxPause)) {
			return fmt.Errorf("%w (gave up: %w)", err, ctx.Err())
		}
	}
}

// A NewTopic is a topic to be made. Zero partitions or replicas: what the broker
// makes by default.
type NewTopic struct {
	Name       string
	Partitions int32
	Replicas   int16
	Config     map[string]string
}

// CreateTopics makes topics, and waits until every broker knows them and all their
// partitions have leaders. Topics that exist stay as they are. It takes at most 30 s
// unless ctx says otherwise.
func (c *Client) CreateTopics(ctx context.Context, topics ...NewTopic) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := retry(ctx, func() error {
		m, err := c.ask(ctx, -1, []string{})
		if err != nil {
			return err
		}
		return c.createTopics(ctx, m.controller, topics)
	})
	if err != nil {
		return err
	}
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	m, err := c.ask(ctx, -1, names)
	if err != nil {
		return err
	}
	for _, b := range m.brokers {
		if err := retry(ctx, func() error { return c.knows(ctx, b.id, names) }); err != nil {
			return fmt.Errorf("waiting until broker %d knows the new topics: %w", b.id, err)
		}
	}
	return c.refresh(ctx, names...)
}

func (c *Client) createTopics(ctx context.Context, controller int32, topics []NewTopic) error {
	x := &exchange{key: protocol.CreateTopics, broker: controller, clientID: c.config.ClientID, body: func(w *writer) {
		w.array(len(topics))
		for _, t := range topics {
			w.string(t.Name)
			w.int32(orDefault(t.Partitions))
			w.int16(orDefault(t.Replicas))
			w.array(0) // assignments
			w.array(len(t.Config))
			for _, k := range slices.Sorted(maps.Keys(t.Config)) {
				w.string(k)
				w.string(t.Config[k])
			}
		}
		w.int32(int32(requestTimeout / 2 / time.Millisecond))
		w.bool(false)
	}}
	if err := c.do(ctx, x); err != nil {
		return fmt.Errorf("creating topics: %w", err)
	}
	r := &reader{b: x.answer}
	r.int32() // throttle
	var errs []error
	for n := r.array(); n > 0 && r.err == nil; n-- {
		name, code, text := r.string(), Error(r.int16()), r.string()
		if code != 0 && code != TopicAlreadyExists {
			err := error(code)
			if text != "" {
				err = &explained{fmt.Sprintf("%s (%s)", text, code.Name()), code}
			}
			errs = append(errs, fmt.Errorf("creating topic %s: %w", name, err))
		}
	}
	if r.err != nil {
		return fmt.Errorf("creating topics: %w", r.err)
	}
	if len(errs) == 0 {
		return nil
	}
	return joinErrors(errs)
}

func orDefault[T int16 | int32](n T) T {
	if n <= 0 {
		return -1
	}
	return n
}

// knows says whether a broker knows the topics, with a leader for every partition.
func (c *Client) knows(ctx context.Context, broker int32, topics []string) error {
	m, err := c.ask(ctx, broker, topics)
	if err != nil {
		return err
	}
	for _, name := range topics {
		t := m.topics[name]
		if t == nil {
			return UnknownTopicOrPartition
		}
		if t.err != nil {
			return t.err
		}
		for _, p := range t.partitions {
			if p.leader < 0 {
				return LeaderNotAvailable
			}
		}
	}
	return nil
}

// Times that ListOffsets takes in place of milliseconds since 1970.
const (
	Latest   int64 = -1
	Earliest int64 = -2
)

// ListOffsets asks, in one request a broker, for the offset of the first record at or
// after a time (milliseconds since 1970 UTC; -1 when there is none), Earliest or
// Latest of each partition. With committed, Latest is the last stable offset. It
// tries again until ctx ends, or for 30 s.
func (c *Client) ListOffsets(ctx context.Context, at map[TopicPartition]int64, committed bool) (map[TopicPartition]int64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	found := make(map[TopicPartition]int64, len(at))
	err := retry(ctx, func() error {
		byBroker := map[int32][]offsetQuery{}
		for tp, time := range at {
			if _, ok := found[tp]; ok {
				continue
			}
			leader, epoch, err := c.Leader(ctx, tp)
			if err != nil {
				return fmt.Errorf("asking for offsets of %v: %w", tp, err)
			}
			byBroker[leader] = append(byBroker[leader], offsetQuery{tp, epoch, time})
		}
		var failed error
		for broker, qs := range byBroker {
			if err := c.listOffsets(ctx, broker, qs, committed, found); err != nil && (failed == nil || !Temporary(err)) {
				failed = err
			}
		}
		return failed
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

type offsetQuery struct {
	TopicPartition
	epoch int32
	time  int64
}

func (c *Client) listOffsets(ctx context.Context, broker int32, qs []offsetQuery, committed bool, found map[TopicPartition]int64) error {
	slices.SortFunc(qs, func(a, b offsetQuery) int { return comparePartitions(a.TopicPartition, b.TopicPartition) })
	x := &exchange{key: protocol.ListOffsets, broker: broker, clientID: c.config.ClientID, body: func(w *writer) {
		w.int32(-1)
		if committed {
			w.int8(1)
		} else {
			w.int8(0)
		}
		byTopic := slices.Collect(chunkBy(qs, func(q offsetQuery) string { return q.Topic }))
		w.array(len(byTopic))
		for _, some := range byTopic {
			w.string(some[0].Topic)
			w.array(len(some))
			for _, q := range some {
				w.int32(q.Partition)
				w.int32(q.epoch)
				w.int64(q.time)
			}
		}
	}}
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := c.do(limited, x)
	if err != nil {
		for _, q := range qs {
			c.Invalidate(q.TopicPartition)
		}
		return fmt.Errorf("asking for offsets: %w", err)
	}
	if err := c.listedOffsets(&reader{b: x.answer}, found); err != nil {
		return err
	}
	for _, q := range qs {
		if _, ok := found[q.TopicPartition]; !ok {
			return fmt.Errorf("asking for offsets: the answer of broker %d leaves %v out", broker, q.TopicPartition)
		}
	}
	return nil
}

// listedOffsets reads the answer of a broker.
func (c *Client) listedOffsets(r *reader, found map[TopicPartition]int64) error {
	r.int32() // throttle
	var failed error
	for n := r.array(); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for p := r.array(); p > 0 && r.err == nil; p-- {
			tp := TopicPartition{topic, r.int32()}
			code := Error(r.int16())
			r.int64() // time
			offset := r.int64()
			r.int32() // epoch
			if code == 0 {
				found[tp] = offset
				continue
			}
			if code.leaderMoved() {
				c.Invalidate(tp)
			}
			if failed == nil || !code.Temporary() {
				failed = fmt.Errorf("asking for offsets of %v: %w", tp, code)
			}
		}
	}
	if r.err != nil {
		return fmt.Errorf("asking for offsets: %w", r.err)
	}
	return failed
}

// chunkBy cuts a sorted slice where the key changes.
func chunkBy[T any](s []T, key func(T) string) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for i := 0; i < len(s); {
			n := i + 1
			for n < len(s) && key(s[n]) == key(s[i]) {
				n++
			}
			if !yield(s[i:n:n]) {
				return
			}
			i = n
		}
	}
}
