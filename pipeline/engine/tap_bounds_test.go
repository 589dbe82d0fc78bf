package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Nobody waits for whoever does not read a tap: the run ends as ever, and what was not looked at is counted.
func TestTapThatNobodyReads(t *testing.T) {
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const n = 2000
			p := mustNew(t, Options{
				Source: &memory{lanes: 2, records: n / 2}, Steps: []Step{{Name: "x", Stage: judges(nil), Wait: waitIf(waits)}},
				Sinks: []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Sink: &collect{}},
			})
			tap := openTap(t, p, "x", TapBefore)
			if err := p.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			balanced(t, p)
			shown := int64(len(allOf(t, tap)))
			if c := tap.Counts(); shown == 0 || shown > tapQueue || c.Shown != shown || shown+c.Skipped != n {
				t.Errorf("waits %v: %d were shown of %d, counts %+v", waits, shown, n, c)
			}
		})
	}
}

// A tap shows as many as its rate allows, and ends at its limit; the rest is counted.
func TestTapKeepsToItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Options{
			Source: &memory{lanes: 1, records: 1000, batch: 1, gap: 10 * time.Millisecond},
			Sinks:  []Output{{Name: "out", Sink: &collect{}}},
		})
		slow := func(o *TapOptions) { o.Rate = settings.Rate{N: 5, Per: time.Second} }
		tap := openTap(t, p, TapSource, TapAfter, slow)
		where := openTap(t, p, TapSource, TapAfter, slow, func(o *TapOptions) {
			o.Where = func(rec *pipeline.Record) (bool, error) { return rec.Offset%2 == 0, nil }
		})
		few := openTap(t, p, TapSource, TapAfter, func(o *TapOptions) { o.Limit = 3 })
		read := make(chan []TapRecord)
		go func() { read <- allOf(t, where) }()
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(allOf(t, tap)); got < 50 || got > 56 { // for 10 s, and what the bucket held
			t.Errorf("5 a second: %d in 10 s", got)
		}
		if got := tap.Counts(); got.Shown+got.Skipped != 1000 {
			t.Errorf("%+v", got)
		}
		got := <-read
		if len(got) < 50 || len(got) > 56 {
			t.Errorf("5 a second of those that a condition chooses: %d in 10 s", len(got))
		}
		for _, r := range got {
			if r.Record.Offset%2 != 0 {
				t.Errorf("offset %d was not chosen", r.Record.Offset)
			}
		}
		if got := len(allOf(t, few)); got != 3 {
			t.Errorf("limit 3: %d", got)
		}
	})
}

// A condition, or a redaction, that panics or fails costs its own tap the record, and nobody else anything.
func TestTapThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Options{
			Source: &memory{lanes: 1, records: 9}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
		})
		panics := openTap(t, p, TapSource, TapAfter, func(o *TapOptions) {
			o.Where = func(rec *pipeline.Record) (bool, error) {
				switch rec.Offset % 3 {
				case 0:
					panic("a condition")
				case 1:
					return false, errors.New("a condition")
				}
				return true, nil
			}
		})
		redacts := openTap(t, p, TapSource, TapAfter, func(o *TapOptions) {
			o.Redact = func(c *TapContents) { runtime.Goexit() }
		})
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		balanced(t, p)
		if got := allOf(t, panics); len(got) != 3 || panics.Counts().Failed != 6 {
			t.Errorf("a condition that panics: %d, %+v", len(got), panics.Counts())
		}
		if got := allOf(t, redacts); len(got) != 0 || redacts.Counts().Failed != 9 {
			t.Errorf("a redaction that ends its goroutine: %d, %+v", len(got), redacts.Counts())
		}
	})
}

// What is shown is redacted first, and the condition is asked about that: no answer of a tap tells what is redacted.
func TestTapAsksAboutWhatItShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Options{
			Source: &memory{lanes: 1, records: 3, value: func(_, n int) string { return fmt.Sprintf(`{"card":%d}`, n) }},
			Steps:  []Step{edits("copy", "1"), {Name: "x", Stage: judges(nil), Workers: 1}},
			Sinks:  []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Sink: &collect{}},
		})
		asked := 0
		tap := openTap(t, p, "x", TapBefore|TapRejected, func(o *TapOptions) {
			o.Redact = func(c *TapContents) {
				if came := string(c.CameValue); !strings.HasPrefix(came, `{"card":`) || strings.Contains(came, "copy") || !strings.Contains(string(c.Value), `"copy":1`) {
					t.Errorf("came as %s, is %s", came, c.Value)
				}
				if c.Error != "" {
					c.Error = "masked"
				}
				c.Value, c.Key, c.Redacted = []byte(`{"card":"***"}`), nil, []string{"fields"}
			}
			o.Where = func(rec *pipeline.Record) (bool, error) {
				asked++
				if string(rec.Value()) != `{"card":"***"}` {
					t.Errorf("the condition sees %s", rec.Value())
				}
				return true, nil
			}
		})
		bare := openTap(t, p, "x", TapBefore|TapRejected, func(o *TapOptions) {
			o.Values = false
			o.Where = func(rec *pipeline.Record) (bool, error) {
				if rec.Value() != nil || rec.Key() != nil || len(rec.Headers()) > 0 {
					t.Errorf("the condition sees %s", rec.Value())
				}
				return true, nil
			}
		})
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(shapes(allOf(t, tap)), "\n")
		want := `before 0.0 {"card":"***"} passed
before 1.0 {"card":"***"} filtered
before 2.0 {"card":"***"} rejected
rejected 2.0 {"card":"***"} permanent: masked`
		if got != want || asked != 3 { // one side is enough
			t.Errorf("asked %d times\n%s\nwant\n%s", asked, got, want)
		}
		for _, r := range allOf(t, bare) {
			if len(r.LeftOut) != 3 || r.Bytes < 10 || r.Error != "" || (r.Side == TapRejected) != (r.Reason != "") {
				t.Errorf("without values: %+v", r)
			}
		}
	})
}

// A copy has a bound. Where nothing is redacted its beginning is shown, at a whole character; where something is, nothing is: nobody
// can look through what is cut.
func TestTapOfLargeRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large := `{"a":"` + strings.Repeat("é", tapBytes) + `"}`
		p := mustNew(t, Options{
			Source: &memory{lanes: 1, records: 1, value: func(int, int) string { return large }},
			Steps:  []Step{edits("b", "1")}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
		})
		plain, step := openTap(t, p, TapSource, TapAfter), openTap(t, p, "out", TapBefore)
		redacts := openTap(t, p, TapSource, TapAfter, func(o *TapOptions) { o.Redact = func(*TapContents) { t.Error("it is to redact what is cut") } })
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := allOf(t, plain)
		if len(got) != 1 || !got[0].Cut || got[0].Bytes != len(large) || len(got[0].Record.Value()) > tapBytes || !bytes.HasSuffix(got[0].Record.Value(), []byte("é")) {
			t.Errorf("%d, cut %v, of %d: %d", len(got), got[0].Cut, got[0].Bytes, len(got[0].Record.Value()))
		}
		if got := allOf(t, step); len(got) != 1 || !got[0].Cut || got[0].Bytes <= len(large) {
			t.Errorf("edited: cut %v, of %d", got[0].Cut, got[0].Bytes)
		}
		if got := allOf(t, redacts); len(got) != 1 || !got[0].Cut || got[0].Record.Value() != nil || len(got[0].LeftOut) != 3 {
			t.Errorf("redacted: %+v", got[0])
		}
	})
}

// Parts have the numbers with which they leave the step, and there are as many shown as may be.
func TestTapOfASplit(t *testing.T) {
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const parts = tapParts + 3
			p := mustNew(t, Options{
				Source: &memory{lanes: 1, records: 1},
				Steps: []Step{{Name: "x", Wait: waitIf(waits), Splitter: splits(func(_ context.Context, rec *pipeline.Record, emit func(*pipeline.Record)) error {
					for range parts {
						emit(rec.Clone())
					}
					return nil
				})}},
				Sinks: []Output{{Name: "out", Sink: &collect{}}},
			})
			tap, out := openTap(t, p, "x", TapBefore|TapAfter), openTap(t, p, "out", TapBefore)
			if err := p.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, came := allOf(t, tap), allOf(t, out)
			if len(got) != 1+tapParts || len(came) != parts {
				t.Fatalf("waits %v: %d at the step, %d at the sink", waits, len(got), len(came))
			}
			for i, r := range got[1:] {
				if r.Record.Part != came[i].Record.Part || r.Record.Part != int32(i+1) || r.Parts != parts || r.Number != got[0].Number {
					t.Errorf("part %d: %d of %d, at the sink %d", i, r.Record.Part, r.Parts, came[i].Record.Part)
				}
			}
		})
	}
}

// A record that is tried again is seen as it came first and as it leaves last; one that hangs is seen at once by who looks at nothing but what comes.
func TestTapOfAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried := 0
		hangs := make(chan struct{})
		p := mustNew(t, Options{
			Source: &memory{lanes: 1, records: 1, value: func(int, int) string { return `{"a":1}` }},
			Steps: []Step{{Name: "x", Wait: &Wait{}, Stage: does(func(_ context.Context, rec *pipeline.Record) error {
				if tried++; tried < 3 {
					_ = rec.SetRaw("a", []byte("0"))
					return errors.New("not yet")
				}
				<-hangs
				return rec.SetRaw("b", []byte("2"))
			})}},
			Sinks: []Output{{Name: "out", Sink: &collect{}}},
		})
		both, before := openTap(t, p, "x", TapBefore|TapAfter), openTap(t, p, "x", TapBefore)
		ended := make(chan error)
		go func() { ended <- p.Run(context.Background()) }()
		synctest.Wait()
		if got, err := before.Next(t.Context()); err != nil || shape(got[0]) != `before 0.0 {"a":1}` {
			t.Errorf("at once: %v %q", err, shapes(got))
		}
		time.Sleep(time.Second)
		close(hangs)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(shapes(allOf(t, both)), "\n"); got != "before 0.0 {\"a\":1} passed\nafter 0.0 {\"a\":1,\"b\":2}" {
			t.Errorf("both sides:\n%s", got)
		}
		if h := both.held.Load() + before.held.Load(); h != 0 {
			t.Errorf("%d bytes are held by nobody", h)
		}
	})
}

// look has somebody look at half of the places of a random run, on any sides, of whom some read and some do not.
func (w *world) look(p *Pipeline) {
	rnd := rand.New(rand.NewPCG(w.seed, 5))
	for _, place := range p.Places() {
		_, has := p.taps.find(place)
		sides := TapSide(rnd.IntN(16)) & has
		if sides == 0 || rnd.IntN(2) == 0 {
			continue
		}
		tap, err := p.Tap(TapOptions{Step: place, Sides: sides, Rate: settings.Rate{N: float64(1 + rnd.IntN(1000)), Per: time.Second}, Values: true})
		if err != nil {
			w.t.Error(err)
			continue
		}
		w.taps = append(w.taps, tap)
		if rnd.IntN(2) == 0 {
			go func() {
				for {
					if _, err := tap.Next(context.Background()); err != nil {
						return
					}
				}
			}()
		}
	}
}

// tapsHoldNothing checks that the taps of a run that is over hold no more than what nobody has read.
func (w *world) tapsHoldNothing() {
	for _, tap := range w.taps {
		for len(tap.queue) > 0 {
			tap.held.Add(-(<-tap.queue).bytes)
		}
		if n := tap.held.Load(); n != 0 {
			w.t.Errorf("a tap of %s, %s holds %d bytes of nothing", tap.o.Step, tap.o.Sides, n)
		}
	}
}

// Taps come and go while records pass: none is lost, and none is shown by a tap that is closed.
func TestTapsComeAndGo(t *testing.T) {
	const n = 20_000
	p := mustNew(t, Options{
		Source: &memory{lanes: 4, records: n / 4}, Steps: []Step{{Name: "c", Stage: judges(nil)}, {Name: "w", Stage: judges(nil), Wait: &Wait{}}},
		Sinks: []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Sink: &collect{}},
	})
	ended := make(chan error, 1)
	go func() { ended <- p.Run(context.Background()) }()
	var seen atomic.Int64
	for i := 0; ; i++ {
		for _, place := range p.Places() {
			tap, err := p.Tap(TapOptions{Step: place, Sides: TapAfter, Rate: settings.Rate{N: 1e6, Per: time.Second}, Values: i%2 == 0})
			if err == ErrTapOver {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if got, err := tap.Next(ctx); err == nil {
				seen.Add(int64(len(got)))
			}
			cancel()
			tap.Close()
			tap.Close()
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			balanced(t, p)
			if seen.Load() == 0 {
				t.Error("no tap has seen anything")
			}
			for _, place := range p.Places() {
				if at, _ := p.taps.find(place); at.watched() {
					t.Errorf("%s is still looked at", place)
				}
			}
			return
		default:
		}
	}
}

func TestTapsThatAreRefused(t *testing.T) {
	p := mustNew(t, Options{Source: &memory{lanes: 1, records: 1}, Steps: []Step{edits("b", "1")}, Sinks: []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Sink: &collect{}}})
	ten := settings.Rate{N: 10, Per: time.Second}
	for want, o := range map[string]TapOptions{
		"there is no such step": {Step: "none", Sides: TapAfter, Rate: ten},
		`tapping out: it has the sides before,after,rejected, not "filtered"`: {Step: "out", Sides: TapFiltered, Rate: ten},
		`tapping source: it has the sides after,rejected, not ""`:             {Step: TapSource, Rate: ten},
		"tapping out: a rate above 0 is needed":                               {Step: "out", Sides: TapAfter},
	} {
		if _, err := p.Tap(o); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := p.Tap(TapOptions{Step: "dead_letter", Sides: TapAfter, Rate: ten}); err != ErrNoStep {
		t.Errorf("dead letters: %v", err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Tap(TapOptions{Step: "out", Sides: TapAfter, Rate: ten}); err != ErrTapOver {
		t.Errorf("after the end: %v", err)
	}
}

// A place at which nobody looks allocates nothing and asks nothing of a record.
func TestNoTapCostsNothing(t *testing.T) {
	p := mustNew(t, Options{Source: &memory{lanes: 1, records: 1}, Steps: []Step{edits("b", "1")}, Sinks: []Output{{Name: "out", Sink: &collect{}}}})
	at, _ := p.taps.find("out")
	c := &call{}
	now := time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		if at.watched() || at.due(now, 256) != nil {
			t.Error("somebody looks")
		}
		at.look(TapAfter, nil, nil, now)
		c.tap(at, true, now)
		c.tapping.drop()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
