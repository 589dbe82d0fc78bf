package engine

import (
	"slices"
	"sync"
	"sync/atomic"
)

// This file is the places of a pipeline that can be tapped.
//
// What it guarantees. There is a place for each step and sink that records pass now, and for no other: a Change that is
// prepared, and may never come, makes none that can be tapped, and one that is committed ends the taps of what it leaves out.

// taps are the places, by their names.
type taps struct {
	mu     sync.Mutex
	points map[string]*tapPoint
	source *tapPoint
	over   chan struct{} // closed when the pipeline has ended
	ended  bool
}

func (t *taps) init() {
	t.points, t.over = map[string]*tapPoint{}, make(chan struct{})
	t.source = t.point(TapSource)
	t.source.sides = TapAfter | TapRejected
}

// A tapPoint is a place that can be tapped. It belongs to a name: a step that takes the place of
// another of its name has the same one, and its taps.
type tapPoint struct {
	sides TapSide                // that a tap can have there; 0: none. The lock of the taps guards it
	gone  chan struct{}          // closed when nothing of the name is left
	set   atomic.Pointer[[]*Tap] // nil: nobody looks
}

// point gives the place of a name. A new one cannot be tapped until follow finds it in a chain.
func (t *taps) point(name string) *tapPoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.points[name]
	if at == nil {
		at = &tapPoint{gone: make(chan struct{})}
		t.points[name] = at
	}
	return at
}

// follow has the places be those of a chain, which is the one that records pass from now on.
func (t *taps) follow(c *chain) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := map[*tapPoint]TapSide{t.source: TapAfter | TapRejected}
	for _, s := range c.steps {
		now[s.core().tap] = TapBefore | TapAfter | TapRejected | TapFiltered
	}
	for _, s := range c.sinks { // not that of the dead letters: what is in letters is redacted by other rules
		now[s.tap] = TapBefore | TapAfter | TapRejected
	}
	for name, at := range t.points {
		if at.sides = now[at]; at.sides == 0 {
			delete(t.points, name)
			close(at.gone)
		}
	}
}

// find gives the place of a name and the sides that it has; nil: there is none.
func (t *taps) find(name string) (*tapPoint, TapSide) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at := t.points[name]; at != nil && at.sides != 0 {
		return at, at.sides
	}
	return nil, 0
}

// add has a tap see records. The error says why there will be none.
func (t *taps) add(one *Tap) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ended:
		return ErrTapOver
	case one.at.sides == 0: // since it was found
		return ErrNoStep
	}
	all := []*Tap{one}
	if had := one.at.set.Load(); had != nil {
		all = append(all, *had...)
	}
	one.at.set.Store(&all)
	return nil
}

// remove has a tap see nothing more. It gives false when that was so before.
func (t *taps) remove(one *Tap) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	one.mu.Lock()
	was := one.closed
	one.closed = true
	one.mu.Unlock()
	if had := one.at.set.Load(); had != nil && !was {
		if all := slices.DeleteFunc(slices.Clone(*had), func(t *Tap) bool { return t == one }); len(all) > 0 {
			one.at.set.Store(&all)
		} else {
			one.at.set.Store(nil)
		}
	}
	return !was
}

// end says that no record comes any more.
func (t *taps) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.ended = true
		close(t.over)
	}
}
