package source

import (
	"errors"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
)

const (
	// A parcel is full with so many records or bytes: what the engine works on at a time. One
	// batch for each of the broker's would cost the engine's work for a batch for each
	// record of a producer that does not collect: BenchmarkKafkaTake, records=1.
	parcelRecords = 256
	parcelBytes   = 256 << 10

	headerBytes = int64(unsafe.Sizeof(pipeline.Header{}))
	headerBlock = 256 // headers that are given room together
	headerNames = 256
)

// A fetched is one partition's record set as it came. Its buffer is there, and charged,
// until the last of its parcels needs it no more: a parcel that is done with early gives back
// what it took beside the buffer, and no share of the buffer, whose memory is not free.
type fetched struct {
	mem     *memory
	buf     []byte
	charge  *pipeline.Charge
	parcels atomic.Int32 // that need buf
}

func (f *fetched) leave() {
	if f.parcels.Add(-1) == 0 {
		f.mem.Put(f.buf)
		f.charge.Release()
	}
}

// A parcel is one batch of the pipeline: a batch of the broker's, or several small ones that
// follow each other. It stays bytes until the engine fills places with its records.
type parcel struct {
	k       *Kafka
	p       *kafkaPartition
	in      *fetched // nil: not needed any more
	batch   pipeline.Batch
	bound   int64
	batches []kafka.RecordBatch // not read to their end; the first is open if opened
	opened  bool
	plain   bool // records point into the set
	records int
	bytes   int
	buffers [][]byte          // of decompressed records
	headers []pipeline.Header // room for headers
}

func (r *parcel) full() bool { return r.records >= parcelRecords || r.bytes >= parcelBytes }

// add takes a batch whose header is in order.
func (r *parcel) add(b *kafka.RecordBatch) {
	r.batches = append(r.batches, *b)
	r.records += b.Count
	r.bytes += b.Size
	r.plain = r.plain || !b.Compressed()
}

// size is what a parcel takes itself.
func (r *parcel) size() int64 {
	return int64(unsafe.Sizeof(*r)) + int64(cap(r.batches))*int64(unsafe.Sizeof(kafka.RecordBatch{}))
}

// An unpacker is what the parcels of a source unpack with, one at a time: the state of the
// codecs is large, and only one goroutine of the engine asks for records.
type unpacker struct {
	mu    sync.Mutex
	open  kafka.Decompressor
	names map[string]string // of headers
}

// fill is the Fill of the batch. A place that it does not fill stays as it was.
func (r *parcel) fill(into []pipeline.Record) (n int, err error) {
	u := &r.k.unpack
	u.mu.Lock()
	defer u.mu.Unlock()
	for n < len(into) && len(r.batches) > 0 {
		b := &r.batches[0]
		bad := r.open(b)
		if bad == nil {
			n += r.read(b, into[n:])
			if bad = b.Err(); bad == nil && n == len(into) {
				break
			}
		}
		if len(r.batches) > 0 {
			r.batches, r.opened = r.batches[1:], false
		}
		if bad != nil {
			if err := r.damaged(bad); err != nil {
				r.batches = nil
				return n, err
			}
		}
	}
	return n, nil
}

// open makes a batch readable when it has not been yet.
func (r *parcel) open(b *kafka.RecordBatch) error {
	if r.opened {
		return nil
	}
	err := r.k.unpack.open.Open(b)
	r.opened = true
	if b.Decompressed != nil {
		r.buffers = append(r.buffers, b.Decompressed)
		r.batch.Charge.Add(int64(cap(b.Decompressed)))
	}
	if len(r.batches) == 1 && !r.plain {
		r.leave()
	}
	return err
}

// leave gives up the record set.
func (r *parcel) leave() {
	if r.in != nil {
		r.in.leave()
		r.in = nil
	}
}

// read reads the next records of a batch. Behind the offset to stop at there are none.
func (r *parcel) read(b *kafka.RecordBatch, into []pipeline.Record) (n int) {
	pos := pipeline.Position{Topic: r.p.tp.Topic, Partition: r.p.tp.Partition}
	var rec kafka.Record
	for n < len(into) && b.Next(&rec) {
		if r.bound >= 0 && rec.Offset >= r.bound {
			r.batches = nil
			break
		}
		var headers []pipeline.Header
		if rec.Headers > 0 {
			var ok bool
			if headers, ok = r.header(b, &rec); !ok {
				break
			}
		}
		at := rec.Time
		if at < 0 {
			at = pipeline.NoTime
		}
		pos.Offset = rec.Offset
		into[n].Init(pos, rec.Key, rec.Value, headers, at)
		n++
	}
	return n
}

// header gives the headers of a record, in room that they share with those of others.
func (r *parcel) header(b *kafka.RecordBatch, rec *kafka.Record) (all []pipeline.Header, ok bool) {
	if cap(r.headers) < min(rec.Headers, headerBlock) {
		// No more than there can be is made room for at once: the number may lie.
		r.headers = make([]pipeline.Header, 0, min(rec.Headers*b.Count, headerBlock))
		r.batch.Charge.Add(headerBytes * int64(cap(r.headers)))
	}
	all = r.headers
	ok = b.EachHeader(rec, func(name, value []byte) {
		all = append(all, pipeline.Header{Name: r.k.unpack.name(name), Value: value})
	})
	if cap(all) > cap(r.headers) {
		r.batch.Charge.Add(headerBytes * int64(cap(all)))
	}
	r.headers = all[len(all):]
	return all[:len(all):len(all)], ok
}

// name gives the string for a header's name, which are few.
func (u *unpacker) name(b []byte) string {
	if n, ok := u.names[string(b)]; ok {
		return n
	}
	if u.names == nil || len(u.names) >= headerNames {
		u.names = make(map[string]string, headerNames)
	}
	n := string(b)
	u.names[n] = n
	return n
}

// damaged deals with a batch of which something cannot be read. It gives the error that
// stops the source; nil: it is passed over. What is behind the offset to stop at is not
// read.
func (r *parcel) damaged(err error) error {
	var c *kafka.CorruptError
	if !errors.As(err, &c) {
		return err
	}
	if r.bound >= 0 && c.From >= r.bound {
		return nil
	}
	r.k.corrupt(r.p, c)
	if r.k.s.OnCorrupt == "skip" {
		return nil
	}
	return r.k.corruptError(r.p, c)
}

// free is the Free of the batch.
func (r *parcel) free() {
	for _, b := range r.buffers {
		r.k.mem.Put(b)
	}
	r.buffers, r.batches, r.headers = nil, nil, nil
	r.leave()
}
