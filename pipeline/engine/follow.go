package engine

import (
	"errors"
	"fmt"

	"github.com/penstockio/penstock/pipeline"
)

// This file tells batches that want to hear of it how each of their records ended.
//
// What it guarantees. A record that ended for good is told of once, with its parts and from all its sinks together, before
// its batch is freed. One that was abandoned or handed back is not, nor any of a lane that is over (I8). Of a lane that
// was given up, and is not over yet, a batch hears what became durable all the same: no mark says it (I5).
//
// How. Records are noted where they leave their piece, under the lock of the lane, and told of when that is given
// up, since the source has locks of its own. While no batch wants to hear anything this costs the look at one flag.

// A followed is a record that ended for good, and whose batch is to be told.
type followed struct {
	batch *pipeline.Batch
	pos   pipeline.Position
	err   error
}

// errRejected says that a record was rejected, whatever for.
var errRejected = pipeline.Permanent(errors.New("the record was rejected, and its dead letter is stored"))

// follows says whether the batch of a piece wants to hear how its records end. The lane's lock is held.
func (l *lane) follows(pc *piece) bool {
	return l.p.follows.Load() && !l.fenced && pc.from.batch.Ended != nil
}

// follow notes records of a batch that are done with. The batch is not freed before it is told of them, whoever ends the last of the
// others meanwhile.
func (c *settlement) follow(in *laneBatch, recs []item, o outcome) {
	in.pieces++
	c.telling = append(c.telling, in)
	var err error
	switch o {
	case filtered:
		err = pipeline.Filtered
	case rejected:
		err = errRejected
	}
	for _, r := range recs {
		c.ended = append(c.ended, followed{in.batch, r.rec.Position, err})
	}
}

// tellEnded tells batches how their records ended.
func (p *shared) tellEnded(list []followed) {
	p.tellBatches(func() {
		for _, r := range list {
			r.batch.Ended(r.pos, r.err)
		}
	})
}

// told notes that batches were told of what a settlement has for them: those of which nothing is left are freed with it.
func (l *lane) told(c *settlement) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, in := range c.telling {
		if in.pieces--; in.pieces == 0 && !in.open {
			c.free(in)
		}
	}
}

// sending tells batches that a sink is about to have records of theirs.
func (p *shared) sending(recs []item) {
	if !p.follows.Load() {
		return
	}
	p.tellBatches(func() {
		for _, r := range recs {
			if f := r.piece.from.batch.Sending; f != nil {
				f(r.rec.Position)
			}
		}
	})
}

// tellBatches calls what batches have to hear. A panic in it stops the pipeline, and nothing else.
func (p *shared) tellBatches(tell func()) {
	if err := guarded(func() error { tell(); return nil }); err != nil {
		p.stop(fmt.Errorf("telling a batch what becomes of its records: %w", err))
	}
}
