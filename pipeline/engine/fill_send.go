package engine

import "github.com/penstockio/penstock/pipeline"

// This file sends what a filler has made to the first step, with the hashes of its keys.

// send sends the first of the chunks that are ready to the first step.
func (f *filler) send() {
	p, c := f.p, f.ready[0]
	if f.keys {
		f.hash(c)
	}
	if set := p.steer.skips.Load(); set != nil {
		f.skip(c, set)
	}
	if p.taps.source.watched() {
		p.taps.source.look(TapAfter, c.recs, nil, f.now)
	}
	n := copy(f.ready, f.ready[1:])
	f.ready[n] = nil
	f.ready, f.hashed, f.told = f.ready[:n], 0, 0
	waited, ok := f.out.send(c)
	p.read.blocked.Add(int64(waited))
	if !ok {
		p.abandonChunk(c)
	}
}

// hash computes the keys' hashes of a chunk, once, from the records as they came.
// Records without a key share one.
func (f *filler) hash(c *chunk) {
	rejects := f.p.rejects()
	for ; f.hashed < len(c.recs); f.hashed++ {
		if rejects.pausing() {
			rejects.wait(c.lane.stepsCtx)
		}
		it := c.recs[f.hashed]
		key := it.rec.Key()
		if of := f.p.opts.Key; of != nil {
			var err error
			if key, err = of(it.rec); err != nil {
				reason, ok := pipeline.IsPermanent(err)
				if !ok {
					reason = pipeline.ReasonExpression
				}
				f.unkeyed(c, it, reason, err)
				continue
			}
		}
		if len(key) > 0 {
			it.key = f.p.steer.hash(key)
		}
	}
	f.tell()
}

// tell has the budget of rejections know of the records with a key before the one at work.
func (f *filler) tell() {
	f.p.rejects().passed(atKeys, int64(f.hashed-f.told), 0)
	f.told = f.hashed
}

// unkeyed rejects a record whose key cannot be computed, in its place.
func (f *filler) unkeyed(c *chunk, it item, reason string, err error) {
	f.tell()
	f.told++
	it.fail = f.p.failure("key", OnErrorDeadLetter, it.rec, reason, err, 1, func() error { return f.p.rejects().spend(atKeys) })
	c.failed++
}
