package engine

import "time"

// This file says which steps and sinks make no progress now, for whoever asks. The watch reports the same as events, when it
// changes.

// stalledNow gives of each step and sink that has made no progress for Options.StalledAfter the record that it has had longest, in the
// order of the places; the sink of dead letters comes last.
func (p *Pipeline) stalledNow(now time.Time) (all []Hold) {
	if p.rejects.pausing() {
		return nil
	}
	add := func(h holdup) {
		if p.rejects.atWork(now, h.age) >= p.opts.StalledAfter {
			all = append(all, h.Hold)
		}
	}
	for _, s := range p.steps {
		add(s.holdup(now))
	}
	for _, s := range p.allSinks() {
		add(s.holdup(now))
	}
	return all
}
