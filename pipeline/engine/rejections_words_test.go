package engine

import (
	"strings"
	"testing"
)

// What a budget has to say counts the records of the places where some were rejected: those that passed elsewhere, as on
// their way to a slow sink, say nothing about these.
func TestABudgetSaysOfWhichRecords(t *testing.T) {
	one := []Output{{Name: "out"}}
	for name, c := range map[string]struct {
		sinks []Output
		at    map[int][2]int // by point: passed, and then rejected
		of    int            // of all that were
		want  string
	}{
		"a sink":     {one, map[int][2]int{1: {288, 0}, 2: {288, 0}, 3: {0, 30}}, 30, "30 of the last 30 records at sink out were rejected"},
		"two sinks":  {append(one[:1:1], Output{Name: "b"}), map[int][2]int{2: {288, 0}, 3: {10, 30}}, 40, "30 of the last 40 records at the sinks were rejected"},
		"a step":     {one, map[int][2]int{0: {500, 0}, 1: {100, 30}}, 130, "30 of the last 130 records at step ask were rejected"},
		"keys":       {one, map[int][2]int{0: {500, 30}}, 500, "30 of the last 500 records where keys are computed were rejected"},
		"conditions": {one, map[int][2]int{0: {300, 0}, 2: {1, 30}}, 31, "30 of the last 31 records at the conditions of the sinks were rejected"},
		"two places": {one, map[int][2]int{0: {500, 0}, 1: {270, 20}, 3: {5, 10}}, 290, "30 of the last records were rejected (20 of the last 290 records at step ask, 10 of the last 15 records at sink out)"},
	} {
		of := &plan{steps: []Step{{Name: "ask"}}, sinks: c.sinks}
		r := rejectionsAt(&shared{}, RejectionBudget{Rejected: 30, Of: 500}, of)
		for at, n := range c.at {
			r.passed(point(at), int64(n[0]), 0)
			for range n[1] {
				if err := r.spend(point(at)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if rejected, of := r.counts(); rejected != 30 || of != c.of {
			t.Errorf("%s: %d of %d, want 30 of %d", name, rejected, of, c.of)
		}
		if err := r.spend(r.atSinks()); err == nil || !strings.Contains(err.Error(), "is spent: "+c.want+", and dead_letter.budget") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
