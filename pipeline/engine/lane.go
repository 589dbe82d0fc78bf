package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/fifo"
	"github.com/penstockio/penstock/pipeline/engine/internal/ring"
)

// This file is a lane from its beginning to its end.
//
// What it guarantees. A lane ends once, and goes through its states in one direction: it is open,
// takes no more batches (ending), makes no more records (shut), counts no more outcomes (frozen),
// and commits nothing more (fenced). A drawing is in docs/internals/README.md. Once it is fenced
// nothing of it is ever committed, whatever comes back late (I8). The report of its end counts
// every record that was in flight then (I6).
//
// How. Lane.End shuts the lane, hands back what has not begun, waits until nothing is in flight,
// has the last mark committed, and fences the lane. When its ctx ends first it fences at once.
// Waiting steps and sinks then give up what they have of it; whoever else has a record of it
// finds the lane frozen, and a late outcome counts for nothing.
//
// Too much of a lane may wait at a step or a sink. Then the place holds the lane back: its source
// reads no more of it, and the filler makes no more records of it, until the place lets it go.
// Nothing that is under way is stopped for that, and no other lane notices. Not chosen: to stop
// a lane on its way through the engine, which would stop the lanes that share a channel with it
// (docs/decisions/0005-lanes-held-back.md).

// A lane is the engine's side of a [pipeline.Lane]: its batches, its marks, its counts, and how
// far it has ended.
type lane struct {
	name string
	p    *shared
	use  *pipelineUse // what its pipeline has of the budget
	laneCalls

	holds     atomic.Int32  // how many steps and sinks hold the lane back
	congested atomic.Int32  // how many waiting steps behind the first have much of it: the first begins no more of it
	returns   atomic.Uint64 // the first place behind the cut, once the lane is cut; 0: it is not
	unfilled  atomic.Int64  // bytes of batches that wait to be made records

	laneUse
	steered laneSteering
	laneFill
	laneWrites

	mu sync.Mutex // guards the rest
	laneBatches
	laneMarks
	laneCounts
	laneEnd
}

// laneCalls are the contexts of calls with records of the lane.
type laneCalls struct {
	writesCtx   context.Context    // of writes: ends when the lane is given up
	cancel      context.CancelFunc // of ctx
	stepsCtx    context.Context    // of steps: ends then too, and when the pipeline stops early
	cancelCalls context.CancelFunc // of calls
}

// laneUse is what the lane has of the budget, which guards it.
type laneUse struct {
	bytes   int64 // bytes of its charges
	charges int   // its charges that are not released
	records int64 // its records under way, and places taken for more; the parts of a split count as one
}

// laneFill is the filler's part of the lane. queued is guarded by the filler; the rest is the
// filler's own while it is at the lane (busy), and else guarded by the lane.
type laneFill struct {
	queued     bool   // the lane is in the filler's queue
	block      *block // whose places are given out next; nil: none
	recordSize int    // bytes of a record in the last fill, on average
}

// laneWrites is the transactions' part of the lane, which they guard. Pieces are named by their
// numbers in the ring of marks.
type laneWrites struct {
	writeBefore uint64 // the first piece that may not be written once the cycle has been cut
	wrote       uint64 // the piece behind the highest one that was written
	wroteIn     uint64 // the transaction in which it was
}

// laneBatches are the batches of the lane that have been handed over and wait.
type laneBatches struct {
	waiting      fifo.Queue[*laneBatch] // those of which more records may be made
	filling      *laneBatch             // the one that the filler has: the first of waiting; nil: none
	busy         bool                   // the filler is at the lane
	spareBatches []*laneBatch           // to be used again
	read         int64                  // the offset behind the last batch
	unreads      int                    // how many batches were given back without all their records made
}

// laneMarks is how far the lane has come (I5).
type laneMarks struct {
	ring      ring.Ring[*piece] // of the pieces that the mark has not passed
	spare     []*piece          // to be used again
	committed int64             // the mark that was committed last
	dirtyAt   time.Time         // when the mark moved first after that commit; zero: it has not
	firstTime int64             // piece.time of the first piece that the mark has passed since, or NoTime
	lastTime  int64             // piece.time of the last piece that it has passed, or NoTime
}

// laneCounts are counts of the lane's records (I6).
type laneCounts struct {
	made      int64 // that have been made, parts of splits left out
	inFlight  int64 // those without an outcome, parts of splits included; counted on its own
	abandoned int64 // those that were abandoned
	returned  int64 // those that were handed back
	parts     int64 // those that splits have added
}

// laneEnd is how far the end of the lane has come. When a flag is set, those before it are.
type laneEnd struct {
	ending  bool          // no further batch is taken
	shut    bool          // no further record is made
	frozen  bool          // outcomes count for nothing (I8)
	fenced  bool          // nothing is committed
	closing chan struct{} // closed with ending
	ended   chan struct{} // closed with fenced: the lane is over
	idle    chan struct{} // closed when nothing is in flight; nil: nobody waits for that
}

func (l *lane) Name() string { return l.name }

func (l *lane) Room() int64 {
	select {
	case <-l.closing:
		return 0
	default:
	}
	b := l.p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.room(l)
}

func (l *lane) Take(ctx context.Context, bytes int64) (pipeline.Charge, error) {
	c, err := l.p.budget.take(ctx, l, bytes)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// holdBack keeps the source from reading more of the lane, and the filler from making more
// records of it, until release has been called as often.
func (l *lane) holdBack() { l.holds.Add(1) }

func (l *lane) release() {
	if l.holds.Add(-1) == 0 {
		l.p.budget.regrant()
		l.p.hooks.lookAgain()
	}
}

func (l *lane) Ended() <-chan struct{} { return l.ended }

func (l *lane) End(ctx context.Context) (pipeline.EndReport, error) {
	defer l.p.rejects().suspend()()
	once := l.p.opts.readsOnce()
	return l.end(ctx, !once, func() {
		l.p.rejects().resume()
		if once { // what waits of it cannot be handed back
			l.p.steer.free(l)
		}
	})
}

func (l *lane) Finish(ctx context.Context) (pipeline.EndReport, error) {
	return l.end(ctx, false, func() {})
}

// end is End and Finish. With shut what has not begun is handed back; else all of it is
// finished. goOn is called when that is done. The report is what the lane's counts have changed by in between.
func (l *lane) end(ctx context.Context, shut bool, goOn func()) (pipeline.EndReport, error) {
	l.mu.Lock()
	if l.fenced {
		l.mu.Unlock()
		return pipeline.EndReport{}, nil
	}
	l.setEnding(shut)
	report := pipeline.EndReport{
		InFlight: int(l.inFlight - l.parts), Returned: -int(l.returned), Abandoned: -int(l.abandoned), Unread: -l.unreads,
	}
	made := l.made
	idle := l.whenIdle()
	shut = l.shut
	l.mu.Unlock()
	if shut {
		l.unread()
		if ctx.Err() == nil {
			l.p.hooks.handBack(l)
		}
	}
	goOn()
	l.p.wake()

	var err error
	if ctx.Err() == nil {
		select {
		case <-idle:
			err = l.p.hooks.commitLast(ctx, l)
		case <-ctx.Done():
		case <-l.ended:
		}
	}
	l.abandon(true)
	l.mu.Lock()
	report.InFlight += int(l.parts + l.made - made) // what waited goes on to be made records of, unless the lane is shut
	report.Returned += int(l.returned)
	report.Abandoned += int(l.abandoned) // also when the lane had been given up before
	report.Unread += l.unreads + l.waiting.Len()
	l.mu.Unlock()
	report.Drained = report.InFlight - report.Returned - report.Abandoned
	l.p.forget(l)
	if err != nil {
		return report, fmt.Errorf("ending lane %s: %w", l.name, err)
	}
	return report, nil
}

// setEnding has no further batch taken, and with shut no further record made of those that wait.
// The lane's lock is held.
func (l *lane) setEnding(shut bool) {
	if !l.ending {
		l.ending = true
		close(l.closing)
	}
	l.shut = l.shut || shut
}

// isIdle says whether nothing is in flight, and nothing will be once the lane is closed.
// The lane's lock is held.
func (l *lane) isIdle() bool {
	return l.inFlight == 0 && (l.shut || l.waiting.Len() == 0)
}

// whenIdle gives a channel that is closed when nothing is in flight. The lane's lock
// is held.
func (l *lane) whenIdle() <-chan struct{} {
	if l.idle == nil {
		l.idle = make(chan struct{})
		if l.isIdle() {
			close(l.idle)
		}
	}
	return l.idle
}

// tellIdle tells those who wait for it when nothing is in flight. The lane's lock is held.
func (l *lane) tellIdle() {
	if l.idle == nil || !l.isIdle() {
		return
	}
	select {
	case <-l.idle:
	default:
		close(l.idle)
	}
}

// abandon gives up the lane's records in flight and says how many there were. Their outcomes
// count for nothing from here on. With fence nothing is committed any more either (I8).
func (l *lane) abandon(fence bool) int64 {
	l.mu.Lock()
	l.setEnding(true)
	n := int64(0)
	if !l.frozen {
		l.frozen = true
		n = l.inFlight
		l.abandoned += n
		l.inFlight = 0
		l.p.meter.count(increments{abandoned: n}, n)
	}
	_, unsaved := l.unsavedMark()
	l.mu.Unlock()
	if n > 0 || fence && unsaved {
		l.p.hooks.laneAbandoned(l) // before the fence: a cycle that then finds no mark of the lane finds mustAbort set
	}
	l.mu.Lock()
	fencing := fence && !l.fenced
	if fencing {
		l.fenced = true
		close(l.ended)
	}
	l.mu.Unlock()
	l.cancel()
	l.cancelCalls()
	l.unread()
	if n > 0 {
		l.p.phase.noteOutcome()
	}
	// What waits for bytes of this lane keeps no other lane waiting any more.
	l.p.budget.regrant()
	return n
}

// isFrozen says whether the lane has been given up: no further work on its records counts.
func (l *lane) isFrozen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frozen
}

// A feed is the Feed of a pipeline: what its source sees of it.
type feed struct{ p *shared }

func (e feed) Room() <-chan struct{} { return e.p.use.room }

var errStopping = errors.New("opening a lane: the pipeline stops")

func (e feed) Lane(ctx context.Context, name string, committed int64) (pipeline.Lane, int64, error) {
	l, from, err := e.p.lane(ctx, name, committed)
	if err != nil {
		return nil, 0, err
	}
	return l, from, nil
}

// lane opens a lane, and says where the source has to start reading it.
func (p *shared) lane(ctx context.Context, name string, committed int64) (*lane, int64, error) {
	from := committed
	if p.opts.Transactor != nil {
		next, ok, err := p.opts.Transactor.Stored(ctx, name)
		if err != nil {
			return nil, 0, fmt.Errorf("opening lane %s: asking for the stored offset: %w", name, err)
		}
		if ok {
			from = next
		}
	}
	l := &lane{name: name, p: p, use: &p.use}
	l.closing, l.ended = make(chan struct{}), make(chan struct{})
	l.read, l.committed = from, from
	l.ring.Start(from)
	l.firstTime, l.lastTime = pipeline.NoTime, pipeline.NoTime
	l.writesCtx, l.cancel = context.WithCancel(p.work.ctx)
	l.stepsCtx, l.cancelCalls = context.WithCancel(l.writesCtx)
	if !p.steer.open(l) {
		l.cancel()
		l.cancelCalls()
		return nil, 0, errStopping
	}
	return l, from, nil
}

// coordinates gives the topic and the partition in the lane's name. A name without a partition,
// as that of a file, is a topic with partition 0.
func (l *lane) coordinates() (topic string, partition int64) {
	if i := strings.LastIndexByte(l.name, '/'); i >= 0 {
		if n, err := strconv.ParseInt(l.name[i+1:], 10, 32); err == nil {
			return l.name[:i], n
		}
	}
	return l.name, 0
}

// ages gives how long the oldest record without an outcome has been there, and the oldest that
// is not committed. Both are 0 for a lane that has been given up.
func (l *lane) ages(now time.Time) (oldest, uncommitted time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen {
		return 0, 0
	}
	if pc, ok := l.ring.Oldest(); ok {
		oldest = now.Sub(pc.read)
	}
	uncommitted = oldest
	if !l.dirtyAt.IsZero() {
		uncommitted = max(uncommitted, now.Sub(l.dirtyAt))
	}
	return oldest, uncommitted
}
