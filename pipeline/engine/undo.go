package engine

import (
	"fmt"

	"github.com/penstockio/penstock/pipeline"
)

// A passage says that a record has come to a step that is an Undoer. What a split makes
// of the record has it in common, so a part that comes to nothing leads to everything
// that it has been.
type passage struct {
	step   *stepCore
	before *passage // in an earlier step
	part   int32    // which it was there
	told   bool     // guarded by the lane
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

// undo notes who has to hear that rec comes to nothing, the last step first. The lane's
// lock is held.
func (c *settlement) undo(it item) {
	for p := it.undo; p != nil && !p.told; p = p.before { // one that was told has told those before it
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
