package httpsink

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/sinks/internal/sinktest"
)

func TestHTTPBodies(t *testing.T) {
	var tombstone, odd, pretty pipeline.Record
	at := func(offset int64) pipeline.Position { return pipeline.Position{Topic: "t", Offset: offset} }
	tombstone.Init(at(1), nil, nil, nil, 0)
	pretty.Init(at(2), nil, []byte("{\n \"id\": 9007199254740993\n}"), nil, 0)
	odd.Init(at(3), []byte("k"), []byte("no json"), nil, 0)
	recs := []*pipeline.Record{&tombstone, &pretty, &odd}
	tests := []struct {
		format, as, typ, outcome string
		bodies                   []string
	}{
		{"array", "value", "application/json", ",,invalid_json", []string{"[null,{\n \"id\": 9007199254740993\n}]"}},
		{"ndjson", "value", "application/x-ndjson", ",,invalid_json", []string{"null\n{\"id\":9007199254740993}\n"}},
		{"single", "value", "application/json", ",,", []string{"null", "{\n \"id\": 9007199254740993\n}", "no json"}},
	}
	for _, tt := range tests {
		h := newHook(t, nil)
		sink := h.sink(t, "/", func(s *Settings) { s.Format, s.As = tt.format, tt.as })
		if got := outcome(3, sink.Write(t.Context(), recs)); got != tt.outcome {
			t.Errorf("%s: %s, want %s", tt.format, got, tt.outcome)
		}
		var bodies []string
		for _, r := range h.seen() {
			bodies = append(bodies, r.body)
			if r.typ != tt.typ {
				t.Errorf("%s: type %s", tt.format, r.typ)
			}
		}
		if !reflect.DeepEqual(bodies, tt.bodies) {
			t.Errorf("%s: %q, want %q", tt.format, bodies, tt.bodies)
		}
	}
	for _, format := range []string{"array", "ndjson", "single"} {
		h := newHook(t, nil)
		sink := h.sink(t, "/", func(s *Settings) { s.Format, s.As = format, "fixture" })
		if err := sink.Write(t.Context(), recs); err != nil {
			t.Error(err)
		}
		values, _ := h.values()
		if len(values) != 3 || !strings.Contains(string(values[2]), `"offset":3`) || !json.Valid(values[2]) {
			t.Errorf("%s: %q", format, values)
		}
	}
}

// Brackets that compress to nothing must not take the process's stack: they are
// rejected, and the records around them are sent.
func TestHTTPDeepValue(t *testing.T) {
	for _, format := range []string{"array", "ndjson"} {
		h := newHook(t, nil)
		sink := h.sink(t, "/", func(s *Settings) { s.Format = format })
		deep := sinktest.Record(2, strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000))
		torn := sinktest.Record(3, strings.Repeat("[", 12_000_000))
		err := sink.Write(t.Context(), []*pipeline.Record{sinktest.Record(1, "1"), deep, torn, sinktest.Record(4, "4")})
		if got, want := sinktest.Failures(t, err), map[int]string{1: pipeline.ReasonInvalidJSON, 2: pipeline.ReasonInvalidJSON}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: failures %v, want %v", format, got, want)
		}
	}
}

func TestHTTPKeys(t *testing.T) {
	h := newHook(t, nil)
	sink := h.sink(t, "/", func(s *Settings) { s.MaxRecords = 5 })
	if err := sink.Write(t.Context(), run(100, 7)); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, r := range h.seen() {
		keys = append(keys, r.key[:strings.LastIndexByte(r.key, '/')])
	}
	if want := []string{"pipe/hook/t/3@100-104", "pipe/hook/t/3@105-106"}; !reflect.DeepEqual(keys, want) {
		t.Errorf("%v, want %v", keys, want)
	}

	key := func(sink *Sink, recs ...*pipeline.Record) string {
		k, _ := client.IdempotencyKey(sink.scope, recs...)
		return k
	}
	part := func(n int32) *pipeline.Record {
		rec := run(1, 1)[0]
		rec.Part = n
		return rec
	}
	other := h.sink(t, "/", nil)
	other.scope = "pipe/other"
	gap := run(1, 3)
	different := []string{
		key(sink, run(1, 1)...), key(sink, run(1, 3)...), key(sink, gap[0], gap[2]), key(sink, part(1)), key(sink, part(2)),
		key(sink, part(1), part(2)), key(other, run(1, 1)...),
	}
	for i, a := range different {
		for j, b := range different {
			if (a == b) != (i == j) {
				t.Errorf("keys %d and %d: %s, %s", i, j, a, b)
			}
		}
	}
	evil := run(1, 1)
	evil[0].Topic = "a\r\nX-Evil: 1 é\"" + strings.Repeat("x", 300)
	if k := key(sink, evil...); len(k) > 255 || client.CheckHeader("K", k) != nil {
		t.Errorf("key %q", k)
	}
	evil[0].Topic = "dir/a b\x00.jsonl"
	if k := key(sink, evil...); !strings.HasPrefix(k, "pipe/hook/dir/a_b_.jsonl/3@1/") || client.CheckHeader("K", k) != nil {
		t.Errorf("key %q", k)
	}
}

// A server that is stopped answers, when it wakes, what had been given up: the records
// must have come under the same key again, also when more had come in the meantime.
func TestHTTPStoppedServerStoresOnce(t *testing.T) {
	wake, stuck := make(chan struct{}), make(chan struct{}, 10)
	h := newHook(t, func(n int, r received) int {
		if n >= 2 && n <= 3 {
			stuck <- struct{}{}
			<-wake
		}
		return 0
	})
	sink := h.sink(t, "/", func(s *Settings) { s.MaxRecords = 10 })
	recs := run(0, 15)
	for attempt := range 2 { // both are given up: the second request hangs, then the third
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-stuck; cancel() }()
		got := outcome(len(recs), sink.Write(ctx, recs))
		cancel()
		want := strings.Repeat(",", 9) + strings.Repeat(",later", 5)
		if attempt == 1 {
			want = strings.TrimPrefix(strings.Repeat(",later", 10), ",")
		}
		if got != want {
			t.Fatalf("attempt %d: %s, want %s", attempt, got, want)
		}
		recs = run(10, 10) // five that failed, five that are new
	}
	close(wake)
	if err := sink.Write(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	seen := h.seen()
	if len(seen) != 5 || seen[1].key != seen[2].key || seen[1].key != seen[3].key || seen[1].body != seen[3].body {
		t.Errorf("%d requests: %v", len(seen), seen)
	}
	h.server.Close() // waits for the requests that had been given up
	want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}
	if got := h.numbers(); !reflect.DeepEqual(got, want) {
		t.Errorf("stored %v", got)
	}
	if len(sink.unknown) != 0 {
		t.Errorf("%d requests are still remembered", len(sink.unknown))
	}
}

func TestHTTPRemembersWithinBounds(t *testing.T) {
	h := newHook(t, func(int, received) int { return 503 })
	sink := h.sink(t, "/", nil)
	for i := range maxUnknown + 5 {
		sink.remember(request{first: recordID{Position: pipeline.Position{Topic: "t", Partition: int32(i)}}}, true)
	}
	if len(sink.unknown) != maxUnknown {
		t.Errorf("%d requests are remembered", len(sink.unknown))
	}
}

// A 409 to a second attempt says that the first is still under way.
func TestHTTPConflictOnASecondAttempt(t *testing.T) {
	h := newHook(t, func(n int, _ received) int { return []int{0, 503, 409, 0}[n] })
	sink := h.sink(t, "/", nil)
	for attempt, want := range []string{"later,later", "later,later", ","} {
		if got := outcome(2, sink.Write(t.Context(), run(0, 2))); got != want {
			t.Errorf("attempt %d: %s, want %s", attempt, got, want)
		}
	}
}
