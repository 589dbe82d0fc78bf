package pipeline

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"time"
)

// A reader asks the source for batches and sends them on their way. It survives a
// panic in the key function: a cursor names the record.
type reader struct {
	p       *Pipeline
	seed    maphash.Seed
	keys    bool // records need their keys' hash
	inRead  bool
	pieces  []*piece // of the batch at hand, not sent yet
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

// admit takes a batch into its lane.
func (r *reader) admit(b *Batch) error {
	l := b.Lane
	if l == nil || l.p != r.p {
		return errors.New("the batch is of no lane of this pipeline")
	}
	records, err := unfold(b)
	in := &intake{records: int64(len(records)), charge: b.Charge, free: b.Free}
	if err != nil {
		in.release()
		return err
	}
	pieces, weight := l.pieces(records, b.Next, in)
	if in.charge == nil && len(records) > 0 {
		start := time.Now()
		charge, err := l.Take(r.p.reading, weight)
		r.p.readBlock.Add(int64(time.Since(start)))
		if err != nil { // stopping, or the lane is over: it will be read again
			r.refuse(in, !errors.Is(err, errLaneEnded))
			return nil
		}
		in.charge = charge
	}
	if len(records) > 0 {
		in.charge.grow(in.records, in.records*recordSize)
	}
	if !l.admit(b.Next, in, pieces) {
		r.refuse(in, false)
		return nil
	}
	r.p.bytesIn.Add(weight)
	if r.p.events != nil {
		r.p.watch.wake()
	}
	if len(records) > 0 {
		r.pieces, r.records = pieces, records
	}
	return nil
}

// unfold makes all records of a batch.
func unfold(b *Batch) (records []Record, err error) {
	for b.Fill != nil {
		records = slices.Grow(records, chunkRecords)
		n, err := b.Fill(records[len(records) : len(records)+chunkRecords])
		records = records[:len(records)+n]
		if n == 0 || err != nil {
			return records, err
		}
	}
	return records, nil
}

// refuse drops a batch: uncounted when it came too late to be read at all.
func (r *reader) refuse(in *intake, unread bool) {
	if !unread {
		r.p.meter.enter(in.records)
		r.p.meter.count(tally{abandoned: in.records}, in.records)
	}
	in.release()
}

// pieces cuts a batch into the pieces in which its records travel, and weighs it. It
// touches each record once.
func (l *Lane) pieces(records []Record, next int64, in *intake) (pieces []*piece, weight int64) {
	n := len(records)
	block := make([]piece, 0, n/chunkRecords+1)
	now := time.Now()
	var pc *piece
	size := int64(0) // of the piece
	last := l.read - 1
	exact := true
	for i := range records {
		rec := &records[i]
		rec.eng = engineState{}
		w := rec.measure()
		weight += w
		if pc == nil || pc.size == chunkRecords || size+w > chunkBytes {
			if len(block) == cap(block) {
				block = make([]piece, 0, 16)
			}
			block = append(block, piece{lane: l, next: -1, from: in, read: now, first: rec.Offset})
			if pc != nil {
				pc.next = rec.Offset
			}
			pc = &block[len(block)-1]
			pieces = append(pieces, pc)
			size = 0
		}
		size += w
		pc.put(rec, last)
		exact = exact && rec.Offset > last
		last = rec.Offset
	}
	if pc == nil {
		pc = &piece{lane: l, from: in, read: now, first: -1}
		pieces = append(pieces, pc)
	}
	if !exact || last >= next { // a fixture's records carry offsets from elsewhere
		for _, pc := range pieces {
			pc.next, pc.first, pc.at = -1, -1, nil
		}
	}
	pc.next = next
	return pieces, weight
}

// put adds a record to a piece that is being made. last is the offset before it.
func (pc *piece) put(rec *Record, last int64) {
	if pc.size > 0 && rec.Offset != last+1 && pc.at == nil { // a gap
		pc.at = make([]int64, pc.size, chunkRecords)
		for i := range pc.at {
			pc.at[i] = pc.first + int64(i)
		}
	}
	if pc.at != nil {
		pc.at = append(pc.at, rec.Offset)
	}
	rec.eng.piece, rec.eng.index = pc, uint8(pc.size)
	pc.size++
}

// admit puts the pieces of a batch into the ring of marks. It fails when the lane
// takes no more.
func (l *Lane) admit(next int64, in *intake, pieces []*piece) bool {
	c := closing{now: time.Now()}
	l.mu.Lock()
	if l.ending {
		l.mu.Unlock()
		return false
	}
	for _, pc := range pieces {
		pc.seq, pc.left = l.seq, pc.size
		l.seq++
	}
	l.ring = append(l.ring, pieces...)
	l.read = next
	if in.records > 0 {
		in.pieces = len(pieces)
		l.inFlight += in.records
		l.p.meter.enter(in.records)
	} else {
		c.freed = append(c.freed, in)
	}
	l.settle(&c)
	return true
}

// send sends the records of the first piece to the first step.
func (r *reader) send() {
	p, pc := r.p, r.pieces[0]
	if r.c == nil {
		n := pc.size
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
		key := rec.key
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
