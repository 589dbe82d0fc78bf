package engine

import (
	"fmt"
	"math"
	"time"
	"unsafe"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/internal/inside"
)

// records is what this package sees of a record beside its methods.
var records = inside.Of.(*inside.Records[pipeline.Record])

// touched says whether a record may hold another amount of memory than is charged.
func touched(r *pipeline.Record) bool { return inside.Touched(r, touchedAt) }

var touchedAt = records.TouchedAt

// An item is a record on its way through the engine, and beside it what the engine knows
// of it. Steps that all records pass look at the record alone: its track is another
// cache line (BenchmarkP1).
type item struct {
	rec *pipeline.Record
	*track
}

// A track is what the engine remembers of a record on its way. It is written by the
// record's owner (I2); refs, queued and the family under the lock of the lane.
type track struct {
	piece  *piece      // the entry of the mark ring that the record belongs to
	fail   *failure    // why it is rejected; it then travels on in its place
	origin *item       // of a copy for one of several sinks, and of a dead letter
	split  *splitGroup // of a part of a split
	undo   *passage    // the last step that has to hear when it comes to nothing
	key    uint64      // hash of its key, when an order or a serial step asks for it
	weight int32       // bytes of key, value and headers, with
	grown  int32       // those beyond what came, as charged
	index  uint8       // in its piece
	dead   bool        // it is a dead letter
	queued bool        // its dead letter is under way or written
	lost   bool        // one of its sinks has abandoned it
	refs   int16       // sinks, dead letters included, that have not finished with it; 0: one
}

// place is where the record stands in its lane, counted from 1: it grows from record to
// record, and the parts of a split have that of their record.
func (t *track) place() uint64 { return (t.piece.Seq()<<8 | uint64(t.index)) + 1 }

// A failure is why a record is rejected, and by whom.
type failure struct {
	step     string
	reason   string
	err      error
	attempts int
	part     int32 // the failing part, 0 when the record was not split
	parts    int   // how many parts failed
	stop     bool  // OnErrorStop: the pipeline ends with it
	at       time.Time
}

// placeSize is what a record costs in memory beside its bytes: its place, its track, and
// the room that it takes in queues.
const placeSize = int64(unsafe.Sizeof(pipeline.Record{}) + unsafe.Sizeof(track{}) + 3*unsafe.Sizeof(item{}))

// measure notes how large a record is before the first step. A record is at least what
// its value takes when written.
func (it item) measure() int64 {
	n := int64(it.rec.Size())
	it.weight, it.grown = int32(min(n, math.MaxInt32)), 0
	return n
}

// written is about what the record takes where it is written: its bytes, and what stands
// around them, so that a write that is full fits into one batch of Kafka's.
func (it item) written() int64 { return int64(it.weight) + 26 }

// regrow notes what a step has added to a record and gives the difference to charge.
func (it item) regrow() int64 {
	if !touched(it.rec) {
		return 0
	}
	added, growth, owed := records.Grown(it.rec)
	d := int32(min(added, math.MaxInt32/2)) - it.grown
	it.grown += d
	it.weight = int32(min(int64(it.rec.Size())+growth, math.MaxInt32))
	return int64(d) + owed
}

// share gives a copy that another sink may read at the same time.
func (it item) share() item {
	rec, t := it.rec.Clone(), new(track) // now: the sinks may look at the same time
	*t = *it.track
	t.origin = &item{it.rec, it.track}
	return item{rec, t}
}

func (f *failure) fatal(rec *pipeline.Record) error {
	return fmt.Errorf("%s: %s: %w", f.step, rec.Position, f.err)
}

// A splitGroup is what one record of the source has become in splits. Guarded by the
// lane.
type splitGroup struct {
	record   item // as the source gave it
	left     int  // parts on their way
	failed   int  // parts that were rejected
	lost     bool // a part was abandoned
	returned bool // the parts are handed back
	fail     *failure
	parts    []int32 // that each step has numbered; of the one that sends behind it
}
