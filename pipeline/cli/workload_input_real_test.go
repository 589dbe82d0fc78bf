//go:build real && workload

package cli

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// codecs are the compressions of an input topic, in the order of the tables.
var codecs = []string{"none", "snappy", "lz4", "zstd"}

func codecOf(name string) kgo.CompressionCodec {
	return map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}[name]
}

// A flight is a record of an input topic; its key is the origin.
type flight struct {
	key, value []byte
	late       bool // passes the filter of W2
}

// flights gives the first n flights of testdata, each made up to size bytes. Few of them
// again and again compress as well as repeated log lines do.
func flights(t *testing.T, n, size int) []flight {
	t.Helper()
	text, err := os.ReadFile("../../testdata/flights/flights.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var all []flight
	for l := range strings.Lines(string(text)) {
		l = strings.TrimSpace(l)
		head := l[:len(l)-1] + `,"pad":"`
		all = append(all, flight{
			key: []byte(gjson.Get(l, "origin").String()), late: gjson.Get(l, "delay").Int() >= 15,
			value: []byte(head + strings.Repeat("x", max(0, size-2-len(head))) + `"}`),
		})
		if len(all) == n {
			break
		}
	}
	return all
}

// An input is a topic that was loaded once, for all runs that read it.
type input struct {
	topic         string
	records, late int64
	bytes, onDisk int64 // of the keys and values; of the broker's log
	byPartition   []int64
}

// ratio says how well the topic is compressed.
func (in input) ratio() float64 { return float64(in.bytes) / float64(in.onDisk) }

func (in input) String() string {
	return fmt.Sprintf("%s: %d records, %d late, %d MiB, %d MiB on disk (%.1f to 1), by partition %d",
		in.topic, in.records, in.late, in.bytes>>20, in.onDisk>>20, in.ratio(), in.byPartition)
}

// load makes a topic of n records, values over and over again. Batches are what a busy
// producer of today makes: up to 1 MiB before compression, after linger at the latest.
func load(t *testing.T, b bench, topic, codec string, partitions int, values []flight, n int64, linger time.Duration) input {
	t.Helper()
	b.topic(t, partitions, topic)
	c, err := kgo.NewClient(kgo.SeedBrokers(b.broker), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(codecOf(codec)),
		kgo.ProducerLinger(linger), kgo.ProducerBatchMaxBytes(1<<20), kgo.MaxBufferedRecords(100_000), kgo.MaxBufferedBytes(256<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := input{topic: topic, records: n}
	written := func(_ *kgo.Record, err error) {
		if err != nil {
			t.Errorf("loading %s: %v", topic, err)
		}
	}
	for i := range n {
		f := values[i%int64(len(values))]
		if f.late {
			in.late++
		}
		in.bytes += int64(len(f.key) + len(f.value))
		c.Produce(t.Context(), &kgo.Record{Key: f.key, Value: f.value}, written)
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	in.byPartition, in.onDisk = endOffsets(t, b.admin, topic), onDisk(t, b.admin, topic)
	t.Log(in)
	return in
}

// topic makes a topic and waits until it can be asked for its ends: runs are timed by
// that.
func (b bench) topic(t *testing.T, partitions int, name string) {
	t.Helper()
	topics(t, b.admin, partitions, 1, name)
	for deadline := time.Now().Add(10 * time.Second); ; pass(t, 10*time.Millisecond) {
		listed, err := b.admin.ListEndOffsets(t.Context(), name)
		if err == nil {
			err = listed.Error()
		}
		if err == nil && len(listed[name]) == partitions {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("topic %s is not there after 10 seconds: %v", name, err)
		}
	}
}

// endOffsets gives the end offset of each partition.
func endOffsets(t *testing.T, a *kadm.Client, topic string) (by []int64) {
	t.Helper()
	listed, err := a.ListEndOffsets(t.Context(), topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		t.Fatalf("asking for the ends of %s: %v", topic, err)
	}
	by = make([]int64, len(listed[topic]))
	listed.Each(func(o kadm.ListedOffset) { by[o.Partition] = o.Offset })
	return by
}

// stored gives the number of records of a topic that nothing was deleted from.
func stored(t *testing.T, a *kadm.Client, topic string) (n int64) {
	t.Helper()
	for _, end := range endOffsets(t, a, topic) {
		n += end
	}
	return n
}

// onDisk gives the bytes of the broker's log of a topic.
func onDisk(t *testing.T, a *kadm.Client, topic string) (n int64) {
	t.Helper()
	logs, err := a.DescribeAllLogDirs(t.Context(), nil)
	if err != nil {
		t.Fatalf("asking for the size of %s: %v", topic, err)
	}
	logs.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			if p.Topic == topic {
				n += p.Size
			}
		})
	})
	if n == 0 {
		t.Fatalf("%s has no bytes on disk", topic)
	}
	return n
}

// remove deletes topics: a whole table of runs is more than fits on a disk.
func remove(t *testing.T, a *kadm.Client, names ...string) {
	t.Helper()
	deleted, err := a.DeleteTopics(t.Context(), names...)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatalf("deleting %s: %v", names, err)
	}
}
