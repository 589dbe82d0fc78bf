package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

var (
	seedFlag = flag.Uint64("seed", 0, "the seed of the one random run to make; also PENSTOCK_SEED")
	runsFlag = flag.Int("runs", 40, "how many random runs to make")
)

// TestRandom runs pipelines of random shape through random faults and checks order
// (I1), marks (I5), balance (I6), that nothing is lost, and that nothing is stored
// twice.
func TestRandom(t *testing.T) {
	seed := *seedFlag
	if s := os.Getenv("PENSTOCK_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	if seed != 0 {
		randomRun(t, seed)
		return
	}
	base := uint64(time.Now().UnixNano())
	for i := range *runsFlag {
		if i < *runsFlag/2 {
			randomRun(t, uint64(i+1))
		} else {
			randomRun(t, base+uint64(i))
		}
		if t.Failed() {
			return
		}
	}
}

// A world is one random run: what it is made of, and what truly happened in it.
type world struct {
	t    *testing.T
	seed uint64
	r    *rand.Rand

	mu       sync.Mutex
	rnd      *rand.Rand // of the faults
	filtered map[pipeline.Position]bool
	passed   map[pipeline.Position]bool // an error of it was passed over

	src     *memory
	outs    []*collect
	whens   []int64 // a record is for sink i when offset % whens[i] == 0
	dead    *collect
	o       Options
	wild    float64 // share of calls with a fault
	hang    bool    // a sink hangs, deaf to its ctx
	cancels bool
	ends    bool // a lane ends in the middle
	splits  bool
	steers  bool // somebody pauses, skips and changes workers meanwhile
	desks   []*desk
	changes []Parts // what it goes on with, one after the other
	breaks  breaks  // sinks that store nothing for a while
	traced  *tracer // nil: records are not traced
	taps    []*Tap
}

func (w *world) chance(p float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rnd.Float64() < p
}

func (w *world) upTo(d time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.rnd.Int64N(int64(d) + 1))
}

func randomRun(t *testing.T, seed uint64, with ...func(*world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 1)), rnd: rand.New(rand.NewPCG(seed, 2)),
			filtered: map[pipeline.Position]bool{}, passed: map[pipeline.Position]bool{},
		}
		w.build()
		for _, add := range with {
			add(w)
		}
		if len(w.changes) > 0 {
			w.breakSinks()
		}
		if testing.Verbose() {
			fmt.Fprintln(os.Stderr, "seed", seed)
		}
		defer func() {
			if t.Failed() {
				t.Logf("seed %d: %+v lanes, %d records, order %d, %d steps, %d sinks, faults %.3f, hang %v, cancels %v, ends %v, splits %v, steers %v",
					seed, w.src.lanes, w.src.records, w.o.Order, len(w.o.Steps), len(w.outs), w.wild, w.hang, w.cancels, w.ends, w.splits, w.steers)
			}
		}()
		w.run()
	})
}

func (w *world) build() {
	r := w.r
	w.wild = []float64{0, 0.01, 0.1, 0.4}[r.IntN(4)]
	w.hang, w.cancels, w.ends = r.IntN(5) == 0, r.IntN(3) == 0, r.IntN(3) == 0
	w.src = &memory{
		lanes: 1 + r.IntN(4), records: 1 + r.IntN(600), batch: 1 + r.IntN(400), charge: r.IntN(2) == 0,
		gap: time.Duration(r.IntN(3)) * time.Millisecond,
		key: func(_, n int) string { return strconv.Itoa(n * n % 7) },
	}
	w.o = Options{
		Source: w.src, Order: Order(r.IntN(3)), Drain: time.Duration(1+r.IntN(30)) * time.Second,
		CommitEvery: time.Duration(1+r.IntN(2000)) * time.Millisecond,
	}
	if r.IntN(2) == 0 {
		w.o.Budget = NewBudget(1+r.IntN(2000), settings.Size(1+r.IntN(200_000)))
	}
	for i := range r.IntN(5) {
		w.o.Steps = append(w.o.Steps, w.step(i))
	}
	for i := range 1 + r.IntN(3) {
		c := &collect{write: w.sinkFaults(i)}
		w.outs = append(w.outs, c)
		w.whens = append(w.whens, int64(1+r.IntN(3)))
		every := w.whens[i]
		w.o.Sinks = append(w.o.Sinks, Output{
			Name: "out" + strconv.Itoa(i), Sink: c, MaxRecords: 1 + r.IntN(300),
			Linger: time.Duration(r.IntN(2)) * time.Millisecond, Timeout: time.Second,
			When: func(rec *pipeline.Record) (bool, error) { return rec.Offset%every == 0, nil },
		})
	}
	w.steers = rand.New(rand.NewPCG(w.seed, 4)).IntN(2) == 0
	w.dead = &collect{write: w.deadFaults()}
	w.o.DeadLetter = DeadLetter{Sink: w.dead, Timeout: time.Second, Budget: budgetOf(w.seed)}
	w.makeChanges()
}

// budgetOf gives a budget of rejections to half of the runs. Most of these pause.
func budgetOf(seed uint64) (b RejectionBudget) {
	r := rand.New(rand.NewPCG(seed, 3))
	if r.IntN(2) == 0 {
		return b
	}
	b.Of = 2 + r.IntN(200)
	b.Rejected = 1 + r.IntN(b.Of-1)
	if r.IntN(4) > 0 {
		b.Pause = time.Duration(1+r.IntN(3000)) * time.Millisecond
	}
	return b
}

// spent says whether a run may have ended because its budget was spent.
func (w *world) spent(p *Pipeline) bool {
	b := w.o.DeadLetter.Budget
	return b.Rejected > 0 && b.Pause == 0 && p.rejects().spent
}

func (w *world) step(i int) Step {
	r := w.r
	s := Step{Name: "step" + strconv.Itoa(i), Workers: 1 + r.IntN(6)}
	if r.IntN(4) == 0 {
		s.OnError = OnErrorPass
	}
	slow := time.Duration(0)
	if r.IntN(2) == 0 {
		slow = time.Duration(r.IntN(50)) * time.Millisecond
		s.Wait = &Wait{
			Window: 1 + r.IntN(400), Serial: Serial(r.IntN(3)), Timeout: 2 * time.Second, Deadline: 5 * time.Second,
			Retry: Retry{Attempts: 1 + r.IntN(5), Backoff: 10 * time.Millisecond},
		}
	}
	if r.IntN(4) == 0 {
		w.splits = true
		s.Splitter = splits(func(ctx context.Context, rec *pipeline.Record, emit func(*pipeline.Record)) error {
			for k := range rec.Offset % 4 {
				if k == 2 && w.chance(w.wild/2) {
					return errors.New("splitting: in the middle")
				}
				emit(rec)
			}
			if rec.Offset%4 == 0 {
				w.note(w.filtered, rec.Position)
			}
			return w.fault(ctx, rec, slow, s)
		})
		return s
	}
	s.Stage = does(func(ctx context.Context, rec *pipeline.Record) error { return w.fault(ctx, rec, slow, s) })
	if s.Wait != nil && r.IntN(2) == 0 {
		s.Wait.MaxWait = []time.Duration{0, 20 * time.Millisecond, time.Second}[r.IntN(3)]
		s.Stage = w.admitter(slow, s)
	}
	return s
}

// admitter is a stage whose calls wait at a few gates, which open now and then.
func (w *world) admitter(slow time.Duration, s Step) pipeline.Stage {
	d := &desk{t: w.t}
	gates := 1 + w.r.Int64N(4)
	shut := []float64{0, 0.2, 0.7}[w.r.IntN(3)]
	var visitOf func(at pipeline.Position, further bool) *visit
	visitOf = func(at pipeline.Position, further bool) *visit {
		v := &visit{waits: "a limit"}
		if n := at.Offset % (gates + 1); n > 0 {
			v.gate = n
		}
		v.enter = func(wake func()) (time.Duration, bool) {
			w.surprise("entering")
			switch {
			case !w.chance(shut):
				return 0, true
			case w.chance(0.3):
				time.AfterFunc(w.upTo(20*time.Millisecond), wake)
				return 0, false
			}
			return 1 + w.upTo(5*time.Millisecond), false
		}
		v.do = func(ctx context.Context, rec *pipeline.Record) error {
			if !further && w.chance(0.1) {
				pause(ctx, w.upTo(slow))
				return pipeline.Next(d.take(visitOf(at, true)))
			}
			return w.fault(ctx, rec, slow, s)
		}
		v.leave = func(r pipeline.CallResult) bool {
			w.surprise("leaving")
			return r.Err == nil || w.chance(0.7)
		}
		return v
	}
	d.admit = func(rec *pipeline.Record, _ int) (*visit, error) {
		w.surprise("admitting")
		return visitOf(rec.Position, false), nil
	}
	w.desks = append(w.desks, d)
	return d
}

// surprise panics now and then.
func (w *world) surprise(what string) {
	if w.wild > 0 && w.chance(w.wild/20) {
		if w.chance(0.5) {
			runtime.Goexit()
		}
		panic(what + ": a panic")
	}
}

func (w *world) note(m map[pipeline.Position]bool, at pipeline.Position) {
	w.mu.Lock()
	m[at] = true
	w.mu.Unlock()
}

// fault is what a stage may do to a record.
func (w *world) fault(ctx context.Context, rec *pipeline.Record, slow time.Duration, s Step) error {
	if slow > 0 {
		pause(ctx, w.upTo(slow))
	}
	if s.Splitter == nil && rec.Offset%13 == 5 && s.Name == "step1" {
		w.note(w.filtered, rec.Position)
		return pipeline.Filtered
	}
	if !w.chance(w.wild) {
		return ctx.Err()
	}
	if s.OnError == OnErrorPass {
		w.note(w.passed, rec.Position)
	}
	w.mu.Lock()
	kind := w.rnd.IntN(6)
	w.mu.Unlock()
	switch kind {
	case 0:
		return pipeline.Permanent(errors.New("working: no use"))
	case 1:
		panic("working: a panic")
	case 2:
		runtime.Goexit()
	case 3:
		return pipeline.RetryAfter(w.upTo(3*time.Second), errors.New("working: later"))
	case 4:
		if s.Wait != nil {
			time.Sleep(w.upTo(4 * time.Second)) // deaf to ctx
		}
		return errors.New("working: too slow")
	}
	return errors.New("working: not now")
}

func (w *world) sinkFaults(i int) func(context.Context, []*pipeline.Record) error {
	slow := time.Duration(w.r.IntN(20)) * time.Millisecond
	hung := false
	return func(ctx context.Context, recs []*pipeline.Record) error {
		pause(ctx, w.upTo(slow))
		if w.hang && i == 0 && w.chance(0.05) {
			w.mu.Lock()
			first := !hung
			hung = true
			w.mu.Unlock()
			if first {
				time.Sleep(2 * time.Minute)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !w.chance(w.wild) {
			return nil
		}
		w.mu.Lock()
		kind := w.rnd.IntN(6)
		w.mu.Unlock()
		switch kind {
		case 0:
			return errors.New("writing: not now")
		case 1:
			panic("writing: a panic")
		case 2:
			runtime.Goexit()
		case 3:
			return pipeline.Permanent(errors.New("writing: no use"))
		}
		return w.short(recs)
	}
}

// short is a write that stores some of the records: of each of three destinations,
// all before a failure.
func (w *world) short(recs []*pipeline.Record) error {
	var e pipeline.WriteError
	failed := map[int64]bool{}
	for i, rec := range recs {
		to := destination(rec)
		switch {
		case failed[int64(to)]:
			e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: errors.New("writing: held back")})
		case w.chance(0.1):
			err := errors.New("writing: not this one now")
			if w.chance(0.3) {
				err = pipeline.Permanent(err)
			}
			failed[int64(to)] = true
			e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: err})
		}
	}
	if len(e.Failed) == 0 {
		return nil
	}
	return &e
}

func (w *world) deadFaults() func(context.Context, []*pipeline.Record) error {
	return func(ctx context.Context, recs []*pipeline.Record) error {
		pause(ctx, w.upTo(5*time.Millisecond))
		if w.chance(w.wild) {
			return errors.New("writing: not now")
		}
		return ctx.Err()
	}
}

func (w *world) run() {
	p := mustNew(w.t, w.o)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	over := make(chan struct{})
	var helpers sync.WaitGroup
	helpers.Go(func() { // looks in at odd moments
		for every := 37 * time.Millisecond; ; every += every / 8 {
			select {
			case <-over:
				return
			case <-time.After(every):
				balanced(w.t, p)
				p.InFlight()
				w.holds(p)
			}
		}
	})
	if len(w.changes) > 0 {
		helpers.Go(func() { w.change(p, over) })
	}
	if w.cancels {
		helpers.Go(func() {
			pause(context.Background(), w.upTo(time.Second))
			cancel()
		})
	}
	w.look(p)
	if w.steers {
		helpers.Go(func() { w.steer(p, over) })
	}
	ended := map[int]bool{}
	if w.ends {
		i := w.r.IntN(w.src.lanes)
		ended[i] = true
		helpers.Go(func() {
			pause(context.Background(), w.upTo(500*time.Millisecond))
			w.src.mu.Lock()
			if len(w.src.open) <= i {
				w.src.mu.Unlock()
				return
			}
			lane := w.src.open[i]
			w.src.lost = map[int]bool{i: true}
			w.src.mu.Unlock()
			ectx, stop := context.WithTimeout(context.Background(), w.upTo(time.Second))
			defer stop()
			report, _ := lane.End(ectx)
			if report.Drained < 0 || report.Returned < 0 || report.Abandoned < 0 {
				w.t.Errorf("end of a lane: %+v", report)
			}
			after := w.src.mark(i)
			pause(context.Background(), 10*time.Second)
			if late := w.src.mark(i); late != after {
				w.t.Errorf("mark of an ended lane moved from %d to %d (I8)", after, late)
			}
		})
	}
	began := time.Now()
	err := p.Run(ctx)
	took := time.Since(began)
	close(over)
	balanced(w.t, p)
	w.check(p, err, ended)
	var abandoned *AbandonedError
	switch {
	case err == nil, w.spent(p):
	case errors.As(err, &abandoned) && (w.cancels || w.hang && w.ends && abandoned.Abandoned == 0):
	default:
		w.t.Errorf("Run after %s: %v", took, err)
	}
	helpers.Wait()
	time.Sleep(10 * time.Minute) // deaf calls return; their results go nowhere
	balanced(w.t, p)
	for _, d := range w.desks {
		d.settled()
	}
	w.tapsHoldNothing()
	if w.traced != nil {
		w.traced.allEnded()
	}
}

// check compares what the sinks have with what the marks say.
func (w *world) check(p *Pipeline, err error, ended map[int]bool) {
	t := w.t
	letters := map[pipeline.Position]int{}
	for _, s := range w.dead.all() {
		letters[s.Position]++
		if letters[s.Position] > 1 {
			t.Errorf("%s is twice among the dead letters", s.Position)
		}
	}
	have := make([]map[pipeline.Position]int, len(w.outs))
	for i, out := range w.outs {
		have[i] = map[pipeline.Position]int{}
		seen := map[string]bool{}
		last := map[string][2]int64{}
		for _, s := range out.all() {
			id := fmt.Sprint(s.Position, "#", s.part)
			if seen[id] {
				t.Errorf("sink %d has %s twice", i, id)
			}
			seen[id] = true
			have[i][s.Position]++
			if w.o.Order == OrderNone {
				continue
			}
			// Within a destination of short too, as Write is written again in order.
			lane := fmt.Sprint(s.Partition)
			if w.o.Order == OrderKey {
				lane += "/" + s.key
			}
			if w.wild > 0 { // a short write lets other destinations pass
				lane += "/" + strconv.Itoa(int(s.dest))
			}
			if b := last[lane]; b[0] > s.Offset+1 || b[0] == s.Offset+1 && b[1] >= int64(s.part) && s.part > 0 {
				t.Errorf("sink %d, %s: %s#%d after %d#%d (I1)", i, lane, s.Position, s.part, b[0]-1, b[1])
			}
			last[lane] = [2]int64{s.Offset + 1, int64(s.part)}
		}
	}
	w.marks(err, ended, letters, have)
	w.nothingRepeats(p, err, ended)
	if err == nil && len(ended) == 0 {
		if records, bytes := p.budget.Use(); records != 0 || bytes != 0 {
			t.Errorf("%d records and %d bytes of the budget are still in use", records, bytes)
		}
		for _, l := range w.src.open { // the budget has forgotten the pipeline by now, but not what its lanes had
			if l.records != 0 || l.bytes != 0 || l.charges != 0 {
				t.Errorf("lane %s still has %d records, %d bytes and %d charges", l.name, l.records, l.bytes, l.charges)
			}
		}
		if w.src.freed != w.src.given {
			t.Errorf("%d batches freed of %d", w.src.freed, w.src.given)
		}
	}
}

// nothingRepeats checks that after a clean stop the marks have passed everything that was
// stored (I7). A stop in a pause of the budget abandons what has begun without an error (halt.go): what is behind
// that in its lane is read again.
func (w *world) nothingRepeats(p *Pipeline, err error, ended map[int]bool) {
	if err != nil {
		return
	}
	halted := map[string]bool{}
	for _, l := range w.src.open {
		l.mu.Lock()
		halted[l.name] = halted[l.name] || p.phase.halted.Load() && l.abandoned > 0
		l.mu.Unlock()
	}
	for _, sink := range append(w.outs, w.dead) {
		for _, s := range sink.all() {
			lane := int(s.Partition)
			if !ended[lane] && !halted[fmt.Sprint("t/", lane)] && s.Offset >= w.src.mark(lane) {
				w.t.Errorf("%s is stored and will be read again: the mark is %d", s.Position, w.src.mark(lane))
			}
		}
	}
}

func (w *world) marks(err error, ended map[int]bool, letters map[pipeline.Position]int, have []map[pipeline.Position]int) {
	for lane := range w.src.lanes {
		mark := w.src.mark(lane)
		if err == nil && !w.cancels && !ended[lane] && mark != int64(w.src.records) {
			w.t.Errorf("lane %d: mark %d, want %d", lane, mark, w.src.records)
		}
		for n := range mark {
			at := pipeline.Position{Topic: "t", Partition: int32(lane), Offset: n}
			if letters[at] > 0 || w.filtered[at] || w.splits && n%4 == 0 {
				continue
			}
			for i := range w.outs {
				if n%w.whens[i] == 0 && have[i][at] == 0 {
					w.t.Errorf("mark %d of lane %d passes %s, which sink %d does not have (I5)", mark, lane, at, i)
				}
			}
		}
	}
}
