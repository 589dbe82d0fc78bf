package kafkasource

import (
	"errors"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// This file is how record sets wait as bytes, and become records. A set that was fetched is divided
// into parcels, each of which is one batch of the pipeline. Its records are made when the engine has
// places for them (pipeline.Batch, Fill), and are decompressed no sooner: what waits takes no more
// memory than it took on the wire.
//
// Keys and values point into the buffer of the set, or into that of the decompressed batch. Every
// byte of both is charged: the set before it was asked for, what a batch is opened into when that
// happens. The buffer of the set is kept until no parcel needs it any more; one whose batches are
// all compressed needs it no longer than until the last of them is open. All the rest is returned
// when the last record of the parcel is done with (free).

const (
	// A parcel is full with so many records or bytes, which is what the engine works on at a
	// time. With a batch of the pipeline for each of the broker's, a producer that sends each
	// record alone would cost the work of a batch for each (BenchmarkKafkaTake, records=1).
	parcelRecords = 256
	parcelBytes   = 256 << 10

	parcelSize  = int64(unsafe.Sizeof(parcel{}))
	headerBytes = int64(unsafe.Sizeof(pipeline.Header{}))
	headerBlock = 256 // headers that are given room together
	headerNames = 256
)

// A fetched is one partition's record set as it came. Its buffer stays, and stays charged whole,
// until the last of its parcels needs it no more: a parcel that is done with before returns only
// what it took beside the buffer.
type fetched struct {
	mem     *memory
	buf     []byte
	charge  pipeline.Charge
	parcels atomic.Int32 // that need buf
}

func (f *fetched) release() {
	if f.parcels.Add(-1) == 0 {
		f.mem.Put(f.buf)
		f.charge.Release()
	}
}

// A parcel is one batch of the pipeline: a batch of the broker's, or several small ones that
// follow each other. It stays bytes until the engine fills places with its records.
type parcel struct {
	k       *Source
	p       *partition
	in      *fetched // nil: not needed any more
	batch   pipeline.Batch
	from    int64 // the offset that was asked for
	bound   int64 // to stop at; -1: none
	at, end int   // where it is in the set
	records int   // that its headers tell of
	opened  int   // bytes that its compressed batches may come to when they are opened
	plain   bool  // records point into the set

	rest    []byte            // batches that are not opened yet
	current recordbatch.Batch // the one that is being read
	reading bool              // there is one
	buffers [][]byte          // of decompressed records
	headers []pipeline.Header // room for headers
}

// add takes a batch whose header is in order, if it follows what is there and the parcel is not
// full. What the batches are opened into counts too: few bytes of the set may become many, and
// they stay until the last record of the parcel is done with.
func (r *parcel) add(b *recordbatch.Batch) bool {
	opened := b.Opened()
	full := r.records >= parcelRecords || r.end-r.at >= parcelBytes || r.opened+opened > parcelBytes
	if full && r.records > 0 || b.At != r.end {
		return false
	}
	r.end += b.Size
	r.opened += opened
	r.records += b.Count
	r.plain = r.plain || !b.Compressed()
	return true
}

// An unpacker is what all parcels of a source decompress with, one at a time: the state of the
// codecs is large, and only one goroutine of the engine asks for records.
type unpacker struct {
	mu    sync.Mutex
	open  recordbatch.Decompressor
	names map[string]string // of headers
}

// fill is the Fill of the batch.
func (r *parcel) fill(into []pipeline.Record) (n int, err error) {
	u := &r.k.unpack
	u.mu.Lock()
	defer u.mu.Unlock()
	for n < len(into) && (r.reading || len(r.rest) > 0) {
		var bad error
		if !r.reading {
			bad = r.open()
		}
		if r.reading {
			n += r.read(into[n:])
			if bad = r.current.Err(); bad == nil && n == len(into) {
				break
			}
			r.reading = false
		}
		if bad != nil {
			if err := r.damaged(bad); err != nil {
				r.rest = nil
				return n, err
			}
		}
	}
	return n, nil
}

// open makes the next batch readable.
func (r *parcel) open() error {
	r.rest = r.current.Reread(r.rest, r.from)
	err := r.k.unpack.open.Open(&r.current)
	r.reading = err == nil
	if d := r.current.Decompressed; d != nil {
		r.buffers = append(r.buffers, d)
		r.batch.Charge.Add(int64(cap(d)))
	}
	if len(r.rest) == 0 && !r.plain {
		r.releaseSet()
	}
	return err
}

// releaseSet notes that the parcel needs the buffer of the record set no more.
func (r *parcel) releaseSet() {
	if r.in != nil {
		r.in.release()
		r.in = nil
	}
}

// read reads the next records of a batch. Behind the offset to stop at there are none.
func (r *parcel) read(into []pipeline.Record) (n int) {
	b := &r.current
	pos := pipeline.Position{Topic: r.p.tp.Topic, Partition: r.p.tp.Partition}
	var rec recordbatch.Record
	for n < len(into) && b.Next(&rec) {
		if r.bound >= 0 && rec.Offset >= r.bound {
			r.rest = nil
			break
		}
		var headers []pipeline.Header
		if rec.Headers > 0 {
			var ok bool
			if headers, ok = r.header(&rec); !ok {
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
func (r *parcel) header(rec *recordbatch.Record) (all []pipeline.Header, ok bool) {
	if cap(r.headers) < min(rec.Headers, headerBlock) {
		// Room is made for as many as there can be and no more: the number may be wrong.
		r.headers = make([]pipeline.Header, 0, min(rec.Headers*r.current.Count, headerBlock))
		r.batch.Charge.Add(headerBytes * int64(cap(r.headers)))
	}
	all = r.headers
	names := 0 // bytes of names that no other record shares yet
	ok = r.current.EachHeader(rec, func(name, value []byte) {
		n, made := r.k.unpack.name(name)
		all, names = append(all, pipeline.Header{Name: n, Value: value}), names+made
	})
	if names > 0 {
		r.batch.Charge.Add(int64(names))
	}
	if cap(all) > cap(r.headers) {
		r.batch.Charge.Add(headerBytes * int64(cap(all)))
	}
	r.headers = all[len(all):]
	return all[:len(all):len(all)], ok
}

// name gives the string for a header's name, which are few, and how many bytes it has made for that.
func (u *unpacker) name(b []byte) (name string, made int) {
	if n, ok := u.names[string(b)]; ok {
		return n, 0
	}
	if u.names == nil || len(u.names) >= headerNames {
		u.names = make(map[string]string, headerNames)
	}
	n := string(b)
	u.names[n] = n
	return n, (len(n) + 15) &^ 15
}

// damaged applies on_corrupt to a batch of which something cannot be read. It gives the error
// that ends the source; nil: the rest of the batch is skipped. Behind the offset to stop at nothing
// is read, so damage there is nothing to report.
func (r *parcel) damaged(err error) error {
	var c *recordbatch.CorruptError
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
	r.buffers, r.rest, r.headers, r.reading = nil, nil, nil, false
	r.current = recordbatch.Batch{}
	r.releaseSet()
}
