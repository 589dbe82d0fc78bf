package recordbatch

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
)

// HeaderSize is where the records of a batch begin, compressed or not.
const HeaderSize = 61

// transactionalBit is the attribute of batches within a transaction.
const transactionalBit = 0x10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A ProducerID names an idempotent producer to the brokers: id and epoch.
type ProducerID struct {
	ID    int64
	Epoch int16
}

// NoProducer says that no id has been given out.
var NoProducer = ProducerID{ID: -1, Epoch: -1}

// ErrNoProducer is returned for a batch that would carry a sequence but no producer
// id: brokers take such a batch as not idempotent, and a repeat of it is a duplicate.
var ErrNoProducer = errors.New("sealing a record batch: no producer id")

// PutHeader makes batch, which ends with the records, a record batch, magic 2. It
// belongs to no producer yet: seal it before sending.
func PutHeader(batch []byte, codec Codec, records int, first, last int64) {
	clear(batch[:HeaderSize])
	binary.BigEndian.PutUint32(batch[batchLength:], uint32(len(batch)-batchLeaderEpoch))
	binary.BigEndian.PutUint32(batch[batchLeaderEpoch:], math.MaxUint32) // -1
	batch[batchMagic] = 2
	binary.BigEndian.PutUint16(batch[batchAttributes:], uint16(codec))
	binary.BigEndian.PutUint32(batch[batchLastDelta:], uint32(records-1))
	binary.BigEndian.PutUint64(batch[batchFirstTime:], uint64(first))
	binary.BigEndian.PutUint64(batch[batchMaxTime:], uint64(last))
	binary.BigEndian.PutUint32(batch[batchCount:], uint32(records))
}

// Seal makes batch, which PutHeader has made one, the one with the given sequence
// of a producer, and sets its checksum. It may be called again, for another producer
// or sequence. It refuses a producer without an id.
func Seal(batch []byte, p ProducerID, sequence int32, transactional bool) error {
	if p.ID < 0 || p.Epoch < 0 || sequence < 0 {
		return ErrNoProducer
	}
	batch[batchAttributes+1] &^= transactionalBit
	if transactional {
		batch[batchAttributes+1] |= transactionalBit
	}
	binary.BigEndian.PutUint64(batch[batchProducerID:], uint64(p.ID))
	binary.BigEndian.PutUint16(batch[batchProducerEpoch:], uint16(p.Epoch))
	binary.BigEndian.PutUint32(batch[batchSequence:], uint32(sequence))
	binary.BigEndian.PutUint32(batch[batchCRC:], crc32.Checksum(batch[batchAttributes:], castagnoli))
	return nil
}

// A Header is a name and a value; a nil value is null, which is not empty.
type Header struct {
	Name  string
	Value []byte
}

// AppendRecord appends one record of a batch. offset and time count from those of the
// batch; a nil key or value is null, which is not empty.
func AppendRecord(b, key, value []byte, headers []Header, offset, time int64) []byte {
	size := 1 + sizeVarint(time) + sizeVarint(offset) + sizeBytes(key) + sizeBytes(value) +
		sizeVarint(int64(len(headers)))
	for i := range headers {
		h := &headers[i]
		size += sizeVarint(int64(len(h.Name))) + len(h.Name) + sizeBytes(h.Value)
	}
	b = appendVarint(b, int64(size))
	b = append(b, 0) // attributes
	b = appendVarint(b, time)
	b = appendVarint(b, offset)
	b = appendBytes(b, key)
	b = appendBytes(b, value)
	b = appendVarint(b, int64(len(headers)))
	for i := range headers {
		h := &headers[i]
		b = appendVarint(b, int64(len(h.Name)))
		b = append(b, h.Name...)
		b = appendBytes(b, h.Value)
	}
	return b
}

// RecordBound is at least the bytes that a record takes in a batch before compression, and not
// many more, so that batches which are divided by it are full (BenchmarkPrepare). For the length
// of the record, its time and its offset it takes the most that they may take.
func RecordBound(key, value []byte, headers []Header) int {
	n := 1 + 10 + 5 + sizeBytes(key) + sizeBytes(value) + sizeVarint(int64(len(headers)))
	for i := range headers {
		h := &headers[i]
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
