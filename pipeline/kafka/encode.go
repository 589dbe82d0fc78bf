package kafka

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"math/bits"
)

// Offsets of fields in the header of a record batch, magic 2.
const (
	batchLength        = 8  // int32: bytes after this field
	batchLeaderEpoch   = 12 // int32, the broker's
	batchMagic         = 16 // int8
	batchCRC           = 17 // uint32: CRC-32C of everything from batchAttributes on
	batchAttributes    = 21 // int16
	batchLastDelta     = 23 // int32
	batchFirstTime     = 27 // int64
	batchMaxTime       = 35 // int64
	batchProducerID    = 43 // int64
	batchProducerEpoch = 51 // int16
	batchSequence      = 53 // int32
	batchCount         = 57 // int32
	batchRecords       = 61 // the records begin, compressed or not
)

// transactionalBit is the attribute of batches within a transaction.
const transactionalBit = 0x10

// noTime stands for a message without a timestamp; it gets the time of encoding.
const noTime = math.MinInt64

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A producerID names an idempotent producer to the brokers: id and epoch.
type producerID struct {
	id    int64
	epoch int16
}

// none says that no id has been given out.
var noProducer = producerID{id: -1, epoch: -1}

// errNoProducer is returned for a batch that would carry a sequence but no producer
// id: brokers take such a batch as not idempotent, and a repeat of it is a duplicate.
var errNoProducer = errors.New("sealing a record batch: no producer id")

// appendRecords appends the records of those of msgs that idx names, one or more, which
// take size bytes at most, and gives the time of the first and the latest. Messages
// without a time get now, in milliseconds.
func appendRecords(b []byte, msgs []Message, idx []int32, size int, now int64) (records []byte, first, last int64) {
	b = grow(b, size)
	first, last = msgs[idx[0]].time(now), math.MinInt64
	for i, x := range idx {
		m := &msgs[x]
		t := m.time(now)
		last = max(last, t)
		b = appendRecord(b, m, int64(i), t-first)
	}
	return b, first, last
}

// putBatchHeader makes batch, which ends with the records, a record batch, magic 2. It
// belongs to no producer yet: seal it before sending.
func putBatchHeader(batch []byte, codec Codec, records int, first, last int64) {
	clear(batch[:batchRecords])
	binary.BigEndian.PutUint32(batch[batchLength:], uint32(len(batch)-batchLeaderEpoch))
	binary.BigEndian.PutUint32(batch[batchLeaderEpoch:], math.MaxUint32) // -1
	batch[batchMagic] = 2
	binary.BigEndian.PutUint16(batch[batchAttributes:], uint16(codec))
	binary.BigEndian.PutUint32(batch[batchLastDelta:], uint32(records-1))
	binary.BigEndian.PutUint64(batch[batchFirstTime:], uint64(first))
	binary.BigEndian.PutUint64(batch[batchMaxTime:], uint64(last))
	binary.BigEndian.PutUint32(batch[batchCount:], uint32(records))
}

// sealBatch makes batch, as appended by appendBatch, the one with the given sequence
// of a producer, and sets its checksum. It may be called again, for another producer
// or sequence. It refuses a producer without an id.
func sealBatch(batch []byte, p producerID, sequence int32, transactional bool) error {
	if p.id < 0 || p.epoch < 0 || sequence < 0 {
		return errNoProducer
	}
	batch[batchAttributes+1] &^= transactionalBit
	if transactional {
		batch[batchAttributes+1] |= transactionalBit
	}
	binary.BigEndian.PutUint64(batch[batchProducerID:], uint64(p.id))
	binary.BigEndian.PutUint16(batch[batchProducerEpoch:], uint16(p.epoch))
	binary.BigEndian.PutUint32(batch[batchSequence:], uint32(sequence))
	binary.BigEndian.PutUint32(batch[batchCRC:], crc32.Checksum(batch[batchAttributes:], castagnoli))
	return nil
}

// appendRecord appends one record of a batch.
func appendRecord(b []byte, m *Message, offset, time int64) []byte {
	size := 1 + sizeVarint(time) + sizeVarint(offset) + sizeBytes(m.Key) + sizeBytes(m.Value) +
		sizeVarint(int64(len(m.Headers)))
	for i := range m.Headers {
		h := &m.Headers[i]
		size += sizeVarint(int64(len(h.Name))) + len(h.Name) + sizeBytes(h.Value)
	}
	b = appendVarint(b, int64(size))
	b = append(b, 0) // attributes
	b = appendVarint(b, time)
	b = appendVarint(b, offset)
	b = appendBytes(b, m.Key)
	b = appendBytes(b, m.Value)
	b = appendVarint(b, int64(len(m.Headers)))
	for i := range m.Headers {
		h := &m.Headers[i]
		b = appendVarint(b, int64(len(h.Name)))
		b = append(b, h.Name...)
		b = appendBytes(b, h.Value)
	}
	return b
}

// recordBound is at least the bytes that m takes in a batch before compression, and not
// many more: what is cut by it fills a batch (BenchmarkPrepare). Of the length of the
// record, its time and its offset it knows no more than the most that they take.
func recordBound(m *Message) int {
	n := 1 + 10 + 5 + sizeBytes(m.Key) + sizeBytes(m.Value) + sizeVarint(int64(len(m.Headers)))
	for i := range m.Headers {
		h := &m.Headers[i]
		n += sizeVarint(int64(len(h.Name))) + len(h.Name) + sizeBytes(h.Value)
	}
	return n + sizeVarint(int64(n))
}

// appendBytes appends length and bytes; nil is null, which is not empty.
func appendBytes(b, p []byte) []byte {
	if p == nil {
		return append(b, 1) // -1
	}
	return append(appendVarint(b, int64(len(p))), p...)
}

func appendVarint(b []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	if u < 0x80 {
		return append(b, byte(u))
	}
	return binary.AppendUvarint(b, u)
}

func sizeVarint(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	return (bits.Len64(u|1) + 6) / 7
}

func sizeBytes(p []byte) int {
	if p == nil {
		return 1
	}
	return sizeVarint(int64(len(p))) + len(p)
}
