package kafkasource

import (
	"errors"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// partialPolls is the number of polls that may bring a part of a batch before it counts
// as corrupt.
const partialPolls = 3

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
		p.to(doubted)
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

// A set is one partition's record set on its way to batches.
type set struct {
	l       *fetchLoop
	p       *partition
	q       *polled
	raw     []byte
	parcels []*parcel
	bound   int64
	cut     bool // the offset to stop at has been reached
}

// decode looks at the headers of what came. The records stay bytes until the engine
// wants them; see parcel.
func (s *set) decode(f *kafka.FetchedPartition) {
	p, k := s.p, s.l.k
	res, err := s.l.dec.Decode(s.raw, p.next, f.Aborted, s.batch)
	next := res.Next
	if s.cut {
		next = s.bound
	}
	var corrupt *recordbatch.CorruptError
	passed := next
	if errors.As(err, &corrupt) {
		next = max(next, k.corrupt(p, corrupt))
	}
	if next > p.next {
		p.epochs.add(res.Epochs, next, next > passed) // before a mark can move there
	}
	s.partial(res, &corrupt)
	s.hand(next)
	if corrupt != nil && next <= corrupt.From {
		s.l.let(p)
		k.fail(k.corruptError(p, corrupt))
	}
}

// partial deals with a first batch that did not come whole.
func (s *set) partial(res recordbatch.DecodeResult, corrupt **recordbatch.CorruptError) {
	p := s.p
	if res.Need == 0 {
		p.need, p.small = 0, 0
		return
	}
	if p.small++; p.small < partialPolls && res.Need <= 128<<20 {
		p.need = res.Need
		return
	}
	*corrupt = &recordbatch.CorruptError{From: p.next, To: -1, Reason: recordbatch.CorruptLength}
	s.l.k.corrupt(p, *corrupt)
}

// batch takes one record batch. Batches of few records share a parcel.
func (s *set) batch(b *recordbatch.Batch) bool {
	if s.bound >= 0 && b.Base >= s.bound {
		s.cut = true
		return false
	}
	if n := len(s.parcels); n == 0 || !s.parcels[n-1].add(b) {
		if n > 0 {
			s.parcels[n-1].batch.Next = b.From // behind what is not delivered in between
		}
		r := &parcel{k: s.l.k, p: s.p, from: b.From, bound: s.bound, at: b.At, end: b.At}
		r.add(b)
		s.parcels = append(s.parcels, r)
	}
	s.cut = s.bound >= 0 && b.Last >= s.bound
	return !s.cut
}

// hand hands over what came, up to next. It leaves the charge and the buffer in q when
// they hold no records.
func (s *set) hand(next int64) {
	p, q := s.p, s.q
	if next <= p.next {
		return
	}
	p.next = next
	p.fetched.Store(next)
	if len(s.parcels) == 0 {
		s.send(&pipeline.Batch{Lane: q.lane, Next: next})
		return
	}
	in := &fetched{mem: &s.l.k.mem, buf: q.buf, charge: q.charge}
	q.buf, q.charge = nil, nil
	in.parcels.Store(int32(len(s.parcels)))
	in.charge.Resize(int64(cap(in.buf)) + int64(len(s.parcels))*parcelSize)
	s.parcels[len(s.parcels)-1].batch.Next = next
	for _, r := range s.parcels {
		r.in, r.rest = in, s.raw[r.at:r.end]
		r.batch.Lane, r.batch.Charge, r.batch.Size = q.lane, in.charge.Split(parcelSize), int64(r.end-r.at)
		r.batch.Opens, r.batch.Fill, r.batch.Free = int64(r.opened), r.fill, r.free
	}
	for _, r := range s.parcels {
		s.send(&r.batch)
	}
}

func (s *set) send(b *pipeline.Batch) {
	select {
	case s.l.k.out <- item{part: s.p, batch: b}:
	case <-s.p.quit:
		drop(b)
	case <-s.l.k.ctx.Done():
		drop(b)
	}
}
