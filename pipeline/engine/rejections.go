package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// This file tells a bad record from an outage: it counts how many of the last records were rejected, and
// stops or pauses the pipeline when these are more than its budget allows.
//
// What it guarantees. With a budget that stops, no record is rejected beyond it: the one that would be stops the
// pipeline instead, and is read again. With one that pauses, the record that goes beyond it is rejected, and
// then nothing begins until the pause is over: no attempt in a step, no key, no condition, no Write but of dead letters. What
// is under way goes on, and may be rejected too: an attempt, a Write, the conditions of a chunk, and in a step that computes the chunks before
// a record that it has rejected, until one of theirs is (cpuWorker.rests). A stop or a revocation hands back
// what has not begun, and then ends the pause; no other begins while it lasts. What is left in flight is finished. Only a stop in a
// pause, and one in which the budget is spent, abandon it (halt.go). Marks, order and outcomes are as without a pause (I1, I5).
//
// How. A rejection counts when it is decided, in whatever order: so it can still be refused. Records that pass the same point count
// beside it, as soon as that is decided: the keys, each step, the conditions and the sinks have lists of last records of their own.
// So records that wait for a slow step, or for a sink that lags, do not turn the few bad ones among them into an outage. The
// budget bounds all points together. While no budget is set none of this exists. Whoever begins something asks one flag.
//
// Not chosen. One list for all: a record that a sink refuses would stand in it as passed, too, and hide itself. One for
// all steps: a quick step that rejects one record in a hundred may be thousands ahead of a slow one, which lets
// as many through only later.
//
// Writes of an open transaction are not held up: it would run out of time.

// A rejections is the state of a pipeline's budget of rejections.
type rejections struct {
	p    *shared
	conf RejectionBudget

	steps []Step // whose points these are
	sinks []Output

	on    atomic.Bool  // a pause is on
	total atomic.Int64 // how long the pauses that are over took, all together

	mu        sync.Mutex
	last      []outcomeRuns // of each point
	spent     bool          // a record was refused to be rejected: so are all others
	suspended int           // lanes that are being ended: no pause begins
	ended     bool          // no pause begins any more
	resumed   chan struct{} // closed when the pause ends; nil: there is none
	timer     *time.Timer   // ends it
	began     time.Time     // when it began
	rejected  int           // how many records had been rejected then,
	of        int           // of how many
	over      time.Time     // when the last pause ended
	news      []any         // events that are not emitted yet

	telling sync.Mutex // held while news are emitted, in their order; taken before mu
}

func newRejections(p *shared, of *plan) *rejections {
	if of.dead.Sink == nil || of.dead.Budget.Rejected <= 0 {
		return nil
	}
	return rejectionsAt(p, of.dead.Budget, of)
}

func rejectionsAt(p *shared, conf RejectionBudget, of *plan) *rejections {
	return &rejections{p: p, conf: conf, steps: of.steps, sinks: of.sinks, last: make([]outcomeRuns, len(of.steps)+3)}
}

// appliesTo says whether a plan has the same budget at the same points, so that the counts go on.
func (r *rejections) appliesTo(to *plan) bool {
	return r != nil && to.rejects != nil && r.conf == to.rejects.conf &&
		slices.EqualFunc(r.steps, to.steps, func(a, b Step) bool { return a.Name == b.Name }) &&
		slices.EqualFunc(r.sinks, to.sinks, func(a, b Output) bool { return a.Name == b.Name })
}

// A point is where records are rejected or pass: where their keys are computed, each step, the conditions of the sinks, and
// the sinks, in this order.
type point int

const atKeys point = 0

func atStep(index int) point { return point(index) + 1 }

func (r *rejections) atConditions() point { return r.atSinks() - 1 }

func (r *rejections) atSinks() point {
	if r == nil {
		return 0
	}
	return point(len(r.last)) - 1
}

// passed counts records that are not rejected at a point: those that go on, and those that are filtered there, which come to
// none of the later points and count as passed at each of them.
func (r *rejections) passed(at point, through, filtered int64) {
	if r == nil || through+filtered <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pass(at, through+filtered)
	for later := int(at) + 1; later < len(r.last) && filtered > 0; later++ {
		r.pass(point(later), filtered)
	}
}

func (r *rejections) pass(at point, n int64) {
	r.last[at].add(int(min(n, int64(r.conf.Of))), false, r.conf.Of)
}

// counts gives how many of the last records were rejected, at all points together, and of how many: the most that came to
// one of the points where records were rejected. What passed the others says nothing about these.
func (r *rejections) counts() (rejected, of int) {
	for i := range r.last {
		if o := &r.last[i]; o.rejected > 0 {
			rejected += o.rejected
			of = max(of, o.total)
		}
	}
	return rejected, max(rejected, of)
}

// spentWhere says which of the last records were rejected, by point.
func (r *rejections) spentWhere() string {
	rejected, of := r.counts()
	var at []string
	for i := range r.last {
		if o := &r.last[i]; o.rejected > 0 {
			at = append(at, fmt.Sprintf("%d of the last %d records %s", o.rejected, o.total, r.pointName(point(i))))
		}
	}
	switch len(at) {
	case 0:
		return fmt.Sprintf("%d of the last %d records were rejected", rejected, of) // the budget allows none
	case 1:
		return fmt.Sprintf("%s were rejected", at[0])
	}
	return fmt.Sprintf("%d of the last records were rejected (%s)", rejected, strings.Join(at, ", "))
}

// pointName says where a point is.
func (r *rejections) pointName(at point) string {
	switch {
	case at == atKeys:
		return "where keys are computed"
	case at < r.atConditions():
		return "at step " + r.steps[at-1].Name
	case at == r.atConditions():
		return "at the conditions of the sinks"
	case len(r.sinks) == 1:
		return "at sink " + r.sinks[0].Name
	}
	return "at the sinks"
}

// spend counts a record that is to be rejected at a point. An error says that it must not be: errHalted when a pause would begin,
// and the pipeline stops. It may be called under the lock of a lane; the caller calls tell when it holds none.
func (r *rejections) spend(at point) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	rejected, _ := r.counts()
	refuses := r.conf.Pause <= 0 || r.ended && !r.p.opts.readsOnce()
	if refuses && (r.spent || rejected >= r.conf.Rejected && !r.last[at].drops(r.conf.Of)) {
		r.spent = true
		if r.conf.Pause > 0 {
			return errHalted
		}
		return fmt.Errorf("the budget of dead letters is spent: %s, and dead_letter.budget allows no more: mend the cause and start again, the record is read again", r.spentWhere())
	}
	r.last[at].add(1, true, r.conf.Of)
	rejected, of := r.counts()
	if r.conf.Pause > 0 && rejected > r.conf.Rejected && r.resumed == nil && r.suspended == 0 && !r.ended {
		r.resumed, r.began, r.rejected, r.of = make(chan struct{}), time.Now(), rejected, of
		r.on.Store(true)
		r.timer = time.AfterFunc(r.conf.Pause, func() { r.p.contained(r.resume) })
		r.news = append(r.news, event.PipelinePaused{
			Reason: pauseReason, Rejected: int64(rejected), Of: int64(of), PauseMs: r.conf.Pause.Milliseconds(),
		})
	}
	return nil
}

// tell emits what there is to say of pauses. One that begins in a step may be ended by a stop at the same moment: whoever
// emits first emits both, in their order.
func (r *rejections) tell() {
	next := func() (ev any) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.news) > 0 {
			ev, r.news = r.news[0], r.news[1:]
		}
		return ev
	}
	r.telling.Lock()
	defer r.telling.Unlock()
	for ev := next(); ev != nil; ev = next() {
		r.p.events.Emit(ev, "")
	}
}

const pauseReason = "dead_letter_budget"

// resume ends a pause, if there is one. The counts begin anew.
func (r *rejections) resume() {
	if r == nil {
		return
	}
	r.mu.Lock()
	if r.resumed == nil {
		r.mu.Unlock()
		r.tell() // somebody else may be ending it: whoever ends a run has it told before
		return
	}
	now := time.Now()
	took := now.Sub(r.began)
	r.timer.Stop()
	r.total.Add(int64(took))
	r.over = now
	clear(r.last)
	r.on.Store(false)
	close(r.resumed)
	r.resumed = nil
	r.news = append(r.news, event.PipelineResumed{
		Reason: pauseReason, Rejected: int64(r.rejected), Of: int64(r.of), PauseMs: took.Milliseconds(),
	})
	r.mu.Unlock()
	r.p.hooks.resumed()
	r.tell()
}

// forbid has no pause begin any more: the pipeline stops. The one that is on goes on.
func (r *rejections) forbid() {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
}

// end ends the pause, and forbids every later one.
func (r *rejections) end() {
	r.forbid()
	r.resume()
}

// suspend has no pause begin until the function that it gives is called: a lane is given up.
func (r *rejections) suspend() (over func()) {
	if r == nil {
		return func() {}
	}
	add := func(n int) {
		r.mu.Lock()
		r.suspended += n
		r.mu.Unlock()
	}
	add(1)
	return func() { add(-1) }
}

// pausing says whether a pause is on.
func (r *rejections) pausing() bool { return r != nil && r.on.Load() }

// shown says whether the state of the pipeline is that it pauses. While it stops it is not, although a pause may last
// until everything is handed back: that it stops says more.
func (r *rejections) shown() bool {
	if !r.pausing() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resumed != nil && !r.ended
}

// wait waits until no pause is on, ctx ends, or records are not worked on any more.
func (r *rejections) wait(ctx context.Context) {
	r.mu.Lock()
	resumed := r.resumed
	r.mu.Unlock()
	if resumed == nil {
		return
	}
	select {
	case <-resumed:
	case <-ctx.Done():
	case <-r.p.work.over:
	}
}

// paused gives how long pauses took that are over, all together.
func (r *rejections) paused() time.Duration {
	if r == nil {
		return 0
	}
	return time.Duration(r.total.Load())
}

// atWork bounds how long something may be said to make no progress: it made none in a pause.
func (r *rejections) atWork(now time.Time, age time.Duration) time.Duration {
	if r == nil {
		return age
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.resumed != nil:
		return 0
	case r.over.IsZero():
		return age
	}
	return min(age, now.Sub(r.over))
}

// endOfPause is what a record waits for that a pause holds up.
const endOfPause = "the end of the pause, as the budget of dead letters is spent"

// holds says of the records that hold marks that a pause does, where nothing of them is under way.
func (r *rejections) holds(all []Hold) {
	if !r.pausing() {
		return
	}
	r.mu.Lock()
	on, since, until := r.resumed != nil, time.Since(r.began), r.began.Add(r.conf.Pause)
	r.mu.Unlock()
	if !on { // it has ended meanwhile
		return
	}
	for i := range all {
		h := &all[i]
		switch h.State {
		case stateNames[stateRunning], "writing", "committing":
			continue
		}
		if h.Cause == CauseSink && r.p.opts.Transactor != nil { // Writes of a transaction are not held up
			continue
		}
		switch h.Cause {
		case CauseDeadLetter, CauseCommit, CauseTransaction:
		default:
			h.State, h.Cause, h.For, h.Since, h.Until = statePaused, CauseLimit, endOfPause, since, until
		}
	}
}

// outcomeRuns are the last records that came to a point, rejected there or not, as runs of equal ones. The zero value has
// none.
type outcomeRuns struct {
	runs            []outcomeRun // from the oldest on
	total, rejected int
}

type outcomeRun struct {
	n        int
	rejected bool
}

// add adds n outcomes, at most of, and drops the oldest beyond of.
func (o *outcomeRuns) add(n int, rejected bool, of int) {
	if k := len(o.runs); k > 0 && o.runs[k-1].rejected == rejected {
		o.runs[k-1].n += n
	} else {
		o.runs = append(o.runs, outcomeRun{n, rejected})
	}
	o.total += n
	if rejected {
		o.rejected += n
	}
	for o.total > of {
		first := &o.runs[0]
		d := min(first.n, o.total-of)
		first.n -= d
		o.total -= d
		if first.rejected {
			o.rejected -= d
		}
		if first.n == 0 {
			o.runs = o.runs[1:] // append moves what is left when there is no more room behind it
		}
	}
}

// drops says whether one more outcome drops a rejected one.
func (o *outcomeRuns) drops(of int) bool {
	return o.total >= of && len(o.runs) > 0 && o.runs[0].rejected
}
