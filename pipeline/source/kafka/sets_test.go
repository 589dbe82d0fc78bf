package kafkasource

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A bench takes record sets as a fetch loop does, without a broker: they are put into
// buffers of the source's memory, charged to a lane of a pipeline that reads nothing.
type bench struct {
	t      testing.TB
	k      *Source
	l      *fetchLoop
	p      *partition
	engine pipeline.Feed
	lane   pipeline.Lane
	budget *engine.Budget
	log    *lines
}

// An idle source hands over the engine and nothing else.
type idle struct {
	k      *Source
	engine chan pipeline.Feed
}

func (s *idle) Open(_ context.Context, e pipeline.Feed) error { s.engine <- e; return nil }
func (s *idle) Read(ctx context.Context) (*pipeline.Batch, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
func (s *idle) Account(add func(int64))                       { s.k.Account(add) }
func (s *idle) Commit(context.Context, []pipeline.Mark) error { return nil }
func (s *idle) Close(context.Context) error                   { return nil }

// newBench makes one; change may edit the settings.
func newBench(t testing.TB, change ...func(*Settings)) *bench {
	t.Helper()
	s := Defaults()
	s.Brokers, s.Topics = []string{"127.0.0.1:1"}, []string{"flights"}
	for _, f := range change {
		f(&s)
	}
	k, err := New(s, Options{Pipeline: "p"})
	if err != nil {
		t.Fatal(err)
	}
	k.out = make(chan queuedBatch, 10_000) // nobody reads meanwhile
	b := &bench{t: t, k: k, log: &lines{}, budget: engine.NewBudget(0, 0)}
	k.Attach(event.New(b.log, event.Options{}).Pipeline("p"))
	src := &idle{k: k, engine: make(chan pipeline.Feed, 1)}
	p, err := engine.New(engine.Options{
		Name: "p", Source: src, Budget: b.budget,
		Sinks: []engine.Output{{Name: "memory", Kind: "memory", Sink: &pipelinetest.Memory{}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	b.engine = <-src.engine
	t.Cleanup(func() {
		cancel()
		k.cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	b.l = &fetchLoop{k: k}
	b.l.dec.Committed = true
	b.p, b.lane = b.partition(0, -1)
	return b
}

// partition makes a partition of flights that is read up to bound, and its lane.
func (b *bench) partition(n int32, bound int64) (*partition, pipeline.Lane) {
	b.t.Helper()
	p := b.k.newPartition(kafka.TopicPartition{Topic: "flights", Partition: n}, 1)
	p.next = 0
	p.bound.Store(bound)
	lane, _, err := b.engine.Lane(b.t.Context(), p.tp.String(), 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return p, lane
}

// take takes what was fetched for a partition, and gives what comes of it.
func (b *bench) take(p *partition, lane pipeline.Lane, raw []byte, aborted ...recordbatch.AbortedTransaction) []queuedBatch {
	b.t.Helper()
	charge, err := lane.Take(b.t.Context(), int64(len(raw)))
	if err != nil {
		b.t.Fatal(err)
	}
	q := &polled{part: p, lane: lane, charge: charge, buf: append(b.k.mem.Get(len(raw)), raw...)}
	s := set{l: b.l, p: p, q: q, raw: q.buf, bound: p.bound.Load()}
	s.decode(&kafka.FetchedPartition{Set: q.buf, Aborted: aborted})
	if q.charge != nil {
		q.charge.Release()
		b.k.mem.Put(q.buf)
	}
	var items []queuedBatch
	for len(b.k.out) > 0 {
		items = append(items, <-b.k.out)
	}
	return items
}

// words makes all records of batches, n at a time, gives them as "offset:value" and the
// batches back. It stops at the first error.
func (b *bench) words(items []queuedBatch, n int) (out string, err error) {
	b.t.Helper()
	var words []string
	places := make([]pipeline.Record, n)
	for _, item := range items {
		if item.batch == nil {
			err = item.err
			break
		}
		for got := 1; item.batch.Fill != nil && got > 0 && err == nil; {
			got, err = item.batch.Fill(places)
			for i := range places[:got] {
				words = append(words, fmt.Sprintf("%d:%s", places[i].Offset, places[i].Value()))
			}
		}
		drop(item.batch)
	}
	return strings.Join(words, " "), err
}

// charged gives what is charged beside the buffers that are kept for reuse.
func (b *bench) charged() int64 {
	_, bytes := b.budget.Use()
	b.k.mem.mu.Lock()
	defer b.k.mem.mu.Unlock()
	return bytes - int64(b.k.mem.bytes)
}

// settled checks that everything has been given back.
func (b *bench) settled() {
	b.t.Helper()
	if n := b.charged(); n != 0 {
		b.t.Errorf("%d bytes are still charged", n)
	}
}

// A craft is a record batch to be made.
type craft struct {
	base       int64
	values     []string
	headers    []kmsg.Header // of each record
	key        []byte
	gap        int32 // offsets between two records that are not there
	tail       int32 // and behind the last
	codec      kgo.CompressionCodec
	pid        int64
	attributes int16
	damage     func(records []byte) []byte // damages the records, before compression
	squash     func(packed []byte) []byte  // and after
	count      int32
}

func (c craft) bytes(t testing.TB) []byte {
	t.Helper()
	var records []byte
	delta := int32(0)
	for i, v := range c.values {
		if i > 0 {
			delta += 1 + c.gap
		}
		r := kmsg.Record{OffsetDelta: delta, Key: c.key, Value: []byte(v), Headers: c.headers}
		body := r.AppendTo(nil)[1:] // its length is 0, one byte
		records = binary.AppendVarint(records, int64(len(body)))
		records = append(records, body...)
	}
	if c.damage != nil {
		records = c.damage(records)
	}
	if c.codec != (kgo.CompressionCodec{}) {
		z, err := kgo.DefaultCompressor(c.codec)
		if err != nil {
			t.Fatal(err)
		}
		packed, kind := z.Compress(new(bytes.Buffer), records)
		records = bytes.Clone(packed)
		c.attributes |= int16(kind)
	}
	if c.squash != nil {
		records = c.squash(records)
	}
	b := kmsg.NewRecordBatch()
	b.FirstOffset, b.LastOffsetDelta, b.NumRecords, b.Magic = c.base, delta+c.tail, int32(len(c.values)), 2
	if c.count != 0 {
		b.NumRecords = c.count
	}
	b.FirstTimestamp, b.MaxTimestamp = 1000, 1000
	b.Attributes, b.ProducerID, b.Records = c.attributes, c.pid, records
	b.Length = int32(49 + len(records))
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}
