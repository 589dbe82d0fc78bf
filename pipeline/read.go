package pipeline

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"time"
)

// A reader asks the source for batches and sends them on their way. It survives a
// panic in the key function: a cursor names the record.
type reader struct {
	p       *Pipeline
	seed    maphash.Seed
	keys    bool // records need their keys' hash
	inRead  bool
	pieces  []piece // of the batch at hand, not sent yet
	records []Record
	c       *chunk // being made of the first piece
	hashed  int    // records of it that have their key's hash
}

// turn reads one batch, or goes on with the one at hand; false ends the reading.
func (r *reader) turn() bool {
	for len(r.pieces) > 0 {
		r.send()
	}
	p := r.p
	if p.reading.Err() != nil || p.readErr != nil {
		return false
	}
	p.calls.Add(1)
	r.inRead = true
	b, err := p.opts.Source.Read(p.reading)
	r.inRead = false
	p.calls.Add(-1)
	if b != nil {
		if bad := r.admit(b); bad != nil && err == nil {
			err = bad
		}
		for len(r.pieces) > 0 {
			r.send()
		}
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, io.EOF), p.reading.Err() != nil && errors.Is(err, p.reading.Err()):
	default:
		p.readErr = fmt.Errorf("reading from the source: %w", err)
	}
	return false
}

func (r *reader) trouble(err *PanicError) {
	if r.inRead || r.c == nil || r.hashed >= len(r.c.recs) {
		if r.inRead {
			r.inRead = false
			r.p.calls.Add(-1)
		}
		r.p.readErr = fmt.Errorf("reading from the source: %w", err)
		return
	}
	r.unkeyed(r.c.recs[r.hashed], ReasonPanic, err)
	r.hashed++
}

// admit takes a batch into its lane and sends its records down in chunks.
func (r *reader) admit(b *Batch) error {
	l := b.Lane
	if l == nil || l.p != r.p {
		return errors.New("the batch is of no lane of this pipeline")
	}
	weight := int64(0)
	for i := range b.Records {
		weight += b.Records[i].weight()
	}
	in := &intake{records: int64(len(b.Records)), charge: b.Charge, free: b.Free}
	if in.charge == nil && len(b.Records) > 0 {
		start := time.Now()
		charge, err := l.Take(r.p.reading, weight)
		r.p.readBlock.Add(int64(time.Since(start)))
		if err != nil { // stopping, or the lane is over: it will be read again
			r.refuse(in, !errors.Is(err, errLaneEnded))
			return nil
		}
		in.charge = charge
	}
	if len(b.Records) > 0 {
		in.charge.grow(in.records, in.records*recordSize)
	}
	pieces, ok := l.admit(b, in)
	if !ok {
		r.refuse(in, false)
		return nil
	}
	r.p.bytesIn.Add(weight)
	if r.p.events != nil {
		r.p.watch.wake()
	}
	if len(b.Records) > 0 {
		r.pieces, r.records = pieces, b.Records
	}
	return nil
}

// refuse drops a batch: uncounted when it came too late to be read at all.
func (r *reader) refuse(in *intake, unread bool) {
	if !unread {
		r.p.meter.enter(in.records)
		r.p.meter.count(tally{abandoned: in.records}, in.records)
	}
	in.release()
}

// admit puts a batch into the ring of marks. It fails when the lane takes no more.
func (l *Lane) admit(b *Batch, in *intake) ([]piece, bool) {
	exact := l.exact(b)
	now := time.Now()
	var cuts []int // where a piece ends
	size := int64(0)
	for i, n := 0, 0; i < len(b.Records); i++ {
		w := b.Records[i].weight()
		if n > 0 && (n == chunkRecords || size+w > chunkBytes) {
			cuts = append(cuts, i)
			n, size = 0, 0
		}
		n++
		size += w
	}
	cuts = append(cuts, len(b.Records))

	l.mu.Lock()
	if l.ending {
		l.mu.Unlock()
		return nil, false
	}
	pieces := make([]piece, len(cuts))
	begin := 0
	for i, end := range cuts {
		pc := &pieces[i]
		*pc = piece{
			lane: l, seq: l.seq, next: -1, left: end - begin, from: in, read: now,
			size: end - begin, first: -1,
		}
		switch {
		case i == len(cuts)-1:
			pc.next = b.Next
		case exact:
			pc.next = b.Records[end].Offset
		}
		for j := begin; j < end; j++ {
			b.Records[j].eng = engineState{piece: pc, index: uint8(j - begin)}
		}
		if exact {
			pc.place(b.Records[begin:end])
		}
		l.seq++
		l.ring = append(l.ring, pc)
		begin = end
	}
	l.read = b.Next
	var c closing
	if len(b.Records) > 0 {
		in.pieces = len(pieces)
		l.inFlight += in.records
		l.p.meter.enter(in.records)
	} else {
		c.freed = append(c.freed, in)
	}
	l.settle(&c, now)
	return pieces, true
}

// place notes where the records of a piece stand.
func (pc *piece) place(recs []Record) {
	n := len(recs)
	if n == 0 {
		return
	}
	pc.first = recs[0].Offset
	if recs[n-1].Offset == pc.first+int64(n-1) {
		return
	}
	pc.at = make([]int64, n)
	for i := range recs {
		pc.at[i] = recs[i].Offset
	}
}

// exact says whether the offsets of a batch's records are those of the lane, so that
// a mark may stand between two of them: a fixture's records carry the offsets of
// where they were recorded.
func (l *Lane) exact(b *Batch) bool {
	last := l.read - 1
	for i := range b.Records {
		if b.Records[i].Offset <= last {
			return false
		}
		last = b.Records[i].Offset
	}
	return last < b.Next
}

// send sends the records of the first piece to the first step.
func (r *reader) send() {
	p, pc := r.p, &r.pieces[0]
	if r.c == nil {
		n := pc.left
		r.c, r.hashed = p.roll.make(pc.lane), 0
		r.c.mu.Lock()
		for i := range r.records[:n] {
			r.c.recs = append(r.c.recs, &r.records[i])
		}
		r.c.mu.Unlock()
		r.records = r.records[n:]
	}
	if r.keys {
		r.hash()
	}
	c := r.c
	r.pieces, r.c = r.pieces[1:], nil
	waited, ok := p.first.send(c)
	p.readBlock.Add(int64(waited))
	if !ok {
		p.lose(c)
	}
}

// hash computes the keys' hashes of a chunk, once, from the records as they came.
// Records without a key share one.
func (r *reader) hash() {
	for ; r.hashed < len(r.c.recs); r.hashed++ {
		rec := r.c.recs[r.hashed]
		key := rec.Key
		if f := r.p.opts.Key; f != nil {
			var err error
			if key, err = f(rec); err != nil {
				reason, ok := IsPermanent(err)
				if !ok {
					reason = ReasonExpression
				}
				r.unkeyed(rec, reason, err)
				continue
			}
		}
		if len(key) > 0 {
			rec.eng.key = maphash.Bytes(r.seed, key)
		}
	}
}

// unkeyed rejects a record whose key cannot be computed, in its place.
func (r *reader) unkeyed(rec *Record, reason string, err error) {
	rec.eng.fail = r.p.failure("key", OnErrorDeadLetter, rec, reason, err, 1)
	r.c.failed++
}

// lose ends a chunk that goes no further: the pipeline has been given up.
func (p *Pipeline) lose(c *chunk) {
	c.lane.finish(c.take(), abandoned)
	p.roll.drop(c)
}
