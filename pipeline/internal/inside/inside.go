// SPDX-License-Identifier: Apache-2.0

// Package inside lets the engine see what a record keeps to itself: how much memory it
// holds, and how it was before an attempt. Package pipeline fills it in. Its Record is for
// authors of stages and sinks, whose documentation has none of this; the engine alone uses it
// (the layout test checks that).
//
// The functions are values rather than methods because a method that another package can call
// is one that everybody can call (docs/decisions/0034-contract-and-engine.md). They take a type
// parameter R, which is pipeline.Record, because this package cannot import that one: it is
// imported by it.
package inside

import "unsafe"

// Of holds the *Records[pipeline.Record] of package pipeline, from its init on.
var Of any

// Records is what the engine does to records. All functions are for the owner of the record
// (I2).
type Records[R any] struct {
	// TouchedAt is the offset in a record of the bool that Touched reads.
	TouchedAt uintptr

	// Grown says, in bytes, what a touched record holds on top of what it came with. added is
	// what it was given: what that has replaced stays in memory too, for the dead letter. growth
	// is by how much its value gets longer at most when the edits are put in. owed is the
	// memory of its extras that no call has given before: the caller charges it.
	Grown func(*R) (added, growth, owed int64)

	// Left gives the value as the steps have left it that the record has passed. It gives false when
	// none of them has changed it, and when it was changed since: a stage that fails may do that
	// first, and what it has come from is not kept. A step is passed when Grown is called.
	Left func(*R) (value []byte, ok bool)

	// TakeOff takes all headers of a name off a record that was just made, so that nobody has seen
	// them: its original is without them too. It gives the value of the last one; false: there is none.
	TakeOff func(r *R, name string) (value []byte, ok bool)

	// Sent is how many bytes the keys and values of records had that a sink was given last. It
	// takes them all at once, like WithExtras: a call of a function value for each record of a
	// large write is not free.
	Sent func([]*R) int64

	// Shown gives a copy of at most so many bytes of what Value gives, and how long all of it is. It leaves no trace in
	// the record, as AppendValue does. nil of a value that is there: it has edits, and is far longer.
	Shown func(r *R, most int) (value []byte, size int)

	// CopyTo makes the second a record of its own with all that the first has.
	CopyTo func(r, to *R)

	// CameFrom makes r, a part of the second, have its original: what the source gave.
	CameFrom func(r, of *R)

	// Clear lets go of everything that the record points to. Its extras stay, as memory for the
	// next record in its place.
	Clear func(*R)

	// WithExtras counts the places among these that have extras, also those of an earlier record.
	WithExtras func([]R) int

	// HasExtras says whether the record's place has extras, also those of an earlier record.
	HasExtras func(*R) bool

	// Leave takes the extras off a record that ends in a step, for the next record there; nil:
	// it has none. Lend gives them to one that has none.
	Leave func(*R) Extras
	Lend  func(*R, Extras)

	// ExtrasSize is how many bytes are charged for the extras of an earlier record.
	ExtrasSize int64

	// NewSavepoint gives room to remember one record.
	NewSavepoint func() Savepoint[R]
}

// Touched says whether a record may hold another amount of memory than when Grown was
// called last. It is the one thing that is asked of every record in every step. So it reads the
// record's memory instead of calling a function by its value, which cannot be inlined: that made
// five cheap steps a quarter slower (BenchmarkP1).
func Touched[R any](r *R, at uintptr) bool { return *(*bool)(unsafe.Add(unsafe.Pointer(r), at)) }

// Extras are what stands beside a record, for those that are read or edited.
type Extras any

// A Savepoint is a record as it was before an attempt.
type Savepoint[R any] interface {
	// Save remembers the record.
	Save(*R)
	// Restore makes the record what it was.
	Restore(*R)
	// Forget lets go of what the record points to, and keeps its memory for another record.
	Forget()
}

// Clock is the key under which the context of an attempt holds what stops the time of the attempt:
// a value with the method StopClock(by ...pipeline.Call) (resume func()).
type Clock struct{}
