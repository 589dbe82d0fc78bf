package kafkatest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Produce writes records as they stand, to the partition each names, and gives them
// back with their offsets.
func (c *Cluster) Produce(t T, topic string, recs ...*kgo.Record) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cl, err := c.franz(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatalf("connecting to %v: %v", c.addrs, err)
	}
	defer cl.Close()
	for _, r := range recs {
		r.Topic = topic
	}
	if err := cl.ProduceSync(ctx, recs...).FirstErr(); err != nil {
		t.Fatalf("producing to %s: %v", topic, err)
	}
	return recs
}

// Consume gives every record that a committed reader sees in the topic now, each
// partition in order, partition after partition.
func (c *Cluster) Consume(t T, topic string) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	start, err := c.Admin(t).ListStartOffsets(ctx, topic)
	if err = errors.Join(err, start.Error()); err != nil {
		t.Fatalf("asking for the start of %s: %v", topic, err)
	}
	end, err := c.Admin(t).ListCommittedOffsets(ctx, topic)
	if err = errors.Join(err, end.Error()); err != nil {
		t.Fatalf("asking for the end of %s: %v", topic, err)
	}
	from, left := map[int32]kgo.Offset{}, map[int32]int64{}
	for p, o := range end[topic] {
		if s, _ := start.Lookup(topic, p); s.Offset < o.Offset {
			from[p], left[p] = kgo.NewOffset().At(s.Offset), o.Offset
		}
	}
	return c.read(ctx, t, topic, from, left)
}

// ConsumeN gives the first n records that a committed reader sees, waiting for them.
func (c *Cluster) ConsumeN(t T, topic string, n int) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cl, err := c.franz(kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatalf("connecting to %v: %v", c.addrs, err)
	}
	defer cl.Close()
	var out []*kgo.Record
	for len(out) < n {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("reading %s: %d of %d records came", topic, len(out), n)
		}
		out = append(out, f.Records()...)
	}
	sortRecords(out)
	return out
}

// read takes each partition from its start up to the offset in left.
func (c *Cluster) read(ctx context.Context, t T, topic string, from map[int32]kgo.Offset, left map[int32]int64) []*kgo.Record {
	t.Helper()
	if len(left) == 0 {
		return nil
	}
	cl, err := c.franz(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		t.Fatalf("connecting to %v: %v", c.addrs, err)
	}
	defer cl.Close()
	var out []*kgo.Record
	for len(left) > 0 {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("reading %s: %d records came, not read to the end: %v", topic, len(out), left)
		}
		f.EachRecord(func(r *kgo.Record) {
			end, ok := left[r.Partition]
			if !ok || r.Offset >= end {
				return
			}
			if !r.Attrs.IsControl() {
				out = append(out, r)
			}
			if r.Offset == end-1 {
				delete(left, r.Partition)
			}
		})
	}
	sortRecords(out)
	return out
}

func sortRecords(rs []*kgo.Record) {
	slices.SortStableFunc(rs, func(a, b *kgo.Record) int { return int(a.Partition) - int(b.Partition) })
}

// moving says whether an error is that of a group between two coordinators.
func moving(err error) bool {
	return errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.NotCoordinator) || errors.Is(err, kerr.CoordinatorLoadInProgress)
}

// Committed gives the group's committed offsets; none for a group that is not there.
func (c *Cluster) Committed(t T, group string) map[string]map[int32]int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	admin := c.Admin(t)
	got, err := admin.FetchOffsets(ctx, group)
	for moving(err) && ctx.Err() == nil { // longer than the client has patience for: its broker was frozen
		time.Sleep(100 * time.Millisecond)
		got, err = admin.FetchOffsets(ctx, group)
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil
	}
	if err != nil {
		t.Fatalf("asking for the offsets of group %s: %v", group, err)
	}
	out := map[string]map[int32]int64{}
	for topic, ps := range got {
		for p, o := range ps {
			if o.Err != nil {
				t.Fatalf("asking for the offset of %s/%d in group %s: %v", topic, p, group, o.Err)
			}
			if out[topic] == nil {
				out[topic] = map[int32]int64{}
			}
			out[topic][p] = o.At
		}
	}
	return out
}
