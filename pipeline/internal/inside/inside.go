// Package inside lets the engine see what a record keeps to itself: how much memory it
// holds, and how it was before an attempt. Package pipeline fills it in, whose Record is for
// authors of stages and sinks and has none of this in its documentation; nobody but the
// engine uses it (the layout test checks that).
//
// The functions are values rather than methods because a method that another package can
// call is one that everybody can call; they take R, which is pipeline.Record, because this
// package is below that one.
package inside

import "unsafe"

// Of holds the *Records[pipeline.Record] of package pipeline, from its init on.
var Of any

// Records is what the engine does to records. All functions are for the owner of the record
// (I2).
type Records[R any] struct {
	// TouchedAt is where in a record a bool stands that says whether it may hold another
	// amount of memory than when Grown was called last: see Touched.
	TouchedAt uintptr

	// Grown says what a touched record holds. added is what it was given beside what came,
	// which stays in memory beside what it was given in its place. growth is by how much its
	// value gets longer when the edits are put in. owed is memory of what stands beside the
	// record, which it reports once: from then on it counts as charged.
	Grown func(*R) (added, growth, owed int64)

	// Sent is how many bytes the value took that a sink was given last.
	Sent func(*R) int

	// CopyTo makes the second a record of its own with all that the first has.
	CopyTo func(r, to *R)

	// CameFrom makes what the source gave for the second the original of the first, which
	// is a part of it.
	CameFrom func(r, of *R)

	// Clear lets go of everything that the record points to. Its extras stay as room for the
	// next record in its place.
	Clear func(*R)

	// HasExtras says whether something stands beside the record, be it of one that was there
	// earlier.
	HasExtras func(*R) bool

	// Leave takes the extras off a record that has come to its end in a step, for the next
	// record there; nil: it has none. Lend gives them to one that has none.
	Leave func(*R) Extras
	Lend  func(*R, Extras)

	// ExtrasSize is what is charged for extras that have stayed with a place.
	ExtrasSize int64

	// NewSavepoint gives room to remember one record.
	NewSavepoint func() Savepoint[R]
}

// Touched says whether a record may hold another amount of memory than when Grown was
// called last. It is the one thing that is asked of every record in every step, and looks
// into the record instead of calling a function that it does not know before: that made five
// cheap steps a quarter slower (BenchmarkP1).
func Touched[R any](r *R, at uintptr) bool { return *(*bool)(unsafe.Add(unsafe.Pointer(r), at)) }

// Extras are what stands beside a record.
type Extras any

// A Savepoint is a record as it was before an attempt.
type Savepoint[R any] interface {
	// Save remembers the record.
	Save(*R)
	// Restore makes the record what it was.
	Restore(*R)
	// Forget lets go of the record's bytes and keeps the room for others.
	Forget()
}
