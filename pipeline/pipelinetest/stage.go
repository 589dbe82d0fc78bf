package pipelinetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// A StageUnderTest is a stage as it stands before its first record. The kit closes it,
// if it can be closed.
type StageUnderTest struct {
	// Exactly one of the two.
	Stage    pipeline.Stage
	Splitter pipeline.Splitter

	// Hit gives a value, a JSON object on one line, that the stage does its work on
	// without an error. n is the number of the call: for a stage that remembers records it can
	// make values that differ.
	Hit func(n int) []byte

	// Reject, when not nil, is a value that the stage must refuse for good.
	Reject []byte

	// Hang, when not nil, makes every call block on what is behind the stage, as a server that
	// does not answer, until restore is called. stuck is closed when a call blocks.
	Hang func() (stuck <-chan struct{}, restore func())

	processes bool // the kit calls Process, also of an Admitter
}

// Stage checks the promises of pipeline.Stage, or of pipeline.Splitter. fresh makes a
// stage of its own for each check. A stage that is a pipeline.Admitter is checked both ways: as
// the engine calls it, and by its Process.
func Stage(t *testing.T, fresh func(t *testing.T) StageUnderTest) {
	t.Helper()
	run := func(rows []stageCheck, fresh func(t *testing.T) StageUnderTest) {
		t.Helper()
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				if err := row.run(t.Context(), prepared(t, fresh)); err != nil {
					t.Errorf("%v\nthe rule: %s", err, row.rule)
				}
			})
		}
	}
	run(stageChecks, fresh)
	if prepared(t, fresh)().admitter() != nil {
		run(admitChecks, fresh)
		t.Run("Process", func(t *testing.T) {
			run(stageChecks, func(t *testing.T) StageUnderTest {
				c := fresh(t)
				c.processes = true
				return c
			})
		})
	}
}

// prepared gives a function that makes a stage, attached; the stage is closed at the test's end.
func prepared(t *testing.T, fresh func(t *testing.T) StageUnderTest) func() StageUnderTest {
	return func() StageUnderTest {
		c := fresh(t)
		attach(t, c.component())
		t.Cleanup(func() {
			if closer, ok := c.component().(io.Closer); ok {
				if err := within("Close", closer.Close); err != nil {
					t.Errorf("closing: %v", err)
				}
			}
		})
		return c
	}
}

func (c StageUnderTest) component() any {
	if c.Stage != nil {
		return c.Stage
	}
	return c.Splitter
}

// A result is what a stage made of a record.
type result struct {
	out []seen // the record, or its parts
	err error
}

// work hands a record to the stage as the engine does: what is emitted is copied at once.
func (c StageUnderTest) work(ctx context.Context, rec *pipeline.Record) (r result) {
	r.err = within("the stage", func() error {
		if a := c.admitter(); a != nil && !c.processes {
			return admitted(ctx, a, rec)
		}
		if c.Stage != nil {
			return c.Stage.Process(ctx, rec)
		}
		return c.Splitter.Split(ctx, rec, func(part *pipeline.Record) { r.out = append(r.out, see(part)) })
	})
	if r.err == nil && c.Stage != nil {
		r.out = []seen{see(rec)}
	}
	return r
}

func at(n int) pipeline.Position {
	return pipeline.Position{Topic: "kit", Partition: 3, Offset: int64(n)}
}

// hits works on n records one after another, and gives the result of each. With spoil the bytes
// of a record are overwritten before the next one comes.
func (c StageUnderTest) hits(ctx context.Context, n int, spoil bool) []result {
	var all []result
	for i := range n {
		s := new(slab)
		all = append(all, c.work(ctx, s.record(at(i), fmt.Appendf(nil, "key-%d", i), c.Hit(i))))
		if spoil {
			s.poison()
		}
	}
	return all
}

// good gives an error if a value of Hit may not have that result.
func (r result) good() error {
	if r.err != nil && !errors.Is(r.err, pipeline.Filtered) {
		return fmt.Errorf("working on Hit: %w", r.err)
	}
	for _, o := range r.out {
		if o.value != nil && !json.Valid(o.value) {
			return errors.New("the value is no valid JSON any more")
		}
	}
	return nil
}

// differs says in what two results differ; "": in nothing.
func (r result) differs(o result) string {
	if (r.err == nil) != (o.err == nil) {
		return "outcome"
	}
	if len(r.out) != len(o.out) {
		return "number of parts"
	}
	for i := range r.out {
		if what := r.out[i].differs(o.out[i]); what != "" {
			return what
		}
	}
	return ""
}

type stageCheck = struct {
	name string
	rule string
	run  func(ctx context.Context, fresh func() StageUnderTest) error
}

var stageChecks = []stageCheck{
	{
		"works", "Process edits rec in place, or returns an error; Split emits each part. What comes out is JSON again, at the same position.",
		func(ctx context.Context, fresh func() StageUnderTest) error {
			for i, r := range fresh().hits(ctx, 3, false) {
				if err := r.good(); err != nil {
					return err
				}
				for _, o := range r.out {
					if o.pos != at(i) {
						return fmt.Errorf("the position has become %v", o.pos)
					}
				}
			}
			return nil
		},
	},
	{
		"keeps nothing", "A stage must not keep rec or any of its bytes after returning: they are used again.",
		func(ctx context.Context, fresh func() StageUnderTest) error {
			kept, spoilt := fresh().hits(ctx, 5, false), fresh().hits(ctx, 5, true)
			for i := range kept {
				if what := kept[i].differs(spoilt[i]); what != "" {
					return fmt.Errorf("record %d: another %s when the bytes of earlier records are used again", i, what)
				}
			}
			return nil
		},
	},
	{
		"shares nothing", "What a stage puts into a record is that record's own: the next one does not change it.",
		func(ctx context.Context, fresh func() StageUnderTest) error {
			c := fresh()
			if c.Stage == nil {
				return splitShares(ctx, c)
			}
			var recs []*pipeline.Record
			var before []seen
			for i := range 5 {
				rec := new(slab).record(at(i), nil, c.Hit(i))
				if c.work(ctx, rec).err == nil {
					recs, before = append(recs, rec), append(before, see(rec))
				}
			}
			for i, rec := range recs {
				if what := see(rec).differs(before[i]); what != "" {
					return fmt.Errorf("record %d: its %s has changed after the stage was done with it", i, what)
				}
			}
			return nil
		},
	},
	{
		"concurrent records", "It may run concurrently with other records.",
		func(ctx context.Context, fresh func() StageUnderTest) error {
			const n = 64
			want, c := fresh().hits(ctx, n, false), fresh()
			got := make([]result, n)
			var all sync.WaitGroup
			for w := range 8 {
				all.Go(func() {
					for i := w; i < n; i += 8 {
						s := new(slab)
						got[i] = c.work(ctx, s.record(at(i), fmt.Appendf(nil, "key-%d", i), c.Hit(i)))
						s.poison()
					}
				})
			}
			all.Wait()
			for i := range got {
				if what := got[i].differs(want[i]); what != "" {
					return fmt.Errorf("record %d: another %s than one after another: %v", i, what, got[i].err)
				}
			}
			return nil
		},
	},
	{
		"leaves the rest alone", "Copied values keep their bytes: 64-bit numbers, decimals and escapes come out as they came.",
		func(ctx context.Context, fresh func() StageUnderTest) error {
			c := fresh()
			const odd = `[12345678901234567890,1.10,1e400,"é\u00e9\/",{"b":1,"b":2}]`
			value := []byte(`{"kit_rest":` + odd + `,` + strings.TrimPrefix(string(c.Hit(0)), "{"))
			r := c.work(ctx, new(slab).record(at(0), nil, value))
			for _, o := range r.out {
				var fields map[string]json.RawMessage
				if json.Unmarshal(o.value, &fields) == nil && fields["kit_rest"] != nil && string(fields["kit_rest"]) != odd {
					return fmt.Errorf("a field of no concern to it has become %s", fields["kit_rest"])
				}
			}
			return r.good()
		},
	},
	{
		"tombstone", "A tombstone passes editing stages unchanged; nothing makes it a value, and no error of it is worth another attempt.",
		func(ctx context.Context, fresh func() StageUnderTest) error {
			return unharmed(ctx, fresh(), nil)
		},
	},
	{
		"no object", "A value that is no object rejects the record when a field is asked for or edited; else it stays as it is.",
		func(ctx context.Context, fresh func() StageUnderTest) error {
			for _, v := range []string{`[1,2]`, `17`, `"` + canary + `"`, `null`, ` true `} {
				if err := unharmed(ctx, fresh(), []byte(v)); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		"no JSON", "A value that is no JSON rejects the record with invalid_json when a field is asked for; else it stays as it is.",
		func(ctx context.Context, fresh func() StageUnderTest) error {
			for _, v := range []string{"", " ", canary, `{"` + canary + `":`, "{} x", "\xff"} {
				if err := unharmed(ctx, fresh(), []byte(v)); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		"rejects", "A permanent error rejects the record; its reason is lower case with underscores, and it quotes no value.",
		func(ctx context.Context, fresh func() StageUnderTest) error {
			c := fresh()
			if c.Reject == nil {
				return nil
			}
			err := c.work(ctx, new(slab).record(at(0), nil, c.Reject)).err
			if err == nil {
				return errors.New("no error")
			}
			return rejected(err)
		},
	},
	{
		"ended context", "ctx ends when the pipeline gives up: a call returns soon then.",
		func(ctx context.Context, fresh func() StageUnderTest) error {
			c := fresh()
			ended, cancel := context.WithCancel(ctx)
			cancel()
			r := c.work(ended, new(slab).record(at(0), nil, c.Hit(0)))
			if _, permanent := pipeline.IsPermanent(r.err); permanent {
				return fmt.Errorf("an ended ctx rejects the record: %w", r.err)
			}
			return nil
		},
	},
	{
		"hangs", "ctx ends with the attempt's timeout: a call returns soon then, its error is transient, and the next attempt works.",
		func(ctx context.Context, fresh func() StageUnderTest) error {
			c := fresh()
			if c.Hang == nil {
				return nil
			}
			stuck, restore := c.Hang()
			brief, cancel := context.WithCancel(ctx)
			defer cancel()
			done := make(chan result, 1)
			go func() { done <- c.work(brief, new(slab).record(at(0), nil, c.Hit(0))) }()
			var r result
			select {
			case <-stuck:
				cancel()
				r = <-done
			case r = <-done:
			}
			restore()
			if r.err == nil || errors.Is(r.err, pipeline.Filtered) {
				return errors.New("no error although the world behind the stage hangs")
			}
			if _, permanent := pipeline.IsPermanent(r.err); permanent || pipeline.IsFatal(r.err) {
				return fmt.Errorf("not transient: %w", r.err)
			}
			return c.work(ctx, new(slab).record(at(0), nil, c.Hit(0))).good()
		},
	},
}

// splitShares keeps the parts that a splitter emits without copying their bytes, as the engine
// does, and looks at them again when later records have been split.
func splitShares(ctx context.Context, c StageUnderTest) error {
	var parts []*pipeline.Record
	var before []seen
	for i := range 5 {
		rec := new(slab).record(at(i), nil, c.Hit(i))
		err := c.Splitter.Split(ctx, rec, func(part *pipeline.Record) {
			p := *part
			parts, before = append(parts, &p), append(before, see(&p))
		})
		if err != nil {
			return err
		}
	}
	for i, p := range parts {
		if what := see(p).differs(before[i]); what != "" {
			return fmt.Errorf("part %d: its %s has changed after it was emitted", i, what)
		}
	}
	return nil
}

// unharmed has the stage work on a value that is no object: it must stay as it is, or the
// record must be filtered, or rejected without quoting the value.
func unharmed(ctx context.Context, c StageUnderTest, value []byte) error {
	s := new(slab)
	rec := s.record(at(0), []byte("k"), value)
	before := see(rec)
	r := c.work(ctx, rec)
	name := "a tombstone"
	if value != nil {
		name = fmt.Sprintf("the value %q", value)
	}
	switch {
	case errors.Is(r.err, pipeline.Filtered):
		return nil
	case r.err != nil:
		if strings.Contains(r.err.Error(), canary) {
			return fmt.Errorf("%s: the error quotes it: %w", name, r.err)
		}
		if err := rejected(r.err); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	if c.Stage == nil && len(r.out) == 0 {
		return nil
	}
	if i := slices.IndexFunc(r.out, func(o seen) bool {
		return string(o.value) != string(before.value) || (o.value == nil) != (before.value == nil)
	}); i >= 0 {
		return fmt.Errorf("%s has become %q", name, r.out[i].value)
	}
	return nil
}
