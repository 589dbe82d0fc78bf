package websocketsink

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstockio/penstock/pipeline"
)

// TestAClientAheadOfAnOldLookIsNotSlow: who looks for slow clients knows where the newest message was a moment ago; a client may have got newer ones since.
func TestAClientAheadOfAnOldLookIsNotSlow(t *testing.T) {
	c := &client{sink: &Sink{settings: Defaults()}}
	c.allow(0, 0)
	c.next.Store(7)
	c.before.Store(700)
	if c.behind(5, 400) {
		t.Error("a client that has got more than there was is taken for slow")
	}
	c.next.Store(5)
	if !c.behind(uint64(5+c.sink.settings.Queue+1), 400) || c.behind(uint64(5+c.sink.settings.Queue), 400) {
		t.Error("the bound is not the queue")
	}
}

// TestShelfModel: the shelf against a list of all that was ever pushed: what is there, within which bounds, and what is charged.
func TestShelfModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count, bytes := rapid.IntRange(1, 8).Draw(t, "count"), rapid.Int64Range(1, 3000).Draw(t, "bytes")
		charged := int64(0)
		s := newShelf(count, bytes, func(n int64) { charged += n })
		var all, held []*message
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				var some []*message
				for range rapid.IntRange(1, 5).Draw(t, "n") {
					m := newMessage(record(0, len(all), strings.Repeat("x", rapid.IntRange(0, 900).Draw(t, "size"))), asValue)
					all, some = append(all, m), append(some, m)
				}
				if next := s.push(some); next != uint64(len(all)+1) {
					t.Fatalf("the next is %d, want %d", next, len(all)+1)
				}
			case 2:
				first, next, _ := s.ends()
				from := rapid.Uint64Range(max(first, 2)-1, next).Draw(t, "from")
				got, _, ok := s.from(from, make([]*message, 0, 3), 1000)
				if ok != (from >= first) {
					t.Fatalf("%d of %d to %d: %v", from, first, next, ok)
				}
				for i, m := range got {
					if m != all[from-1+uint64(i)] || m.number != from+uint64(i) {
						t.Fatalf("%d: another message is there", from)
					}
				}
				if ok && from < next && len(got) == 0 {
					t.Fatalf("%d: nothing is there", from)
				}
				held = append(held, got...)
			case 3:
				s.back(held...)
				held = nil
			}
			first, next, _ := s.ends()
			kept, want := int64(0), int64(0)
			for _, m := range all[first-1 : next-1] {
				kept += m.size
			}
			gone := map[*message]bool{}
			for _, m := range held {
				if m.number < first && !gone[m] {
					gone[m] = true
					want += m.size
				}
			}
			if charged != kept+want {
				t.Fatalf("%d bytes are charged, %d are kept and %d still held", charged, kept, want)
			}
			if n := next - first; n > uint64(count) || n > 1 && kept-all[next-2].size > bytes {
				t.Fatalf("%d messages of %d bytes are kept, of at most %d and %d", n, kept, count, bytes)
			}
			if next > 1 && first == next {
				t.Fatal("the newest is not kept")
			}
		}
		s.back(held...)
		s.clear()
		if charged != 0 {
			t.Fatalf("%d bytes stay charged", charged)
		}
	})
}

// TestNotOpen: a sink that nobody has opened says so.
func TestNotOpen(t *testing.T) {
	s, err := New(settingsOf(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, s)
	if err := s.Write(t.Context(), []*pipeline.Record{record(0, 0, "x")}); err == nil || !strings.Contains(err.Error(), "opened") {
		t.Errorf("the write gives %v", err)
	}
}
