package engine

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstockio/penstock/pipeline"
)

// A model of the window: it is driven by hand, one thing at a time, in any order that
// a step may do them in.
func TestWindowModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &windowModel{rt: rt, slots: rapid.IntRange(1, 5).Draw(rt, "slots"), gone: map[item]bool{}, last: map[string]int64{}}
		order, serial := Order(rapid.IntRange(0, 2).Draw(rt, "order")), Serial(rapid.IntRange(0, 2).Draw(rt, "serial"))
		m.w.init(rapid.IntRange(1, 12).Draw(rt, "size"), 40, m.slots, order, serial)
		m.w.several = func() bool { return len(m.lanes) > 1 }
		for range rapid.IntRange(1, 3).Draw(rt, "lanes") {
			m.lanes = append(m.lanes, testLane(t, order))
		}
		m.next = make([]int64, len(m.lanes))
		for range rapid.IntRange(10, 200).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0:
				m.arrive()
			case 1:
				m.begin()
			case 2:
				m.answer()
			case 3:
				m.due()
			case 4:
				m.send()
			}
			m.check()
		}
		for range 10_000 { // and to the end
			if m.w.waiting == 0 && m.w.taken == 0 {
				break
			}
			m.begin()
			m.due()
			m.answer()
			m.send()
			m.check()
		}
		if m.w.taken != 0 || m.w.waiting != 0 || m.w.unanswered != 0 || m.released != m.arrived {
			rt.Fatalf("at the end: %d held, %d waiting, %d unsolved, %d released of %d", m.w.taken, m.w.waiting, m.w.unanswered, m.released, m.arrived)
		}
		for _, wl := range m.w.lanes {
			if len(wl.calls)+wl.order.Len()+len(wl.keys)+len(wl.serial)+wl.taken != 0 || wl.heldBack {
				rt.Fatalf("something is left of a lane: %+v", wl)
			}
		}
	})
}

type windowModel struct {
	rt       *rapid.T
	w        window
	slots    int
	lanes    []*lane
	next     []int64
	running  []*call
	waiting  []*call // for a retry
	arrived  int
	released int
	gone     map[item]bool
	last     map[string]int64
}

func (m *windowModel) arrive() {
	i := rapid.IntRange(0, len(m.lanes)-1).Draw(m.rt, "lane")
	if m.w.full() {
		return
	}
	c := &chunk{lane: m.lanes[i]}
	for range rapid.IntRange(1, 20).Draw(m.rt, "n") {
		rec := item{
			&pipeline.Record{Position: pipeline.Position{Topic: "t", Partition: int32(i), Offset: m.next[i]}},
			&track{piece: &piece{lane: m.lanes[i]}, key: uint64(m.next[i] % 3)},
		}
		if m.next[i]%7 == 6 {
			rec.fail = &failure{}
			c.failed++
		}
		m.next[i]++
		m.arrived++
		c.recs = append(c.recs, rec)
	}
	m.w.add(c)
}

func (m *windowModel) begin() {
	if len(m.running) == m.slots {
		return
	}
	c := m.w.pick(func(wl *waitLane, rec item) *call {
		if ch := wl.pending.Peek(); ch.from == len(ch.recs) {
			wl.pending.Pop()
		}
		c := m.w.newCall()
		c.rec, c.wl = rec, wl
		return c
	})
	if c == nil {
		return
	}
	if c.rec.fail != nil {
		m.rt.Fatalf("a call of a rejected record")
	}
	if m.w.serial != SerialNone {
		for _, o := range append(m.running, m.waiting...) {
			if o.wl == c.wl && m.w.series(o.rec) == m.w.series(c.rec) {
				m.rt.Fatalf("%d begins while %d of its series is unsolved", c.rec.rec.Offset, o.rec.rec.Offset)
			}
		}
	}
	c.state = callRunning
	m.w.running++
	c.wl.running++
	m.running = append(m.running, c)
}

func (m *windowModel) answer() {
	if len(m.running) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.running)-1).Draw(m.rt, "call")
	c := m.running[i]
	m.running = append(m.running[:i:i], m.running[i+1:]...)
	m.w.running--
	c.wl.running--
	v := []verdict{pass, pass, pass, drop, fail, again}[rapid.IntRange(0, 5).Draw(m.rt, "verdict")]
	switch v {
	case again:
		c.state, c.timed = callRetrying, true
		m.waiting = append(m.waiting, c)
		return
	case drop:
		m.released++
		m.gone[c.rec] = true
	}
	c.result = v
	m.w.answered(c)
}

func (m *windowModel) due() {
	if len(m.waiting) == 0 {
		return
	}
	c := m.waiting[0]
	m.waiting = m.waiting[1:]
	c.state = callDue
	m.w.retries.Push(c)
}

func (m *windowModel) send() {
	if m.w.ready.Len() == 0 {
		return
	}
	wl := m.w.ready.Pop()
	wl.ready = false
	places := 0
	for wl.out.Len() > 0 {
		r := wl.out.Pop()
		places += r.places
		if m.gone[r.rec] {
			m.rt.Fatalf("%d is released twice", r.rec.rec.Offset)
		}
		m.gone[r.rec] = true
		m.released++
		name := fmt.Sprint(r.rec.rec.Partition)
		switch m.w.order {
		case OrderNone:
			continue
		case OrderKey:
			name += fmt.Sprint("/", r.rec.key)
		}
		if r.rec.rec.Offset < m.last[name] {
			m.rt.Fatalf("%s: %d after %d (I1)", name, r.rec.rec.Offset, m.last[name])
		}
		m.last[name] = r.rec.rec.Offset
	}
	m.w.free(wl, places)
}

func (m *windowModel) check() {
	w := &m.w
	if w.taken > w.size || w.taken < 0 || len(m.running) != w.running {
		m.rt.Fatalf("%d places of %d, %d running of %d", w.taken, w.size, w.running, len(m.running))
	}
	held, waiting, away := 0, 0, 0
	for _, wl := range w.lanes {
		held += wl.taken
		waiting += wl.waiting
		if wl.heldBack {
			away += wl.waiting
		}
		if got := wl.lane.holds.Load() > 0; got != wl.heldBack {
			m.rt.Fatalf("a lane is held back: %v, want %v", got, wl.heldBack)
		}
	}
	if held != w.taken || waiting != w.waiting || away != w.waitingHeldBack {
		m.rt.Fatalf("sums: %d, %d, %d; kept: %d, %d, %d", held, waiting, away, w.taken, w.waiting, w.waitingHeldBack)
	}
}
