package stages

import (
	"context"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstockio/penstock/pipeline"
)

func dedupe(t *testing.T, size int, ttl time.Duration) *Dedupe {
	t.Helper()
	d, err := NewDedupe(DedupeSettings{Key: expression(t, "id"), Size: size, TTL: ttl})
	return must(t, d, err)
}

// pass says whether a record with the value goes on.
func pass(t *testing.T, d *Dedupe, offset, time int64, text string) bool {
	t.Helper()
	var rec pipeline.Record
	rec.Init(pipeline.Position{Topic: "t", Offset: offset}, nil, []byte(text), nil, time)
	switch got := outcome(&rec, d.Process(context.Background(), &rec)); got {
	case text:
		return true
	case "filtered":
		return false
	default:
		t.Fatalf("%s: %s", text, got)
		return false
	}
}

func TestDedupe(t *testing.T) {
	d := dedupe(t, 10, 0)
	for i, c := range []struct {
		offset int64
		text   string
		want   bool
	}{
		{1, `{"id":1}`, true},
		{2, `{"id":1}`, false},
		{3, `{"id":"1"}`, false}, // the plain form is the same
		{4, `{"id":2}`, true},
		{1, `{"id":1}`, true}, // read again: not its own duplicate
		{2, `{"id":1}`, false},
		{5, `{"x":1}`, true}, // no key
		{6, `{"x":1}`, true},
		{7, `{"id":""}`, true}, // an empty key is one
		{8, `{"id":""}`, false},
	} {
		if got := pass(t, d, c.offset, 0, c.text); got != c.want {
			t.Errorf("row %d: %s at %d passes: %v", i, c.text, c.offset, got)
		}
	}
	processes(t, d, []row{{"tombstone", "tombstone"}, {`{"id"`, "rejected: invalid_json"}, {`[1]`, "rejected: not_object"}})
	if got, want := d.Report(), (pipeline.Report{CacheHits: 4, CacheMisses: 3}); !reflect.DeepEqual(got, want) {
		t.Errorf("report %+v", got)
	}
}

func TestDedupeOtherLanesAndParts(t *testing.T) {
	d := dedupe(t, 10, 0)
	at := func(topic string, partition, part int32) bool {
		var rec pipeline.Record
		rec.Init(pipeline.Position{Topic: topic, Partition: partition, Offset: 1}, nil, []byte(`{"id":1}`), nil, 0)
		rec.Part = part
		return d.Process(context.Background(), &rec) == nil
	}
	got := []bool{at("a", 0, 1), at("a", 0, 2), at("a", 1, 1), at("b", 0, 1), at("a", 0, 1)}
	if want := []bool{true, false, false, false, true}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestDedupeForgets(t *testing.T) {
	d := dedupe(t, 2, 0)
	got := []bool{
		pass(t, d, 1, 0, `{"id":1}`), pass(t, d, 2, 0, `{"id":2}`), pass(t, d, 3, 0, `{"id":3}`),
		pass(t, d, 4, 0, `{"id":1}`), pass(t, d, 5, 0, `{"id":3}`), pass(t, d, 6, 0, `{"id":2}`),
	}
	if want := []bool{true, true, true, true, false, true}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}

	d = dedupe(t, 10, time.Second)
	got = []bool{
		pass(t, d, 1, 0, `{"id":1}`), pass(t, d, 2, 1000, `{"id":1}`), pass(t, d, 3, 1001, `{"id":1}`),
		pass(t, d, 4, 2001, `{"id":1}`), pass(t, d, 5, 500, `{"id":1}`), pass(t, d, 6, 0, `{"id":1}`),
	}
	if want := []bool{true, false, true, false, false, true}; !reflect.DeepEqual(got, want) {
		t.Errorf("with a ttl: got %v", got)
	}
	if !pass(t, d, 7, pipeline.NoTime, `{"id":"now"}`) || pass(t, d, 8, pipeline.NoTime, `{"id":"now"}`) {
		t.Error("records without a time")
	}
}

// Reading from any earlier point again, as often as it happens, never loses a key: of
// the records of one key that are still to be committed, one passes.
func TestDedupeSurvivesRedelivery(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		keys := rapid.SliceOfN(rapid.IntRange(0, 4), 1, 40).Draw(rt, "keys")
		d := dedupe(t, rapid.IntRange(1, 6).Draw(rt, "size"), 0)
		delivered := map[int]bool{}
		committed := 0
		for committed < len(keys) {
			// A run: some records are read, the first of them are committed, the rest is lost.
			end := rapid.IntRange(committed+1, len(keys)).Draw(rt, "end")
			commit := rapid.IntRange(committed, end).Draw(rt, "commit")
			if end == len(keys) && rapid.Bool().Draw(rt, "finish") {
				commit = end
			}
			for i := committed; i < end; i++ {
				text := `{"id":` + string(rune('0'+keys[i])) + `}`
				if pass(t, d, int64(i), 0, text) && i < commit {
					delivered[keys[i]] = true
				}
			}
			committed = commit
		}
		for _, k := range keys {
			if !delivered[k] {
				rt.Fatalf("key %d was never delivered: %v", k, keys)
			}
		}
	})
}
