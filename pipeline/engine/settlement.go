package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A settlement collects, while the lane's lock is held, what a call of finish leads to: the
// counts of all its outcomes, and what is to be done when the lock has been given up.
type settlement struct {
	now     time.Time    // when the call began
	freed   *laneBatch   // batches all of whose records are done, linked by next
	blocks  *block       // blocks without a record under way, linked by next
	heavy   bool         // some of these blocks are heavy (heavyBlock)
	letters []item       // dead letters to be sent
	report  func()       // reports a rejection; nil: there is none to report
	sources int64        // records of the source that are done: their places go back to the budget
	undone  []undoing    // calls of Undone that are due
	ended   []followed   // records that their batches are to be told of
	telling []*laneBatch // whose records these are, once for each run of them
	traces  []endedTrace // of records that are traced
	moved   bool         // the mark has moved
	booked  int64        // outcomes that count

	t    increments // the outcomes, counted for the pipeline's meter
	runs [4]ageRun  // the same by when their records were made
	used int        // how many of runs there are
}

// free notes that a batch is to be given back.
func (c *settlement) free(in *laneBatch) {
	in.next, c.freed = c.freed, in
}

// An ageRun is a number of records that were made at one moment.
type ageRun struct {
	read time.Time // the moment
	n    int64     // how many
}

// An undoing is a call of Undone that is due.
type undoing struct {
	step   string
	undoer pipeline.Undoer
	pos    pipeline.Position
	part   int32
}
