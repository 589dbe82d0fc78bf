package kafkasource

import (
	"errors"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// This file is the way from the answer to a poll to batches for the engine.
//
//   - Nothing is taken from an answer that may be of another log than the one that is read:
//     while it is in doubt which topic has the name, or when the high watermark has gone back,
//     the answer is dropped and read again later.
//   - p.next, and the offset behind the last batch, go past everything that is not handed over:
//     control records, aborted records, gaps of compaction, and a corrupt batch under
//     on_corrupt: skip. Otherwise marks would stop in front of what no record ever passes.
//   - The epochs of the leaders are noted before a batch is handed over, because its mark may be
//     committed at once, and is stored together with an epoch (see lineageOf).
//   - The bytes that were charged before the poll go with the batches that hold the buffer, and
//     are released where there are none.

// partialPolls is the number of polls that may bring a part of a batch before it counts
// as corrupt.
const partialPolls = 3

// receive takes in what the broker answered for one partition.
func (l *fetchLoop) receive(q *polled, f *kafka.FetchedPartition) {
	p := q.part
	if f.Err == kafka.ErrIncomplete {
		return
	}
	if f.Err != nil {
		l.remove(p)
		l.k.fetchFailed(p, f.Err)
		return
	}
	p.fails = 0
	if id, sure := l.k.client.Identity(p.tp.Topic); !sure || p.isAnother(id) {
		return // the log may be that of another topic of the name; see ready
	}
	if f.HighWatermark < p.highWatermark.Swap(f.HighWatermark) {
		// A log only grows, so this may be another one. Nothing is taken from it until that is
		// known.
		l.remove(p)
		p.moveTo(doubted)
		l.k.start(func() { l.k.confirmTopic(p) })
		return
	}
	p.confirmed = true
	if l.dec.Committed {
		p.inTransactions.Store(max(f.HighWatermark-f.LastStable, 0))
	}
	if len(f.Set) == 0 || p.atBound() {
		return
	}
	s := set{l: l, p: p, q: q, raw: f.Set, bound: p.bound.Load()}
	s.decode(f)
}

// A set is one partition's record set on its way to batches.
type set struct {
	l            *fetchLoop
	p            *partition
	q            *polled
	raw          []byte
	parcels      []*parcel
	bound        int64
	boundReached bool // the offset to stop at has been reached
}

// decode looks at the headers of what came. The records stay bytes until the engine
// wants them; see parcel.
func (s *set) decode(f *kafka.FetchedPartition) {
	p, k := s.p, s.l.k
	res, err := s.l.dec.Decode(s.raw, p.next, f.Aborted, s.batch)
	next := res.Next
	if s.boundReached {
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
	s.handOver(next)
	if corrupt != nil && next <= corrupt.From {
		s.l.remove(p)
		k.fail(k.corruptError(p, corrupt))
	}
}

// partial deals with a first batch that did not come whole.
func (s *set) partial(res recordbatch.DecodeResult, corrupt **recordbatch.CorruptError) {
	p := s.p
	if res.Need == 0 {
		p.batchBytes, p.partials = 0, 0
		return
	}
	if p.partials++; p.partials < partialPolls && res.Need <= 128<<20 {
		p.batchBytes = res.Need
		return
	}
	*corrupt = &recordbatch.CorruptError{From: p.next, To: -1, Reason: recordbatch.CorruptLength}
	s.l.k.corrupt(p, *corrupt)
}

// batch takes one record batch. Batches of few records share a parcel. It returns false at the
// bound.
func (s *set) batch(b *recordbatch.Batch) bool {
	if s.bound >= 0 && b.Base >= s.bound {
		s.boundReached = true
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
	s.boundReached = s.bound >= 0 && b.Last >= s.bound
	return !s.boundReached
}

// handOver hands over what came, up to next. It leaves the charge and the buffer in q, for
// deliver to release, when there is no record in them.
func (s *set) handOver(next int64) {
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
	case s.l.k.out <- queuedBatch{part: s.p, batch: b}:
	case <-s.p.quit:
		drop(b)
	case <-s.l.k.ctx.Done():
		drop(b)
	}
}
