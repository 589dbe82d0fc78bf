package letters

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A Verdict says what becomes of a record of the dead letters.
type Verdict uint8

const (
	// Replay sends it back.
	Replay Verdict = iota
	// Leave leaves it where it is: a later replay may send it back.
	Leave
	// Pass says that it never concerns a replay of this pipeline: it counts as done.
	Pass
)

// A Choice is what was decided about one letter.
type Choice struct {
	Verdict Verdict
	// Letter is what is sent back; its Record goes on as it is. Only with Replay.
	Letter *deadletter.Letter
	// Target is the caller's, for Source.Target.
	Target any
}

// Options are what a Source is made of. Log, Choose and Ahead are required.
type Options struct {
	Log Log
	// Choose decides about each record of the log that is not done with. It is called by one
	// goroutine. An error ends the source.
	Choose func(rec *pipeline.Record, at pipeline.Position) (Choice, error)
	// Ahead is how many batches may be handed over and not stored as done: what a replay that is killed
	// sends again.
	Ahead int
	// Again has letters looked at that are done with, too.
	Again bool
	// ByPartition keeps the order of all records of a partition; else that of the records of each key.
	ByPartition bool
	// Unchosen is told of each letter that was chosen and is not sent, because Limit others are; nil: nobody is. It is
	// called by the goroutine that calls Choose, or Close.
	Unchosen func(*deadletter.Letter)
	// Limit is how many letters are sent back at most; 0: all.
	Limit int64
	// Rate is how many are handed over in a time at most; zero: as fast as they are taken.
	Rate settings.Rate
}

// A Source gives the records of dead letters, at the positions they were read from, as one lane. It
// ends where the log ended when it was opened. Which letters have ended, by delivery, by being filtered or by a new
// dead letter, is stored with the log: at each commit, and when the source is closed.
//
// It looks ahead as a Window does, and sends the letters of a key in the order in which their records were read.
//
// Two letters of one record are never under way at once: the second waits until the first has its
// outcome.
type Source struct {
	o       Options
	feed    pipeline.Feed
	limiter *rate.Limiter // nil: none
	most    int           // letters of a batch
	lane    pipeline.Lane
	next    int64 // of the lane: how many records of the log were looked at, from 1
	pending *entry
	ahead
	ended   error    // what the source has ended with
	planned Progress // done when all that was handed over is

	wake chan struct{} // capacity 1: a batch is free or committed

	mu      sync.Mutex
	begun   int                           // how often it was begun: what is of a lane before is given up
	under   map[pipeline.Position]*flight // what is under way
	batches []handed                      // that are not committed
	done    Progress                      // stored
	failed  error                         // of a commit, for good
	outcomes

	counts
}

// outcomes are what became of the letters that this source has handed over. They are guarded by the source.
type outcomes struct {
	sent     Progress                       // done with: they have ended, or were passed by and are stored
	fresh    Progress                       // of sent, what has ended and is not stored
	doubtful map[pipeline.Position]struct{} // what a sink was given, and has not ended
	over     int64                          // how many have ended

	delivered, filtered, rejected int64 // how many have ended so
}

// counts are what others ask for while a source runs.
type counts struct {
	chosen, replayed, left atomic.Int64
	open                   atomic.Bool
	opened                 atomic.Bool // at any time
	passedOver             atomic.Bool // a letter was looked at and is not to be sent
	atEnd                  atomic.Bool // all that is to be looked at was
}

// New makes a source. It opens nothing.
func New(o Options) *Source {
	s := &Source{o: o, wake: make(chan struct{}, 1), under: map[pipeline.Position]*flight{}, next: 1}
	s.outcomes = outcomes{sent: Progress{}, fresh: Progress{}, doubtful: map[pipeline.Position]struct{}{}}
	s.most = BatchRecords
	if o.Rate.N > 0 {
		s.most = int(min(max(o.Rate.PerSecond()/batchesPerSecond, 1), BatchRecords))
		s.limiter = rate.NewLimiter(rate.Limit(o.Rate.PerSecond()), s.most)
	}
	return s
}

// Ping implements pipeline.Pinger.
func (s *Source) Ping(ctx context.Context) error { return s.o.Log.Ping(ctx) }

// Open implements pipeline.Source: it goes to the first letter that was not replayed. That progress
// can be stored is tried before anything is sent.
func (s *Source) Open(ctx context.Context, f pipeline.Feed) error {
	done, err := s.o.Log.Load(ctx)
	var changed *ChangedError
	if errors.As(err, &changed) && s.o.Again { // what is known of the letters does not matter
		done, err = Progress{}, nil
	}
	if err != nil {
		return err
	}
	s.feed, s.done = f, done
	if err := s.begin(ctx); err != nil {
		return err
	}
	if err := s.o.Log.Save(ctx, s.done); err != nil {
		return err
	}
	s.opened.Store(true)
	return nil
}

// begin goes to the first letter that is to be looked at, and opens a lane.
func (s *Source) begin(ctx context.Context) error {
	s.mu.Lock()
	from := s.sent.clone()
	if !s.o.Again {
		from.addAll(s.done)
	}
	s.begun++
	s.batches, s.under = nil, map[pipeline.Position]*flight{}
	s.chosen.Store(s.over)
	s.mu.Unlock()
	s.pending, s.atLog, s.ended = nil, nil, nil
	s.seen.Store(false)
	s.window.ByPartition = s.o.ByPartition
	s.counted(func() { s.window.drop() })
	s.atEnd.Store(false)
	if err := s.o.Log.Open(ctx, from); err != nil {
		return err
	}
	s.left.Store(s.o.Log.Left())
	s.mu.Lock()
	for partition, d := range from { // what is gone
		s.done.Of(partition).Add(0, d.First(0))
	}
	s.planned = s.done.clone()
	s.planned.addAll(s.sent)
	s.mu.Unlock()
	lane, _, err := s.feed.Lane(ctx, s.o.Log.Name(), s.next)
	s.mu.Lock()
	s.lane = lane
	s.mu.Unlock()
	s.open.Store(err == nil)
	return err
}

// Read implements pipeline.Source. What ends it other than the end of the log ends it when all that
// was handed over is stored.
func (s *Source) Read(ctx context.Context) (*pipeline.Batch, error) {
	for {
		b, err := s.read(ctx)
		if !errors.Is(err, errLaneEnded) {
			return b, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := s.begin(ctx); err != nil { // what is not stored is sent again
			return nil, err
		}
	}
}

func (s *Source) read(ctx context.Context) (*pipeline.Batch, error) {
	if err := s.waitForRoom(ctx, s.o.Ahead); err != nil {
		return nil, err
	}
	b := &building{s: s, flights: map[pipeline.Position]*flight{}}
	for s.ended == nil && !b.full() {
		more, err := s.readInto(ctx, b)
		if ctx.Err() != nil {
			return nil, ctx.Err() // what was looked at is looked at again by a later run
		}
		if errors.Is(err, errLaneEnded) {
			return nil, err
		}
		if s.ended = err; !more {
			break
		}
	}
	s.atEnd.Store(s.ended == io.EOF)
	if b.looked > 0 {
		return b.batch(), nil
	}
	if s.ended != io.EOF {
		if err := s.waitForRoom(ctx, 1); err != nil {
			return nil, err
		}
	}
	return nil, s.ended
}

// readInto takes the next letter into a batch. It says whether another may follow.
func (s *Source) readInto(ctx context.Context, b *building) (more bool, err error) {
	e, err := s.nextEntry(ctx)
	if err != nil {
		return false, err
	}
	if e.choice.Verdict == Replay {
		if s.isUnderWay(e.choice.Letter.Record.Position) {
			s.pending = e
			if len(b.records) > 0 {
				return false, nil
			}
			return true, s.waitForChange(ctx)
		}
		if s.limiter != nil {
			if err := s.limiter.Wait(ctx); err != nil {
				return false, err
			}
		}
	}
	return true, b.add(e)
}

func (s *Source) isDone(at pipeline.Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.o.Again && s.done.Has(at) || s.sent.Has(at)
}

func (s *Source) isUnderWay(pos pipeline.Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.under[pos] != nil
}

// Target gives what was decided about the letter whose record is under way at a position.
func (s *Source) Target(pos pipeline.Position) (target any, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.under[pos]
	if f == nil {
		return nil, false
	}
	return f.target, true
}

// Keep says that the letter whose record is under way at a position went nowhere: it stays to be
// replayed, and does not count as chosen. It is for the Write of a sink.
func (s *Source) Keep(pos pipeline.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.under[pos]; f != nil && !f.kept {
		f.kept = true
		delete(s.doubtful, f.at)
		s.chosen.Add(-1)
	}
}

// waitForRoom waits until fewer than ahead batches are not stored.
func (s *Source) waitForRoom(ctx context.Context, ahead int) error {
	for {
		s.mu.Lock()
		free, err := len(s.batches) < ahead, s.failed
		s.mu.Unlock()
		select {
		case <-s.lane.Ended():
			return errors.Join(ctx.Err(), errLaneEnded)
		default:
		}
		if free || err != nil {
			return err
		}
		if err := s.waitForChange(ctx); err != nil {
			return err
		}
	}
}

func (s *Source) waitForChange(ctx context.Context) error {
	select {
	case <-s.wake:
		return nil
	case <-s.lane.Ended():
		return errors.Join(ctx.Err(), errLaneEnded)
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errLaneEnded = errors.New("replaying dead letters: the pipeline has ended the lane")

func (s *Source) changed() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close implements pipeline.Source. It stores what has ended since the last commit, so that what ended the pipeline makes
// no difference to what is remembered.
func (s *Source) Close(ctx context.Context) error {
	s.open.Store(false)
	s.keepToLimit()
	s.counted(func() { s.window.drop() })
	return errors.Join(s.storeLast(ctx), s.o.Log.Close())
}

// Report implements pipeline.Reporter.
func (s *Source) Report() pipeline.Report { return pipeline.Report{Connected: s.open.Load()} }

// Chosen is how many letters were chosen to be sent back.
func (s *Source) Chosen() int64 { return s.chosen.Load() }

// Replayed says of how many letters it is stored that they were sent back.
func (s *Source) Replayed() int64 { return s.replayed.Load() }

// Progress gives how many letters were sent back, and how many there are to be, -1 when that is not known: once a letter
// was passed over, nobody knows how many of the others are, until all were looked at.
func (s *Source) Progress() (done, expected int64) {
	done, expected = s.replayed.Load(), s.chosen.Load()
	if s.atEnd.Load() {
		return done, expected
	}
	left := s.left.Load()
	if s.passedOver.Load() || expected+left == 0 {
		return done, -1
	}
	if expected += left; s.o.Limit > 0 {
		expected = min(expected, s.o.Limit)
	}
	return done, expected
}
