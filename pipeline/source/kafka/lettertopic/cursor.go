package lettertopic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

const (
	fetchBytes = 1 << 20
	fetchWait  = 500 * time.Millisecond
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second

	// shortFor is how long a leader may say that the log ends earlier than when it was opened: a new leader may learn
	// only after a moment where it ends.
	shortFor = 30 * time.Second
)

// A cursor reads one partition up to an end.
type cursor struct {
	client    *kafka.Client
	tp        kafka.TopicPartition
	next, end int64 // the offset that is fetched next, and the one behind the last
	from      int64 // the first that was fetched and is not given yet
	decoder   recordbatch.Decoder
	open      recordbatch.Decompressor
	size      int32 // of a fetch
	watch     Watcher
	outage    outage
	patience  time.Duration // with a log that ends before end
	short     time.Time     // since when it does; zero: it does not
	muted     mutes

	batches []recordbatch.Batch // that were fetched, and not opened yet
	current recordbatch.Batch
	reading bool
	ready   *pipeline.Record
}

// left is at most how many records are still to be given.
func (c *cursor) left() int64 {
	from := c.next
	if c.ready != nil || c.reading || len(c.batches) > 0 {
		from = c.from
	}
	return max(c.end-from, 0)
}

// give gives the record that is ready.
func (c *cursor) give() *pipeline.Record {
	rec := c.ready
	c.ready, c.from = nil, rec.Offset+1
	return rec
}

// fill sees to it that the next record is ready; io.EOF: there is none before the end.
func (c *cursor) fill(ctx context.Context) error {
	for c.ready == nil {
		if c.reading {
			if c.read() {
				continue
			}
			if err := c.current.Err(); err != nil {
				return err
			}
			c.reading = false
		}
		if len(c.batches) > 0 {
			c.current, c.batches = c.batches[0], c.batches[1:]
			if err := c.open.Open(&c.current); err != nil {
				return err
			}
			c.reading = true
			continue
		}
		if c.next >= c.end {
			return io.EOF
		}
		if err := c.fetch(ctx); err != nil {
			return err
		}
	}
	return nil
}

// read makes the next record of a batch ready. It says whether there was one; what is behind the
// end is none.
func (c *cursor) read() bool {
	var r recordbatch.Record
	if !c.current.Next(&r) || r.Offset >= c.end {
		return false
	}
	var headers []pipeline.Header
	if !c.current.EachHeader(&r, func(name, value []byte) {
		headers = append(headers, pipeline.Header{Name: string(name), Value: value})
	}) {
		return false
	}
	at := r.Time
	if at < 0 {
		at = pipeline.NoTime
	}
	c.ready = new(pipeline.Record)
	c.ready.Init(pipeline.Position{Topic: c.tp.Topic, Partition: c.tp.Partition, Offset: r.Offset}, r.Key, r.Value, headers, at)
	return true
}

// An outage is a time in which the leader gives nothing.
type outage struct {
	broker string // that was asked last; "": none yet, for no leader is known
	since  time.Time
}

// noteFailure tells of an outage when it begins.
func (c *cursor) noteFailure(err error) {
	if o := &c.outage; o.since.IsZero() {
		o.since = time.Now()
		c.watch.Failed(cmp.Or(o.broker, "unknown"), fmt.Errorf("reading dead letters from %v: %w", c.tp, err))
	}
}

// noteAnswer tells that an outage is over.
func (c *cursor) noteAnswer() {
	if o := &c.outage; !o.since.IsZero() {
		c.watch.Answered(o.broker, time.Since(o.since))
		o.since = time.Time{}
	}
}

// fetch asks the leader for what comes next, as often as it takes.
func (c *cursor) fetch(ctx context.Context) error {
	for try := 0; ; try++ {
		got, err := c.fetchOnce(ctx)
		if got || err != nil && !kafka.Temporary(err) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if err != nil {
			c.noteFailure(err)
			c.client.Invalidate(c.tp)
		}
		if err := sleep(ctx, min(firstPause<<min(try, 6), lastPause)); err != nil {
			return err
		}
	}
}

// mutes says until when brokers answer no fetch, as their quotas have it. The cursors of a topic share it.
type mutes map[int32]time.Time

// sleep waits so long, or until ctx ends: then it gives an error.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fetchOnce says whether it has come further.
func (c *cursor) fetchOnce(ctx context.Context) (bool, error) {
	leader, epoch, err := c.client.Leader(ctx, c.tp)
	if err != nil {
		return false, err
	}
	c.outage.broker = c.client.Address(leader)
	if err := sleep(ctx, time.Until(c.muted[leader])); err != nil {
		return false, err
	}
	req := &kafka.FetchRequest{Broker: leader, MaxWait: fetchWait, MinBytes: 1, MaxBytes: c.size, Committed: true,
		Partitions: []kafka.FetchPartition{{TopicPartition: c.tp, Offset: c.next, LeaderEpoch: epoch, MaxBytes: c.size}}}
	var answer kafka.FetchAnswer
	if err := c.client.Fetch(ctx, req, nil, &answer); err != nil {
		return false, err
	}
	if answer.Throttle > 0 {
		c.muted[leader] = time.Now().Add(answer.Throttle)
	}
	if len(answer.Partitions) == 0 {
		return false, nil
	}
	p := answer.Partitions[0]
	if errors.Is(p.Err, kafka.OffsetOutOfRange) {
		return c.skipGone(ctx)
	}
	if p.Err != nil {
		return false, p.Err
	}
	c.noteAnswer()
	res, err := c.decoder.Decode(p.Set, c.next, p.Aborted, func(b *recordbatch.Batch) bool {
		c.batches = append(c.batches, *b)
		return true
	})
	if err != nil {
		return false, err
	}
	if res.Need > int(c.size) {
		c.size = int32(res.Need)
	}
	if res.Next > c.next {
		c.from, c.next, c.short = c.next, res.Next, time.Time{}
		return true, nil
	}
	return false, c.noteEnd(p.HighWatermark)
}

// noteEnd notes where the log ends when there is nothing more in it. Up to the end that was seen first there should be: where
// a leader has lost it, what is waited for may never come.
func (c *cursor) noteEnd(end int64) error {
	switch {
	case end < 0 || end >= c.end:
		c.short = time.Time{}
	case c.short.IsZero():
		c.short = time.Now()
	case time.Since(c.short) >= c.patience:
		return fmt.Errorf("the log ends at offset %d now, and ended at %d when it was opened: what was behind is lost with the broker that had it; begin again", end, c.end)
	}
	return nil
}

// skipGone goes on where the log begins now: letters have been deleted meanwhile.
func (c *cursor) skipGone(ctx context.Context) (bool, error) {
	starts, err := c.client.ListOffsets(ctx, map[kafka.TopicPartition]int64{c.tp: kafka.Earliest}, true)
	if err != nil {
		return false, err
	}
	if starts[c.tp] <= c.next {
		return false, fmt.Errorf("the log does not have offset %d, which is not before its start: %w", c.next, kafka.OffsetOutOfRange)
	}
	c.next = starts[c.tp]
	return true, nil
}
