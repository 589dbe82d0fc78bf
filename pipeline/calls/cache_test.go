package calls

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// cached makes calls that keep answers for a minute, and for ten minutes more in place of an error.
func cached(t *testing.T, change func(*CacheSettings, *Settings)) *Calls[string] {
	t.Helper()
	return newCalls(t, func(s *Settings) {
		k := DefaultCache()
		k.TTL = time.Minute
		s.Cache = &k
		if change != nil {
			change(&k, s)
		}
	})
}

// TestHowLongAnAnswerHolds asks before and at the end of each time.
func TestHowLongAnAnswerHolds(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(*CacheSettings)
		reply Reply[string]
		holds time.Duration // 0: not at all
	}{
		{name: "as the settings say", holds: time.Minute},
		{name: "that there is none, without a time of its own", reply: Reply[string]{Negative: true}, holds: time.Minute},
		{name: "that there is none", set: func(s *CacheSettings) { s.NegativeTTL = time.Second }, reply: Reply[string]{Negative: true}, holds: time.Second},
		{name: "one beside that", set: func(s *CacheSettings) { s.NegativeTTL = time.Second }, holds: time.Minute},
		{name: "as the reply says", reply: Reply[string]{TTL: time.Hour}, holds: time.Hour},
		{name: "as the reply says that there is none", reply: Reply[string]{TTL: time.Hour, Negative: true}, holds: time.Hour},
		{name: "the shortest", reply: Reply[string]{TTL: 1}, holds: 1},
		{name: "the longest", reply: Reply[string]{TTL: 1<<63 - 1, Stale: 1<<63 - 1}, holds: 100 * 365 * 24 * time.Hour},
		{name: "not at all", reply: Reply[string]{TTL: -1}},
		{name: "with a time to stand in, that is not asked for", set: func(s *CacheSettings) { s.Stale = time.Hour }, holds: time.Minute},
		{name: "as long as there is room", set: func(s *CacheSettings) { s.Bytes = entryBytes + 1 + 12 }, reply: Reply[string]{Bytes: 12}, holds: time.Minute},
		{name: "larger than all there may be", set: func(s *CacheSettings) { s.Bytes = entryBytes + 1 + 12 }, reply: Reply[string]{Bytes: 13}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := cached(t, func(s *CacheSettings, _ *Settings) {
					if c.set != nil {
						c.set(s)
					}
				})
				defer calls.Close()
				r := c.reply
				r.Answer = "x"
				s := &oracle{t: t, reply: func(context.Context, string, int, *string) (Reply[string], error) { return r, nil }}
				d := &desk{}
				get := func(asked int, when string) {
					t.Helper()
					var got string
					if _, err := d.run(t.Context(), calls, s.question("k", &got), 0); err != nil || got != "x" {
						t.Errorf("%s: got %q, %v", when, got, err)
					}
					if n := s.count("k"); n != asked {
						t.Errorf("%s: asked %d times, want %d", when, n, asked)
					}
				}
				get(1, "at first")
				if c.holds == 0 {
					get(2, "again")
					if len(calls.kept.byKey) != 0 {
						t.Error("it is kept")
					}
					return
				}
				time.Sleep(c.holds - 1)
				get(1, "just before its end")
				if c.reply.TTL == 1<<63-1 {
					return
				}
				time.Sleep(time.Nanosecond)
				get(2, "at its end")
				if r := calls.Report(); r.CacheHits != 1 || r.CacheMisses != 2 || r.CacheStale != 0 {
					t.Errorf("the report is %+v", r)
				}
			})
		})
	}
}

// TestAHitHoldsItsAnswer has an answer be taken out between Admit and Do.
func TestAHitHoldsItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := cached(t, func(s *CacheSettings, _ *Settings) { s.Entries = 1 })
		s := &oracle{t: t, reply: func(_ context.Context, key string, _ int, _ *string) (Reply[string], error) { return reply(key), nil }}
		d := &desk{}
		d.run(t.Context(), calls, s.question("a", new(string)), 0)
		var got string
		call := calls.Admit(s.question("a", &got), 1)
		if call.Gate() != nil {
			t.Error("what is known waits for something")
		}
		d.run(t.Context(), calls, s.question("b", new(string)), 0)
		calls.Close()
		if err := call.Do(t.Context(), nil); err != nil || got != answerOf("a") || !call.Leave(pipeline.CallResult{Begun: true}) {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// TestAnAnswerAfterClose is not kept, and charged to nobody.
func TestAnAnswerAfterClose(t *testing.T) {
	calls := cached(t, nil)
	charged := int64(0)
	calls.Account(func(n int64) { charged += n })
	s := &oracle{t: t, reply: func(_ context.Context, key string, _ int, _ *string) (Reply[string], error) { return reply(key), nil }}
	(&desk{}).run(t.Context(), calls, s.question("a", new(string)), 0)
	if charged == 0 {
		t.Error("nothing was charged")
	}
	call := calls.Admit(s.question("b", new(string)), 1)
	if _, ok := call.Enter(nil); !ok {
		t.Fatal("it was not let in")
	}
	calls.Close()
	if err := call.Do(t.Context(), nil); err != nil {
		t.Error(err)
	}
	call.Leave(pipeline.CallResult{Begun: true})
	if charged != 0 {
		t.Errorf("%d bytes are still charged", charged)
	}
}

// TestTheCacheIsBounded puts, gets, forgets and lets time pass at random: what is charged is what is
// held, no bound is ever passed, and what comes out is what was put in last, if it still holds.
func TestTheCacheIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCache[string](CacheSettings{
			TTL: time.Minute, Stale: rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "stale"),
			Entries: rapid.IntRange(1, 8).Draw(t, "entries"),
			Bytes:   settings.Size(rapid.IntRange(1, 2000).Draw(t, "bytes")),
		})
		charged := int64(0)
		c.charge = func(n int64) { charged += n }
		now := time.Duration(0)
		type put struct {
			answer string
			dies   time.Duration
		}
		last := map[string]put{}
		key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"})
		check := func() {
			held, n := int64(0), 0
			for e := c.ring.next; e != &c.ring; e = e.next {
				if c.byKey[e.key] != e || e.next.prev != e {
					t.Fatal("the ring and the map differ")
				}
				held += int64(len(e.key)) + int64(len(e.answer)) + entryBytes
				n++
			}
			if n != len(c.byKey) || n > c.settings.Entries {
				t.Fatalf("%d entries in the ring, %d in the map, at most %d", n, len(c.byKey), c.settings.Entries)
			}
			if held != charged || held != c.bytes || held > c.most {
				t.Fatalf("%d bytes held, %d charged, %d counted, at most %d", held, charged, c.bytes, c.most)
			}
			for _, hand := range []*entry[string]{c.hand, c.broom} {
				if hand != &c.ring && c.byKey[hand.key] != hand {
					t.Fatal("a hand points to what is gone")
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, size := key.Draw(t, "key"), rapid.IntRange(0, 2000).Draw(t, "size")
				r := Reply[string]{Answer: strings.Repeat("x", size), Bytes: size,
					TTL:       rapid.SampledFrom([]time.Duration{0, -1, 1, time.Hour}).Draw(t, "ttl"),
					Stale:     rapid.SampledFrom([]time.Duration{0, -1, time.Hour}).Draw(t, "stale"),
					Validates: rapid.Bool().Draw(t, "validates")}
				delete(last, k)
				if e := c.entry(k, r, now); e != nil {
					last[k] = put{r.Answer, e.dies}
				}
				c.put(k, r, now)
			},
			"get": func(t *rapid.T) {
				k := key.Draw(t, "key")
				if e := c.get(k, now); e != nil && (e.answer != last[k].answer || now >= last[k].dies) {
					t.Fatal("what is given was not put in, or is over")
				}
			},
			"forget": func(t *rapid.T) {
				k := key.Draw(t, "key")
				delete(last, k)
				c.forget(k)
			},
			"time": func(t *rapid.T) {
				now += time.Duration(rapid.IntRange(0, int(time.Minute)).Draw(t, "passes"))
			},
			"": func(*rapid.T) { check() },
		})
		c.close()
		if charged != 0 || c.get("a", now) != nil {
			t.Fatalf("%d bytes are still charged", charged)
		}
		c.put("a", Reply[string]{}, now)
		if charged != 0 {
			t.Fatal("it is kept after the end")
		}
	})
}

// TestUselessAnswersGo has what is of no use any more be swept out by what comes, though there is room.
func TestUselessAnswersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := cached(t, nil)
		defer calls.Close()
		c := calls.kept
		for i := range 1000 {
			c.put(fmt.Sprint("old", i), Reply[string]{}, c.now())
		}
		time.Sleep(time.Minute)
		for i := range 1500 {
			c.put(fmt.Sprint("new", i), Reply[string]{}, c.now())
		}
		if n := len(c.byKey); n != 1500 {
			t.Errorf("%d are kept, want 1500", n)
		}
	})
}

// TestWhatIsUsedStays has keys that come once not push out one that comes again and again.
func TestWhatIsUsedStays(t *testing.T) {
	calls := cached(t, func(s *CacheSettings, _ *Settings) { s.Entries = 10 })
	defer calls.Close()
	c := calls.kept
	c.put("again", Reply[string]{}, 0)
	for i := range 1000 {
		if c.get("again", 0) == nil {
			t.Fatalf("it was pushed out by %d others", i)
		}
		c.put(fmt.Sprint("once", i), Reply[string]{}, 0)
	}
}

// TestHits has 100,000 keys come as those of this world do, with room for a hundredth and for a tenth
// of them: a cache that goes by what was used last has 50.7 % and 73.8 % of hits.
func TestHits(t *testing.T) {
	oneGoroutine(t)
	const keys, warm, requests = 100_000, 150_000, 300_000
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprint("k", i)
	}
	for entries, want := range map[int]float64{1000: 0.59, 10_000: 0.77} {
		c := newCache[string](CacheSettings{TTL: time.Hour, Entries: entries})
		draw, hits := zipf(rand.New(rand.NewPCG(1, 2)), keys), 0
		for i := range requests {
			if key := names[draw()]; c.get(key, 0) == nil {
				c.put(key, Reply[string]{}, 0)
			} else if i >= warm {
				hits++
			}
		}
		ratio := float64(hits) / (requests - warm)
		t.Logf("%d entries: %.2f %%", entries, 100*ratio)
		if ratio < want {
			t.Errorf("%d entries: %.2f %% hits, want %.2f %%", entries, 100*ratio, 100*want)
		}
	}
}

// TestCloseLetsGo has the hosts be forgotten by what the steps of the process share.
func TestCloseLetsGo(t *testing.T) {
	shared := NewShared(nil)
	calls, err := New[string](Env{Shared: shared, Settings: Defaults()})
	if err != nil {
		t.Fatal(err)
	}
	users := func() (n int32) {
		for _, r := range shared.peers.byHost {
			n += r.users.Load()
		}
		return n
	}
	calls.Admit(Question[string]{Host: "api.example"}, 1).Leave(pipeline.CallResult{})
	before := users()
	if calls.Close(); before != 1 || users() != 0 {
		t.Errorf("%d users, %d behind Close", before, users())
	}
}

// TestThatThereIsNoneDoesNotStandIn has a host say that there is none, and go away when that is out of date: a record
// waits for it, and is not rejected for what was.
func TestThatThereIsNoneDoesNotStandIn(t *testing.T) {
	for _, stale := range []time.Duration{0, time.Hour} { // of the reply
		for _, kept := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				calls := cached(t, func(s *CacheSettings, _ *Settings) { s.Stale, s.NegativeTTL = time.Hour, time.Minute })
				defer calls.Close()
				s := &oracle{t: t, reply: func(_ context.Context, key string, n int, known *string) (Reply[string], error) {
					if n > 1 {
						if (known != nil) != kept {
							t.Errorf("known %v, want %v", known, kept)
						}
						return Reply[string]{}, waitsToo
					}
					r := reply(key)
					r.Negative, r.Stale, r.Validates = true, stale, kept
					return r, nil
				}}
				get := func() (pipeline.Call, error) {
					call := calls.Admit(s.question("k", new(string)), 1)
					if call.Gate() != nil {
						if _, ok := call.Enter(func() {}); !ok {
							return call, errors.New("held back")
						}
					}
					return call, call.Do(t.Context(), nil)
				}
				for i, want := range []error{nil, nil, waitsToo} {
					if i == 2 {
						time.Sleep(time.Minute)
					}
					call, err := get()
					if !errors.Is(err, want) {
						t.Errorf("call %d: %v, want %v", i, err, want)
					}
					call.Leave(pipeline.CallResult{Begun: true, Err: err})
				}
				call, err := get() // the host has asked to be left alone
				if err == nil {
					t.Error("it stands in for a host that is left alone")
				}
				call.Leave(pipeline.CallResult{})
				if r := calls.Report(); r.CacheStale != 0 || r.CacheHits != 1 {
					t.Errorf("the report is %+v", r)
				}
			})
		}
	}
}
