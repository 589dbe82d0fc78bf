package stages

import (
	"context"
	"math"
	"reflect"
	"strings"
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
	d := dedupe(t, 20, 0)
	for i, c := range []struct {
		offset int64
		text   string
		want   bool
	}{
		{1, `{"id":1}`, true},
		{2, `{"id":1}`, false},
		{3, `{"id":"1"}`, true}, // as for ==, a string is no number
		{20, `{"id":"1"}`, false},
		{21, `{"id":1.0}`, false}, // and a number is what it stands for
		{22, `{"id":10e-1}`, false},
		{23, `{"id":true}`, true},
		{24, `{"id":"true"}`, true},
		{25, `{"id":null}`, true}, // no key
		{26, `{"id":null}`, true},
		{27, `{"id":"null"}`, true},
		{28, `{"id":{"a":1,"b":[2]}}`, true},
		{29, `{"id":{"b":[2.0],"a":1}}`, false},
		{30, `{"id":"{\"a\":1,\"b\":[2]}"}`, true},
		{31, `{"id":"` + strings.Repeat("x", 2<<20) + `"}`, true},
		{32, `{"id":"` + strings.Repeat("x", 2<<20) + `"}`, false},
		{33, `{"id":"` + strings.Repeat("x", 2<<20) + `y"}`, true},
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
	if got, want := d.Report(), (pipeline.Report{CacheHits: 8, CacheMisses: 11}); !reflect.DeepEqual(got, want) {
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

// A record that comes late, or from another stretch of time, says nothing of how long a
// later one is remembered.
func TestDedupeOfLateRecords(t *testing.T) {
	for name, c := range map[string]struct {
		times []int64
		want  string // + passes, - does not
	}{
		"one late":         {[]int64{100000, 105000, 111000, 112000, 90000, 91000, 112500}, "+-+-+--"},
		"by turns":         {[]int64{300000, 200000, 100000, 300001, 200001, 100001, 110001, 200002, 110002, 310001}, "+++---+--+"},
		"back and on":      {[]int64{100000, 50000, 61000, 72000, 71999, 61000, 100001}, "++++-+-"},
		"at the bound":     {[]int64{0, 10000, 10001, 20001, 1, 0}, "+-+--+"},
		"as far as can be": {[]int64{math.MaxInt64, math.MinInt64 + 1, math.MaxInt64 - 10000, math.MinInt64 + 10001, 0}, "++--+"},
	} {
		d := dedupe(t, 100, 10*time.Second)
		got := ""
		for i, at := range c.times {
			if pass(t, d, int64(i), at, `{"id":1}`) {
				got += "+"
			} else {
				got += "-"
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// A ttl that is shorter than the times can tell is one nevertheless.
func TestDedupeOfAShortTTL(t *testing.T) {
	d := dedupe(t, 10, time.Microsecond)
	got := []bool{pass(t, d, 1, 0, `{"id":1}`), pass(t, d, 2, 0, `{"id":1}`), pass(t, d, 3, 1, `{"id":1}`)}
	if want := []bool{true, false, true}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// A key that comes from ever earlier times takes neither more room nor more time.
func TestDedupeOfEverEarlierRecords(t *testing.T) {
	d := dedupe(t, 100_000, time.Millisecond)
	for i := range int64(100_000) {
		if !pass(t, d, i, -2*i, `{"id":1}`) {
			t.Fatalf("record %d is filtered", i)
		}
	}
	if n := len(d.memory.locations); n != maxEntriesPerKey {
		t.Errorf("%d passings of one key are remembered", n)
	}
}

func TestDedupeUndone(t *testing.T) {
	d := dedupe(t, 3, 0)
	undone := func(offset int64, part int32) { d.Undone(pipeline.Position{Topic: "t", Offset: offset}, part) }
	got := []bool{
		pass(t, d, 1, 0, `{"id":1}`), pass(t, d, 2, 0, `{"id":1}`), pass(t, d, 3, 0, `{"id":2}`),
	}
	undone(2, 0) // which did not pass
	undone(1, 7) // another part
	d.Undone(pipeline.Position{Topic: "u", Offset: 1}, 0)
	got = append(got, pass(t, d, 4, 0, `{"id":1}`))
	undone(1, 0)
	undone(1, 0)                                     // is nothing more
	got = append(got, pass(t, d, 5, 0, `{"id":1}`))  // sent again
	got = append(got, pass(t, d, 6, 0, `{"id":1}`))  // its repetition
	got = append(got, pass(t, d, 7, 0, `{"id":3}`))  // takes the room of what was undone
	got = append(got, pass(t, d, 8, 0, `{"id":2}`))  // still there
	got = append(got, pass(t, d, 9, 0, `{"id":4}`))  // takes its room
	got = append(got, pass(t, d, 10, 0, `{"id":2}`)) // forgotten
	undone(3, 0)                                     // was overwritten
	got = append(got, pass(t, d, 11, 0, `{"id":2}`)) //
	undone(10, 0)                                    //
	got = append(got, pass(t, d, 12, 0, `{"id":2}`)) //
	want := []bool{true, false, true, false, true, false, true, false, true, true, false, true}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}

	d = dedupe(t, 10, 10*time.Second) // with several stretches of time
	got = []bool{pass(t, d, 1, 100000, `{"id":1}`), pass(t, d, 2, 50000, `{"id":1}`), pass(t, d, 3, 20000, `{"id":1}`)}
	undone(2, 0)
	got = append(got, pass(t, d, 4, 100001, `{"id":1}`), pass(t, d, 5, 20001, `{"id":1}`), pass(t, d, 6, 50001, `{"id":1}`))
	if want := []bool{true, true, true, false, false, true}; !reflect.DeepEqual(got, want) {
		t.Errorf("with a ttl: got %v", got)
	}
}

// The lists of keys, the places and the ring say the same, whatever happens; and of two
// records of one key that are both remembered the times are further apart than ttl.
func TestDedupeMemoryHolds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.IntRange(1, 5).Draw(rt, "size")
		d := dedupe(t, size, 3*time.Millisecond)
		for i := range rapid.IntRange(1, 80).Draw(rt, "n") {
			offset := int64(rapid.IntRange(max(0, i-6), i).Draw(rt, "offset"))
			if rapid.IntRange(0, 3).Draw(rt, "undone") == 0 {
				d.Undone(pipeline.Position{Topic: "t", Offset: offset}, 0)
			} else {
				key := string(rune('0' + rapid.IntRange(0, 2).Draw(rt, "key")))
				pass(t, d, offset, int64(rapid.IntRange(0, 30).Draw(rt, "time")), `{"id":`+key+`}`)
			}
			m, listed := &d.memory, 0
			for key := range m.latest {
				for j := m.first(key); j != none; j = m.ring[j].older {
					e := m.ring[j]
					if e.key != key || m.locations[e.at] != j {
						rt.Fatalf("entry %d stands in a wrong list or place", j)
					}
					if e.older != none && e.time-m.ring[e.older].time <= 3 {
						rt.Fatalf("times %d and %d of one key", e.time, m.ring[e.older].time)
					}
					listed++
				}
			}
			if listed != len(m.locations) || len(m.ring) > size {
				rt.Fatalf("%d listed, %d places, a ring of %d", listed, len(m.locations), len(m.ring))
			}
		}
	})
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
