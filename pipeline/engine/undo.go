package engine

import (
	"fmt"
)

// undo notes which steps have to be told that a record comes to nothing, the last one first.
// The lane's lock is held.
func (c *settlement) undo(it item) {
	for p := it.undo; p != nil && !p.told; p = p.before { // where it has been told, so have the steps before
		p.told = true
		c.undone = append(c.undone, undoing{p.step, p.undoer, it.rec.Position, p.part})
	}
}

// tell lets stages know of records that came to nothing.
func (p *shared) tell(list []undoing) {
	at := 0
	err := guarded(func() error {
		for ; at < len(list); at++ {
			u := list[at]
			u.undoer.Undone(u.pos, u.part)
		}
		return nil
	})
	if err != nil {
		p.stop(fmt.Errorf("%s: %s: undoing a record that came to nothing: %w", list[at].step, list[at].pos, err))
	}
}
