package engine

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
	"github.com/penstockio/penstock/pipeline/event"
)

// This file is the queues in front of a sink, one for each lane.
//
// What it guarantees. Records of a lane leave its queue in the order in which they came (I1).
// Nobody who puts records into a queue waits: neither the router, which serves all lanes and all
// sinks, nor those who reject records, whose dead letters come here. A lane of which much waits
// is held back at its source, so that a queue holds little more than one full write beside the
// one under way, and the records of the lane that were on their way here (I4). A queue is dropped
// when its lane is over.
//
// How. A queue has a writer (write.go), which runs while there is something in the queue and ends
// when it is empty: an idle lane costs no goroutine. The writer takes from the queue as much as
// one Write may have. In a transaction that is being cut it passes over records that may not be
// written yet; they keep their place.
//
// Dropped. A bounded channel to each sink: a sink that stands would then hold up the router, and
// with it every lane and every other sink. High-water marks hold back only the lane that is too
// far ahead (docs/decisions/0005-lanes-held-back.md).

// A sink is a Sink at work: a queue for each lane, and a writer for each lane that
// has something in its queue.
type sink struct {
	p           *shared
	txn         *transactions // nil: records may be written at any time
	conf        Output
	letters     bool // it stores the dead letters
	crew        *crew.Crew
	events      *event.Emitter
	meter       *meter     // also of the sink of its name that it has replaced
	tally       *sinkTally // likewise
	tap         *tapPoint
	outstanding atomic.Int32 // Writes that have not returned
	alone       leftAlone
	parting     parting

	mu     sync.Mutex
	queues map[*lane]*sinkQueue
}

// A sinkTally is what a sink counts beside its meter.
type sinkTally struct {
	mu        sync.Mutex
	writing   int           // Writes under way
	since     time.Time     // up to when busy and heldTime are counted
	busy      time.Duration // while at least one Write was under way
	batches   int64         // Writes that have returned
	sizes     distribution  // records a Write
	heldLanes int           // how many lanes are held back because of this sink
	heldTime  time.Duration // while lanes were held back, each counted as its share of all lanes
}

func newSink(p *shared, txn *transactions, conf Output) *sink {
	s := &sink{
		p: p, txn: txn, conf: conf, crew: crew.New(), events: p.events.Step(conf.Name),
		queues: map[*lane]*sinkQueue{}, meter: new(meter), tally: new(sinkTally), tap: p.taps.point(conf.Name),
	}
	s.alone.init()
	s.parting.init()
	return s
}

// A lane is held back when more than highHalves halves of a full write wait in its queue, and let
// go again when no more than lowHalves halves do. The two differ so that a lane is not held
// back and let go with every write.
const (
	highHalves = 2
	lowHalves  = 1
)

// A sinkQueue holds the records that wait for one sink in one lane, and the writer that takes
// them. The writer runs while there are some.
type sinkQueue struct {
	s *sink
	l *lane

	mu       sync.Mutex
	queue    []item // the records that wait are those from head on
	head     int
	weight   int64         // bytes of those, as written counts them
	running  bool          // the writer runs
	heldBack bool          // the lane is held back because of this queue
	arrived  time.Time     // when a record came last into the empty queue
	more     chan struct{} // receives when records come while linger is set
	linger   bool          // the writer waits for more records

	atWork
	wrote  bool              // a Write has begun, at any time
	at     pipeline.Position // of the first record of the last Write
	closed bool              // the lane is over: no Write begins any more

	w      writer
	worker crew.Worker // runs w
}

// atWork is the part of a writer's state that others may look at. The writer alone changes it,
// under the queue's lock.
type atWork struct {
	batch   []item        // what is left of the batch, in order
	started time.Time     // when the last Write began
	stuck   time.Time     // when the first Write since the last progress began; zero: none has
	lastErr error         // why the last Write has to be tried again; nil: it has not
	fails   int           // how many Writes in a row had to be tried again without progress
	call    bool          // a Write is under way
	clock   *clock        // of that Write; nil: there is none
	stood   time.Duration // how long the clocks of earlier Writes since then stood still

	// Since when, and until when, no Write begins because the last that failed has said so (pipeline.RetryAfter).
	asked, askedUntil time.Time
	retryAt           time.Time // when the Write that failed last is tried again
}

// enqueue adds records of a lane, in order. It does not wait.
func (s *sink) enqueue(l *lane, recs []item) {
	s.meter.enter(int64(len(recs)))
	if s.tap.watched() {
		s.tap.look(TapBefore, recs, nil, time.Now())
	}
	s.put(l, recs)
}

// put is enqueue of records that are counted.
func (s *sink) put(l *lane, recs []item) {
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

// holdsMoreThan says whether more than n halves of a full write wait. The queue's lock is held.
func (q *sinkQueue) holdsMoreThan(n int) bool {
	return 2*(len(q.queue)-q.head) > n*q.s.conf.MaxRecords || 2*q.weight > int64(n)*int64(q.s.conf.MaxBytes)
}

// next takes the records of the next write from the queue. It gives false when there
// are none, or none that may be written now: then the writer ends.
func (q *sinkQueue) next(into []item) ([]item, bool) {
	txn := q.s.txn
	txn.lock()
	defer txn.unlock()
	q.mu.Lock()
	bytes := int64(0)
	limit := int64(q.s.conf.MaxBytes)
	n := q.head
	notYet := q.queue[:0:0] // records that may not be written yet
	for ; n < len(q.queue) && len(into) < q.s.conf.MaxRecords; n++ {
		rec := q.queue[n]
		if txn != nil && !txn.mayWrite(rec) {
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

// again notes that a Write has failed that is to be tried again, and gives after which wait.
func (q *sinkQueue) again(err error, ended time.Time) (wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	own, hint := q.s.conf.Retry.pause(q.fails), pipeline.RetryHint(err)
	if hint > own {
		q.asked, q.askedUntil = ended, ended.Add(hint)
	}
	q.fails++
	q.lastErr = err
	wait = max(own, hint, 1)
	q.retryAt = ended.Add(wait)
	return wait
}

// drop empties the queue and gives the records that were in it.
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

// allQueues gives the queues of all lanes at this moment.
func (s *sink) allQueues() []*sinkQueue {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.queues))
}

// startWriters starts the writers of all queues that hold records. It is for the beginning of a
// transaction, as writers that found nothing they might write have ended, and for those that were parked.
func (s *sink) startWriters() {
	for _, q := range s.allQueues() {
		q.mu.Lock()
		start := !q.running && (q.head < len(q.queue) || len(q.batch) > 0)
		q.running = q.running || start
		q.mu.Unlock()
		if start {
			q.start()
		}
	}
}

// lingerNoMore has writers look again that wait for more records.
func (s *sink) lingerNoMore() {
	for _, q := range s.allQueues() {
		q.mu.Lock()
		if q.linger {
			select {
			case q.more <- struct{}{}:
			default:
			}
		}
		q.mu.Unlock()
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

// began and done say that a Write begins and has returned.
func (s *sink) began(now time.Time) {
	t := s.tally
	t.mu.Lock()
	s.tick(now)
	t.writing++
	t.mu.Unlock()
	s.outstanding.Add(1)
}

func (s *sink) done(now time.Time, records int, took time.Duration) {
	s.outstanding.Add(-1)
	t := s.tally
	t.mu.Lock()
	s.tick(now)
	t.writing--
	t.batches++
	t.sizes.value(int64(records), 1)
	t.mu.Unlock()
	s.meter.mu.Lock()
	s.meter.lat.add(took, 1)
	s.meter.mu.Unlock()
}

// countHeld changes how many lanes are held back because of the sink by n.
func (s *sink) countHeld(n int) {
	t := s.tally
	t.mu.Lock()
	s.tick(time.Now())
	t.heldLanes += n
	t.mu.Unlock()
}

// tick counts busy and heldTime up to now. The tally's lock is held, and what they depend on is about
// to change.
func (s *sink) tick(now time.Time) {
	t := s.tally
	d := now.Sub(t.since)
	if t.writing > 0 {
		t.busy += d
	}
	if t.heldLanes > 0 {
		t.heldTime += d * time.Duration(t.heldLanes) / time.Duration(max(s.p.lanes.count(), t.heldLanes))
	}
	t.since = now
}
