package letters

import (
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// TestProgress: how many letters are expected is said where it is known. A log that breaks has the count stand as it was on
// the way.
func TestProgress(t *testing.T) {
	everyThird := func(rec *pipeline.Record, at pipeline.Position) (Choice, error) {
		c, err := chooseAll(rec, at)
		if at.Offset%3 > 0 {
			c = Choice{Verdict: Leave}
		}
		return c, err
	}
	before := func() Progress {
		p := Progress{}
		p.Of(0).Add(2, 5)
		return p
	}
	for name, c := range map[string]struct {
		log            *memoryLog
		choose         func(*pipeline.Record, pipeline.Position) (Choice, error)
		limit          int64
		done, expected int64
	}{
		"on the way":             {log: &memoryLog{n: 10, broken: 7, saved: Progress{}}, done: 7, expected: 10},
		"up to a limit":          {log: &memoryLog{n: 10, broken: 7, saved: Progress{}}, limit: 9, done: 7, expected: 9},
		"with others between":    {log: &memoryLog{n: 10, broken: 7, saved: Progress{}}, choose: everyThird, done: 3, expected: -1},
		"some sent before":       {log: &memoryLog{n: 10, broken: 7, saved: before()}, done: 4, expected: -1},
		"at the end":             {log: &memoryLog{n: 10, saved: Progress{}}, done: 10, expected: 10},
		"at the end of a choice": {log: &memoryLog{n: 10, saved: before()}, choose: everyThird, done: 3, expected: 3},
		"at the limit":           {log: &memoryLog{n: 10, saved: Progress{}}, limit: 4, done: 4, expected: 4},
	} {
		if c.choose == nil {
			c.choose = chooseAll
		}
		s := New(Options{Log: c.log, Choose: c.choose, Ahead: 4, Limit: c.limit})
		if done, expected := s.Progress(); done != 0 || expected != -1 {
			t.Errorf("%s: %d of %d before it is opened", name, done, expected)
		}
		if err := run(t.Context(), t, s, new(pipelinetest.Memory)); (err != nil) != (c.log.broken > 0) {
			t.Errorf("%s: %v", name, err)
		}
		if done, expected := s.Progress(); done != c.done || expected != c.expected {
			t.Errorf("%s: %d of %d, want %d of %d", name, done, expected, c.done, c.expected)
		}
	}
}
