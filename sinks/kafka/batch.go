package kafkasink

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
	"github.com/penstockio/penstock/pipeline/tracing"
)

// A batch is what one Write makes and holds: its messages and the memory for them. It is kept for
// later Writes.
type batch struct {
	named   []namedTopic // of each record; empty when all go to one topic
	using   []*topicState
	msgs    []kafka.Message
	at      []int // index of each message's record
	headers []recordbatch.Header
	values  [][]byte // room for values of edited records
	full    int      // the piece of values that is being used: those before it are full
	large   int64    // bytes of values that no piece had room for
	failed  []pipeline.Failure
	weight  int64 // as told to the account

	tracing    tracing.Context // of the Write at work; nil: no record of it is traced
	fixed      string          // the topic that all records go to, once it is known
	partitions int32
}

// topic gives the topic of record i and how many partitions it has. A fixed one is
// looked up once a Write.
func (b *batch) topic(ctx context.Context, k *Sink, i int) (string, int32, error) {
	if len(b.named) > 0 {
		n := &b.named[i]
		return n.name, n.partitions, n.err
	}
	if b.partitions > 0 {
		return b.fixed, b.partitions, nil
	}
	name, n, err := k.fixed(ctx)
	if err == nil {
		b.fixed, b.partitions = name, n
	}
	return name, n, err
}

func (k *Sink) takeBatch() *batch {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.spare)
	if n == 0 {
		return new(batch)
	}
	b := k.spare[n-1]
	k.spare[n-1] = nil
	k.spare, k.spared = k.spare[:n-1], k.spared-b.weight
	return b
}

// maxSpare bounds the bytes of the batches that are kept for later Writes: those of six Writes of
// 5,000 records, or of two whose values were edited, 1 MiB of them. A fresh one is 700 KiB of cleared
// memory with pointers (BenchmarkKafkaMessages).
const maxSpare = 4 << 20

// valueRoom is a piece of the room for the values of edited records.
const valueRoom = 64 << 10

// value gives the value of a record, valid until the batch is put back. That of an edited record is
// put together in the memory of the batch, anew for each Write: kept with the record, each would be
// an allocation of its own (BenchmarkKafkaMessages).
func (b *batch) value(rec *pipeline.Record) []byte {
	if !rec.Edited() {
		return rec.Value()
	}
	for {
		if b.full == len(b.values) {
			b.values = append(b.values, make([]byte, 0, valueRoom))
		}
		room := b.values[b.full]
		free := room[len(room):]
		v := rec.AppendValue(free)
		if cap(v) == cap(free) { // it is in the room: append makes memory that is larger
			b.values[b.full] = room[:len(room)+len(v)]
			return v[:len(v):len(v)]
		}
		if len(room) == 0 || len(v) > valueRoom/4 { // larger than a piece, or worth no new one
			b.large += int64(cap(v))
			return v
		}
		b.full++
	}
}

// weigh counts what the batch has grown to.
func (k *Sink) weigh(b *batch) {
	now := int64(cap(b.msgs))*int64(unsafe.Sizeof(kafka.Message{})) + int64(cap(b.headers))*int64(unsafe.Sizeof(recordbatch.Header{})) +
		int64(cap(b.named))*int64(unsafe.Sizeof(namedTopic{})) + int64(cap(b.at)+cap(b.using))*int64(unsafe.Sizeof(0)) +
		int64(len(b.values))*valueRoom + b.large
	k.countBytes(now - b.weight)
	b.weight = now
}

// putBatch keeps a batch for a later Write, if there is room, and clears what it points to.
func (k *Sink) putBatch(b *batch) {
	clear(b.msgs)
	clear(b.headers)
	clear(b.named)
	b.named = b.named[:0]
	for i := range b.values {
		b.values[i] = b.values[i][:0]
	}
	b.full, b.large = 0, 0
	k.weigh(b)
	b.msgs, b.at, b.headers, b.failed, b.partitions = b.msgs[:0], b.at[:0], b.headers[:0], nil, 0
	b.tracing = nil
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ctx.Err() != nil || k.spared+b.weight > maxSpare {
		k.countBytes(-b.weight)
		return
	}
	k.spare, k.spared = append(k.spare, b), k.spared+b.weight
}

// gather makes the messages of records, and notes those of which none can be made.
func (k *Sink) gather(ctx context.Context, recs []*pipeline.Record, b *batch) {
	b.msgs, b.at = slices.Grow(b.msgs, len(recs)), slices.Grow(b.at, len(recs))
	heldBack := false
	for i, rec := range recs {
		if heldBack {
			b.failed = append(b.failed, pipeline.Failure{Index: i, Err: client.ErrHeldBack})
			continue
		}
		n := len(b.msgs)
		b.msgs = b.msgs[:n+1] // made in its place: a message is 136 bytes, and was copied twice (BenchmarkKafkaMessages)
		if err := k.message(ctx, &b.msgs[n], rec, i, b); err != nil {
			_, permanent := pipeline.IsPermanent(err)
			heldBack = !permanent // those behind it may be for the same topic, and must not pass it
			b.msgs[n], b.msgs = kafka.Message{}, b.msgs[:n]
			b.failed = append(b.failed, pipeline.Failure{Index: i, Err: err})
			continue
		}
		b.at = append(b.at, i)
	}
}

// message fills m, which is empty, with what is sent of a record. An error is about this record
// alone.
func (k *Sink) message(ctx context.Context, m *kafka.Message, rec *pipeline.Record, i int, b *batch) error {
	m.Key, m.Value, m.Time = rec.Key(), b.value(rec), rec.Time
	m.Origin = kafka.Origin{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Part: rec.Part}
	if k.settings.Key != nil {
		switch key, err := k.settings.Key.Bytes(rec); {
		case err == nil:
			m.Key = key
		case !k.settings.DeadLetters: // it may be no JSON at all, and is never dropped
			return fmt.Errorf("making the key: %w", err)
		}
	}
	topic, partitions, err := b.topic(ctx, k, i)
	if err != nil {
		return err
	}
	m.Topic = topic
	switch {
	case k.settings.Partitioner == "source":
		if m.Partition = rec.Partition; m.Partition >= partitions {
			return fmt.Errorf("keeping the partition of the source: topic %s has %d partitions; add some", m.Topic, partitions)
		}
	case m.Key == nil:
		m.Partition = kafka.PartitionForOrigin(m.Origin, partitions)
	default:
		m.Partition = kafka.PartitionForKey(m.Key, partitions)
	}
	headers, from := rec.Headers(), len(b.headers)
	var trace []pipeline.Header
	if b.tracing != nil {
		trace = b.tracing.Message(i)
	}
	for _, h := range headers {
		if !replaced(h.Name, trace) {
			b.headers = append(b.headers, recordbatch.Header(h))
		}
	}
	for _, h := range trace {
		b.headers = append(b.headers, recordbatch.Header(h))
	}
	if came := rec.Key(); k.settings.DeadLetters && !sameKey(came, m.Key) {
		b.headers = append(b.headers, recordbatch.Header{Name: keyHeader, Value: came}) // else the record could not go back as it was
	}
	if len(b.headers) > from {
		m.Headers = b.headers[from:len(b.headers):len(b.headers)]
	}
	return nil
}

// replaced says whether a header of a record gives way to one of the trace that the record is in. Of a trace with no tracestate that
// of another goes too.
func replaced(name string, trace []pipeline.Header) bool {
	return len(trace) > 0 && (strings.EqualFold(name, "traceparent") || strings.EqualFold(name, "tracestate"))
}

// keyHeader is deadletter.Key. Sinks do not know what dead letters are made of, but for this: they alone know that a
// letter gets another key.
const keyHeader = "penstock-key"

// sameKey says whether two keys are equal; null and empty are not.
func sameKey(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
