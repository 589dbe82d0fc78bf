package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file is what becomes of records that hold marks and stand in chunks: in front of a step, at work in one that
// computes, or behind it until it is the turn of their chunk.

// An inChunk is such a record.
type inChunk struct {
	w     *wanted
	l     *lane
	at    pipeline.Position
	step  int // the index of the step; behind the last one: it is for the sinks
	state uint32
	age   time.Duration
	work  Hold // of a chunk at work: the record at work in it
}

// seekChunks looks for the records among those in chunks, and notes what steps that compute are at.
func (p *Pipeline) seekChunks(f *search, now time.Time) {
	var all []inChunk
	p.pool.each(func(c *chunk) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.lane == nil {
			return
		}
		place := c.whereabouts.Load()
		step, state := int(place>>8), place&0xff
		var work Hold
		if state == stateRunning && step < len(f.chain.steps) {
			work = f.noteWork(p, c, step, now)
		}
		w := f.lanes[c.lane]
		if w == nil {
			return
		}
		for _, it := range c.recs[c.from:] {
			n := it.number()
			if n == w.number {
				all = append(all, inChunk{w, c.lane, it.rec.Position, step, state, now.Sub(it.piece.read), work})
			}
			if n >= w.number && p.opts.Order == OrderPartition {
				return
			}
		}
	})
	for _, q := range all {
		q.w.found(q.at, f.inChunk(p, q, now))
	}
}

// noteWork notes, and gives, the record at work in a chunk of a step that computes. The chunk is locked.
func (f *search) noteWork(p *Pipeline, c *chunk, step int, now time.Time) Hold {
	hand, ok := c.look(p.phase.began, now)
	if !ok {
		return Hold{}
	}
	h := f.chain.steps[step].core().hold(c, hand)
	if w := &f.work[step]; hand.taken > w.taken || w.State == "" {
		*w = longWork{h, hand.taken}
	}
	return h
}

// inChunk says what the record waits for.
func (f *search) inChunk(p *Pipeline, q inChunk, now time.Time) Hold {
	if q.step >= len(f.chain.steps) {
		return Hold{Root: q.at, Where: sinksName, State: stateNames[q.state], Cause: CauseQueue, Since: q.age}
	}
	s := f.chain.steps[q.step]
	h := s.core().here()
	h.Root, h.State, h.Cause, h.Since = q.at, stateNames[q.state], CauseQueue, q.age
	switch {
	case q.work.State != "":
		return q.work
	case q.state == stateTurn && f.work[q.step].State != "":
		return f.work[q.step].Hold
	case q.state == stateTurn:
		h.For = f.occupied(q.step+1, now)
	case q.state == stateResting:
		h.Cause, h.For = CauseLimit, endOfPause // since when is added by rejections.holds
	default:
		if wait, ok := s.(*waitStep); ok {
			h.Cause, h.For = wait.waitsInFront(q.l, now)
		} else {
			h.For = f.occupied(q.step, now)
		}
	}
	return h
}

// occupied says what keeps a step from taking more, "": nothing that is known.
func (f *search) occupied(step int, now time.Time) string {
	for ; step < len(f.chain.steps); step++ {
		s := f.chain.steps[step]
		name := s.core().conf.Name
		if w, ok := s.(*waitStep); ok {
			if _, why := w.waitsInFront(nil, now); why != "" {
				return why + " (" + name + ")"
			}
			return name
		}
		if h := f.work[step]; h.State != "" {
			return name + ", " + h.has()
		}
	}
	return ""
}
