package calls

import (
	"container/heap"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A schedule runs functions at times, one after another, in the virtual time of a bubble.
type schedule struct {
	began time.Time
	queue events
	order int
}

type plannedEvent struct {
	at    time.Time
	order int
	f     func()
}

type events []plannedEvent

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(plannedEvent)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

func newSchedule() *schedule { return &schedule{began: time.Now()} }

func (s *schedule) after(d time.Duration, f func()) {
	s.order++
	heap.Push(&s.queue, plannedEvent{time.Now().Add(max(d, 0)), s.order, f})
}

func (s *schedule) at() time.Duration { return time.Since(s.began) }

// run runs what is planned until done says so; it fails the test when there is nothing left to do.
func (s *schedule) run(t *testing.T, done func() bool) {
	t.Helper()
	for !done() {
		if len(s.queue) == 0 {
			t.Fatalf("at %v nothing is planned, and it is not done", s.at())
		}
		e := heap.Pop(&s.queue).(plannedEvent)
		time.Sleep(time.Until(e.at))
		e.f()
	}
}

// A server answers so many calls at once; others wait for it, in order.
type server struct {
	*schedule
	capacity int
	service  func() time.Duration
	busy     int
	queue    []func()
}

func (s *server) call(answered func()) {
	if s.busy >= s.capacity {
		s.queue = append(s.queue, answered)
		return
	}
	s.busy++
	s.after(s.service(), func() {
		s.busy--
		for len(s.queue) > 0 && s.busy < s.capacity {
			next := s.queue[0]
			s.queue = s.queue[1:]
			s.call(next)
		}
		answered()
	})
}

// A load keeps a step's slots busy with calls to one host.
type load struct {
	*schedule
	gates    *gates
	server   *server
	slots    int
	frozen   func() bool // whether the step releases nothing
	judge    func() error
	released int64
	done     int
	running  int
	most     int
	begun    int
	sum      time.Duration // of the latencies since mark
	counted  int
	head     *passage
}

func (l *load) pump() {
	for l.running < l.slots {
		if l.head == nil {
			c := l.gates.of("api.example")
			l.head = &c
		}
		wait, ok := l.head.enter(1, func() { l.after(0, l.pump) })
		if !ok {
			if wait > 0 {
				l.after(wait, l.pump)
			}
			return
		}
		c := l.head
		l.head = nil
		l.running++
		l.begun++
		l.most = max(l.most, l.running)
		began := time.Now()
		l.server.call(func() {
			l.running--
			l.done++
			if l.frozen == nil || !l.frozen() {
				l.released++
			}
			took := time.Since(began)
			l.sum += took
			l.counted++
			var err error
			if l.judge != nil {
				err = l.judge()
			}
			c.leave(pipeline.CallResult{Begun: true, Took: took, Released: l.released, Err: err})
			l.pump()
		})
	}
}

func newLoad(t *testing.T, capacity, slots int, s Settings, service func() time.Duration) *load {
	t.Helper()
	g, err := newGates(Env{Settings: s, Workers: slots})
	if err != nil {
		t.Fatal(err)
	}
	sch := newSchedule()
	return &load{schedule: sch, gates: g, slots: slots, server: &server{schedule: sch, capacity: capacity, service: service}}
}

// measure runs the load for d and gives answers a second, and the mean latency.
func (l *load) measure(t *testing.T, d time.Duration) (rate float64, mean time.Duration) {
	t.Helper()
	until, done := l.at()+d, l.done
	l.sum, l.counted = 0, 0
	l.run(t, func() bool { return l.at() >= until })
	return float64(l.done-done) / d.Seconds(), l.sum / time.Duration(max(l.counted, 1))
}
