package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
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
