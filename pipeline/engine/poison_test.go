package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

const (
	poisonRecords = 10_000
	poisonEvery   = 10
)

func isPoison(r *pipeline.Record) bool { return r.Offset%poisonEvery == 3 }

var errPoison = pipeline.Permanent(errors.New("writing: bad"))

// poisonWrites are what sinks may say of a batch with bad records, and how many writes
// of it may be needed at most for each of them.
var poisonWrites = map[string]struct {
	write func(recs []*pipeline.Record) error
	most  int
}{
	"names all of them": {func(recs []*pipeline.Record) error {
		var e pipeline.WriteError
		for i, r := range recs {
			if isPoison(r) {
				e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: errPoison})
			}
		}
		if e.Failed == nil {
			return nil
		}
		return &e
	}, 1},
	"holds back what is behind the first": {func(recs []*pipeline.Record) error {
		var e pipeline.WriteError
		for i, r := range recs {
			switch {
			case e.Failed != nil:
				e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: errors.New("writing: held back")})
			case isPoison(r):
				e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: errPoison})
			}
		}
		if e.Failed == nil {
			return nil
		}
		return &e
	}, 2},
	"refuses the batch": {func(recs []*pipeline.Record) error {
		for _, r := range recs {
			if isPoison(r) {
				return errPoison
			}
		}
		return nil
	}, 14},
	"panics": {func(recs []*pipeline.Record) error {
		for _, r := range recs {
			if isPoison(r) {
				panic("writing: bad")
			}
		}
		return nil
	}, 14},
	"ends its goroutine": {func(recs []*pipeline.Record) error {
		for _, r := range recs {
			if isPoison(r) {
				runtime.Goexit()
			}
		}
		return nil
	}, 14},
}

// Records that a sink refuses for good cost writes, never a backoff, and never those
// behind them an attempt: also when a sink is tried a limited number of times.
func TestPoisonInASinkCostsNoBackoff(t *testing.T) {
	for name, c := range poisonWrites {
		for _, attempts := range []int{0, 2} {
			t.Run(fmt.Sprintf("%s, attempts %d", name, attempts), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					writes := 0
					out := &collect{write: func(_ context.Context, recs []*pipeline.Record) error {
						writes++
						time.Sleep(time.Millisecond)
						return c.write(recs)
					}}
					began := time.Now()
					poisonRun(t, Options{Sinks: []Output{{Name: "out", Sink: out, Retry: Retry{Attempts: attempts}}}}, out, "out")
					if took := time.Since(began); took > time.Duration(writes)*time.Millisecond {
						t.Errorf("%d writes of 1ms took %v", writes, took)
					}
					if most := c.most*poisonRecords/poisonEvery + poisonRecords/100; writes > most {
						t.Errorf("%d writes, want at most %d", writes, most)
					}
				})
			})
		}
	}
}

// Records that a step refuses for good are not tried again, and hold up nothing.
func TestPoisonInAStepCostsNoBackoff(t *testing.T) {
	ways := map[string]func(r *pipeline.Record) error{
		"permanent error": func(*pipeline.Record) error { return errPoison },
		"not JSON":        func(r *pipeline.Record) error { _, err := r.Field("n"); return err },
		"panic":           func(*pipeline.Record) error { panic("bad") },
		"Goexit":          func(*pipeline.Record) error { runtime.Goexit(); return nil },
	}
	for name, fail := range ways {
		for _, waits := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, waits %t", name, waits), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					out := &collect{}
					stage := does(func(_ context.Context, r *pipeline.Record) error {
						if isPoison(r) {
							return fail(r)
						}
						return nil
					})
					began := time.Now()
					poisonRun(t, Options{Steps: []Step{{Name: "check", Stage: stage, Wait: waitIf(waits)}}, Sinks: []Output{{Name: "out", Sink: out}}}, out, "check")
					if took := time.Since(began); took > 0 {
						t.Errorf("it took %v", took)
					}
				})
			})
		}
	}
}

// poisonRun runs a pipeline over records of which some are bad, and checks that these
// are in the dead letters, tried once, and all others in out.
func poisonRun(t *testing.T, o Options, out *collect, where string) {
	t.Helper()
	dead := &collect{}
	src := &memory{lanes: 1, records: poisonRecords, batch: 100, value: func(_, n int) string {
		if n%poisonEvery == 3 {
			return `{"n":`
		}
		return `{}`
	}}
	o.Source, o.DeadLetter = src, DeadLetter{Name: "dead", Sink: dead}
	p, err := run(t, o)
	if err != nil {
		t.Fatal(err)
	}
	if n := p.Snapshot().Retries; n != 0 {
		t.Errorf("%d retries", n)
	}
	if src.mark(0) != poisonRecords {
		t.Errorf("the mark is at %d", src.mark(0))
	}
	n := int64(0)
	for _, offset := range out.offsets(0) {
		if n%poisonEvery == 3 {
			n++
		}
		if offset != n {
			t.Fatalf("offset %d arrived where %d was due", offset, n)
		}
		n++
	}
	letters := dead.all()
	if n != poisonRecords || len(letters) != poisonRecords/poisonEvery {
		t.Errorf("arrived up to %d, and %d dead letters", n, len(letters))
	}
	for _, l := range letters {
		if l.Offset%poisonEvery != 3 || l.headers[deadletter.Attempts] != "1" || l.headers[deadletter.Step] != where {
			t.Fatalf("a dead letter of %v: %v", l.Position, l.headers)
		}
	}
}
