package source

import (
	"errors"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
)

const (
	// mostDecoded is the size after decompression at which a record set is handed over;
	// what is left of it is fetched again.
	mostDecoded  = 16 << 20
	headerBytes  = 40 // of a pipeline.Header
	headerNames  = 256
	partialPolls = 3 // polls that may bring a part of a batch before it counts as corrupt
)

// one deals with what the broker answered for one partition.
func (l *fetchLoop) one(q *polled, f *kafka.FetchedPartition) {
	p := q.part
	if f.Err == kafka.ErrCutOff {
		return
	}
	if f.Err != nil {
		l.let(p)
		l.k.mend(p, f.Err)
		return
	}
	p.fails = 0
	if id, sure := l.k.client.Identity(p.tp.Topic); !sure || p.isAnother(id) {
		return // it may be the other topic's log that answered; see ready
	}
	if f.HighWatermark < p.end.Swap(f.HighWatermark) {
		// A log grows: this may be another one. Nothing is taken from it until that is known.
		l.let(p)
		l.k.start(func() { l.k.makeSure(p) })
		return
	}
	p.shown = true
	if l.dec.Committed {
		p.held.Store(max(f.HighWatermark-f.LastStable, 0))
	}
	if len(f.Set) == 0 || p.atBound() {
		return
	}
	s := set{l: l, p: p, q: q, raw: f.Set, bound: p.bound.Load()}
	s.decode(f)
}

// A set is one partition's record set on its way to a batch.
type set struct {
	l       *fetchLoop
	p       *kafkaPartition
	q       *polled
	raw     []byte
	records []pipeline.Record
	headers []pipeline.Header
	buffers [][]byte // of decompressed records
	decoded int      // bytes after decompression
	packed  int      // and before
	bound   int64
	plain   bool // records point into raw
	cut     bool // the offset to stop at has been reached
}

func (s *set) decode(f *kafka.FetchedPartition) {
	p := s.p
	s.records = s.l.k.mem.slab(kafka.Count(s.raw))
	res, err := s.l.dec.Decode(s.raw, p.next, f.Aborted, s.batch)
	next := res.Next
	if s.cut {
		next = s.bound
	}
	if s.decoded > 0 {
		p.ratio = max(s.decoded/max(s.packed, 1), 1)
	}
	var corrupt *kafka.CorruptError
	passed := next
	if errors.As(err, &corrupt) && !s.cut {
		next = max(next, s.l.k.corrupt(p, corrupt))
	}
	if next > p.next {
		p.epochs.add(res.Epochs, next, next > passed)
	}
	s.partial(res, &corrupt)
	s.hand(next)
	if corrupt != nil && !s.cut && next <= corrupt.From {
		s.l.let(p)
		s.l.k.fail(s.l.k.corruptError(p, corrupt))
	}
}

// partial deals with a first batch that did not come whole.
func (s *set) partial(res kafka.DecodeResult, corrupt **kafka.CorruptError) {
	p := s.p
	if res.Need == 0 {
		p.need, p.small = 0, 0
		return
	}
	if p.small++; p.small < partialPolls && res.Need <= 128<<20 {
		p.need = res.Need
		return
	}
	*corrupt = &kafka.CorruptError{From: p.next, To: -1, Reason: kafka.CorruptLength}
	s.l.k.corrupt(p, *corrupt)
}

// batch takes the records of one record batch.
func (s *set) batch(b *kafka.RecordBatch) bool {
	kept, headers := len(s.records), len(s.headers)
	var r kafka.Record
	for b.Next(&r) {
		if s.bound >= 0 && r.Offset >= s.bound {
			s.cut = true
			break
		}
		if len(s.records) == cap(s.records) {
			s.records = append(s.records, pipeline.Record{})
		} else {
			s.records = s.records[:len(s.records)+1]
		}
		at := r.Time
		if at < 0 {
			at = pipeline.NoTime
		}
		s.records[len(s.records)-1].Init(pipeline.Position{Topic: s.p.tp.Topic, Partition: s.p.tp.Partition, Offset: r.Offset},
			r.Key, r.Value, s.header(b, &r), at)
	}
	if b.Err() != nil {
		clear(s.records[kept:])
		s.records, s.headers = s.records[:kept], s.headers[:headers]
		if b.Decompressed != nil {
			s.l.k.mem.Put(b.Decompressed)
		}
		return false
	}
	if b.Last >= s.bound && s.bound >= 0 {
		s.cut = true
	}
	if b.Decompressed == nil {
		s.plain = true
		return !s.cut
	}
	s.buffers = append(s.buffers, b.Decompressed)
	s.decoded += len(b.Decompressed)
	s.packed += b.Size
	return !s.cut && s.decoded < mostDecoded
}

// header gives the headers of a record; nil when it has none.
func (s *set) header(b *kafka.RecordBatch, r *kafka.Record) []pipeline.Header {
	if r.Headers == 0 {
		return nil
	}
	first := len(s.headers)
	b.EachHeader(r, func(name, value []byte) {
		s.headers = append(s.headers, pipeline.Header{Name: s.l.name(name), Value: value})
	})
	return s.headers[first:len(s.headers):len(s.headers)]
}

// name gives the string for a header's name, which are few.
func (l *fetchLoop) name(b []byte) string {
	if n, ok := l.names[string(b)]; ok {
		return n
	}
	if l.names == nil || len(l.names) >= headerNames {
		l.names = make(map[string]string, headerNames)
	}
	n := string(b)
	l.names[n] = n
	return n
}

// hand makes a batch of the records and hands it over. It leaves the charge and the
// buffer in q when there is nothing to hand over.
func (s *set) hand(next int64) {
	p, mem := s.p, &s.l.k.mem
	if next <= p.next {
		s.free()
		return
	}
	b := &pipeline.Batch{Lane: s.q.lane, Next: next}
	if len(s.records) > 0 {
		bytes := headerBytes * cap(s.headers)
		buffers, records := s.buffers, s.records
		var raw []byte
		if s.plain {
			raw = s.q.buf
			bytes += cap(raw)
			s.q.buf = nil
		}
		for _, d := range buffers {
			bytes += cap(d)
		}
		b.Fill = pipeline.Records(records)
		b.Charge, s.q.charge = s.q.charge, nil
		b.Charge.Resize(int64(bytes))
		b.Free = func() {
			mem.Put(raw)
			for _, d := range buffers {
				mem.Put(d)
			}
			mem.putSlab(records)
		}
		if s.q.buf != nil {
			mem.Put(s.q.buf)
			s.q.buf = nil
		}
	} else {
		s.free()
	}
	p.next = next
	p.fetched.Store(next)
	select {
	case s.l.k.out <- kafkaItem{part: p, batch: b}:
	case <-p.quit:
		drop(b)
	case <-s.l.k.ctx.Done():
		drop(b)
	}
}

func (s *set) free() {
	s.l.k.mem.putSlab(s.records)
	for _, d := range s.buffers {
		s.l.k.mem.Put(d)
	}
	s.records, s.buffers = nil, nil
}
