package deadletter

import (
	"math"
	"slices"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// What says how often a record was replayed reads back as it was written, and anything else as
// never.
func TestHistory(t *testing.T) {
	for _, h := range []History{{1, 5}, {0, 0}, {math.MaxInt32, math.MaxInt32}} {
		if got := ReadHistory([]byte(h.String())); got != h {
			t.Errorf("%q reads as %+v", h, got)
		}
	}
	for _, text := range []string{"", " ", "1", "1 ", " 1", "1 2 3", "1  2", "-1 2", "1 -2", "+1 2", "a b", "1 2147483648", "9223372036854775808 1", "1\t2"} {
		if got := ReadHistory([]byte(text)); got != (History{}) {
			t.Errorf("%q reads as %+v", text, got)
		}
	}
}

// Without leaves what the record came with, and its list alone.
func TestWithout(t *testing.T) {
	header := func(name string) pipeline.Header { return pipeline.Header{Name: name, Value: []byte(name)} }
	all := []pipeline.Header{header("a"), header(Reason), header("b"), header(Replayed), header("Penstock-x"), header("penstock")}
	got := Without(all)
	names := make([]string, 0, len(got))
	for _, h := range got {
		names = append(names, h.Name)
	}
	if want := []string{"a", "b", "Penstock-x", "penstock"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
	if got[1].Name = "c"; all[2].Name != "b" {
		t.Error("the list that was given has changed")
	}
}
