package engine

import "time"

// A settlement is what a call of finish has led to: the outcomes, booked at once, and
// what is to be done without the lane's lock.
type settlement struct {
	now     time.Time
	freed   *laneBatch // the last batch of which all records are done, and before it others
	blocks  *block     // that no piece has any more, likewise
	heavy   bool       // some of them are
	letters []item
	sources int64 // records of the source that are done
	undone  []undoing
	moved   bool
	ended   int64

	t    increments
	runs [4]ageRun // of records read at the same time
	used int
}

// free notes that a batch holds nothing that anybody needs. What comes of a write is linked
// rather than listed: a list for as many as a large write leaves costs more to clear than
// the outcomes of a small one (BenchmarkP15).
func (c *settlement) free(in *laneBatch) {
	in.next, c.freed = c.freed, in
}

// An ageRun is a number of records that were read at one time.
type ageRun struct {
	read time.Time
	n    int64
}
