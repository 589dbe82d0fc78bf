package pipeline

import (
	"time"
	"unsafe"
)

// engineState is what the engine remembers of a record on its way. It is written by
// the record's owner (I2), and the counters in it under the lock of the lane.
type engineState struct {
	piece  *piece   // the entry of the mark ring that the record belongs to
	origin *Record  // of a copy for one of several sinks, and of a dead letter
	family *family  // of a part of a split
	fail   *failure // why it is rejected; it then travels on in its place
	key    uint64   // hash of its key, when an order or a serial step asks for it
	grown  int32    // bytes beyond what the source charged
	refs   int16    // sinks that have not finished with it
	dead   bool     // it is a dead letter
	queued bool     // its dead letter is under way or written
}

// A failure is why a record is rejected, and by whom.
type failure struct {
	step     string
	reason   string
	err      error
	attempts int
	part     int32 // of the failing part, 0 when the record was not split
	parts    int   // how many parts failed
	stop     bool  // no dead letter: the pipeline stops with it
	at       time.Time
}

// recordSize is what a record costs in memory beside its bytes.
const recordSize = int64(unsafe.Sizeof(Record{}))
