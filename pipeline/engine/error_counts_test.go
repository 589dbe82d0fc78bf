package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// A typedError names its type, as those of components do.
type typedError struct{ kind, text string }

func (e typedError) Error() string     { return e.text }
func (e typedError) ErrorType() string { return e.kind }

// TestErrorsAreCountedByType: a snapshot has the failed attempts of each step and sink by their
// types; the sum is what is counted as errors, and each has an example.
func TestErrorsAreCountedByType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, done := start(t, t.Context(), Options{
			Name: "p", Source: &memory{lanes: 1, records: 10},
			Steps: []Step{{Name: "ask", Kind: "http", Wait: &Wait{Retry: Retry{Attempts: 2, Backoff: time.Millisecond}}, Workers: 1,
				Stage: does(func(_ context.Context, r *pipeline.Record) error {
					if r.Offset%5 == 1 {
						return typedError{"http_503", "asking: 503"}
					}
					if r.Offset == 2 {
						return pipeline.Permanent(typedError{"http_404", "asking: 404"})
					}
					return nil
				})}},
			Sinks: []Output{{Name: "one", Sink: &collect{write: func(_ context.Context, recs []*pipeline.Record) error {
				for i, r := range recs {
					if r.Offset == 7 {
						return &pipeline.WriteError{Failed: []pipeline.Failure{{Index: i, Err: pipeline.Permanent(errors.New("writing: refused"))}}}
					}
				}
				return nil
			}}}},
			DeadLetter: DeadLetter{Sink: &collect{}},
		})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s := p.Snapshot()
		if len(s.Sinks[0].ErrorsByType) != 1 || s.Sinks[0].ErrorsByType[0].Position.Offset != 7 ||
			s.Sinks[0].ErrorsByType[0].Message != "writing: refused" || s.Sinks[0].Errors != 1 {
			t.Errorf("the sink's: %+v", s.Sinks[0].ErrorsByType)
		}
		var got []string
		sum := int64(0)
		for _, e := range s.Steps[0].ErrorsByType {
			got = append(got, fmt.Sprintf("%s %d %s", e.Type, e.Total, e.Message))
			sum += e.Total
			if e.At.IsZero() || e.Position.Topic == "" {
				t.Errorf("without its record or its time: %+v", e)
			}
		}
		if want := "http_404 1 asking: 404, http_503 4 asking: 503"; strings.Join(got, ", ") != want || sum != s.Steps[0].Errors {
			t.Errorf("the step's: %s, of %d errors; want %s", strings.Join(got, ", "), s.Steps[0].Errors, want)
		}
	})
}

// TestExamplesOfErrors: an example is at most a second older than the last error, and a step has
// a bounded number of types.
func TestExamplesOfErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m meter
		for i := range 25 { // one each 100 ms
			m.failed(pipeline.Position{Offset: int64(i)}, typedError{"timeout", fmt.Sprint("attempt ", i)})
			time.Sleep(100 * time.Millisecond)
		}
		for i := range 2 * maxTypes {
			m.failed(pipeline.Position{}, typedError{fmt.Sprint("type_", i), "x"})
		}
		all := m.errorCounts()
		if len(all) != maxTypes+1 {
			t.Errorf("%d types, want %d and _other", len(all), maxTypes)
		}
		for _, e := range all {
			switch {
			case e.Type == "timeout" && (e.Total != 25 || e.Message != "attempt 20" || e.Position.Offset != 20):
				t.Errorf("%+v, want the one after two seconds", e)
			case e.Type == "_other" && e.Total != maxTypes+1:
				t.Errorf("%+v, want the rest", e)
			}
		}
	})
}

// TestErrorsAndTheirTypesAreOneSum: an attempt that failed is in the count of errors and in that of its type at the same
// time, also while the rest of its chunk is at work, and when it ends after the counting.
func TestErrorsAndTheirTypesAreOneSum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		p, done := start(t, t.Context(), Options{
			Source: &memory{lanes: 1, records: 10},
			Steps: []Step{{Name: "parse", Workers: 1, Stage: does(func(_ context.Context, r *pipeline.Record) error {
				if r.Offset < 3 {
					return typedError{"bad", "parsing: bad"}
				}
				<-hung
				return nil
			})}},
			Sinks: []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Sink: &collect{}},
		})
		synctest.Wait()
		agree := func(when string) {
			s := p.Snapshot()
			if one := s.Steps[0]; len(one.ErrorsByType) != 1 || one.ErrorsByType[0].Total != 3 || one.Errors != 3 || s.Errors != 3 {
				t.Errorf("%s: %d errors, of all steps %d, by type %+v", when, one.Errors, s.Errors, one.ErrorsByType)
			}
		}
		agree("at work")
		close(hung)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		p.chain().steps[0].core().meter.failed(pipeline.Position{}, typedError{"bad", "parsing: too late"})
		agree("after the end")
	})
}

// A failsBetween is a log that has one more attempt of a step fail when the stats of the step have been written.
type failsBetween struct {
	lines
	fail func()
}

func (f *failsBetween) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(`"event_name":"step.stats"`)) {
		f.fail()
	}
	return f.lines.Write(b)
}

// TestErrorStatsAreOfTheMomentOfTheOthers: what fails between the events of an interval is in those of the next one: so the
// counts of error.stats add up to those of step.stats. They come in the order of their types.
func TestErrorStatsAreOfTheMomentOfTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &failsBetween{}
		events := event.New(log, event.Options{Service: "test", Instance: "test"})
		defer events.Close()
		kinds := []string{"c", "a", "b"}
		p := mustNew(t, Options{
			Source: &memory{lanes: 1, records: 10, endless: true}, Events: events, StatsEvery: time.Second,
			Steps: []Step{{Name: "parse", Stage: does(func(_ context.Context, r *pipeline.Record) error {
				if int(r.Offset) < len(kinds) {
					return typedError{kinds[r.Offset], "parsing: bad"}
				}
				return nil
			})}},
			Sinks: []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Sink: &collect{}},
		})
		log.fail = func() { p.chain().steps[0].core().meter.failed(pipeline.Position{}, typedError{"a", "parsing: bad"}) }
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Fatal(err)
		}
		got, errs, totals := "", 0.0, map[string]float64{}
		for _, e := range log.all() {
			switch e["event_name"] {
			case "step.stats":
				errs = e["errors_total"].(float64)
				got += fmt.Sprintf("; %v:", e["errors"])
			case "error.stats":
				totals[e["error_type"].(string)] = e["count_total"].(float64)
				got += fmt.Sprintf(" %v %v", e["error_type"], e["count"])
			case "sink.stats": // those of the step are there
				if sum := totals["a"] + totals["b"] + totals["c"]; sum != errs {
					t.Errorf("%v errors, by type %v", errs, totals)
				}
			}
		}
		if want := "; 3: a 1 b 1 c 1; 1: a 1; 1: a 1; 1: a 1"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
