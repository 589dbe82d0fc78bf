package reorder

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A thing is what the model knows of a thing. It is called by its index in model.things.
type thing struct {
	lane     *modelLane
	number   uint64
	key      uint64
	rejected bool
	defers   bool // it leaves behind what has not begun
	called   bool // a call of it has begun
	place    *Place[int]
	state    State // while it is in the window
	out      bool  // it was released
	gone     bool  // it was taken out, or given up
}

// busy says whether somebody has the call in hand, and is going to say what came of it.
func (th *thing) busy() bool { return th.state == Asking || th.state == Refused || th.state == Running }

// A modelLane is what the model has of a lane.
type modelLane struct {
	Lane[int]
	next      uint64 // number
	waiting   []int
	inside    []int // admitted and neither released nor taken out, in order
	taken     int
	running   int
	begun     uint64
	held      bool
	congested bool
	paused    bool
	dropped   bool
	out       int // released, and not sent on
	among     int // how many lanes the window had at the last change of this one
}

// A model drives a window by hand, one thing at a time, in any order in which workers and a
// sender may come, and knows by simpler means what the window has to do.
type model struct {
	rt     *rapid.T
	w      *Window[int]
	conf   Config[int]
	things []thing
	lanes  []*modelLane // that are open
	over   []*modelLane // dropped, with something left
	others int          // lanes that are open and never come here

	asks      bool  // calls ask for their entrance
	asking    []int // in no order, as all these
	throttled []int
	refused   []int
	running   []int
	retrying  []int
	due       []int // retries and throttled calls that may ask again, in the order in which they came due
	spare     []*Place[int]

	// Workers that have a call are those of asking and running.
	looking int // that are about to pick
	idle    int // that wait to be woken

	// A lane was dropped, paused or handed back, which may leave more to others: nobody is
	// woken for that.
	shifted bool
}

func drawModel(rt *rapid.T) *model {
	size := rapid.OneOf(rapid.Just(1), rapid.IntRange(1, 12), rapid.IntRange(13, 40))
	m := &model{rt: rt, others: rapid.IntRange(0, 1).Draw(rt, "lanes elsewhere"), asks: rapid.Bool().Draw(rt, "calls ask")}
	m.conf = Config[int]{
		Size:    size.Draw(rt, "size"),
		Slots:   rapid.SampledFrom([]int{8, 1, 4, 2, 3}).Draw(rt, "slots"),
		Backlog: rapid.OneOf(rapid.IntRange(1, 4), rapid.IntRange(5, 40)).Draw(rt, "backlog"),
		Order:   Order(rapid.IntRange(0, 2).Draw(rt, "order")),
		Serial:  Serial(rapid.IntRange(0, 2).Draw(rt, "serial")),
		Several: m.several, Wake: m.wake, Release: m.release,
	}
	m.looking = m.conf.Slots
	m.w = New(m.conf)
	m.open()
	return m
}

// Whatever comes in whatever order, things leave once and in order, and nobody has more than
// is due.
func TestWindowModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := drawModel(rt)
		steps := []func(*model){
			(*model).begin, (*model).answer, (*model).arrive, (*model).send, (*model).begin, (*model).answer, (*model).arrive,
			(*model).retry, (*model).comeDue, (*model).begin, (*model).answer, (*model).retry, (*model).handBack, (*model).open,
			(*model).pause, (*model).drop, (*model).letIn, (*model).hold, (*model).askAgain, (*model).letIn, (*model).hold,
			(*model).askAgain, (*model).askFurther, (*model).refuse, (*model).endRefused,
		}
		for range 400 * rapid.IntRange(1, 4).Draw(rt, "steps") {
			steps[rapid.IntRange(0, len(steps)-1).Draw(rt, "what")](m)
			m.check()
		}
		if rapid.Bool().Draw(rt, "given up") {
			m.giveUp()
		} else {
			m.finish()
		}
		m.empty()
	})
}

// finish goes on until nothing is left.
func (m *model) finish() {
	for _, l := range m.lanes {
		if l.paused {
			m.letOn(l)
		}
	}
	for range 100_000 {
		if c := m.w.Counts(); c.Waiting == 0 && c.Taken == 0 {
			break
		}
		m.begin()
		m.letIn()
		m.askAgain()
		m.endRefused()
		m.comeDue()
		m.answer()
		m.send()
		m.check()
	}
	for i, th := range m.things {
		if !th.out && !th.gone {
			m.rt.Fatalf("%d does not come out", i)
		}
	}
}

// giveUp gives up what is left, as when everything ends.
func (m *model) giveUp() {
	early := rapid.Bool().Draw(m.rt, "calls end first")
	for range 2 {
		for early && len(m.running)+len(m.asking)+len(m.refused) > 0 {
			m.abandon(slices.Concat(m.running, m.asking, m.refused)[0])
		}
		for len(m.lanes) > 0 {
			m.dropLane(m.lanes[0])
		}
		early = true
	}
	for _, l := range m.over {
		m.sendFrom(l, l.out)
	}
}

// empty says that nothing is left of anything.
func (m *model) empty() {
	want := Counts{Lanes: len(m.lanes)}
	if got := m.w.Counts(); got != want || m.w.waitingHeldBack != 0 {
		m.rt.Fatalf("at the end: %+v, and %d of held back lanes", got, m.w.waitingHeldBack)
	}
	for _, l := range m.lanes {
		if len(l.calls)+l.order.Len()+len(l.keys)+len(l.serial)+len(l.deferred.held)+l.Lane.taken+l.Lane.running != 0 || l.held || l.congested {
			m.rt.Fatalf("something is left of a lane: %+v", l)
		}
	}
	for _, l := range m.over {
		if len(l.calls)+l.Lane.taken+l.Lane.running != 0 || l.held || l.congested {
			m.rt.Fatalf("something is left of a lane that was dropped: %+v", l)
		}
	}
}

// The hooks of the window.

func (m *model) several() bool { return len(m.lanes)+m.others > 1 }

func (m *model) wake(n int) {
	n = min(n, m.idle)
	m.idle -= n
	m.looking += n
}

func (m *model) release(of int) (gone bool) {
	th := &m.things[of]
	l := th.lane
	if th.state != Answered || th.out || th.gone {
		m.rt.Fatalf("%d is released: state %d, out %v, gone %v", of, th.state, th.out, th.gone)
	}
	if first := m.before(of); first >= 0 {
		m.rt.Fatalf("%d is released before %d (I1)", of, first)
	}
	th.out = true
	l.begun = max(l.begun, th.number)
	l.inside = without(l.inside, of)
	*th.place = Place[int]{} // it may be any other's now
	m.spare = append(m.spare, th.place)
	if !th.rejected && rapid.IntRange(0, 3).Draw(m.rt, "goes on") == 0 {
		l.taken--
		l.among = m.w.Counts().Lanes
		return true
	}
	l.out++
	return false
}

// The hooks of a lane.

func (m *model) admit(l *modelLane) *Place[int] {
	switch {
	case len(l.waiting) == 0:
		m.rt.Fatalf("nothing waits, and it is asked for")
	case m.taken() >= m.conf.Size:
		m.rt.Fatalf("a place is taken beyond %d", m.conf.Size)
	case !m.mayAdmit(l):
		m.rt.Fatalf("a lane with %d places and %d calls gets more: %d places are taken", l.taken, l.running, m.taken())
	case m.turn() > 0:
		m.rt.Fatalf("a new one is admitted before what has begun")
	}
	of := l.waiting[0]
	th := &m.things[of]
	l.waiting = l.waiting[1:]
	l.inside = append(l.inside, of)
	l.taken++
	l.among = m.w.Counts().Lanes
	switch {
	case th.rejected:
		th.state = Answered
	case m.inSeriesBefore(of) >= 0:
		th.state = Parked
	default:
		th.state = Due
	}
	th.place = &Place[int]{}
	if n := len(m.spare); n > 0 {
		th.place, m.spare = m.spare[n-1], m.spare[:n-1]
	}
	th.place.Set(of, th.number, th.key, th.rejected)
	if th.rejected && th.number%2 == 0 {
		th.defers = true
		th.place.Defer()
	}
	return th.place
}

func (m *model) holdBack(l *modelLane, yes bool) {
	if yes == l.held {
		m.rt.Fatalf("a lane is held back twice, or let on twice: %v", yes)
	}
	if must, may := m.holds(l); !l.dropped && (yes && !must || !yes && may) {
		m.rt.Fatalf("a lane is held back, or let on: %v, %s", yes, m.load(l))
	}
	l.held = yes
}

func (m *model) congest(l *modelLane, yes bool) {
	if yes == l.congested {
		m.rt.Fatalf("a lane is congested twice, or twice not: %v", yes)
	}
	l.congested = yes
}

// What is done to the window.

func (m *model) open() {
	if len(m.lanes) == 4 {
		return
	}
	l := &modelLane{next: 1}
	m.w.Open(&l.Lane, LaneHooks[int]{
		Next:      func() *Place[int] { return m.admit(l) },
		HoldBack:  func(yes bool) { m.holdBack(l, yes) },
		Congested: func(yes bool) { m.congest(l, yes) },
		Paused:    func() bool { return l.paused },
	})
	m.lanes = append(m.lanes, l)
	l.among = len(m.lanes)
}

// lane draws one that is open, nil when none is.
func (m *model) lane() *modelLane {
	if len(m.lanes) == 0 {
		return nil
	}
	return rapid.SampledFrom(m.lanes).Draw(m.rt, "lane")
}

func (m *model) arrive() {
	l := m.lane()
	if l == nil || m.w.Full() {
		return
	}
	n := rapid.IntRange(1, 20).Draw(m.rt, "n")
	for range n {
		m.things = append(m.things, thing{lane: l, number: l.next, key: l.next / 2 % 3, rejected: l.next%7 == 6})
		l.waiting = append(l.waiting, len(m.things)-1)
		l.next += 1 + l.next%3%2
	}
	l.among = len(m.lanes)
	m.w.Add(&l.Lane, n)
}

// begin has a worker look for a call.
func (m *model) begin() {
	if m.looking == 0 {
		return
	}
	m.looking--
	of, ok := m.w.Pick()
	if !ok {
		m.idle++
		if m.mayBegin() {
			m.rt.Fatalf("no call is given, though one may begin")
		}
		return
	}
	th := &m.things[of]
	switch {
	case th.rejected || th.state != Due || th.gone:
		m.rt.Fatalf("a call of %d: rejected %v, state %d, gone %v", of, th.rejected, th.state, th.gone)
	case len(m.due) > 0 && of != m.due[0]:
		m.rt.Fatalf("%d begins before the retry of %d, which is due", of, m.due[0])
	}
	if before := m.inSeriesBefore(of); before >= 0 {
		m.rt.Fatalf("%d begins while %d of its series has no answer", of, before)
	}
	if len(m.due) > 0 {
		m.due = m.due[1:]
	}
	th.lane.running++
	if m.asks {
		th.state = Asking
		m.asking = append(m.asking, of)
		m.w.Ask(th.place)
		return
	}
	m.run(of)
}

// run has a call begin that has a slot.
func (m *model) run(of int) {
	th := &m.things[of]
	th.state, th.called = Running, true
	th.lane.begun = max(th.lane.begun, th.number)
	m.running = append(m.running, of)
	m.w.Begin(th.place)
}

// from draws a call of a list, of a lane that is still there; -1: there is none.
func (m *model) from(list []int) int {
	if len(list) == 0 {
		return -1
	}
	of := rapid.SampledFrom(list).Draw(m.rt, "call")
	if m.things[of].lane.dropped {
		m.abandon(of)
		return -1
	}
	return of
}

// letIn has a call begin that asks.
func (m *model) letIn() {
	if of := m.from(m.asking); of >= 0 {
		m.asking = without(m.asking, of)
		m.run(of)
	}
}

// hold does not let a call in that asks.
func (m *model) hold() {
	if of := m.from(m.asking); of >= 0 {
		m.throttle(of)
	}
}

// askFurther has a call at work ask for a further entrance, which it does not get at once.
func (m *model) askFurther() {
	if of := m.from(m.running); m.asks && of >= 0 {
		m.throttle(of)
	}
}

func (m *model) throttle(of int) {
	m.leave(of)
	th := &m.things[of]
	th.state = Throttled
	m.throttled = append(m.throttled, of)
	m.w.Hold(th.place)
}

// askAgain has a throttled call ask again, when it has a slot.
func (m *model) askAgain() {
	if len(m.throttled) == 0 {
		return
	}
	of := rapid.SampledFrom(m.throttled).Draw(m.rt, "throttled")
	m.throttled = without(m.throttled, of)
	th := &m.things[of]
	if !th.gone {
		th.state = Due
		m.due = append(m.due, of)
	}
	m.w.Due(th.place)
}

// refuse has a call that is throttled, or due again, not be made.
func (m *model) refuse() {
	list := slices.Concat(m.throttled, m.due)
	if len(list) == 0 {
		return
	}
	of := rapid.SampledFrom(list).Draw(m.rt, "throttled or due")
	th := &m.things[of]
	if th.gone {
		return
	}
	m.throttled, m.due = without(m.throttled, of), without(m.due, of)
	m.refused = append(m.refused, of)
	th.state = Refused
	m.w.Refuse(th.place)
}

// endRefused answers a call that was refused.
func (m *model) endRefused() {
	if of := m.from(m.refused); of >= 0 {
		m.refused = without(m.refused, of)
		if th := &m.things[of]; rapid.Bool().Draw(m.rt, "declined") {
			th.defers = !th.called
			m.answered(of, m.w.Decline)
			return
		}
		m.things[of].lane.begun = max(m.things[of].lane.begun, m.things[of].number)
		m.answered(of, m.w.Answer)
	}
}

// end takes a call at work from its worker, which looks for another one. The call is one of a lane
// that is still there, -1: there is none.
func (m *model) end() int {
	of := m.from(m.running)
	if of >= 0 {
		m.leave(of)
	}
	return of
}

// leave takes a call that has a slot from its worker.
func (m *model) leave(of int) {
	m.asking, m.running = without(m.asking, of), without(m.running, of)
	m.things[of].lane.running--
	m.looking++
}

func (m *model) abandon(of int) {
	th := &m.things[of]
	if th.state == Refused {
		m.refused = without(m.refused, of)
	} else {
		m.leave(of)
	}
	th.lane.inside = without(th.lane.inside, of)
	th.lane.taken--
	th.gone, th.state = true, Abandoned
	m.w.Abandon(th.place)
}

func (m *model) answer() {
	if of := m.end(); of >= 0 {
		m.answered(of, m.w.Answer)
	}
}

func (m *model) answered(of int, answer func(*Place[int])) {
	th := &m.things[of]
	th.state = Answered
	for _, o := range th.lane.inside { // the next of its series
		if m.things[o].state == Parked && m.inSeriesBefore(o) < 0 {
			m.things[o].state = Due
		}
	}
	answer(th.place)
}

func (m *model) retry() {
	of := m.end()
	if of < 0 {
		return
	}
	th := &m.things[of]
	th.state = Retrying
	m.retrying = append(m.retrying, of)
	m.w.Retry(th.place)
}

func (m *model) comeDue() {
	if len(m.retrying) == 0 {
		return
	}
	of := rapid.SampledFrom(m.retrying).Draw(m.rt, "retry")
	m.retrying = without(m.retrying, of)
	th := &m.things[of]
	if !th.gone {
		th.state = Due
		m.due = append(m.due, of)
	}
	m.w.Due(th.place)
}

func (m *model) send() {
	var list []*modelLane
	for _, l := range append(m.over[:len(m.over):len(m.over)], m.lanes...) {
		if l.out > 0 {
			list = append(list, l)
		}
	}
	if len(list) == 0 {
		return
	}
	l := rapid.SampledFrom(list).Draw(m.rt, "from")
	m.sendFrom(l, l.out-rapid.IntRange(0, l.out-1).Draw(m.rt, "left"))
}

func (m *model) sendFrom(l *modelLane, n int) {
	l.out -= n
	l.taken -= n
	l.among = len(m.lanes)
	m.w.Free(&l.Lane, n)
}

func (m *model) pause() {
	l := m.lane()
	switch {
	case l == nil:
	case l.paused:
		m.letOn(l)
	case rapid.IntRange(0, 3).Draw(m.rt, "pause") == 3:
		l.paused, m.shifted = true, true
	}
}

func (m *model) letOn(l *modelLane) {
	l.paused = false
	m.wake(l.Waiting())
}

// handBack takes what a lane has from a number on back.
func (m *model) handBack() {
	l := m.lane()
	if l == nil {
		return
	}
	from := rapid.Uint64Range(l.Begun()+1, max(l.next, l.Begun()+1)).Draw(m.rt, "from")
	kept := 0
	for kept < len(l.waiting) && m.things[l.waiting[kept]].number < from {
		kept++
	}
	n := len(l.waiting) - kept
	m.lose(l, kept)
	l.among = len(m.lanes)
	m.w.Remove(&l.Lane, n)
	m.takenOut(l, from, func(each func(int)) { m.w.Withdraw(&l.Lane, from, each) })
	m.shifted = true
}

// lose has what waits behind the first ones be gone.
func (m *model) lose(l *modelLane, kept int) {
	for _, of := range l.waiting[kept:] {
		m.things[of].gone = true
	}
	l.waiting = l.waiting[:kept]
}

// takenOut does what takes the calls of a lane from a number on out of the window.
func (m *model) takenOut(l *modelLane, from uint64, do func(each func(int))) {
	var want, got []int
	for _, of := range l.inside {
		if th := &m.things[of]; th.number >= from && !th.busy() {
			want = append(want, of)
		}
	}
	do(func(of int) {
		th := &m.things[of]
		if th.place.State() != th.state {
			m.rt.Fatalf("%d is taken out in state %d, want %d", of, th.place.State(), th.state)
		}
		th.gone, th.state = true, Abandoned
		m.due = without(m.due, of)
		l.inside = without(l.inside, of)
		l.taken--
		got = append(got, of)
	})
	if slices.Sort(got); !slices.Equal(got, want) {
		m.rt.Fatalf("%v were taken out, want %v", got, want)
	}
}

func (m *model) drop() {
	if l := m.lane(); l != nil && rapid.IntRange(0, 3).Draw(m.rt, "drop") == 3 {
		m.dropLane(l)
	}
}

func (m *model) dropLane(l *modelLane) {
	i := slices.Index(m.lanes, l)
	m.lanes = slices.Delete(m.lanes, i, i+1)
	m.over = append(m.over, l)
	l.dropped = true
	m.lose(l, 0)
	m.takenOut(l, 0, func(each func(int)) { m.w.Drop(&l.Lane, each) })
	m.shifted = true
}

// What the model knows.

// before gives the first thing that has to be released before another, -1: there is none.
func (m *model) before(of int) int {
	th := &m.things[of]
	for _, o := range th.lane.inside {
		if other := &m.things[o]; o == of {
			break
		} else if m.conf.Order == OrderLane || m.conf.Order == OrderKey && other.key == th.key {
			return o
		} else if th.defers && th.number > th.lane.begun && !other.called && other.state != Answered {
			return o
		}
	}
	return -1
}

// inSeriesBefore gives a call without an answer which another has to wait for, -1: there is
// none.
func (m *model) inSeriesBefore(of int) int {
	th := &m.things[of]
	for _, o := range th.lane.inside {
		other := &m.things[o]
		if o == of || m.conf.Serial == SerialNone {
			break
		}
		if (m.conf.Serial == SerialLane || other.key == th.key) && other.state != Answered {
			return o
		}
	}
	return -1
}

func (m *model) taken() (n int) {
	for _, l := range append(m.over[:len(m.over):len(m.over)], m.lanes...) {
		n += l.taken
	}
	return n
}

// turn is how many calls wait for a slot.
func (m *model) turn() (n int) {
	for _, l := range m.lanes {
		for _, of := range l.inside {
			if m.things[of].state == Due {
				n++
			}
		}
	}
	return n
}

// mayAdmit says whether a lane may have a further place, if there is one: it leaves the last
// ones free while others are open, and has less than half while others wait.
func (m *model) mayAdmit(l *modelLane) bool {
	half := func(l *modelLane) bool { return 2*l.taken >= m.conf.Size || 2*l.running >= m.conf.Slots }
	if l.paused || m.several() && l.taken >= 7*(m.conf.Size-m.taken()) {
		return false
	}
	return !half(l) || !slices.ContainsFunc(m.lanes, func(o *modelLane) bool {
		return o != l && len(o.waiting) > 0 && !o.paused && !half(o)
	})
}

// mayBegin says whether a call may begin, or a thing be admitted.
func (m *model) mayBegin() bool {
	return m.turn() > 0 || m.taken() < m.conf.Size && slices.ContainsFunc(m.lanes, func(l *modelLane) bool {
		return len(l.waiting) > 0 && m.mayAdmit(l)
	})
}

// check compares what the window has with what the model has.
func (m *model) check() {
	if m.shifted {
		m.wake(m.idle)
		m.shifted = false
	}
	want := Counts{Lanes: len(m.lanes), Taken: m.taken(), Running: len(m.running) + len(m.asking)}
	for _, of := range m.throttled {
		if !m.things[of].gone {
			want.Throttled++
		}
	}
	away := 0
	for _, l := range m.lanes {
		m.checkLane(l)
		want.Waiting += len(l.waiting)
		if l.held {
			want.HeldBack++
			away += len(l.waiting)
		}
	}
	for _, l := range append(m.over[:len(m.over):len(m.over)], m.lanes...) {
		for _, of := range l.inside {
			if m.things[of].state != Answered {
				want.Unanswered++
			}
		}
	}
	if got := m.w.Counts(); got != want || got.Taken > m.conf.Size || got.Running > m.conf.Slots {
		m.rt.Fatalf("counts %+v, want %+v", got, want)
	}
	full := want.Waiting
	if m.several() {
		full -= away
	}
	if got := m.w.Full(); got != (full >= m.conf.Backlog) {
		m.rt.Fatalf("full %v: %d wait, %d of them in lanes that are held back", got, want.Waiting, away)
	}
	if m.idle > 0 && m.looking == 0 && m.mayBegin() {
		m.rt.Fatalf("nobody was woken, though a call may begin")
	}
}

func (m *model) checkLane(l *modelLane) {
	begun := l.begun
	for _, of := range l.inside {
		if th := &m.things[of]; th.busy() {
			begun = max(begun, th.number)
		}
	}
	if l.Waiting() != len(l.waiting) || l.Begun() != begun || l.Dropped() {
		m.rt.Fatalf("a lane: %d wait, want %d; begun to %d, want %d", l.Waiting(), len(l.waiting), l.Begun(), begun)
	}
	got := slices.Sorted(l.All())
	if !slices.Equal(got, l.inside) {
		m.rt.Fatalf("a lane has %v in the window, want %v", got, l.inside)
	}
	for _, of := range l.inside {
		th := &m.things[of]
		if th.place.State() != th.state {
			m.rt.Fatalf("%d is in state %d, want %d", of, th.place.State(), th.state)
		}
		ahead, ok := m.w.Ahead(th.place)
		if waits := th.state == Parked || th.state == Answered; ok != waits {
			m.rt.Fatalf("%d, in state %d, waits for another: %v", of, th.state, ok)
		}
		if ok && (m.things[ahead].number >= th.number || m.things[ahead].lane != l || m.things[ahead].out || m.things[ahead].gone) {
			m.rt.Fatalf("%d waits for %d", of, ahead)
		}
		if th.state == Answered && m.before(of) < 0 {
			m.rt.Fatalf("%d has its turn and is not released", of)
		}
	}
	if l.congested != m.enough(l) {
		m.rt.Fatalf("congested %v: %s", l.congested, m.load(l))
	}
	if must, may := m.holds(l); must && !l.held || l.held && !may {
		m.rt.Fatalf("held back %v: %s", l.held, m.load(l))
	}
}

// enough says whether half of what may wait in front of the window is of a lane.
func (m *model) enough(l *modelLane) bool { return len(l.waiting) >= max(m.conf.Backlog/2, 1) }

// holds says whether a lane must be held back, and whether one that is held back may stay so.
func (m *model) holds(l *modelLane) (must, may bool) {
	share := func(eighths int) bool { return l.among > 1 && 8*l.taken >= eighths*m.conf.Size }
	return m.enough(l) || share(4), len(l.waiting) > m.conf.Backlog/4 || share(3)
}

// load says in words how much of the window a lane has.
func (m *model) load(l *modelLane) string {
	return fmt.Sprintf("%d wait of %d, %d places of %d", len(l.waiting), m.conf.Backlog, l.taken, m.conf.Size)
}

// without takes one out of a list, which stays as it is.
func without(list []int, v int) []int {
	return slices.DeleteFunc(slices.Clone(list), func(o int) bool { return o == v })
}
