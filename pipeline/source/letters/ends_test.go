package letters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/engine"
)

// letterRecord is a dead letter of a record of partition 0.
func letterRecord(at pipeline.Position, offset int64, value string) *pipeline.Record {
	rec := new(pipeline.Record)
	h := func(name, value string) pipeline.Header { return pipeline.Header{Name: name, Value: []byte(value)} }
	rec.Init(at, []byte("k"), []byte(value), []pipeline.Header{
		h(deadletter.Pipeline, "late"), h(deadletter.Step, "weather"), h(deadletter.Reason, "attempts"),
		h(deadletter.Topic, "flights"), h(deadletter.Partition, "0"), h(deadletter.Offset, fmt.Sprint(offset)),
	}, 5)
	return rec
}

// memoryLog is a log of n letters in memory, numbered from 0. Of what is done it can remember so many runs; 0: any number.
type memoryLog struct {
	n, next int64
	runs    int
	broken  int64 // the letter that it cannot read; 0: it can read all
	step    int64 // from each letter's record to the next one's, modulo n; 0: 1

	mu    sync.Mutex
	saved Progress
	fails error // of each Save
}

func (l *memoryLog) Name() string                         { return "dead" }
func (l *memoryLog) PositionName() string                 { return "memory" }
func (l *memoryLog) Ping(context.Context) error           { return nil }
func (l *memoryLog) Open(context.Context, Progress) error { l.next = 0; return nil }
func (l *memoryLog) Left() int64                          { return l.n - l.next }
func (l *memoryLog) Close() error                         { return nil }

func (l *memoryLog) Next(context.Context) (*pipeline.Record, pipeline.Position, error) {
	at := pipeline.Position{Topic: "dead", Offset: l.next}
	if l.next == l.n {
		return nil, at, io.EOF
	}
	if l.next == l.broken && l.broken > 0 {
		return nil, at, errors.New("reading: it is torn")
	}
	l.next++
	offset := at.Offset * max(l.step, 1) % l.n
	return letterRecord(at, offset, fmt.Sprint(offset)), at, nil
}

func (l *memoryLog) Load(context.Context) (Progress, error) { return l.stored(), nil }

func (l *memoryLog) stored() Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.saved.clone()
}

func (l *memoryLog) Save(_ context.Context, done Progress) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails == nil {
		l.saved = done.clone()
	}
	return l.fails
}

func (l *memoryLog) Fits(_ int32, done *Done) error {
	if l.runs > 0 && len(done.Lines()) > l.runs {
		return &ScatteredError{"dead/0"}
	}
	return nil
}

// A came is how often each letter has come somewhere for good, by its value.
type came struct {
	mu    sync.Mutex
	times map[string]int
}

func (c *came) note(value []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times[string(value)]++
}

// most gives how often the letter that came most often has come, and how many came.
func (c *came) most() (most, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, times := range c.times {
		most = max(most, times)
	}
	return most, len(c.times)
}

// broken is what ends a replay beside a signal: a budget of rejections, which may pause it, and an error of the sink at its nth
// record, or of the log. 0: nothing.
type broken struct {
	budget, at int
	read       int64
	pause      time.Duration
}

func (b broken) fails() bool { return b.pause == 0 && b != broken{} }

// through takes letters through a step that takes random times, rejects some letters, and drops others, into a
// sink. What is delivered or rejected for good is noted.
func through(ctx context.Context, t *testing.T, s *Source, c *came, b broken, drops bool) error {
	ask := pipeline.StageFunc(func(ctx context.Context, rec *pipeline.Record) error {
		select {
		case <-time.After(time.Duration(rand.IntN(10)) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		switch n := rec.Offset; {
		case n%7 == 3:
			return pipeline.Reject("odd", errors.New("asking: it is odd"))
		case n%11 == 5 && drops:
			return pipeline.Filtered
		}
		return nil
	})
	n := 0
	out := sinkFunc(func(recs []*pipeline.Record) error {
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
		for i, rec := range recs {
			if n++; n == b.at {
				return notFrom(i, len(recs), errors.New("writing: the disk is gone"))
			}
			c.note(rec.Value())
		}
		return nil
	})
	dead := sinkFunc(func(recs []*pipeline.Record) error {
		for _, rec := range recs {
			c.note(rec.Value())
		}
		return nil
	})
	p, err := engine.New(engine.Options{
		Name: "p", Source: s, CommitEvery: 20 * time.Millisecond, Drain: 10 * time.Second,
		Steps:      []engine.Step{{Name: "ask", Kind: "ask", Stage: ask, Workers: 16, Wait: &engine.Wait{}}},
		Sinks:      []engine.Output{{Name: "out", Kind: "out", Sink: out}},
		DeadLetter: engine.DeadLetter{Sink: dead, Budget: engine.RejectionBudget{Rejected: b.budget, Of: 1000, Pause: b.pause}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p.Run(ctx)
}

// notFrom says that a sink fails for good, and has no record from one on.
func notFrom(i, n int, err error) error {
	e := new(pipeline.WriteError)
	for ; i < n; i++ {
		e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: pipeline.Fatal(err)})
	}
	return e
}

// TestWhateverEndsAReplayNothingComesTwice ends replays at random moments: by a signal, also in a pause, by the budget of rejections, by a
// sink that fails for good, and by letters that cannot be read. What was delivered or rejected by then, each letter by itself, is not sent again; the rest is.
func TestWhateverEndsAReplayNothingComesTwice(t *testing.T) {
	const all = 700
	stopped := 0
	for round := range 100 {
		synctest.Test(t, func(t *testing.T) {
			l, c := &memoryLog{n: all, saved: Progress{}, step: []int64{1, 37, 351}[rand.IntN(3)]}, &came{times: map[string]int{}}
			ctx, cancel := context.WithCancel(t.Context())
			var b broken
			switch round % 6 {
			case 0:
				b.budget = 1 + rand.IntN(80)
			case 1:
				b.at = 1 + rand.IntN(500)
			case 2:
				b.read = 1 + rand.Int64N(650)
				l.broken = b.read
			case 3:
				b.budget, b.pause = 1+rand.IntN(60), time.Minute
				fallthrough
			default:
				time.AfterFunc(time.Duration(rand.IntN(220_000))*time.Microsecond, cancel)
			}
			err := through(ctx, t, New(Options{Log: l, Choose: chooseAll, Ahead: 1 + 15*rand.IntN(2)}), c, b, false)
			if (err != nil) != b.fails() {
				t.Fatalf("round %d, %+v: the first run ended with %v", round, b, err)
			}
			if _, n := c.most(); 0 < n && n < all {
				stopped++
			}
			l.broken = 0
			if err := through(t.Context(), t, New(Options{Log: l, Choose: chooseAll, Ahead: 16}), c, broken{}, false); err != nil {
				t.Fatal(err)
			}
			if most, n := c.most(); most != 1 || n != all {
				t.Errorf("round %d, %+v: %d of %d letters came, one of them %d times", round, b, n, all, most)
			}
			cancel()
		})
	}
	if stopped < 50 {
		t.Errorf("%d runs of 100 ended on the way: the others say nothing", stopped)
	}
}

// TestKilledReplayLosesNothing goes on from what was stored at random moments, as after SIGKILL: each letter comes, and
// no more of them twice than may be under way.
func TestKilledReplayLosesNothing(t *testing.T) {
	const all = 700
	killed := 0
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			step := []int64{1, 37, 351}[rand.IntN(3)] // in order, and not
			l, c := &memoryLog{n: all, saved: Progress{}, step: step}, &came{times: map[string]int{}}
			ahead := 1 + rand.IntN(2)
			later := &came{times: map[string]int{}}
			var stored Progress
			time.AfterFunc(time.Duration(rand.IntN(220_000))*time.Microsecond, func() {
				stored = l.stored() // first: what is stored has come
				c.mu.Lock()
				defer c.mu.Unlock()
				maps.Copy(later.times, c.times)
			})
			if err := through(t.Context(), t, New(Options{Log: l, Choose: chooseAll, Ahead: ahead}), c, broken{}, true); err != nil {
				t.Fatal(err)
			}
			if synctest.Wait(); stored == nil { // it was over before
				return
			}
			killed++
			if err := through(t.Context(), t, New(Options{Log: &memoryLog{n: all, saved: stored, step: step}, Choose: chooseAll, Ahead: 16}), later, broken{}, true); err != nil {
				t.Fatal(err)
			}
			twice := 0
			for n := range all {
				times := later.times[fmt.Sprint(n)]
				if times == 0 && (n%11 != 5 || n%7 == 3) || times > 2 {
					t.Errorf("letter %d came %d times", n, times)
				}
				twice += max(times-1, 0)
			}
			if twice > ahead*BatchRecords {
				t.Errorf("%d letters came twice, with %d batches under way", twice, ahead)
			}
		})
	}
	if killed < 5 {
		t.Errorf("%d of 20 replays were killed on their way", killed)
	}
}

// TestStoresWhatFits has more letters end apart from each other than the log can remember: the first ones are stored.
func TestStoresWhatFits(t *testing.T) {
	l := &memoryLog{n: 20, runs: 3}
	s := New(Options{Log: l})
	s.done = Progress{}
	s.done.Of(0).Add(0, 1)
	for _, offset := range []int64{9, 3, 7, 5} {
		s.noteEnd(&flight{at: pipeline.Position{Offset: offset}})
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(l.saved.Of(0).Lines(), " "); got != "0 3 5" || s.Replayed() != 2 {
		t.Errorf("stored is %s, %d replayed", got, s.Replayed())
	}
	s.noteEnd(&flight{at: pipeline.Position{Offset: 4}})
	s.noteEnd(&flight{at: pipeline.Position{Offset: 6}})
	if err := s.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(l.saved.Of(0).Lines(), " "); got != "0 3-7 9" || s.Replayed() != 6 {
		t.Errorf("with what came between stored is %s, %d replayed", got, s.Replayed())
	}
}

// TestWhatCannotBeStoredIsTold has nothing stored: the source says so when it is closed, and counts the letters.
func TestWhatCannotBeStoredIsTold(t *testing.T) {
	l := &memoryLog{n: 20, fails: errors.New("storing: the disk is full")}
	s := New(Options{Log: l})
	for offset := range int64(4) {
		s.noteEnd(&flight{at: pipeline.Position{Offset: offset}})
	}
	if err := s.Commit(t.Context(), nil); !errors.Is(err, l.fails) {
		t.Errorf("the commit gave %v", err)
	}
	if err := s.Close(t.Context()); !errors.Is(err, l.fails) || s.Replayed() != 0 || l.saved != nil {
		t.Errorf("closing gave %v; %d are stored", err, s.Replayed())
	}
	l.fails = nil
	if err := s.Close(t.Context()); err != nil || s.Replayed() != 4 || strings.Join(l.saved.Of(0).Lines(), " ") != "0-3" {
		t.Errorf("closing then gave %v; %d are stored: %v", err, s.Replayed(), l.saved.Of(0).Lines())
	}
}

// TestTallyOfASinkThatHangs gives a replay up while its sink has some of the letters: these alone are in doubt, and those
// that it had taken before are stored, though the first letter of all has not ended.
func TestTallyOfASinkThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &memoryLog{n: 1000, saved: Progress{}}
		s := New(Options{Log: l, Choose: chooseAll, Ahead: 16, Limit: 900})
		hangs := func(ctx context.Context, recs []*pipeline.Record) error {
			if recs[0].Offset < 600 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		p, err := engine.New(engine.Options{
			Name: "p", Source: s, Drain: time.Second,
			Steps: []engine.Step{{Name: "odd", Kind: "odd", Stage: pipeline.StageFunc(func(_ context.Context, rec *pipeline.Record) error {
				if rec.Offset%100 == 50 {
					return pipeline.Filtered
				}
				return nil
			})}},
			Sinks: []engine.Output{{Name: "out", Kind: "out", Sink: sinkContext(hangs), MaxRecords: 10, Timeout: time.Hour}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		var abandoned *engine.AbandonedError
		if err := p.Run(ctx); !errors.As(err, &abandoned) {
			t.Fatal(err)
		}
		got := s.Tally()
		if got.Delivered < 500 || got.Delivered >= 610 || got.Filtered < 7 || got.Rejected != 0 || got.Stored != got.Ended() ||
			got.Chosen != 900 || got.Doubtful == 0 || got.Doubtful > 10 || got.Complete || got.Unseen != 0 {
			t.Errorf("%+v", got)
		}
		if !l.saved.Has(pipeline.Position{Offset: 650}) || l.saved.Has(pipeline.Position{Offset: 649}) {
			t.Errorf("stored is %v", l.saved.Of(0).Lines())
		}
	})
}

type sinkContext func(ctx context.Context, recs []*pipeline.Record) error

func (f sinkContext) Write(ctx context.Context, recs []*pipeline.Record) error { return f(ctx, recs) }
func (sinkContext) Close(context.Context) error                                { return nil }
