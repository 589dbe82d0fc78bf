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

// Without leaves what the record came with, and its list alone. The letter's own headers begin with the
// last penstock-pipeline: what is in front of it is the record's, whatever it is called.
func TestWithout(t *testing.T) {
	header := func(name string) pipeline.Header { return pipeline.Header{Name: name, Value: []byte(name)} }
	all := []pipeline.Header{header("a"), header(Pipeline), header(Reason), header("penstock-mine"), header("b"), header(Replayed),
		header(Pipeline), header(Reason), header("behind"), header("Penstock-x"), header("penstock-later"), header("penstock")}
	names := func(headers []pipeline.Header) (names []string) {
		for _, h := range headers {
			names = append(names, h.Name)
		}
		return names
	}
	got := Without(all)
	if want := []string{"a", Pipeline, Reason, "penstock-mine", "b", "behind", "Penstock-x", "penstock"}; !slices.Equal(names(got), want) {
		t.Errorf("%v, want %v", names(got), want)
	}
	if got[0].Name = "c"; all[0].Name != "a" {
		t.Error("the list that was given has changed")
	}
	if got := names(Without([]pipeline.Header{header("penstock-mine"), header(Replayed), header("a")})); !slices.Equal(got, []string{"penstock-mine", "a"}) {
		t.Errorf("of a record that is no letter stays %v", got)
	}
}
