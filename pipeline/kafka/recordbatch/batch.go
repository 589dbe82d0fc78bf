package recordbatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A Batch is one batch of records that were sent together. A Decompressor opens it,
// and then Next walks its records.
//
// The bytes of its records are in the record set, or, when the batch was compressed, in
// Decompressed.
type Batch struct {
	Base, Last int64 // first and last offset, records there or not
	From       int64 // the offset asked for: Next skips records before it
	Count      int   // records in it
	ProducerID int64
	Epoch      int32 // of the leader that appended it
	At, Size   int   // where the batch is in the set, in bytes
	// Decompressed is a buffer from the Memory of the Decompressor that has opened the
	// batch. Whoever had the batch opened puts it back when the records are done with.
	Decompressed []byte

	attributes         uint16
	firstTime, maxTime int64
	records            []byte
	at                 int // of the next record in records: an index costs no write barrier
	left               int
	last               int64 // offset of the record before
	err                error
}

// Compressed says whether opening the batch takes memory, and its bytes in the record
// set are not needed any more when it has been opened.
func (b *Batch) Compressed() bool { return b.attributes&attrCodec != 0 }

// Opened is how many bytes opening the batch will take, by what the batch itself says, which may
// be wrong.
func (b *Batch) Opened() int {
	if !b.Compressed() {
		return 0
	}
	return claimed(Codec(b.attributes&attrCodec), b.records)
}

// Reread reads the header of the first of batches that Decode has given, in a set asked
// for at offset from, and gives the bytes behind it. It checks nothing again.
func (b *Batch) Reread(set []byte, from int64) (rest []byte) {
	n := int(binary.BigEndian.Uint32(set[batchLength:])) + batchOverhead
	b.read(set[:n:n], from)
	return set[n:]
}

// read reads a header.
func (b *Batch) read(raw []byte, from int64) {
	base := int64(binary.BigEndian.Uint64(raw))
	delta := int32(binary.BigEndian.Uint32(raw[batchLastDelta:]))
	*b = Batch{
		Base: base, Last: base + int64(delta),
		Count:      int(int32(binary.BigEndian.Uint32(raw[batchCount:]))),
		ProducerID: int64(binary.BigEndian.Uint64(raw[batchProducerID:])),
		Epoch:      int32(binary.BigEndian.Uint32(raw[batchLeaderEpoch:])),
		attributes: binary.BigEndian.Uint16(raw[batchAttributes:]),
		firstTime:  int64(binary.BigEndian.Uint64(raw[batchFirstTime:])),
		maxTime:    int64(binary.BigEndian.Uint64(raw[batchMaxTime:])),
		Size:       len(raw),
		records:    raw[HeaderSize:],
		From:       from,
		last:       base - 1,
	}
	b.left = b.Count
}

// parse reads a header and checks it against the rest of the batch.
func (b *Batch) parse(raw []byte, from int64) error {
	b.read(raw, from)
	base, delta := b.Base, b.Last-b.Base
	sane := base >= 0 && delta >= 0 && base <= math.MaxInt64-1-delta
	if !sound(raw) {
		// The header is believed only if its last offset and its count say the same, as they do
		// unless the log was compacted: with a wrong end, good records would be skipped.
		if !sane || b.Last < from || int(delta) != b.Count-1 {
			return &CorruptError{From: from, To: -1, Reason: CorruptCRC}
		}
		return b.corrupt(from, CorruptCRC, nil)
	}
	if !sane || b.Count < 0 {
		return &CorruptError{From: from, To: -1, Reason: CorruptRecord, Err: fmt.Errorf("base offset %d, last delta %d, %d records", base, delta, b.Count)}
	}
	return nil
}

func (b *Batch) corrupt(from int64, reason string, err error) error {
	return &CorruptError{From: max(from, b.Base), To: b.Last + 1, Reason: reason, Err: err}
}

// controlType reads the kind of a control batch: 0 abort, 1 commit.
func (b *Batch) controlType() (int16, error) {
	probe := *b
	probe.From = 0
	var rec Record
	if !probe.Next(&rec) || len(rec.Key) < 4 {
		return 0, b.corrupt(b.From, CorruptRecord, fmt.Errorf("a transaction marker without a type"))
	}
	return int16(binary.BigEndian.Uint16(rec.Key[2:])), nil
}

// A Record is one record of a batch. Its slices point into the batch's bytes; a nil
// slice is null, which is not empty.
type Record struct {
	Offset     int64
	Time       int64 // milliseconds since 1970 UTC; negative: none
	Key, Value []byte
	// Headers is how many there are; EachHeader walks them.
	Headers int
	headers []byte
}

// Next reads the next record into rec. It returns false behind the last one, and when
// a record makes no sense; Err then says so.
func (b *Batch) Next(rec *Record) bool {
	for b.left > 0 {
		b.left--
		if !b.record(rec) {
			return false
		}
		if rec.Offset >= b.From {
			return true
		}
	}
	if b.at < len(b.records) && b.err == nil {
		b.fail(b.last+1, "bytes behind the last record")
	}
	return false
}

// Err is a *CorruptError after Next or EachHeader met a record that makes no sense. It
// begins at that record: those that Next gave before it are good.
func (b *Batch) Err() error { return b.err }

// fail ends the walk: nothing from offset at on is to be believed.
func (b *Batch) fail(at int64, text string) bool {
	if b.err == nil {
		b.err = b.corrupt(max(at, b.From), CorruptRecord, errors.New(text))
	}
	b.records, b.at, b.left = nil, 0, 0
	return false
}

func (b *Batch) record(rec *Record) bool {
	p := b.records[b.at:]
	size, n := varint(p)
	if n <= 0 || size < minRecord-1 || size > int64(len(p)-n) {
		return b.fail(b.last+1, "a record's length")
	}
	b.at += n + int(size)
	p = p[n+1 : n+int(size)] // behind the length and the attributes, which nobody uses
	ts, n1 := varint(p)
	if n1 <= 0 {
		return b.fail(b.last+1, "a record's time")
	}
	p = p[n1:]
	delta, n2 := varint(p)
	if n2 <= 0 || delta < 0 || delta > b.Last-b.Base || b.Base+delta <= b.last {
		return b.fail(b.last+1, "a record's offset")
	}
	var ok bool
	if rec.Key, p, ok = field(p[n2:]); !ok {
		return b.fail(b.last+1, "a record's key")
	}
	if rec.Value, p, ok = field(p); !ok {
		return b.fail(b.last+1, "a record's value")
	}
	headers, n3 := varint(p)
	if n3 <= 0 || headers < 0 || headers > int64(len(p)-n3)/2 || headers == 0 && len(p) > n3 {
		return b.fail(b.last+1, "a record's headers")
	}
	rec.Headers, rec.headers = int(headers), p[n3:]
	rec.Offset = b.Base + delta
	b.last = rec.Offset
	if b.attributes&attrAppendTime != 0 {
		rec.Time = b.maxTime
	} else {
		rec.Time = b.firstTime + ts
	}
	return true
}

// EachHeader calls yield with every header of the record that Next read last, in
// order. It returns false when they make no sense; Err then says so, and the record is
// not to be used.
func (b *Batch) EachHeader(rec *Record, yield func(name, value []byte)) bool {
	p := rec.headers
	for range rec.Headers {
		name, rest, ok := field(p)
		if !ok || name == nil {
			return b.fail(rec.Offset, "the name of a record's header")
		}
		value, rest, ok := field(rest)
		if !ok {
			return b.fail(rec.Offset, "the value of a record's header")
		}
		yield(name, value)
		p = rest
	}
	if len(p) > 0 {
		return b.fail(rec.Offset, "bytes behind a record's last header")
	}
	return true
}

// field reads a length and that many bytes; length -1 is nil.
func field(p []byte) (value, rest []byte, ok bool) {
	size, n := varint(p)
	if n <= 0 || size > int64(len(p)-n) || size < -1 {
		return nil, nil, false
	}
	if size < 0 {
		return nil, p[n:], true
	}
	end := n + int(size)
	return p[n:end:end], p[end:], true
}

// varint reads a zigzag varint; n is 0 when it is cut short or too long.
func varint(p []byte) (v int64, n int) {
	if len(p) > 0 && p[0] < 0x80 {
		return int64(p[0]>>1) ^ -int64(p[0]&1), 1
	}
	if len(p) > 1 && p[1] < 0x80 {
		u := uint64(p[0]&0x7f) | uint64(p[1])<<7
		return int64(u>>1) ^ -int64(u&1), 2
	}
	u, n := binary.Uvarint(p)
	return int64(u>>1) ^ -int64(u&1), n
}
