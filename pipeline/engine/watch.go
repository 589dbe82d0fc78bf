package engine

import (
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// A watch looks at what is in flight, as long as something is, for places without
// progress and for queues that fill. It reports edges.
type watch struct {
	p           *shared
	chain       *chain
	active      chan struct{} // told when records come in
	quit, ended chan struct{}
	places      []*watched
}

// A watched is what the watch knows of a step or sink.
type watched struct {
	name     string
	sink     bool
	look     func(now time.Time) holdup
	fill     func() float64 // nil: no queue to speak of
	stalled  bool
	reported holdup        // the one that was reported
	last     time.Duration // its age when it was seen last

	state, next string // of the queue, and what it is about to become
	nextSince   time.Time
}

// hysteresis is how long a queue has to be in a state before that is said.
const hysteresis = 10 * time.Second

func (w *watch) init(p *shared, c *chain) {
	w.p, w.chain, w.active = p, c, make(chan struct{}, 1)
	w.quit, w.ended = make(chan struct{}), make(chan struct{})
}

// start begins to watch. Without an emitter there is nobody to tell.
func (w *watch) start() {
	if w.p.events == nil {
		close(w.ended)
		return
	}
	for _, s := range w.chain.steps {
		w.places = append(w.places, &watched{
			name: s.core().conf.Name, look: s.holdup, fill: s.fill, state: "free", next: "free",
		})
	}
	for _, s := range w.chain.allSinks() {
		w.places = append(w.places, &watched{name: s.conf.Name, sink: true, look: s.holdup})
	}
	w.p.spawn(w.loop)
}

func (w *watch) stop() {
	close(w.quit)
	<-w.ended
	if w.p.events != nil {
		w.round(time.Now(), false) // what has recovered at the end
	}
}

// wake says that there is something to watch.
func (w *watch) wake() {
	select {
	case w.active <- struct{}{}:
	default:
	}
}

func (w *watch) loop() {
	defer close(w.ended)
	every := min(max(w.p.opts.StalledAfter/4, time.Millisecond), time.Second)
	for {
		select { // no timer runs while nothing is in flight
		case <-w.active:
		case <-w.quit:
			return
		}
		t := time.NewTicker(every)
		for busy := true; busy; {
			select {
			case <-t.C:
			case <-w.quit:
				t.Stop()
				return
			}
			busy = w.p.meter.read().InFlight > 0
			w.round(time.Now(), busy)
		}
		t.Stop()
	}
}

// round looks at every place once.
func (w *watch) round(now time.Time, busy bool) {
	for _, pl := range w.places {
		h := pl.look(now)
		switch {
		case !pl.stalled && h.age >= w.p.opts.StalledAfter:
			pl.stalled, pl.reported = true, h
			w.p.stalled(pl, h)
		case pl.stalled && h.age < w.p.opts.StalledAfter:
			pl.stalled = false
			w.p.recovered(pl, h)
		}
		pl.last = h.age
		if pl.fill != nil {
			w.queue(pl, now, busy)
		}
	}
}

// queue reports when a queue has been in another state for a while.
func (w *watch) queue(pl *watched, now time.Time, busy bool) {
	fill := pl.fill()
	state := pl.state
	switch {
	case fill >= 0.95:
		state = "full"
	case fill >= 0.5:
		state = "filling"
	case fill < 0.25:
		state = "free"
	}
	if state != pl.next {
		pl.next, pl.nextSince = state, now
	}
	if pl.next != pl.state && (now.Sub(pl.nextSince) >= hysteresis || !busy) {
		pl.state = pl.next
		w.p.events.Emit(event.BackpressureChanged{Step: pl.name, State: pl.state, QueueFillRatio: fill}, "")
	}
}

func (p *shared) stalled(pl *watched, h holdup) {
	ms := h.age.Milliseconds()
	if !pl.sink {
		p.events.Emit(event.StepStalled{
			Step: pl.name, StalledMs: ms, OldestInflightMs: ms, Topic: h.at.Topic,
			Partition: int64(h.at.Partition), Offset: h.at.Offset, Attempt: int64(h.attempt), Holder: h.lane,
		}, fmt.Sprintf("%s makes no progress: %s has been there for %s", pl.name, h.at, h.age.Round(time.Millisecond)))
		return
	}
	e := event.SinkStalled{
		Sink: pl.name, StalledMs: ms, OldestInflightMs: ms, Topic: h.at.Topic,
		Partition: int64(h.at.Partition), Offset: h.at.Offset, Attempt: int64(h.attempt), Holder: h.lane,
		ErrorType: "timeout", ErrorMessage: "the write has not returned",
	}
	if h.err != nil {
		e.ErrorType, e.ErrorMessage = errorType(h.err), clip(h.err.Error(), maxMessage)
	}
	p.events.Emit(e, fmt.Sprintf("%s stores nothing of %s since %s: %s", pl.name, h.lane, h.age.Round(time.Millisecond), e.ErrorMessage))
}

func (p *shared) recovered(pl *watched, h holdup) {
	ms, oldest, l := pl.last.Milliseconds(), h.age.Milliseconds(), pl.reported
	if !pl.sink {
		p.events.Emit(event.StepRecovered{
			Step: pl.name, StalledMs: ms, OldestInflightMs: oldest, Topic: l.at.Topic,
			Partition: int64(l.at.Partition), Offset: l.at.Offset, Attempt: int64(l.attempt), Holder: l.lane,
		}, "")
		return
	}
	p.events.Emit(event.SinkRecovered{
		Sink: pl.name, StalledMs: ms, OldestInflightMs: oldest, Topic: l.at.Topic,
		Partition: int64(l.at.Partition), Offset: l.at.Offset, Attempt: int64(l.attempt), Holder: l.lane,
	}, "")
}
