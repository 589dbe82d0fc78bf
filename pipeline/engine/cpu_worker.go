package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/internal/inside"
)

// A cpuWorker works on one chunk at a time. As long as every record goes on, the chunk is
// sent on as it came; once a record leaves it, or becomes several, what goes on is collected
// in a list of its own. The cursor i is a field so that it outlives a panic of the stage: the
// worker then goes on with the record behind.
type cpuWorker struct {
	s     *cpuStep
	c     *chunk // at work; nil: none
	i     int    // the record of it at work
	moved bool   // what goes on is no longer the chunk as it came: it is in out
	out   []item // what goes on, in order, when moved is set

	ends
	failed  int                               // records that were rejected here and travel on in their places
	entered int64                             // records of the chunk that had not been rejected when it came
	came    int                               // records before the cursor that had
	t       increments                        // what is counted at the end of the chunk
	growth                                    // not charged yet
	before  inside.Savepoint[pipeline.Record] // the record as it came, for OnErrorPass
	parts   partCollector                     // of a splitter
	tapping tapping                           // what taps see of the record at work
	mask    int                               // the cursor is stored at records whose index has none of these bits: 0, or cursorEvery-1
	emit    func(*pipeline.Record)            // parts.emit, made once
	left    []inside.Extras                   // extras of filtered records, for the next records that need some

	known tally // what the budget of rejections knows of the chunk

	since time.Time // when the chunk was taken
}

// Ends are the records of a chunk that do not go on.
type ends struct {
	dropped []item  // filtered records
	lost    []item  // records that end as fate says
	fate    outcome // abandoned, or returned when the chunk is behind the cut
}

// A growth is the bytes by which records of one batch have grown.
type growth struct {
	grown   int64
	grownBy *laneBatch // whose charge they are added to
}

// A tally is what the budget of rejections knows of the records of a chunk.
type tally struct {
	told     int   // of how many records it knows,
	filtered int64 // how many of them were filtered,
	skipped  int   // and how many since then do not count as passed
}

// work takes one chunk through the step, or goes on with a chunk behind a record that
// panicked.
func (w *cpuWorker) work() bool {
	if w.c == nil {
		c := w.s.take()
		if c == nil {
			return false
		}
		w.begin(c)
	}
	w.run()
	w.end()
	return true
}

func (w *cpuWorker) begin(c *chunk) {
	s := w.s
	now := time.Now()
	w.since = now
	fill := s.fullness()
	w.c, w.i, w.came, w.moved, w.out, w.fate = c, 0, 0, false, c.spare[:0], abandoned
	w.known = tally{}
	c.taken.Store(int64(now.Sub(s.p.phase.began)))
	c.cursor.Store(cursorAt(0, w.mask != 0))
	c.at(s.index, stateRunning)
	w.entered = int64(len(c.recs) - c.failed)
	w.tapping.taps = s.tap.due(now, w.entered)
	s.outstanding.Add(1)

	m := s.meter
	m.mu.Lock()
	m.working.enter(now.Sub(m.began))
	m.fill = max(m.fill, fill)
	m.counts.In += w.entered
	m.counts.InFlight += w.entered
	m.mu.Unlock()
}

// run works on the records of the chunk, and waits for the end of each pause. It may be left by a panic, and entered again.
func (w *cpuWorker) run() {
	for w.stretch() {
		w.rest()
	}
}

// stretch is the loop over the records. It ends with the last one, or where a pause holds up the next one.
func (w *cpuWorker) stretch() (paused bool) {
	c, s := w.c, w.s
	recs := c.recs
	rejects := s.p.rejects()
	if w.i == 0 && (s.p.phase.stopsEarly.Load() || c.lane.isFrozen()) {
		w.giveUp(abandoned)
		return false
	}
	if w.i == 0 && c.behindCut() {
		w.giveUp(returned)
		return false
	}
	ctx := c.lane.stepsCtx
	slow := s.conf.OnError == OnErrorPass || s.conf.Splitter != nil || s.undoer != nil || c.failed > 0 || w.tapping.taps != nil
	for ; w.i < len(recs); w.i++ {
		if w.i&w.mask == 0 {
			c.cursor.Store(cursorAt(w.i, w.mask != 0))
		}
		if rejects != nil && rejects.on.Load() && recs[w.i].fail == nil && w.rests() {
			return true
		}
		it := recs[w.i]
		if slow {
			w.slowly(ctx, it)
			continue
		}
		if n := len(w.left); n > 0 && !records.HasExtras(it.rec) {
			records.Lend(it.rec, w.left[n-1])
			w.left = w.left[:n-1]
		}
		if err := s.conf.Stage.Process(ctx, it.rec); err == pipeline.Filtered {
			w.filter(it)
			continue
		} else if err != nil {
			w.take(it, err)
			continue
		}
		if touched(it.rec) {
			w.grow(it, it.regrow())
		}
		if w.moved {
			w.out = append(w.out, it)
		}
	}
	return false
}

// slowly works on a record where more is to be done than to call a stage: it came as a
// rejected one, or the step splits, passes failed records on, has an Undoer, or somebody looks at it.
func (w *cpuWorker) slowly(ctx context.Context, it item) {
	s := w.s
	if it.fail != nil {
		w.came++
		w.known.skipped++
		w.keep(it)
		return
	}
	if s.conf.OnError == OnErrorPass {
		w.before.Save(it.rec)
	}
	if s.undoer != nil {
		it.enter(s.conf.Name, s.undoer)
	}
	if w.tapping.taps != nil {
		w.tapping.before(it, w.since)
	}
	var err error
	if s.conf.Stage != nil {
		err = s.conf.Stage.Process(ctx, it.rec)
	} else {
		w.parts.items = w.parts.items[:0]
		err = s.conf.Splitter.Split(ctx, it.rec, w.emit)
	}
	w.take(it, err)
}

// panicked ends the attempt of the record at the cursor, which has panicked.
func (w *cpuWorker) panicked(err *pipeline.PanicError) {
	if w.c == nil || w.i >= len(w.c.recs) {
		w.s.p.stop(fmt.Errorf("%s: in the engine: %w\n%s", w.s.conf.Name, err, err.Stack))
		return
	}
	it := w.c.recs[w.i]
	w.take(it, err)
	w.i++
}

// take puts a record where its result belongs.
func (w *cpuWorker) take(it item, err error) {
	side := w.settle(it, err)
	if w.tapping.taps == nil {
		return
	}
	if w.s.conf.Splitter != nil && err == nil && side == TapAfter {
		w.tapping.end(side, it, w.parts.items, true, w.since)
		return
	}
	w.tapping.end(side, it, []item{it}, false, w.since)
}

// settle is take without a look at what became of the record, which it gives as taps have it: a side, or 0 for abandoned.
func (w *cpuWorker) settle(it item, err error) TapSide {
	if err == nil && w.s.conf.Splitter != nil {
		return w.split(it)
	}
	if err != nil {
		w.tell()
		j := w.s.judge(it.rec, err, 1, pipeline.ReasonPermanent, w.c.lane.stepsCtx.Err() != nil, &w.t)
		switch j.verdict {
		case drop:
			w.remove()
			w.dropped = append(w.dropped, it)
			return TapFiltered
		case giveUp:
			w.known.skipped++
			w.remove()
			w.lost = append(w.lost, it)
			return 0
		case fail:
			w.known.skipped++
			it.fail = j.fail
			w.failed++
			w.s.rejectedIn(w.c.seq)
			w.keep(it)
			if it.fail.stop {
				w.endWith()
			}
			return TapRejected
		}
		if j.restore {
			w.c.mu.Lock() // somebody may be looking at its position
			w.before.Restore(it.rec)
			w.c.mu.Unlock()
		}
	}
	w.grow(it, it.regrow())
	w.keep(it)
	return TapAfter
}

// maxLeft is how many extras of filtered records a worker keeps for the next ones.
const maxLeft = 32

// filter is take for Filtered alone, without a judgement: it is the one error that most
// records of a step may end with.
func (w *cpuWorker) filter(it item) {
	w.remove()
	w.t.filtered++
	w.dropped = append(w.dropped, it)
	if len(w.left) < maxLeft {
		if x := records.Leave(it.rec); x != nil {
			w.left = append(w.left, x)
		}
	}
}

// tell has the budget of rejections know of the records before the one at the cursor that passed: a record is rejected only when those count
// that came before it.
func (w *cpuWorker) tell() {
	if r := w.s.p.rejects(); r != nil {
		k := w.known
		filtered := w.t.filtered - k.filtered
		r.passed(atStep(w.s.index), int64(w.i-k.told-k.skipped)-filtered, filtered)
		w.known = tally{told: w.i, filtered: w.t.filtered}
	}
}

// keep lets a record go on. While all records of the chunk do, there is nothing to do: they
// stand in it already.
func (w *cpuWorker) keep(it item) {
	if w.moved {
		w.out = append(w.out, it)
	}
}

// remove takes the record at the cursor out of the chunk.
func (w *cpuWorker) remove() {
	if !w.moved {
		w.moved = true
		w.out = append(w.c.spare[:0], w.c.recs[:w.i]...)
	}
}

func (w *cpuWorker) split(it item) TapSide {
	w.remove()
	weight, ok := w.parts.join(it)
	if !ok {
		w.t.filtered++
		w.dropped = append(w.dropped, it)
		return TapFiltered
	}
	w.t.created += int64(len(w.parts.items) - 1)
	w.out = append(w.out, w.parts.items...)
	w.grow(it, weight)
	return TapAfter
}

// grow adds what a record has gained to the bytes that are to be charged. They are charged in
// one call for all records of a batch that stand behind one another: each call takes the lock
// of the budget, which all pipelines share.
func (w *cpuWorker) grow(it item, d int64) {
	if d == 0 {
		return
	}
	if in := it.piece.from; in != w.grownBy {
		w.charge()
		w.grownBy = in
	}
	w.grown += d
}

// charge charges the bytes that grow has added up.
func (w *cpuWorker) charge() {
	if w.grown != 0 {
		w.grownBy.charge.grow(w.grown)
	}
	w.grownBy, w.grown = nil, 0
}
