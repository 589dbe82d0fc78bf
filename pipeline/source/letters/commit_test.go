package letters

import (
	"context"
	"io"
	"testing"
	"testing/synctest"

	"github.com/penstockio/penstock/pipeline"
)

// heldLog is a log of two letters whose second Save and second Open wait until they are let go.
type heldLog struct {
	Log
	next, opens, saves int64
	saving, opening    chan struct{}
}

func (l *heldLog) Name() string                                { return "held" }
func (l *heldLog) Left() int64                                 { return 0 }
func (l *heldLog) Fits(int32, *Done) error                     { return nil }
func (l *heldLog) Load(context.Context) (Progress, error)      { return Progress{}, nil }
func (l *heldLog) Open(_ context.Context, done Progress) error { return hold(&l.opens, l.opening) }
func (l *heldLog) Save(context.Context, Progress) error        { return hold(&l.saves, l.saving) }

// hold waits in the second call.
func hold(calls *int64, until chan struct{}) error {
	if *calls++; *calls == 2 {
		<-until
	}
	return nil
}

func (l *heldLog) Next(context.Context) (*pipeline.Record, pipeline.Position, error) {
	if l.next == 2 {
		return nil, pipeline.Position{}, io.EOF
	}
	l.next++
	r := new(pipeline.Record)
	r.Init(pipeline.Position{Topic: "held", Offset: l.next}, nil, []byte("x"), nil, 0)
	return r, r.Position, nil
}

// endedLane is a lane that a pipeline may give up.
type endedLane struct {
	pipeline.Lane
	ended chan struct{}
}

func (l *endedLane) Ended() <-chan struct{} { return l.ended }

type laneFeed struct {
	pipeline.Feed
	lanes []*endedLane
}

func (f *laneFeed) Lane(_ context.Context, _ string, next int64) (pipeline.Lane, int64, error) {
	l := &endedLane{ended: make(chan struct{})}
	f.lanes = append(f.lanes, l)
	return l, next, nil
}

// TestCommitOfALaneThatIsGivenUp ends the lane while what it has done is stored, and has the store end
// while the next lane is begun.
func TestCommitOfALaneThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &heldLog{saving: make(chan struct{}), opening: make(chan struct{})}
		pass := func(*pipeline.Record, pipeline.Position) (Choice, error) { return Choice{Verdict: Pass}, nil }
		s, feed := New(Options{Log: l, Ahead: 4, Choose: pass}), new(laneFeed)
		if err := s.Open(t.Context(), feed); err != nil {
			t.Fatal(err)
		}
		b, err := s.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stored, read := make(chan error, 1), make(chan error, 1)
		go func() {
			stored <- s.Commit(t.Context(), []pipeline.Mark{{Lane: feed.lanes[0], Next: b.Next}})
		}()
		synctest.Wait()
		close(feed.lanes[0].ended)
		go func() { _, err := s.Read(t.Context()); read <- err }()
		synctest.Wait()
		close(l.saving)
		if err := <-stored; err != nil {
			t.Errorf("storing what was done: %v", err)
		}
		close(l.opening)
		if err := <-read; err != io.EOF {
			t.Errorf("behind it: %v", err)
		}
	})
}

// TestKeepOfALaneThatIsGivenUp has a sink turn a letter down, and the pipeline give up its lane. The next lane brings the
// letter again, and its end counts, and is stored.
func TestKeepOfALaneThatIsGivenUp(t *testing.T) {
	l := &memoryLog{n: 1, saved: Progress{}}
	s, feed := New(Options{Log: l, Ahead: 1, Choose: chooseAll}), new(laneFeed)
	if err := s.Open(t.Context(), feed); err != nil {
		t.Fatal(err)
	}
	first, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pos := pipeline.Position{Topic: "flights"}
	s.Keep(pos)
	close(feed.lanes[0].ended)
	second, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first.Ended(pos, nil) // late: it is the sink's answer to what was turned down
	if got := s.Tally(); got.Chosen != 1 || got.Ended() != 0 {
		t.Errorf("sent again: %+v", got)
	}
	second.Ended(pos, nil)
	if err := s.Commit(t.Context(), []pipeline.Mark{{Lane: feed.lanes[1], Next: second.Next}}); err != nil {
		t.Fatal(err)
	}
	if got := s.Tally(); got.Chosen != 1 || got.Delivered != 1 || got.Stored != 1 || !l.stored().Has(pipeline.Position{}) {
		t.Errorf("at its end: %+v, stored %v", got, l.stored().Of(0).Lines())
	}
}
