package pipeline

import (
	"context"

	"github.com/penstockio/penstock/pipeline/event"
)

// A Source is where records come from.
//
// Open comes once, before the first Read, and may block while it connects. Read
// and Close are called by one goroutine, never at the same time. Commit is called
// by one goroutine at a time, beside Read.
type Source interface {
	// Open prepares the source. Lanes may be opened through e from here on, also
	// from goroutines of the source's own.
	Open(ctx context.Context, f Feed) error

	// Read blocks until there is a batch. io.EOF ends a finite source, possibly
	// together with the last batch. Read retries inside whatever may pass; any
	// other error stops the pipeline with that error. When ctx ends it returns
	// ctx.Err() promptly; bytes taken for a batch that is not returned are given
	// back by the source.
	Read(ctx context.Context) (*Batch, error)

	// Commit says that everything before each mark needs no redelivery. Marks of a
	// lane never go back. An error is reported and the marks are tried again at the
	// next tick; for a lane that the broker has fenced the source ends the lane. ctx
	// ends after ten seconds at the latest: a commit that takes longer has failed, so
	// that an outage is reported while it lasts. A call that does not return then
	// holds up all further commits, and nothing else.
	Commit(ctx context.Context, marks []Mark) error

	// Close releases what Open took. It comes after the last Read and Commit.
	Close(ctx context.Context) error
}

// A Feed is what a source sees of the pipeline that it feeds. All methods may be called
// from several goroutines.
type Feed interface {
	// Lane opens one run of records in order, named for people and logs:
	// "flights/3". committed is where the source would start reading; from is where
	// it must: the same, unless the pipeline's Transactor has stored another. It fails when
	// the pipeline has stopped: Read may return that error, and is taken to have ended with ctx.
	Lane(ctx context.Context, name string, committed int64) (l Lane, from int64, err error)

	// Room receives when the room of some lane has grown. It has capacity one: one
	// receiver, which looks at all its lanes after each receive.
	Room() <-chan struct{}
}

// A Lane is one run of records within which order holds: one partition during one
// assignment, or one file. Its methods may be called from several goroutines. What a source
// knows of a lane beside its name it keeps in a map of its own; lanes can be compared.
type Lane interface {
	// Name is what the lane was opened with.
	Name() string

	// Room is how many bytes the lane may take now. 0: leave it out of the next fetch;
	// Feed.Room receives when it grows.
	Room() int64

	// Take waits until bytes may be read for the lane and charges them to the budget of
	// the process. A lane that holds no charge may always take one, however large. It
	// fails when ctx or the lane ends.
	Take(ctx context.Context, bytes int64) (Charge, error)

	// Ended is closed when the lane is over: by End, or by the pipeline. Batches of it that
	// are still handed over, or wait to be filled, are dropped unread, and freed. When it
	// was the pipeline, open a new lane at the committed offset.
	Ended() <-chan struct{}

	// End gives the lane up, beside Read and Commit and for several lanes at once. From the
	// call on no further batch of it is admitted, and what has not begun is handed back at
	// once: what waits unread, and what is behind the last record that has begun in the
	// first waiting step: a call of it was made, or it left without needing one; but for a source that is a
	// ReadOncer. It waits for the outcomes of what is before that, has the last mark
	// committed, and fences the lane (I8). When ctx ends first it fences at once, counts
	// the rest as abandoned, cancels the lane's calls, retry timers and endless sink
	// retries, and returns without waiting for them: nothing new is begun; a write on its
	// way may still land, its result is ignored. With a ctx already ended (the partition is
	// lost) it commits nothing. Draining a revoked partition is End with the drain budget.
	// The error is that of the last commit.
	End(ctx context.Context) (EndReport, error)

	// Finish is End for a lane of which nothing can be read again, or not from where it
	// was: all that was handed over is finished, unless ctx ends, End is called or the
	// pipeline stops meanwhile. The report says what was not.
	Finish(ctx context.Context) (EndReport, error)
}

// A Charge is a number of bytes taken from the budget for a lane. It belongs to the
// source until the batch that holds it is returned by Read, then to the pipeline; Fill may
// still change it. Its methods wait for nobody, and do nothing to one that is released.
type Charge interface {
	// Resize makes the charge n bytes: what is given back can be taken at once, growth
	// beyond the budget is allowed and slows the sources down.
	Resize(n int64)

	// Add makes the charge n bytes more, or fewer, in the same way. It is for what comes on
	// top of bytes that others count in the same charge, which Resize would overwrite.
	Add(n int64)

	// Split moves n bytes into a charge of their own, of the same lane. One that has been
	// released gives one that has.
	Split(n int64) Charge

	// Release gives everything back. It is for a charge that no batch took.
	Release()
}

// An EndReport says what became of the records in flight when End was called, the parts
// counted that were made of them meanwhile: they were drained, abandoned, or returned,
// which is handed back because nothing of them had begun. What was not drained is read
// again. Unread are the batches that nobody had made records of, or not of all.
type EndReport struct {
	InFlight, Drained, Returned, Abandoned int
	Unread                                 int
}

// A Mark says that every record of the lane before Next has an outcome: Kafka's
// meaning of a committed offset.
type Mark struct {
	Lane Lane
	Next int64
}

// A Batch is a run of one lane, in offset order, that has not been taken apart yet.
//
// Next is the first offset after the run: past compaction gaps, control records and
// aborted records. A batch may have no records, and no Fill then; its Next still moves
// the mark.
//
// Charge holds the bytes that were taken from the lane for the batch. It may be nil: then the
// engine charges what each record takes, when the record is made. Size is how many bytes of the
// batch wait to be made records; 0: as many as Charge holds. No more of a lane is read while
// many bytes of it wait, so a source sets Size where its charges do not say it, as when several
// batches share the charge of one buffer. Opens is how many bytes Fill is going to take in
// addition, as by decompression, as far as that is known; 0: none. A lane that has records
// under way waits with the next Fill until so many bytes are free.
//
// Fill makes the next records in the places given, at most len(into), and says how many;
// 0: there are no more. It inits each place that it uses, which holds an earlier record.
// The engine calls it when records are about to be worked on, the batches of a lane in
// order, with places that were in use a moment ago, so that no more records exist than
// are under way. Until then a batch waits with its lane, holds up no other, and is not in
// flight. It never calls it after Free, nor from two goroutines at a time, but Fill may run
// beside Read, beside Fill of another lane's batch, and, once, beside the lane's end or
// just behind it: what it makes then is dropped. What Fill makes beside the places, as by
// decompression, it charges with Charge.Add. It does not block. An error stops the
// pipeline like one of Read; the records that came with it count. What a policy skips,
// Fill skips and reports.
//
// Opaque says that the offsets of its records are not the lane's, as those of a recording
// are not its lines: then the mark moves behind the batch as a whole. Else they ascend,
// below Next. What is done of such a batch when it is handed back at a stop is repeated,
// unless the source goes by Ended.
//
// Sending and Ended, when not nil, tell of each record by itself, by where it was read: a mark says only that
// all before it have ended. Sending comes before a sink is given the record, one of its parts or its dead letter: from
// here on somebody may have it, whatever becomes of it. It may come again. Ended says that the record has ended for
// good, with all its parts and in all sinks. err is nil when it was delivered, [Filtered], or an error of which
// [IsPermanent] holds when it was rejected and its dead letter is durable. Ended comes at most once for a record, before
// Free; not for one that is abandoned or handed back, nor when the lane is over. Of a lane that was given up it
// still comes for what a sink says to have stored, though no mark passes that. Both are called by many goroutines;
// they return soon, and do not call the engine. With a Transactor they are not called: what a sink has taken is not
// durable then.
//
// Free, when not nil, is called once, when the last record of the batch has its
// outcome, or when the batch is given up unread: every byte that its records point to
// may be used again. It must not block.
type Batch struct {
	Lane   Lane
	Fill   func(into []Record) (n int, err error)
	Next   int64
	Charge Charge
	Size   int64
	Opens  int64
	Opaque bool

	Sending func(pos Position)
	Ended   func(pos Position, err error)
	Free    func()
}

// Records gives the Fill of a batch whose records are there already.
func Records(recs []Record) func(into []Record) (int, error) {
	return func(into []Record) (int, error) {
		n := copy(into, recs)
		recs = recs[n:]
		return n, nil
	}
}

// A Stage works on one record.
type Stage interface {
	// Process edits rec in place, or returns an error: Filtered ends the record on
	// purpose, Permanent rejects it, and see the error functions of this package
	// for the rest. It may run concurrently with other records. It must not keep
	// rec or any of its bytes after returning. ctx ends with the attempt's timeout
	// and when the pipeline gives up; in a step that does not wait it ends only
	// when the pipeline gives up.
	Process(ctx context.Context, rec *Record) error
}

// A StageFunc is a Stage that is a function.
type StageFunc func(ctx context.Context, rec *Record) error

// Process calls f.
func (f StageFunc) Process(ctx context.Context, rec *Record) error { return f(ctx, rec) }

// A Splitter makes several records of one. They share its position and finish
// together.
type Splitter interface {
	// Split calls emit for each part, in order. emit copies the record: part may be
	// used again for the next. Emitting nothing filters the record. When Split
	// returns an error, no part of it goes on. Bytes set on a part must stay valid
	// until the record has its outcome; slices of rec's own value do.
	Split(ctx context.Context, rec *Record, emit func(part *Record)) error
}

// A SplitterFunc is a Splitter that is a function.
type SplitterFunc func(ctx context.Context, rec *Record, emit func(part *Record)) error

// Split calls f.
func (f SplitterFunc) Split(ctx context.Context, rec *Record, emit func(part *Record)) error {
	return f(ctx, rec, emit)
}

// An Undoer is a Stage or a Splitter that remembers records it has let go on, and has to
// forget one that came to nothing: it is read again, or sent again from the dead letters,
// and must not be held for known then.
type Undoer interface {
	// Undone says that a record which Process or Split was called with, whatever that
	// gave, is rejected or abandoned. pos and part are what the record had in that call.
	//
	// It comes at most once for one record of one reading, after the call has returned.
	// For a rejected record it comes before its dead letter is written, so that who sends
	// it again from there cannot be faster; until then, which takes as long as the record
	// is on its way, the stage goes on remembering it. For an abandoned one it comes when
	// the last call that works on it has returned, in no order to its being read again,
	// here or elsewhere.
	//
	// A record that is delivered or filtered, by this step or by any behind it, has the
	// outcome it was to have: nothing comes. The parts that a step behind this one makes
	// of a record stand for it: the first that is rejected or abandoned undoes it, though
	// others are delivered, because the dead letter is the whole record. Parts made before
	// this step are told one by one, under the number that they had here; those that were
	// delivered stay. With several sinks the first that rejects undoes.
	//
	// It comes from goroutines of later steps, of sinks and of the engine, beside Process
	// and beside itself; after Close too, from calls that did not return in time. It
	// returns soon and does not call the engine. A panic in it stops the pipeline.
	Undone(pos Position, part int32)
}

// A Sink stores records.
type Sink interface {
	// Write stores recs, which are of one lane, in order per destination (a Kafka
	// partition, a file). A nil error says that all are durable. A *WriteError
	// names, in ascending order, those that are not; all others are durable and
	// will not be written again. After a record that may be tried again nothing later
	// for its destination has been stored, and what was held back for that reason is
	// listed too, as transient; one that is rejected for good holds nothing back. Any
	// other error: none is durable.
	//
	// Write is serial per lane; lanes may be written concurrently. It reads
	// records, never edits or keeps them. It returns soon after ctx ends.
	Write(ctx context.Context, recs []*Record) error

	// Close flushes nothing, because Write has: it releases what the sink holds.
	Close(ctx context.Context) error
}

// A LaneEnder is a Sink that keeps something for a lane that others may be waiting for: a
// file, a lock.
type LaneEnder interface {
	// LaneEnded says that a lane whose records had this topic and partition is over:
	// no Write of it is under way, and none follows until a source opens another lane of
	// that partition. It comes once for a lane that was written, at the latest before
	// Lane.End returns when no Write is under way then, so that whoever gets the partition
	// next finds free what was given up here. It may come beside Writes of other lanes
	// and beside Close. It returns soon: End waits for it.
	LaneEnded(topic string, partition int32)
}

// A Transactor makes the writes of a pipeline and its progress one step. There is
// one per pipeline; its sinks and its dead letters write through it. Write then
// means accepted, and marks move at Commit.
type Transactor interface {
	// Bind comes once, before the source is opened.
	Bind(src Source) error
	// Stored is asked when a lane opens. ok is false when nothing is stored for it.
	Stored(ctx context.Context, lane string) (next int64, ok bool, err error)
	Begin(ctx context.Context) error
	// Commit makes everything since Begin visible, together with marks. Before it,
	// the engine stops each lane's writes at a cut where everything earlier has an
	// outcome; steps go on; records after the cut wait for the next Begin. An error
	// is ambiguous: Abort follows.
	Commit(ctx context.Context, marks []Mark) error
	// Abort undoes what has not been committed. All lanes end; the source reopens
	// them at their committed offset.
	Abort(ctx context.Context) error
}

// A ReadOncer is a Source that may not be able to read again what it has handed over: a
// pipe, standard input. When the pipeline is told to stop, everything that it has handed
// over is finished first; what another source has handed over and no waiting step has
// begun is handed back. So it is when one of its lanes is ended.
type ReadOncer interface {
	ReadsOnce() bool
}

// A Pinger can be probed at start-up and by `penstock check --connect`. The error
// says what was tried, against which address, and what to do.
type Pinger interface {
	Ping(ctx context.Context) error
}

// An Opener is a Sink that has to be there before the first record: one that others connect to. Open comes once, behind Attach and Account and
// before the source is opened. An error ends the pipeline. When it is told to stop ctx ends, and Open
// returns soon.
type Opener interface {
	Open(ctx context.Context) error
}

// An Attacher emits events of its own. Attach comes once, before use; the emitter
// already stamps the pipeline and the step or sink.
type Attacher interface {
	Attach(e *event.Emitter)
}

// An Accounter holds memory beside records that grows with what it is given to do: free
// lists, encoded batches, caches. Account comes once, before use, and add says whenever
// that grows or shrinks, by how many bytes; from any goroutine, without waiting. What a
// component holds is charged to the budget like what is in flight, and slows the sources
// down. What it still holds when it is closed counts as given back.
type Accounter interface {
	Account(add func(bytes int64))
}
