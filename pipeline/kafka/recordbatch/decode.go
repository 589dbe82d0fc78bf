package recordbatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

const (
	batchOverhead = batchLeaderEpoch // bytes of base offset and length, which the length does not count
	minRecord     = 7                // bytes of the smallest record

	attrCodec         = 0x07
	attrAppendTime    = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20

	defaultMaxDecompressed = 64 << 20
)

// An AbortedTransaction says that the producer's records from First on, up to its
// next abort marker, are to be left out.
type AbortedTransaction struct {
	ProducerID int64
	First      int64
}

// An EpochStart says that the batches from an offset on were appended by the leader of
// an epoch, up to where the next one starts. An epoch of -1 is not known.
type EpochStart struct {
	Epoch int32
	From  int64
}

// Reasons of a CorruptError.
const (
	CorruptLength     = "length"     // a batch's length makes no sense
	CorruptCRC        = "crc"        // a batch does not match its checksum
	CorruptFormat     = "format"     // a batch of Kafka before 0.11, or of an unknown format
	CorruptCompressed = "compressed" // compressed records are damaged
	CorruptTooLarge   = "too_large"  // a batch decompresses past the limit
	CorruptRecord     = "record"     // a record makes no sense
)

// A CorruptError says that a batch cannot be read. Everything before From has been
// read. To is the offset behind the batch, or -1 when its header does not say.
type CorruptError struct {
	From, To int64
	Reason   string
	Err      error // may be nil
}

func (e *CorruptError) Error() string {
	what := map[string]string{
		CorruptLength: "its length makes no sense", CorruptCRC: "its checksum does not match",
		CorruptFormat: "its format is not the one of Kafka 0.11 and later", CorruptCompressed: "its compressed records are damaged",
		CorruptTooLarge: "it decompresses past the limit", CorruptRecord: "a record in it makes no sense",
	}[e.Reason]
	if e.Err != nil {
		what += ": " + e.Err.Error()
	}
	return fmt.Sprintf("reading the batch at offset %d: %s", e.From, what)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// ErrorType is the short name under which logs count the error.
func (e *CorruptError) ErrorType() string { return "corrupt_" + e.Reason }

// A Decoder takes record sets as Fetch returns them apart, into batches. It is not safe
// for concurrent use. The zero value delivers uncommitted records too.
type Decoder struct {
	// Committed leaves out records of aborted transactions.
	Committed bool

	batch   Batch
	aborted []AbortedTransaction // still to begin, by First
	active  []int64              // producers inside an aborted transaction
	epochs  []EpochStart
}

// A DecodeResult says how far Decode got.
type DecodeResult struct {
	// Next is the offset to read on at: past gaps, control and aborted records.
	Next int64
	// Epochs are the leaders' that appended what has been passed, control and aborted
	// batches too: in order, one for each change. Valid until the next Decode.
	Epochs []EpochStart
	// Need is not 0 when not even the first batch is complete: the bytes it takes.
	Need int
}

// Decode looks at the batches of a record set that was fetched at offset from, and calls
// visit for each that has records to deliver. It looks at no record: a batch stays as it came
// until a Decompressor opens it. The Batch is used again after visit: open a copy of it, or what
// Reread makes of the bytes, as long as the set is there. When visit returns false Decode stops
// behind that batch. A partial batch at the end is ignored. An error is a *CorruptError; what was
// visited before is good.
func (d *Decoder) Decode(set []byte, from int64, aborted []AbortedTransaction, visit func(*Batch) bool) (DecodeResult, error) {
	d.aborted, d.active, d.epochs = d.aborted[:0], d.active[:0], d.epochs[:0]
	if d.Committed && len(aborted) > 0 {
		d.aborted = append(d.aborted, aborted...)
		slices.SortStableFunc(d.aborted, func(a, b AbortedTransaction) int {
			switch {
			case a.First < b.First:
				return -1
			case a.First > b.First:
				return 1
			}
			return 0
		})
	}
	next, at := from, 0
	for first := true; ; first = false {
		if len(set) < batchOverhead+5 {
			return d.partial(next, first, len(set), HeaderSize), nil
		}
		length := int(int32(binary.BigEndian.Uint32(set[batchLength:])))
		if magic := set[batchMagic]; magic != 2 {
			return DecodeResult{Next: next, Epochs: d.epochs}, &CorruptError{From: next, To: -1, Reason: CorruptFormat, Err: fmt.Errorf("magic byte %d", magic)}
		}
		if length < HeaderSize-batchOverhead {
			return DecodeResult{Next: next, Epochs: d.epochs}, &CorruptError{From: next, To: -1, Reason: CorruptLength}
		}
		if length > len(set)-batchOverhead {
			return d.partial(next, first, len(set), length+batchOverhead), nil
		}
		raw := set[: batchOverhead+length : batchOverhead+length]
		set = set[batchOverhead+length:]
		end, more, err := d.decodeBatch(raw, at, next, visit)
		at += len(raw)
		if b := &d.batch; end > next && (len(d.epochs) == 0 || d.epochs[len(d.epochs)-1].Epoch != b.Epoch) {
			d.epochs = append(d.epochs, EpochStart{b.Epoch, max(b.Base, from)})
		}
		next = end
		if err != nil {
			extend(err, set)
		}
		if err != nil || !more {
			return DecodeResult{Next: next, Epochs: d.epochs}, err
		}
	}
}

func (d *Decoder) partial(next int64, first bool, have, need int) DecodeResult {
	if first && have > 0 {
		return DecodeResult{Next: next, Need: need}
	}
	return DecodeResult{Next: next, Epochs: d.epochs}
}

// extend corrects the end of a batch whose header cannot be believed by the start of
// the batch behind it, if that one is whole and sound.
func extend(err error, rest []byte) {
	var c *CorruptError
	if !errors.As(err, &c) || c.Reason != CorruptCRC || len(rest) < HeaderSize || rest[batchMagic] != 2 {
		return
	}
	length := int(int32(binary.BigEndian.Uint32(rest[batchLength:])))
	if length < HeaderSize-batchOverhead || length > len(rest)-batchOverhead || !sound(rest[:batchOverhead+length]) {
		return
	}
	if base := int64(binary.BigEndian.Uint64(rest)); base > c.From {
		c.To = base
	}
}

// sound says whether a whole batch matches its checksum.
func sound(raw []byte) bool {
	return crc32.Checksum(raw[batchAttributes:], castagnoli) == binary.BigEndian.Uint32(raw[batchCRC:])
}

// decodeBatch looks at one whole batch, which is at an index of the set. It gives the offset to go
// on at: behind the batch, or from when there is an error.
func (d *Decoder) decodeBatch(raw []byte, at int, from int64, visit func(*Batch) bool) (next int64, more bool, err error) {
	b := &d.batch
	if err := b.parse(raw, from); err != nil {
		return from, false, err
	}
	if b.Last < from {
		return from, true, nil // seen before
	}
	deliver, err := d.filter(b)
	if err != nil {
		return from, false, err
	}
	if !deliver || b.Count == 0 {
		return b.Last + 1, true, nil
	}
	b.At = at
	return b.Last + 1, visit(b), nil
}

// filter keeps track of aborted transactions and says whether the records of b are to be
// delivered.
func (d *Decoder) filter(b *Batch) (bool, error) {
	for len(d.aborted) > 0 && d.aborted[0].First <= b.Last {
		d.active = append(d.active, d.aborted[0].ProducerID)
		d.aborted = d.aborted[1:]
	}
	if b.attributes&attrControl == 0 {
		return b.attributes&attrTransactional == 0 || !slices.Contains(d.active, b.ProducerID), nil
	}
	if b.Count > 0 && len(d.active) > 0 {
		kind, err := b.controlType()
		if err != nil {
			return false, err
		}
		if i := slices.Index(d.active, b.ProducerID); kind == 0 && i >= 0 {
			d.active = slices.Delete(d.active, i, i+1)
		}
	}
	return false, nil
}
