package event

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

const (
	queueBytes = 1 << 20
	lineCost   = 64       // bytes that a waiting line is charged on top of its text, for its mark
	keptBytes  = 64 << 10 // a larger buffer is given back once it is empty

	firstRetry = 100 * time.Millisecond // after a write that failed
	lastRetry  = 5 * time.Second        // a full disk is seen to have room again within this
	closeRetry = 10 * time.Millisecond  // while closing, of a writer that is only busy
)

// A rank says how much of a queue a line may use: the more, the more is lost with the line.
// Stats come again, with totals; a change of state does not; and how the process has ended is
// written once, at the end.
type rank uint8

const (
	ordinary rank = iota // free lines below warn, stats: half of the queue
	notable              // warnings, errors, changes: seven eighths
	last                 // process.stopping and process.stopped: all of it
)

var lastEvents = set("process.stopping", "process.stopped")

func eventRank(name string) rank {
	switch {
	case lastEvents[name]:
		return last
	case statsEvents[name] && name != "log.suppressed":
		return ordinary
	}
	return notable
}

// A lineKind is what a queue knows of a line.
type lineKind struct {
	event, level string
	rank         rank
}

func freeKind(l zerolog.Level) lineKind {
	k := lineKind{event: Free, level: levelName(l)}
	if l >= zerolog.WarnLevel && l != zerolog.NoLevel {
		k.rank = notable
	}
	return k
}

// Reasons of log.suppressed.
const (
	reasonRepeated = "repeated"     // by the limiter
	reasonFull     = "queue_full"   // the writer is slower than the lines come, or hangs
	reasonWrite    = "write_failed" // the writer gives errors
)

// A lostKey names lines that are counted together.
type lostKey struct{ event, level, reason string }

// A Queue is a writer that never waits: it keeps whole lines, up to a mebibyte of them,
// for a goroutine of its own that writes them to the writer behind it, in order and one
// line a Write. A line that finds no room is dropped and counted, by event, level and
// reason; room is kept for warnings, and for the last lines of a process. As soon as
// the writer takes lines again, log.suppressed says what was dropped; then at most every
// ten seconds, and when nothing waits.
//
// A write that fails is tried again, where the line was torn, and nothing is written in
// between. Whatever becomes of the writer: Write returns at once, and without an error.
//
// Its methods are safe for concurrent use. Whoever makes a Queue closes it.
type Queue struct {
	w    io.Writer
	wake chan struct{} // holds one: there is something to do
	quit chan struct{} // closed: Close was called
	done chan struct{} // closed: the goroutine has ended

	mu           sync.Mutex
	text         []byte // lines that wait, but those that the goroutine has taken
	marks        []mark // their ends
	charged      int    // charged for all lines that wait
	counts       QueueCounts
	lost         map[lostKey]int64 // dropped and not reported
	reportedAt   time.Time         // of the last report
	failing      bool              // the last write gave an error; what is dropped has that reason
	closing      bool              // Close was called: nothing more is taken
	lastOnlyFrom time.Time         // while closing: from then on only lines of rank last are written
	ended        bool              // Close has returned: nothing more is written
	output       *output           // makes the reports; nil: nobody has made an Emitter
}

// A mark is where a line ends, and what it is.
type mark struct {
	end  int
	kind lineKind
}

// QueueCounts are the lines of a Queue since its start. What came in is the sum of all
// three; lines of log.suppressed that the queue makes are in none.
type QueueCounts struct {
	Written int64
	Dropped int64 // also at the end
	Waiting int64 // now
}

// NewQueue starts a queue before w. Calls of w come from one goroutine. When w is
// standard error, a reader that goes away ends a Go program by SIGPIPE: one that is to
// outlive it calls signal.Ignore(syscall.SIGPIPE).
func NewQueue(w io.Writer) *Queue {
	q := &Queue{
		w: w, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}), lost: map[lostKey]int64{},
	}
	go q.run()
	return q
}

// Write takes one line, which may be a text of several that belong together. It keeps
// no reference to p.
func (q *Queue) Write(p []byte) (int, error) {
	q.add(p, lineKind{Free, string(Info), notable})
	return len(p), nil
}

// WriteLevel implements zerolog.LevelWriter, for a logger that writes to the queue
// directly.
func (q *Queue) WriteLevel(l zerolog.Level, p []byte) (int, error) {
	q.add(p, freeKind(l))
	return len(p), nil
}

// Counts gives the counts now.
func (q *Queue) Counts() QueueCounts {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.counts
}

func (q *Queue) add(line []byte, kind lineKind) {
	q.mu.Lock()
	room := queueBytes
	switch kind.rank {
	case ordinary:
		room = queueBytes / 2
	case notable:
		room = queueBytes / 8 * 7
	}
	if cost := len(line) + lineCost; !q.closing && q.charged+cost <= room {
		q.text = append(q.text, line...)
		q.marks = append(q.marks, mark{len(q.text), kind})
		q.charged += cost
		q.counts.Waiting++
	} else {
		q.drop(kind)
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// drop counts a line that is not written. The caller holds mu.
func (q *Queue) drop(kind lineKind) {
	key := lostKey{kind.event, kind.level, reasonFull}
	if q.failing {
		key.reason = reasonWrite
	}
	q.lost[key]++
	q.counts.Dropped++
}

// Close has what waits written, and ends the queue. It waits for at most the time that it is
// given. When half of that has gone by, only process.stopping and process.stopped are still
// written, with a report of what was dropped for them: before a slow writer, how the process
// ended is the last to be lost. The error says what was not written. A Write under way keeps
// the goroutine until it returns, and is the last.
func (q *Queue) Close(within time.Duration) error {
	q.mu.Lock()
	if !q.closing {
		q.closing = true
		q.lastOnlyFrom = time.Now().Add(within / 2)
		close(q.quit)
	}
	q.mu.Unlock()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-q.done:
	case <-timer.C:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	if left := q.counts.Waiting; left > 0 {
		q.counts.Waiting, q.counts.Dropped = 0, q.counts.Dropped+left
		return fmt.Errorf("closing the log: %d lines were not written", left)
	}
	return nil
}

// run writes until the queue is closed.
func (q *Queue) run() {
	defer close(q.done)
	var text []byte
	var marks []mark
	for {
		var more bool
		if text, marks, more = q.take(text, marks); len(marks) == 0 {
			if !q.report(false) || !more {
				return
			}
			select {
			case <-q.wake:
			case <-q.quit:
			}
			continue
		}
		from := 0
		for _, m := range marks {
			line := text[from:m.end]
			from = m.end
			if q.skip(m.kind, len(line)) {
				continue
			}
			if m.kind.rank == last && !q.report(true) || !q.writeLine(line) {
				return
			}
			ended, dropped := q.wrote(len(line))
			if ended || dropped && !q.report(false) {
				return
			}
		}
	}
}

// take gives the lines that wait for the buffers of those that have been written. more
// is false when nothing waits and nothing will come.
func (q *Queue) take(text []byte, marks []mark) (_ []byte, _ []mark, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.marks) == 0 {
		if max(cap(text), cap(q.text)) > keptBytes {
			text, marks, q.text, q.marks = nil, nil, nil, nil
		}
		return text[:0], marks[:0], !q.closing
	}
	waiting, ends := q.text, q.marks
	q.text, q.marks = text[:0], marks[:0]
	return waiting, ends, true
}

// skip says whether a line is dropped so that those of rank last are written in time.
func (q *Queue) skip(kind lineKind, size int) bool {
	select {
	case <-q.quit:
	default:
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if kind.rank == last || time.Now().Before(q.lastOnlyFrom) {
		return false
	}
	q.release(size)
	q.drop(kind)
	return true
}

// release gives back what a waiting line was charged. The caller holds mu.
func (q *Queue) release(size int) {
	if q.ended {
		return // Close has counted it
	}
	q.charged -= size + lineCost
	q.counts.Waiting--
}

// wrote counts a line that has been written, and says whether Close has returned and whether
// there is something to report.
func (q *Queue) wrote(size int) (ended, dropped bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failing = false
	if !q.ended {
		q.counts.Written++
	}
	q.release(size)
	return q.ended, len(q.lost) > 0
}

// writeLine writes one line to its end, whatever errors the writer gives: a line that was
// written in part is continued before anything else is written. It is false when the queue is
// closed and the line could not be written.
func (q *Queue) writeLine(line []byte) bool {
	for pause := firstRetry; ; {
		n, err := q.w.Write(line)
		if line = line[min(max(n, 0), len(line)):]; len(line) == 0 {
			return true
		}
		ended, closing := q.noteWrite(err != nil)
		switch {
		case ended:
			return false
		case n > 0:
			pause = firstRetry // the writer takes bytes again
			continue
		case closing && !errors.Is(err, syscall.EAGAIN):
			return false
		case closing:
			pause = closeRetry
		}
		timer := time.NewTimer(pause)
		pause = min(2*pause, lastRetry)
		if closing {
			<-timer.C
			continue
		}
		select {
		case <-timer.C:
		case <-q.quit: // one more try
			timer.Stop()
		}
	}
}

// noteWrite notes whether a write failed that did not take the whole line, and says how far
// the end of the queue is.
func (q *Queue) noteWrite(failing bool) (ended, closing bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failing = failing
	return q.ended, q.closing
}

// report writes log.suppressed for what was dropped, when it is time for that. The lines
// do not pass the queue: they would be the next to be dropped. It is false when the
// queue is closed and they cannot be written.
func (q *Queue) report(now bool) bool {
	type drop struct {
		lostKey
		count int64
	}
	var all []drop
	q.mu.Lock()
	o := q.output
	if len(q.lost) > 0 && o != nil && (now || q.counts.Waiting == 0 || time.Since(q.reportedAt) >= limitWindow) {
		for key, count := range q.lost {
			all = append(all, drop{key, count})
		}
		clear(q.lost)
		q.reportedAt = time.Now()
	}
	q.mu.Unlock()
	slices.SortFunc(all, func(a, b drop) int {
		return cmp.Or(cmp.Compare(a.event, b.event), cmp.Compare(a.level, b.level), cmp.Compare(a.reason, b.reason))
	})
	for _, d := range all {
		if !q.writeLine(o.droppedLine(d.lostKey, d.count)) {
			return false
		}
	}
	return true
}
