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

// touched says whether a record may hold another amount of memory than has been charged for it.
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
// record's owner (I2); refs, hasLetter, abandoned, counted and split are guarded by the lane.
type track struct {
	piece     *piece      // the entry of the ring of marks that the record belongs to
	fail      *failure    // why it was rejected, nil when it was not: it travels on in its place until the router
	origin    *item       // of a copy for another sink, and of a dead letter: the record that it stands for
	split     *splitGroup // of a part of a split: its group; nil of any other record
	undo      *passage    // the last Undoer that it came to, nil when there was none
	key       uint64      // the hash of its key, where OrderKey or SerialKey needs it
	weight    int32       // bytes of key, value and headers, as they would be written
	grown     int32       // how many of them are charged on top of what it came with
	index     uint8       // its place in its piece
	dead      bool        // it is a dead letter itself
	hasLetter bool        // its dead letter is under way or written
	abandoned bool        // a sink that wants it has abandoned it: it cannot be delivered any more
	refs      int16       // how many sinks still have it, dead letters included; 0 while that was one at most
	counted   bool        // a sink refuses it, and the budget of rejections knows
}

// number is where the record stands in its lane: a number from 1 on that grows from record to
// record, with gaps. The parts of a split have the place of their record.
func (t *track) number() uint64 { return (t.piece.Seq()<<8 | uint64(t.index)) + 1 }

// A failure is why a record is rejected, and by whom.
type failure struct {
	step     string // the name of the step or sink
	reason   string // as the dead letter names it
	err      error
	attempts int   // how often it was tried
	part     int32 // the number of the part that failed, 0 when the record was not split
	parts    int   // how many parts of the record failed
	stop     bool  // the pipeline stops because of it: OnErrorStop, or there are no dead letters
	spent    error // why it stops, when the budget of rejections does, or errHalted; nil: it does not
	at       time.Time
	meter    *meter // of the step that counts the record as in flight until its letter is sent, or it is abandoned; nil: no step does
}

// placeSize is what a record costs in memory beside its bytes: its place, its track, and
// the room that it takes in queues.
const placeSize = int64(unsafe.Sizeof(pipeline.Record{}) + unsafe.Sizeof(track{}) + 3*unsafe.Sizeof(item{}))

// placesOfHeaders is what the headers of records cost in memory beside their names and values.
func placesOfHeaders(recs []pipeline.Record) (bytes int64) {
	for i := range recs {
		bytes += int64(len(recs[i].Headers())) * int64(unsafe.Sizeof(pipeline.Header{}))
	}
	return bytes
}

// measure notes how large a record is as it came, before the first step, and gives that.
func (it item) measure() int64 {
	n := int64(it.rec.Size())
	it.weight, it.grown = int32(min(n, math.MaxInt32)), 0
	return n
}

// written is how many bytes the record takes of a write: its own, and about as many as a
// destination puts around them, so that a full write still fits into one batch of Kafka's.
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

// copyForSink gives a copy that another sink may read at the same time.
func (it item) copyForSink() item {
	rec, t := it.rec.Clone(), new(track) // cloned here: the sinks may read both at the same time
	*t = *it.track
	t.origin = &item{it.rec, it.track}
	return item{rec, t}
}

// fatal gives the error with which the failure of a record stops the pipeline.
func (f *failure) fatal(rec *pipeline.Record) error {
	if f.spent != nil {
		return fmt.Errorf("%w: %s: %s: %w", f.spent, f.step, rec.Position, f.err)
	}
	return fmt.Errorf("%s: %s: %w", f.step, rec.Position, f.err)
}

// A splitGroup is one record of the source with the parts that splits have made of it, those of
// later splits too. Guarded by the lane.
type splitGroup struct {
	record    item     // as the source gave it
	left      int      // how many parts are on their way
	failed    int      // how many parts were rejected
	abandoned bool     // a part was abandoned
	returned  bool     // a part was handed back, and so all are
	delivered bool     // a part was delivered
	fail      *failure // of the rejected part with the lowest number; nil: none was rejected
	parts     []int32  // how many parts each step has numbered; written by whoever sends behind that step
}

// A passage says that a record has come to a step that is an Undoer. All parts that a split
// makes of the record share its passages. So a part that comes to nothing leads back to each
// step that the record it was made of has come to, and each step is told once.
type passage struct {
	step   string // its name
	undoer pipeline.Undoer
	before *passage // in the Undoer before it; nil: there was none
	part   int32    // the record's Part in that step
	told   bool     // the step has been told; guarded by the lane
}

// enter notes that the record comes to a step that is an Undoer. Records of a pipeline
// without one never get here: all they have of this is an empty pointer.
func (it item) enter(step string, u pipeline.Undoer) {
	it.undo = &passage{step: step, undoer: u, before: it.undo, part: it.rec.Part}
}
