package websocketsink

import (
	"container/heap"
	"slices"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// turnTime is about how long a turn takes: a cheap filter waits no longer for one that is not, and one evaluation takes less.
const turnTime = time.Millisecond

// Turns are the time that all filters have, shared out fairly: the next turn is of the filter that has had least. So a filter that takes
// long for each record waits for itself, and one that takes little hardly waits.
//
// A filter that is new, or has had nothing to do, counts as if it had had as much as the one that was served last: nobody saves time
// up, and nobody gains by giving new filters, or by many clients with the same.
type turns struct {
	mu      sync.Mutex
	free    int           // turns that nobody has
	served  time.Duration // what the filter that was served last had had before
	asked   uint64
	waiting turnQueue // empty while a turn is free
}

// A share is what a filter has of the turns. All of it is under their lock.
type share struct {
	had     time.Duration   // so far; a turn that it has now counts as turnTime
	waiting []chan struct{} // of its clients; each is closed with the turn
	asked   uint64          // of those that have had the same the first to ask is served first
	place   int             // in the queue
}

// take waits for a turn of a filter. false: the client is over, and has none.
func (t *turns) take(f *share, c *client) bool {
	t.mu.Lock()
	if len(f.waiting) == 0 {
		f.had = max(f.had, t.served)
	}
	if t.free > 0 {
		t.free--
		t.serve(f)
		t.mu.Unlock()
		return true
	}
	ready := make(chan struct{})
	f.waiting = append(f.waiting, ready)
	if len(f.waiting) == 1 {
		t.ask(f)
		heap.Push(&t.waiting, f)
	}
	t.mu.Unlock()
	select {
	case <-ready:
		return true
	case <-c.dropped:
	case <-c.gone:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(f.waiting, ready)
	if i < 0 { // it has just got it
		t.back(f, 0)
		return false
	}
	f.waiting = slices.Delete(f.waiting, i, i+1)
	if len(f.waiting) == 0 {
		heap.Remove(&t.waiting, f.place)
	}
	return false
}

// give ends a turn that has taken so long.
func (t *turns) give(f *share, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.back(f, took)
}

// The lock is held in all that follows.

func (t *turns) ask(f *share) {
	t.asked++
	f.asked = t.asked
}

// serve counts a turn as the filter's.
func (t *turns) serve(f *share) {
	t.served = max(t.served, f.had)
	f.had += turnTime
}

// back takes a turn back, and gives it to who is next.
func (t *turns) back(f *share, took time.Duration) {
	f.had += took - turnTime
	if len(f.waiting) > 0 {
		heap.Fix(&t.waiting, f.place)
	}
	if len(t.waiting) == 0 {
		t.free++
		return
	}
	next := t.waiting[0]
	t.serve(next)
	close(next.waiting[0])
	next.waiting = slices.Delete(next.waiting, 0, 1)
	if len(next.waiting) == 0 {
		heap.Remove(&t.waiting, next.place)
		return
	}
	t.ask(next)
	heap.Fix(&t.waiting, next.place)
}

// A turnQueue is a heap of filters with clients that wait: the first is the one to serve next.
type turnQueue []*share

// Len implements heap.Interface.
func (q turnQueue) Len() int { return len(q) }

// Less implements heap.Interface.
func (q turnQueue) Less(i, j int) bool {
	return q[i].had < q[j].had || q[i].had == q[j].had && q[i].asked < q[j].asked
}

// Swap implements heap.Interface.
func (q turnQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push implements heap.Interface.
func (q *turnQueue) Push(f any) {
	f.(*share).place = len(*q)
	*q = append(*q, f.(*share))
}

// Pop implements heap.Interface.
func (q *turnQueue) Pop() any {
	last := len(*q) - 1
	f := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return f
}

// A look is a client that looks at messages with its filter, with a turn where it needs one. It has to be ended.
type look struct {
	client *client
	rec    *pipeline.Record // room
	turn   bool
	since  time.Time // its turn began
}

// fits says whether the client is to get a message. ok is false when the client is over, which is found out between any two messages.
func (l *look) fits(m *message) (fit, ok bool) {
	if _, over := l.client.over(); over {
		return false, false
	}
	f := l.client.filter
	if f == nil {
		return true, true
	}
	if fit, ok := f.known(m); ok {
		return fit, true
	}
	if !l.turn {
		if !l.client.sink.filters.turns.take(&f.share, l.client) {
			return false, false
		}
		l.turn, l.since = true, time.Now()
	}
	fit = f.fits(m, l.rec)
	if time.Since(l.since) >= turnTime {
		l.end()
	}
	return fit, true
}

// end gives its turn back.
func (l *look) end() {
	if l.turn {
		l.turn = false
		l.client.sink.filters.turns.give(&l.client.filter.share, time.Since(l.since))
	}
}
