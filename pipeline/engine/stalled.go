package engine

import "time"

// This file says which steps and sinks make no progress now, for whoever asks. The watch reports the same as events, when it
// changes.

// stalledNow gives of each step and sink that has made no progress for Options.StalledAfter the record that it has had longest, in the
// order of the places; the sink of dead letters comes last.
func (p *Pipeline) stalledNow(now time.Time) (all []Hold) {
	if p.rejects().pausing() {
		return nil
	}
	add := func(holdup func(time.Time) holdup) {
		h := lookedAt(holdup, now)
		if p.rejects().atWork(now, h.age) >= p.opts.StalledAfter {
			all = append(all, h.Hold)
		}
	}
	c := p.chain()
	for _, s := range c.steps {
		add(s.holdup)
	}
	for _, s := range c.allSinks() {
		add(s.holdup)
	}
	return all
}

// lookedAt gives what a place has had longest; nothing of one that panics: the watch meets the same panic and ends the pipeline
// with it, and who asks for a snapshot gets one.
func lookedAt(look func(time.Time) holdup, now time.Time) (h holdup) {
	defer func() {
		if recover() != nil {
			h = holdup{}
		}
	}()
	return look(now)
}
