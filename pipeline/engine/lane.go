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

// A lane is what the engine has of a [Lane]: its marks, its room, and what of it is under
// way.
type lane struct {
	name   string
	p      *shared
	shared *pipelineUse
	laneCalls

	holds     atomic.Int32  // places where too much of the lane waits
	congested atomic.Int32  // of these, waiting steps behind the first: it begins no more of the lane
	returns   atomic.Uint64 // the first place that is handed back, once the lane is cut; 0: none is
	unfilled  atomic.Int64  // bytes that wait to be made records

	laneUse
	laneFill
	laneWrites

	mu sync.Mutex // guards the rest
	laneBatches
	laneMarks
	laneCounts
	laneEnd
}

// laneCalls are the contexts of what is called with records of the lane.
type laneCalls struct {
	ctx         context.Context // of writes: ends when the lane is given up
	cancel      context.CancelFunc
	calls       context.Context // of steps: ends then too, and when the pipeline stops early
	cancelCalls context.CancelFunc
}

// laneUse is what the lane has of the budget, which guards it.
type laneUse struct {
	bytes   int64 // charged
	charges int
	records int64 // of the source, under way
}

// laneFill is what the filler knows of the lane. It guards queued; the rest is its own
// while it is busy with the lane, and else under the lane's lock.
type laneFill struct {
	queued bool   // to be filled
	block  *block // whose places are given out next
	each   int    // bytes that a record had in the last fill
}

// laneWrites is what transactions know of the lane, and guard.
type laneWrites struct {
	writeBefore uint64 // writes stop before this piece
	wrote       uint64 // one more than the highest piece that was written
	wroteIn     uint64 // the transaction in which it was
}

// laneBatches is what of the lane has been handed over, and waits.
type laneBatches struct {
	waiting      fifo.Queue[*laneBatch] // batches of which not all records are made
	filling      *laneBatch             // that the filler has; the first of waiting
	busy         bool                   // the filler is at the lane
	spareBatches []*laneBatch           // to be used again
	read         int64                  // the first offset that has not been handed over
	unreads      int                    // batches that were handed back, of which some had not been read
}

// laneMarks is how far the lane is (I5).
type laneMarks struct {
	ring      ring.Ring[*piece] // that the mark has not passed
	spare     []*piece
	committed int64
	dirtyAt   time.Time // when a mark moved first after the last commit
	firstTime int64     // of the first piece that the mark has passed since the last commit, or NoTime
	lastTime  int64     // of the last that it has passed
}

// laneCounts are the lane's records (I6).
type laneCounts struct {
	inFlight int64 // without an outcome, counted on their own
	lost     int64 // that were abandoned
	returned int64 // that were handed back
	parts    int64 // that splits have added
}

// laneEnd is how far the end of the lane is. A flag that is set has those before it set.
type laneEnd struct {
	ending  bool          // no further batch is taken
	shut    bool          // nor any further record made
	frozen  bool          // outcomes that come now go nowhere (I8)
	fenced  bool          // and nothing is committed any more
	closing chan struct{} // closed with ending
	ended   chan struct{} // closed with fenced: the lane is over
	idle    chan struct{} // closed when nothing is in flight, made by whoever waits for it
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

// holdBack keeps the source from reading more of the lane until release is called as
// often.
func (l *lane) holdBack() { l.holds.Add(1) }

func (l *lane) release() {
	if l.holds.Add(-1) == 0 {
		l.p.budget.regrant()
		l.p.above.lookAgain()
	}
}

func (l *lane) Ended() <-chan struct{} { return l.ended }

func (l *lane) End(ctx context.Context) (pipeline.EndReport, error) {
	return l.end(ctx, !l.p.opts.readsOnce())
}

func (l *lane) Finish(ctx context.Context) (pipeline.EndReport, error) { return l.end(ctx, false) }

func (l *lane) end(ctx context.Context, shut bool) (pipeline.EndReport, error) {
	l.mu.Lock()
	if l.fenced {
		l.mu.Unlock()
		return pipeline.EndReport{}, nil
	}
	l.close(shut)
	report := pipeline.EndReport{
		InFlight: int(l.inFlight - l.parts), Returned: -int(l.returned), Abandoned: -int(l.lost), Unread: -l.unreads,
	}
	idle := l.whenIdle()
	shut = l.shut
	l.mu.Unlock()
	if shut {
		l.unread()
		if ctx.Err() == nil {
			l.p.above.handBack(l)
		}
	}
	l.p.wake()

	var err error
	if ctx.Err() == nil {
		select {
		case <-idle:
			err = l.p.above.commitLast(ctx, l)
		case <-ctx.Done():
		case <-l.ended:
		}
	}
	l.abandon(true)
	l.mu.Lock()
	report.InFlight += int(l.parts)
	report.Returned += int(l.returned)
	report.Abandoned += int(l.lost) // also when the engine was first
	report.Unread += l.unreads + l.waiting.Len()
	l.mu.Unlock()
	report.Drained = report.InFlight - report.Returned - report.Abandoned
	l.p.forget(l)
	if err != nil {
		return report, fmt.Errorf("ending lane %s: %w", l.name, err)
	}
	return report, nil
}

// close admits no further batch; with shut no further record of those that wait either.
// The lane's lock is held.
func (l *lane) close(shut bool) {
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

// tellIdle tells whoever waits for it that nothing is in flight. The lane's lock is held.
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

// abandon gives up what is in flight and says how many records that was: their outcomes
// go nowhere from here on. With fence nothing is committed any more either (I8).
func (l *lane) abandon(fence bool) int64 {
	l.mu.Lock()
	l.close(true)
	n := int64(0)
	if !l.frozen {
		l.frozen = true
		n = l.inFlight
		l.lost += n
		l.inFlight = 0
		l.p.meter.count(increments{abandoned: n}, n)
	}
	_, unsaved := l.unsavedMark()
	l.mu.Unlock()
	if n > 0 || fence && unsaved {
		l.p.above.laneAbandoned(l) // before the fence: a commit that misses the lane's mark sees it
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
	l.p.budget.regrant() // it holds back nobody any more
	return n
}

// isFrozen says whether the lane's records need no further work.
func (l *lane) isFrozen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frozen
}

// engine is what the source sees of a pipeline: its Feed.
type engine struct{ p *shared }

func (e engine) Room() <-chan struct{} { return e.p.use.room }

var errStopping = errors.New("opening a lane: the pipeline stops")

func (e engine) Lane(ctx context.Context, name string, committed int64) (pipeline.Lane, int64, error) {
	l, from, err := e.p.lane(ctx, name, committed)
	if err != nil {
		return nil, 0, err
	}
	return l, from, nil
}

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
	l := &lane{name: name, p: p, shared: &p.use}
	l.closing, l.ended = make(chan struct{}), make(chan struct{})
	l.read, l.committed = from, from
	l.ring.Start(from)
	l.firstTime, l.lastTime = pipeline.NoTime, pipeline.NoTime
	l.ctx, l.cancel = context.WithCancel(p.work.ctx)
	l.calls, l.cancelCalls = context.WithCancel(l.ctx)
	if !p.lanes.add(l) {
		l.cancel()
		l.cancelCalls()
		return nil, 0, errStopping
	}
	return l, from, nil
}

// coordinates are the topic and the partition in the lane's name.
func (l *lane) coordinates() (topic string, partition int64) {
	if i := strings.LastIndexByte(l.name, '/'); i >= 0 {
		if n, err := strconv.ParseInt(l.name[i+1:], 10, 32); err == nil {
			return l.name[:i], n
		}
	}
	return l.name, 0
}

// ages gives how long the oldest record without an outcome, and the oldest that is
// not committed, have been there.
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
