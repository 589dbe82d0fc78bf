package engine

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// A watch looks for steps and sinks that make no progress, and at how full the steps' queues
// are. It looks at intervals while records are in flight, and reports changes alone: that a
// place has stalled, that it goes on again, that a queue has come into another state.
type watch struct {
	p           *shared
	chain       func() *chain
	active      chan struct{} // receives when records come in
	quit, ended chan struct{} // closed to end the loop, and when it has ended
	places      []*watched    // those of the chain of
	of          *chain
	givenUp     atomic.Bool // what was in flight was given up: that it is gone is no recovery
}

// A watched is what the watch knows of a step or sink.
type watched struct {
	name     string
	sink     bool                       // it is a sink; else a step
	look     func(now time.Time) holdup // finds what the place has had longest
	fill     func() float64             // how full its queue is; nil: that is not reported
	stalled  bool                       // it has been reported as stalled
	reported holdup                     // the holdup of that report
	last     time.Duration              // the age of the last holdup

	state     string    // of the queue, as reported last
	next      string    // the state that it was in when looked at last
	nextSince time.Time // since when it has been in that one
}

// hysteresis is how long a queue has to be in another state before that is reported.
const hysteresis = 10 * time.Second

func (w *watch) init(p *shared, c func() *chain) {
	w.p, w.chain, w.active = p, c, make(chan struct{}, 1)
	w.quit, w.ended = make(chan struct{}), make(chan struct{})
}

// start begins to watch. Without an emitter there is nobody to tell.
func (w *watch) start() {
	if w.p.events == nil {
		close(w.ended)
		return
	}
	w.findPlaces()
	w.p.spawn(w.loop)
}

// findPlaces finds what is to be watched. When the chain is another one than at the last look, what stood still in the old one has
// recovered: nothing was in flight when it was replaced.
func (w *watch) findPlaces() {
	c := w.chain()
	if w.of == c {
		return
	}
	for _, pl := range w.places {
		w.leave(pl)
	}
	w.of, w.places = c, nil
	for _, s := range c.steps {
		w.places = append(w.places, &watched{
			name: s.core().conf.Name, look: s.holdup, fill: s.fullness, state: "free", next: "free",
		})
	}
	for _, s := range c.allSinks() {
		w.places = append(w.places, &watched{name: s.conf.Name, sink: true, look: s.holdup})
	}
}

// leave says what has changed for a place that is watched no more.
func (w *watch) leave(pl *watched) {
	if pl.stalled {
		w.p.recovered(pl, holdup{})
	}
	if pl.fill != nil && pl.state != "free" {
		w.p.events.Emit(event.BackpressureChanged{Step: pl.name, State: "free"}, "")
	}
}

func (w *watch) stop() {
	close(w.quit)
	<-w.ended
	if w.p.events != nil {
		w.round(time.Now(), false) // nothing is in flight now: what was stalled has recovered, or was given up
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
	if w.p.rejects().pausing() {
		return
	}
	w.findPlaces()
	for _, pl := range w.places {
		h := pl.look(now)
		if !pl.stalled {
			h.age = w.p.rejects().atWork(now, h.age)
		}
		switch {
		case !pl.stalled && h.age >= w.p.opts.StalledAfter:
			pl.stalled, pl.reported = true, h
			w.p.stalled(pl, h)
		case pl.stalled && h.age < w.p.opts.StalledAfter:
			pl.stalled = false
			if !w.givenUp.Load() {
				w.p.recovered(pl, h)
			}
		}
		pl.last = h.age
		if pl.fill != nil {
			w.queue(pl, now, busy)
		}
	}
}

// queue reports when a queue has been in another state for a while, and at once when nothing is
// in flight any more: the watch sleeps then.
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
			Step: pl.name, StalledMs: ms, OldestInflightMs: ms, Topic: h.Topic,
			Partition: int64(h.Partition), Offset: h.Offset, Attempt: int64(h.Attempt), Holder: h.Lane,
			Target: h.Host, Cause: string(h.Cause), Attempts: int64(h.Attempts),
		}, fmt.Sprintf("%s makes no progress: %s has been there for %s; %s", pl.name, h.Position, h.age.Round(time.Millisecond), h.Why()))
		return
	}
	e := event.SinkStalled{
		Sink: pl.name, StalledMs: ms, OldestInflightMs: ms, Topic: h.Topic,
		Partition: int64(h.Partition), Offset: h.Offset, Attempt: int64(h.Attempt), Holder: h.Lane,
		ErrorType: "timeout", ErrorMessage: "the write has not returned",
		Target: h.Host, Cause: string(h.Cause), Attempts: int64(h.Attempts),
	}
	if h.ErrorType != "" {
		e.ErrorType, e.ErrorMessage = h.ErrorType, h.ErrorMessage
	}
	p.events.Emit(e, fmt.Sprintf("%s stores nothing of %s since %s: %s; %s", pl.name, h.Lane, h.age.Round(time.Millisecond), h.Position, h.Why()))
}

func (p *shared) recovered(pl *watched, h holdup) {
	ms, oldest, l := pl.last.Milliseconds(), h.age.Milliseconds(), pl.reported
	if !pl.sink {
		p.events.Emit(event.StepRecovered{
			Step: pl.name, StalledMs: ms, OldestInflightMs: oldest, Topic: l.Topic,
			Partition: int64(l.Partition), Offset: l.Offset, Attempt: int64(l.Attempt), Holder: l.Lane,
		}, "")
		return
	}
	p.events.Emit(event.SinkRecovered{
		Sink: pl.name, StalledMs: ms, OldestInflightMs: oldest, Topic: l.Topic,
		Partition: int64(l.Partition), Offset: l.Offset, Attempt: int64(l.Attempt), Holder: l.Lane,
	}, "")
}
