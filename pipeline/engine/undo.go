package engine

import (
	"fmt"

	"github.com/penstockio/penstock/pipeline"
)

// A passage says that a record has come to a step that is an Undoer. All parts that a split
// makes of the record share its passages. So a part that comes to nothing leads back to each
// step that the record it was made of has come to, and each step is told once.
type passage struct {
	step   *stepCore
	before *passage // in the Undoer before it; nil: there was none
	part   int32    // the record's Part in that step
	told   bool     // the step has been told; guarded by the lane
}

// undoerOf gives the component of a step when it wants to hear of records that come to
// nothing.
func undoerOf(conf Step) pipeline.Undoer {
	if u, ok := conf.Stage.(pipeline.Undoer); ok {
		return u
	}
	u, _ := conf.Splitter.(pipeline.Undoer)
	return u
}

// enter notes that the record comes to a step that is an Undoer. Records of a pipeline
// without one never get here: all they have of this is an empty pointer.
func (it item) enter(s *stepCore) {
	it.undo = &passage{step: s, before: it.undo, part: it.rec.Part}
}

// An undoing is a call of Undone that is due.
type undoing struct {
	step *stepCore
	pos  pipeline.Position
	part int32
}

// undo notes which steps have to be told that a record comes to nothing, the last one first.
// The lane's lock is held.
func (c *settlement) undo(it item) {
	for p := it.undo; p != nil && !p.told; p = p.before { // where it has been told, so have the steps before
		p.told = true
		c.undone = append(c.undone, undoing{p.step, it.rec.Position, p.part})
	}
}

// tell lets stages know of records that came to nothing.
func (p *shared) tell(list []undoing) {
	at := 0
	err := guarded(func() error {
		for ; at < len(list); at++ {
			u := list[at]
			u.step.undoer.Undone(u.pos, u.part)
		}
		return nil
	})
	if err != nil {
		p.stop(fmt.Errorf("%s: %s: undoing a record that came to nothing: %w", list[at].step.conf.Name, list[at].pos, err))
	}
}
