package pipeline

import "time"

// A piece is an entry of a lane's ring of marks: a run of records that left the
// source together, at most as many as travel together.
type piece struct {
	lane *Lane
	seq  uint64 // counts the pieces of the lane
	next int64  // the mark once it and all before it are done
	left int    // records, of the source's counting, without an outcome
	from *intake
	read time.Time
}

// An intake is one batch as the source handed it over.
type intake struct {
	pieces  int // that still have records without an outcome
	records int
	charge  *Charge
	free    func()
}

// A family is what one record of the source has become in splits. Guarded by the
// lock of the lane.
type family struct {
	record *Record // as the source gave it
	left   int     // parts without an outcome
	failed int     // parts that were rejected
	fail   *failure
}
