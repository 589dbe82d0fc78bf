package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// openTap opens a tap that shows everything.
func openTap(t *testing.T, p *Pipeline, step string, sides TapSide, change ...func(*TapOptions)) *Tap {
	t.Helper()
	o := TapOptions{Step: step, Sides: sides, Rate: settings.Rate{N: 1e6, Per: time.Second}, Values: true}
	for _, f := range change {
		f(&o)
	}
	tap, err := p.Tap(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tap.Close)
	return tap
}

// allOf reads a tap until the pipeline has ended.
func allOf(t *testing.T, tap *Tap) (all []TapRecord) {
	t.Helper()
	for {
		recs, err := tap.Next(context.Background())
		if err == ErrTapOver || err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, recs...)
	}
}

// shape gives what was seen as "side offset.part value", with what became of it.
func shape(r TapRecord) string {
	text := fmt.Sprintf("%s %d.%d %s", r.Side, r.Record.Offset, r.Record.Part, r.Record.Value())
	if r.Became != "" {
		text += " " + r.Became
	}
	if r.Reason != "" {
		text += " " + r.Reason + ": " + r.Error
	}
	return text
}

func shapes(all []TapRecord) (out []string) {
	for _, r := range all {
		out = append(out, shape(r))
	}
	return out
}

// judge is a stage that passes a record with an edit, filters it, rejects it or panics, by its number.
func judges(calls func()) does {
	return func(_ context.Context, rec *pipeline.Record) error {
		if calls != nil {
			calls()
		}
		switch rec.Offset {
		case 1:
			return pipeline.Filtered
		case 2:
			return pipeline.Permanent(errors.New("asking: no"))
		case 3:
			panic("a stage")
		}
		return rec.SetRaw("b", []byte("2"))
	}
}

// On each side of a step stands what passes there, with the same coordinates, and what became of it: in a step that computes,
// and in one that waits.
func TestTapShowsBothSidesOfAStep(t *testing.T) {
	for _, waits := range []bool{false, true} {
		t.Run(fmt.Sprintf("waits %v", waits), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, Options{
					Source: &memory{lanes: 1, records: 5, value: func(int, int) string { return `{"a":1}` }},
					Steps:  []Step{{Name: "x", Stage: judges(nil), Wait: waitIf(waits), Workers: 1}},
					Sinks:  []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Sink: &collect{}},
				})
				taps := map[string]*Tap{
					"both":     openTap(t, p, "x", TapBefore|TapAfter),
					"filtered": openTap(t, p, "x", TapFiltered),
					"rejected": openTap(t, p, "x", TapRejected),
					"source":   openTap(t, p, TapSource, TapAfter),
					"sink":     openTap(t, p, "out", TapBefore),
					"stored":   openTap(t, p, "out", TapAfter),
				}
				if err := p.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				edited := []string{`0.0 {"a":1,"b":2}`, `4.0 {"a":1,"b":2}`}
				for name, want := range map[string][]string{
					"both": {
						`before 0.0 {"a":1} passed`, `after ` + edited[0], `before 1.0 {"a":1} filtered`, `before 2.0 {"a":1} rejected`,
						`before 3.0 {"a":1} rejected`, `before 4.0 {"a":1} passed`, `after ` + edited[1],
					},
					"filtered": {`filtered 1.0 {"a":1}`},
					"rejected": {`rejected 2.0 {"a":1} permanent: asking: no`, `rejected 3.0 {"a":1} panic: panic: a stage`},
					"source":   {`after 0.0 {"a":1}`, `after 1.0 {"a":1}`, `after 2.0 {"a":1}`, `after 3.0 {"a":1}`, `after 4.0 {"a":1}`},
					"sink":     {`before ` + edited[0], `before ` + edited[1]},
					"stored":   {`after ` + edited[0], `after ` + edited[1]},
				} {
					got := allOf(t, taps[name])
					texts := shapes(got)
					if waits && name == "both" { // calls run at once: what is together stands together
						slices.SortStableFunc(got, func(a, b TapRecord) int { return int(a.Record.Offset - b.Record.Offset) })
						texts = shapes(got)
					}
					if waits {
						slices.SortStableFunc(texts, func(a, b string) int { return strings.Compare(a[strings.Index(a, " "):], b[strings.Index(b, " "):]) })
						slices.SortStableFunc(want, func(a, b string) int { return strings.Compare(a[strings.Index(a, " "):], b[strings.Index(b, " "):]) })
					}
					if !slices.Equal(texts, want) {
						t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(texts, "\n"), strings.Join(want, "\n"))
					}
					if c := taps[name].Counts(); c.Skipped != 0 || c.Failed != 0 {
						t.Errorf("%s: %+v", name, c)
					}
				}
			})
		})
	}
}
