package engine

import (
	"errors"

	"github.com/penstockio/penstock/pipeline"
)

// What a Controller answers when there is nothing of the name that it was given, or no dead letters for what is to be skipped.
var (
	ErrNoLane       = errors.New("there is no such lane")
	ErrNoStep       = errors.New("there is no such step")
	ErrNoDeadLetter = errors.New("the pipeline has no dead letters, so that a record that is skipped would stop it")
)

// A Controller steers a pipeline while it runs. Each method takes effect for records that begin
// after it has returned, waits for no record, loses none and changes the order of none. It may be
// called at any time, from any goroutine, and again: to pause what is paused changes nothing. On
// a pipeline that has ended it changes nothing either. What is just being made a record of when
// it is called has begun: one chunk at most.
//
// What is steered so lasts until the process ends. A file that is loaded again does not undo it,
// unless it says something else of the same thing.
type Controller interface {
	// Pause has no record begin that has not begun, until Resume. What is in flight goes on to
	// its outcome and is committed. The source keeps its lanes, its place in the group and what
	// it has read, within the budget. A stop ends the pause, where what was read cannot be read
	// again; so does an error of the source.
	Pause()
	// Resume ends what Pause has begun. Lanes that PauseLane has paused stay so. The pause of a
	// budget of rejections is another one, which it does not end.
	Resume()
	// PauseLane does the same for one lane, "topic/partition": others go on. A lane that goes
	// and comes again, as a partition that is revoked, comes paused; another process that has it meanwhile knows
	// nothing of that. The error wraps ErrNoLane, or says that too many are paused.
	PauseLane(lane string) error
	// ResumeLane ends what PauseLane has begun, also while the lane is away.
	ResumeLane(lane string) error
	// SetWorkers changes how many workers a step has, or how many slots if it waits: at least
	// 1, and no more than the window of a step that waits has places, which keeps its size, or than
	// Step.MostWorkers allows. Those that are too many end when they have no record. The error wraps
	// ErrNoStep, or says how many there may be and why.
	SetWorkers(step string, n int) error
	// Skip rejects the records of one key, to the dead letters, with the reason "skipped": those that
	// come, when they begin, and those in a step that waits, before their next attempt. An attempt
	// that is under way there is cancelled, and its record is rejected unless it succeeds in spite of
	// that. It ends with Unskip, or with the process. The key is the one that orders the
	// pipeline where keys do (Options.Key), and else the record's own as it came.
	//
	// What is skipped does not count in the budget of rejections. The error wraps
	// ErrNoDeadLetter, or says that the key is empty, or that too many are skipped.
	Skip(key []byte) error
	Unskip(key []byte)
	// SkipRecord does the same for the record at one position, with its parts. It ends by itself when the
	// mark of its lane has passed the record. The error may wrap ErrNoLane, too: the pipeline has to have the lane of the record now.
	SkipRecord(at pipeline.Position) error
	UnskipRecord(at pipeline.Position)
}
