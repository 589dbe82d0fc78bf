package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file answers why the mark of a lane stands where it does.
//
// What it guarantees. Who asks pays: while records move nothing is noted for the answer but when each batch came. Locks are held
// for moments, and no component is called under one, but for the text of an error. So the answer may be asked for while a stage, a
// sink or a source hangs.
//
// How. The ring of marks knows the first record of each lane without an outcome, by its number. All places are looked through for
// these records: the chunks under way, the windows, the queues of the sinks. In a place that keeps the order of the lane this record
// stands in front, so that the look is short. A record that is found nowhere has moved on between two looks: then all is done again.
// A lane that has batches waiting and no record under way is held by the first of its batches: the first step takes no more.

// Why says for each lane with records that are not committed what keeps its mark from moving, those whose
// records have been there longest first. It may be called at any time, also while a stage or a sink hangs.
func (p *Pipeline) Why() []Hold { return p.why(true) }

// why is Why. With batches false it leaves out the lanes of which no record is under way: batches that wait hold up nobody else.
func (p *Pipeline) why(batches bool) []Hold {
	var all []Hold
	var f *search
	for range whyLooks {
		now := time.Now()
		f = newSearch(p.chain())
		all = all[:0]
		var unmade []Hold
		for _, l := range p.lanes.all() {
			h, ok, alone := p.commits.hold(l, now)
			if ok {
				h.Host = hostOf(p.opts.Source)
				all = append(all, h)
			}
			if alone {
				continue
			}
			if w := l.wanted(now); w != nil {
				f.lanes[l] = w
			} else if h, ok := l.unmade(now); !ok || !batches {
				continue
			} else if p.steer.describe(l, &h, now) {
				h.Where, h.Kind = f.chain.entrance()
				all = append(all, h)
			} else {
				unmade = append(unmade, h)
			}
		}
		p.seek(f, now)
		all = append(all, p.inFront(f, unmade, now)...)
		if !f.missing() {
			break
		}
	}
	for l, w := range f.lanes {
		all = append(all, w.hold(l))
	}
	p.countBytes(all)
	p.rejects().holds(all)
	slices.SortFunc(all, func(a, b Hold) int {
		return cmp.Or(cmp.Compare(b.Age, a.Age), cmp.Compare(a.Lane, b.Lane))
	})
	return all
}

// countBytes says of holds whose Behind was counted by offsets that it counts bytes, where the offsets of the source do. It asks the
// source for its figures, and only when there is such a hold.
func (p *Pipeline) countBytes(all []Hold) {
	asked, inBytes := false, false
	for i := range all {
		h := &all[i]
		if h.offsets > 0 && !asked {
			asked, inBytes = true, p.report().InBytes
		}
		if h.offsets > 0 && inBytes {
			h.Behind, h.InBytes = h.offsets, true
		}
		h.offsets = 0
	}
}

// whyLooks is how often all places are looked through, at most, while records move on.
const whyLooks = 3

// A search is for the records that hold the marks of lanes.
type search struct {
	chain *chain
	lanes map[*lane]*wanted
	work  []longWork // of each step that computes: the record at work in the chunk that it has had longest; no State: none
}

// A longWork is a record at work in a step that computes, and for how long its chunk has been.
type longWork struct {
	Hold
	taken time.Duration
}

func newSearch(c *chain) *search {
	return &search{chain: c, lanes: map[*lane]*wanted{}, work: make([]longWork, len(c.steps))}
}

// A wanted is the record that holds the mark of a lane.
type wanted struct {
	number uint64
	at     pipeline.Position // as the ring knows it
	behind int64
	age    time.Duration

	best Hold // what it has been found to wait for
	seen bool
}

// wanted gives the record that holds the lane's mark; nil: there is none.
func (l *lane) wanted(now time.Time) *wanted {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen {
		return nil
	}
	var w *wanted
	for pc := range l.ring.All() {
		if w != nil {
			w.behind += int64(pc.Size())
			continue
		}
		if pc.Left() == 0 {
			continue
		}
		index, offset := pc.Undone()
		topic, partition := l.coordinates()
		w = &wanted{number: pc.Seq()<<8 | uint64(index) + 1, age: now.Sub(pc.read), behind: int64(pc.Size() - index - 1)}
		w.at = pipeline.Position{Topic: topic, Partition: int32(partition), Offset: offset}
	}
	return w
}

// unmade says that batches of the lane wait, and no record of it is under way.
func (l *lane) unmade(now time.Time) (h Hold, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut || l.inFlight > 0 || l.waiting.Len() == 0 {
		return h, false
	}
	in := l.waiting.Peek()
	topic, partition := l.coordinates()
	h.Lane, h.Age = l.name, now.Sub(in.came)
	h.Position = pipeline.Position{Topic: topic, Partition: int32(partition), Offset: in.marks.Next()}
	h.Behind = max(l.read-h.Offset-1, 0)
	h.offsets = l.read - h.Offset
	return h, true
}

// inFront completes the holds of batches: they stand in front of the first step, or of the sinks where there is no step.
func (p *Pipeline) inFront(f *search, all []Hold, now time.Time) []Hold {
	for i := range all {
		h := &all[i]
		h.Root, h.State, h.Cause, h.Since = h.Position, stateNames[stateQueued], CauseQueue, h.Age
		h.Where, h.Kind = f.chain.entrance()
		if len(f.chain.steps) > 0 {
			h.For = f.occupied(0, now)
		}
		if p.fill.held.Load() != nil {
			h.Cause, h.For = CauseLimit, endOfChange
		}
	}
	return all
}

// endOfChange is what records wait for that are not made while steps and sinks are replaced.
const endOfChange = "the change of steps and sinks that is under way"

// entrance is where records go that are made: the first step, or the sinks.
func (c *chain) entrance() (name, kind string) {
	if len(c.steps) == 0 {
		return sinksName, ""
	}
	first := c.steps[0].core().here()
	return first.Where, first.Kind
}

// found says what the record waits for at one place. It may be at several: as a copy in each of two sinks, or as the parts of a
// split. The place where it waits for no other record says most; of equal ones that where it has waited longest.
func (w *wanted) found(at pipeline.Position, h Hold) {
	h.Position = at
	w.at = at
	if w.seen {
		if turns := h.turns(); turns != w.best.turns() {
			if turns {
				return
			}
		} else if h.Since <= w.best.Since {
			return
		}
	}
	w.best, w.seen = h, true
}

// turns says whether the record only waits for others.
func (h Hold) turns() bool { return h.Cause == CauseTurn || h.Cause == CauseQueue }

// hold completes what has been found. A record that is nowhere is on its way from one place to another, as
// those are that the sinks are being asked about.
func (w *wanted) hold(l *lane) Hold {
	if !w.seen {
		w.best = Hold{Position: w.at, Root: w.at, Where: sinksName, State: stateNames[stateQueued], Cause: CauseQueue, Since: w.age}
	}
	h := w.best
	h.Lane, h.Age, h.Behind = l.name, w.age, w.behind
	return h
}

// sinksName is where records are that have passed all steps.
const sinksName = "sinks"

func (f *search) missing() bool {
	for _, w := range f.lanes {
		if !w.seen {
			return true
		}
	}
	return false
}

// seek looks through all places.
func (p *Pipeline) seek(f *search, now time.Time) {
	p.seekChunks(f, now)
	for _, s := range f.chain.steps {
		s.seek(now, f)
	}
	for _, s := range f.chain.allSinks() {
		s.seek(now, f)
	}
}
