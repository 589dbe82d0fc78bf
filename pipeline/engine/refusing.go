package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file leaves a sink alone that has refused a record when the budget of rejections was spent.
//
// What it guarantees. No Write of it begins any more, and one that takes longer than a moment is ended: a sink that makes
// a call for each record would be asked for all that it holds, only for the answers to be thrown away, and again at the
// next start. What it holds is abandoned: no mark passes it, and it is read again. Other sinks write what they hold.
//
// Why Writes have a moment. One that is ended may have stored something, which is written again. Most are over by themselves.
//
// A source that cannot be read again has its records written all the same, or they would be lost.

// leftAlone says of a sink whether it is left alone.
type leftAlone struct {
	once sync.Once
	on   chan struct{} // closed when the sink is left alone
	cut  atomic.Bool   // Writes that were under way are ended
}

func (a *leftAlone) init() { a.on = make(chan struct{}) }

// is says whether the sink is left alone.
func (a *leftAlone) is() bool {
	select {
	case <-a.on:
		return true
	default:
		return false
	}
}

// writesEnd is the moment that Writes have which are under way.
const writesEnd = time.Second

// leaveAlone has no Write of the sink begin any more.
func (s *sink) leaveAlone() {
	if s.p.opts.readsOnce() {
		return
	}
	s.alone.once.Do(func() {
		close(s.alone.on)
		time.AfterFunc(writesEnd, func() { s.p.contained(s.endWrites) })
	})
}

// endWrites ends the Writes that are under way.
func (s *sink) endWrites() {
	s.alone.cut.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queues {
		q.mu.Lock()
		c := q.clock
		q.mu.Unlock()
		if c != nil {
			c.end(context.Canceled)
		}
	}
}

// rest waits as long as the last Write has asked for, unless the lane is given up, the sink is left alone or is to part with what it holds.
func (w *writer) rest() {
	t := time.NewTimer(w.wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.q.l.writesCtx.Done():
	case <-w.q.s.alone.on:
	case <-w.q.s.parting.asked():
	}
	w.wait = 0
}

// cutOff ends a Write that was ended because the sink is left alone. What it has stored is delivered.
func (w *writer) cutOff(err error) {
	var partial *pipeline.WriteError
	if errors.As(err, &partial) && obeysContract(partial, w.next) && !isPanic(err) {
		refused, _, _ := w.divide(partial)
		for _, r := range refused {
			w.abandon(r.rec)
		}
		w.show()
		w.stored(w.ok)
	}
	w.giveUp()
}
