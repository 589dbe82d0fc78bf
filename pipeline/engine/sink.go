package engine

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
	"github.com/penstockio/penstock/pipeline/event"
)

// A sink is a Sink at work: a queue for each lane, and a writer for each lane that
// has something in its queue.
type sink struct {
	p       *shared
	txn     *transactions // nil: whoever has something may write
	conf    Output
	letters bool // it stores the dead letters
	crew    *crew.Crew
	events  *event.Emitter
	meter   meter
	calls   atomic.Int32 // Writes outstanding

	mu        sync.Mutex
	queues    map[*lane]*sinkQueue
	writing   int       // Writes at work
	since     time.Time // when writing or that changed last
	busy      time.Duration
	batches   int64
	sizes     distribution
	heldLanes int           // lanes held back
	heldTime  time.Duration // while there were, in share of the lanes
}

func newSink(p *shared, txn *transactions, conf Output) *sink {
	return &sink{
		p: p, txn: txn, conf: conf, crew: crew.New(), events: p.events.Step(conf.Name),
		queues: map[*lane]*sinkQueue{},
	}
}

// A lane is left out of the next fetches while this many writes' worth of it wait,
// and until fewer than the other do.
const (
	highHalves = 2
	lowHalves  = 1
)

// A sinkQueue holds what one lane has for one sink. Its writer runs while there is
// something.
type sinkQueue struct {
	s *sink
	l *lane

	mu       sync.Mutex
	queue    []item
	head     int
	weight   int64
	running  bool
	heldBack bool // the lane is held back because of this queue
	arrived  time.Time
	more     chan struct{} // told of arrivals, when the writer lingers
	linger   bool

	atWork
	wrote  bool              // a Write has begun
	at     pipeline.Position // of its first record
	closed bool              // the lane is over: no Write begins any more

	w      writer
	worker crew.Worker // that runs w
}

// atWork is what is known of the write at work: its writer's, and under the queue's lock
// for those who look from outside.
type atWork struct {
	batch   []item    // being written, in order
	started time.Time // of the Write
	stuck   time.Time // when the batch made no progress first
	lastErr error
	fails   int  // attempts without progress
	call    bool // a Write is under way
}

// enqueue adds records of a lane, in order. It does not wait.
func (s *sink) enqueue(l *lane, recs []item) {
	s.meter.enter(int64(len(recs)))
	s.mu.Lock()
	q := s.queues[l]
	if q == nil {
		q = &sinkQueue{s: s, l: l, more: make(chan struct{}, 1)}
		q.w.init(q)
		q.worker = crew.Worker{Crew: s.crew, Work: q.w.work, Panicked: onPanic(q.w.panicked)}
		s.queues[l] = q
	}
	s.mu.Unlock()

	weight := int64(0)
	for _, r := range recs {
		weight += r.written()
	}
	q.mu.Lock()
	if q.head == len(q.queue) {
		q.queue, q.head = q.queue[:0], 0
		q.arrived = time.Now()
	}
	q.queue = append(q.queue, recs...)
	q.weight += weight
	hold := !q.heldBack && !s.letters && q.holdsMoreThan(highHalves)
	if hold {
		q.heldBack = true
	}
	start := !q.running
	q.running = true
	if q.linger {
		select {
		case q.more <- struct{}{}:
		default:
		}
	}
	q.mu.Unlock()
	if hold {
		l.holdBack()
		s.countHeld(1)
	}
	if start {
		q.start()
	}
}

// holdsMoreThan says whether more than n writes' worth waits. The queue's lock is held.
func (q *sinkQueue) holdsMoreThan(n int) bool {
	return 2*(len(q.queue)-q.head) > n*q.s.conf.MaxRecords || 2*q.weight > int64(n)*int64(q.s.conf.MaxBytes)
}

// next takes the records of the next write from the queue. It gives false when there
// are none, or none that may be written: then the writer ends.
func (q *sinkQueue) next(into []item) ([]item, bool) {
	txn := q.s.txn
	txn.lock()
	defer txn.unlock()
	q.mu.Lock()
	bytes := int64(0)
	limit := int64(q.s.conf.MaxBytes)
	n := q.head
	notYet := q.queue[:0:0] // that may not be written yet
	for ; n < len(q.queue) && len(into) < q.s.conf.MaxRecords; n++ {
		rec := q.queue[n]
		if txn != nil && !txn.admits(rec) {
			notYet = append(notYet, rec)
			continue
		}
		size := rec.written()
		if len(into) > 0 && bytes+size > limit {
			break
		}
		bytes += size
		into = append(into, rec)
	}
	q.weight -= bytes
	clear(q.queue[q.head:n])
	q.head = n - copy(q.queue[n-len(notYet):n], notYet)
	txn.took(into)
	if q.head == len(q.queue) {
		q.queue, q.head, q.weight = q.queue[:0], 0, 0
	} else if q.head > 4096 && q.head > len(q.queue)/2 {
		q.queue = q.queue[:copy(q.queue, q.queue[q.head:])]
		q.head = 0
	}
	release := q.heldBack && !q.holdsMoreThan(lowHalves)
	if release {
		q.heldBack = false
	}
	if len(into) == 0 {
		q.running = false
	}
	q.batch = into
	q.mu.Unlock()
	if release {
		q.l.release()
		q.s.countHeld(-1)
	}
	return into, len(into) > 0
}

// drop gives up what waits in the queue.
func (q *sinkQueue) drop() []item {
	q.mu.Lock()
	recs := append([]item(nil), q.queue[q.head:]...)
	clear(q.queue)
	q.queue, q.head, q.weight = q.queue[:0], 0, 0
	release := q.heldBack
	q.heldBack = false
	q.mu.Unlock()
	if release {
		q.l.release()
		q.s.countHeld(-1)
	}
	return recs
}

// forgetLane forgets the queue of a lane that has ended. Its writer, if one is at
// work, ends by itself; the sink hears of the end when no Write is under way.
func (s *sink) forgetLane(l *lane) {
	s.mu.Lock()
	q := s.queues[l]
	delete(s.queues, l)
	s.mu.Unlock()
	if q == nil {
		return
	}
	s.abandon(l, q.drop())
	q.mu.Lock()
	q.closed = true
	tell := !q.call
	q.mu.Unlock()
	if tell {
		q.tellLaneEnded()
	}
}

// tellLaneEnded lets the sink know that the lane is over. The queue is closed, and no Write of it
// is under way: it comes once, from whoever was last.
func (q *sinkQueue) tellLaneEnded() {
	e, ok := q.s.conf.Sink.(pipeline.LaneEnder)
	if !ok || !q.wrote {
		return
	}
	err := guarded(func() error { e.LaneEnded(q.at.Topic, q.at.Partition); return nil })
	if err != nil {
		q.s.p.stop(fmt.Errorf("%s: ending lane %s: %w", q.s.conf.Name, q.l.name, err))
	}
}

// forget drops the queue of a lane that is over, if the lane has come back to it after
// laneOver: the router may have looked at the lane just before.
func (s *sink) forget(q *sinkQueue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queues[q.l] == q && q.l.isFrozen() {
		delete(s.queues, q.l)
	}
}

// startWriters starts the writers of all queues that have something.
func (s *sink) startWriters() {
	s.mu.Lock()
	queues := make([]*sinkQueue, 0, len(s.queues))
	for _, q := range s.queues {
		queues = append(queues, q)
	}
	s.mu.Unlock()
	for _, q := range queues {
		q.mu.Lock()
		start := !q.running && q.head < len(q.queue)
		q.running = q.running || start
		q.mu.Unlock()
		if start {
			q.start()
		}
	}
}

func (q *sinkQueue) start() { q.worker.Start() }

// abandon gives up records that the sink had taken in.
func (s *sink) abandon(l *lane, recs []item) {
	if len(recs) > 0 {
		n := int64(len(recs))
		s.meter.count(increments{abandoned: n}, n)
		l.finish(recs, abandoned)
	}
}

// began and done keep the time during which something is written.
func (s *sink) began(now time.Time) {
	s.mu.Lock()
	s.tick(now)
	s.writing++
	s.mu.Unlock()
	s.calls.Add(1)
}

func (s *sink) done(now time.Time, records int, took time.Duration) {
	s.calls.Add(-1)
	s.mu.Lock()
	s.tick(now)
	s.writing--
	s.batches++
	s.sizes.value(int64(records), 1)
	s.mu.Unlock()
	s.meter.mu.Lock()
	s.meter.lat.add(took, 1)
	s.meter.mu.Unlock()
}

// countHeld counts the lanes that are held back because of the sink.
func (s *sink) countHeld(n int) {
	s.mu.Lock()
	s.tick(time.Now())
	s.heldLanes += n
	s.mu.Unlock()
}

func (s *sink) tick(now time.Time) {
	d := now.Sub(s.since)
	if s.writing > 0 {
		s.busy += d
	}
	if s.heldLanes > 0 {
		s.heldTime += d * time.Duration(s.heldLanes) / time.Duration(max(s.p.lanes.count(), s.heldLanes))
	}
	s.since = now
}

// load of a sink: it is busy while it writes for any lane.
func (s *sink) load(now time.Time) load {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick(now)
	return load{busy: s.busy, all: now.Sub(s.p.phase.began), heldTime: s.heldTime}
}

// holdup finds the lane that has had no progress longest.
func (s *sink) holdup(now time.Time) (h holdup) {
	s.mu.Lock()
	queues := make([]*sinkQueue, 0, len(s.queues))
	for _, q := range s.queues {
		queues = append(queues, q)
	}
	s.mu.Unlock()
	for _, q := range queues {
		q.mu.Lock()
		if !q.stuck.IsZero() && len(q.batch) > 0 {
			if age := now.Sub(q.stuck); age > h.age {
				h = holdup{
					age: age, at: q.batch[0].rec.Position, lane: q.l.name, attempt: q.fails + 1, err: q.lastErr,
				}
			}
		}
		q.mu.Unlock()
	}
	return h
}

func (s *sink) snapshot(now time.Time) SinkSnapshot {
	out := SinkSnapshot{Name: s.conf.Name, Kind: s.conf.Kind, Report: s.p.reportOf(s.conf.Sink)}
	s.mu.Lock()
	out.Batches, out.BatchRecords = s.batches, s.sizes.latest(1)
	s.mu.Unlock()
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	out.Counts, out.Write = s.meter.counts, s.meter.lat.latest(1000)
	return out
}

func (s *sink) inFlight(now time.Time, add func(InFlight)) {
	s.mu.Lock()
	queues := make([]*sinkQueue, 0, len(s.queues))
	for _, q := range s.queues {
		queues = append(queues, q)
	}
	s.mu.Unlock()
	for _, q := range queues {
		q.mu.Lock()
		one := func(rec item, state string, attempt int) {
			add(InFlight{
				Position: rec.rec.Position, Lane: q.l.name, Where: s.conf.Name, State: state,
				Attempt: attempt, Age: now.Sub(rec.piece.read),
			})
		}
		state := "retrying"
		if q.call {
			state = "writing"
		}
		for _, rec := range q.batch {
			one(rec, state, q.fails+1)
		}
		for _, rec := range q.queue[q.head:] {
			one(rec, "queued", 0)
		}
		q.mu.Unlock()
	}
}
