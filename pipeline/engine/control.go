package engine

import "errors"

// What a Controller answers when there is nothing of the name that it was given.
var (
	ErrNoLane = errors.New("there is no such lane")
	ErrNoStep = errors.New("there is no such step")
)

// A Controller steers a pipeline while it runs. Each method takes effect for records that begin
// after it has returned, waits for no record, loses none and changes the order of none. It may be
// called at any time, from any goroutine, and again: to pause what is paused changes nothing. On
// a pipeline that has ended it changes nothing either.
//
// What is steered so lasts until the process ends. A file that is loaded again does not undo it,
// unless it says something else of the same thing.
type Controller interface {
	// Pause has no record begin that has not begun, until Resume. What is in flight goes on to
	// its outcome and is committed. The source keeps its lanes, its place in the group and what
	// it has read, within the budget.
	Pause()
	// Resume ends what Pause has begun. Lanes that PauseLane has paused stay so.
	Resume()
	// PauseLane does the same for one lane, "topic/partition": others go on. A lane that goes
	// and comes again, as a partition that is revoked, is paused no longer.
	PauseLane(lane string) error
	ResumeLane(lane string) error
	// SetWorkers changes how many workers a step has, or how many slots if it waits: at least
	// 1. Those that are too many end when they have no record. The window of a step that waits keeps
	// its size, which bounds how many slots can be used.
	SetWorkers(step string, n int) error
	// Skip rejects the records of one key, to the dead letters, with the reason "skipped": those that
	// come, when they begin, and those in a step that waits, before their next attempt. It ends with
	// Unskip, or with the process.
	Skip(key []byte)
	Unskip(key []byte)
}
