package calls

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// TestEveryRecordHasItsAnswer has some hundred records ask some questions of a host that does
// everything that hosts do, while they are given up at random, and compares with a simple model: no
// question is asked twice at once, no record has the answer to another question or one that
// is older than it may be, none waits for ever, and none has an error that its host has not given.
func TestEveryRecordHasItsAnswer(t *testing.T) {
	seeds := 100
	if testing.Short() {
		seeds = 10
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { someRecords(t, rand.New(rand.NewPCG(seed, 11))) })
		})
	}
}

func someRecords(t *testing.T, r *rand.Rand) {
	const ttl, stale = 300 * time.Millisecond, time.Second
	keeps := r.IntN(2) == 0
	calls := newCalls(t, func(s *Settings) {
		s.MaxPerHost = 1 + r.IntN(4)
		s.Breaker.Off = r.IntN(3) == 0
		if keeps {
			k := CacheSettings{TTL: ttl, Stale: stale, Entries: 1 + r.IntN(6), Bytes: DefaultCache().Bytes}
			s.Cache = &k
		}
	})
	var charged atomic.Int64
	calls.Account(func(n int64) { charged.Add(n) })
	m := &moody{rand: rand.New(rand.NewPCG(r.Uint64(), 1)), fails: r.IntN(6)}
	m.oracle = &oracle{t: t, reply: m.reply}
	d := &desk{attempts: 1 + r.IntN(3), backoff: func(attempt, record int) time.Duration {
		return time.Duration(1+(record*7919+attempt*31)%200) * time.Millisecond
	}}
	var wg sync.WaitGroup
	var answered atomic.Int64
	keys := 1 + r.IntN(8)
	for i := range 200 + r.IntN(200) {
		key, begins := fmt.Sprint("k", r.IntN(keys)), time.Duration(r.IntN(3000))*time.Millisecond
		var givesUp time.Duration
		if r.IntN(5) == 0 {
			givesUp = time.Duration(r.IntN(400)) * time.Millisecond
		}
		wg.Go(func() {
			time.Sleep(begins)
			ctx := t.Context()
			if givesUp > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, givesUp, context.Canceled)
				defer cancel()
				ctx = canceled{ctx}
			}
			var got string
			_, err := d.run(ctx, calls, m.question(key, &got), i)
			if err == nil {
				answered.Add(1)
			}
			m.judge(key, got, err, ctx, keeps, ttl+stale)
		})
	}
	wg.Wait()
	if m.fails == 0 && answered.Load() < 100 {
		t.Errorf("only %d records have an answer of a host that does not fail", answered.Load())
	}
	if len(calls.flights) != 0 || len(d.lines) != 0 {
		t.Errorf("%d flights and %d lines are left", len(calls.flights), len(d.lines))
	}
	if n := calls.Report().CacheMisses; keeps && n != m.all.Load() || !keeps && n != 0 {
		t.Errorf("%d misses, %d calls were made", n, m.all.Load())
	}
	calls.Close()
	if n := charged.Load(); n != 0 {
		t.Errorf("%d bytes are still charged", n)
	}
}

// canceled is a context whose end is that of a pipeline that stops, whatever has ended it.
type canceled struct{ context.Context }

func (c canceled) Err() error {
	if c.Context.Err() != nil {
		return context.Canceled
	}
	return nil
}

// moody is a host of which nothing can be foreseen.
type moody struct {
	*oracle
	fails int // of ten calls

	mu   sync.Mutex
	rand *rand.Rand
}

// kinds of errors that the host gives, by key: a record may have none but these.
var (
	errNone = errors.New("there is none")
	errTime = fmt.Errorf("no answer: %w", context.DeadlineExceeded)
)

func (m *moody) reply(ctx context.Context, key string, _ int, known *string) (Reply[string], error) {
	m.mu.Lock()
	takes, mood, what := time.Duration(1+m.rand.IntN(100))*time.Millisecond, m.rand.IntN(10), m.rand.IntN(7)
	m.mu.Unlock()
	if known != nil && !ofKey(*known, key) {
		m.t.Errorf("%q is told that %q is known", key, *known)
	}
	if err := sleep(ctx, takes); err != nil {
		return Reply[string]{}, err
	}
	if mood < m.fails {
		switch what {
		case 0:
			return Reply[string]{}, waitsToo
		case 1:
			panic("oh")
		case 2:
			return Reply[string]{}, pipeline.Permanent(errNone)
		case 3:
			return Reply[string]{}, pipeline.Filtered
		case 4:
			return Reply[string]{}, errTime
		case 5:
			return Reply[string]{}, pipeline.RetryAfter(50*time.Millisecond, errDown)
		}
		return Reply[string]{}, errDown
	}
	return Reply[string]{Answer: key + " " + time.Now().Format(time.RFC3339Nano), Bytes: 40, Validates: what == 0}, nil
}

func ofKey(answer, key string) bool { return len(answer) > len(key) && answer[:len(key)+1] == key+" " }

// judge says what is wrong with what became of a record.
func (m *moody) judge(key, got string, err error, ctx context.Context, keeps bool, most time.Duration) {
	reason, refused := pipeline.IsPermanent(err)
	switch {
	case err == nil:
		if !ofKey(got, key) {
			m.t.Errorf("%q was answered %q", key, got)
			return
		}
		at, perr := time.Parse(time.RFC3339Nano, got[len(key)+1:])
		if perr != nil || keeps && time.Since(at) >= most || !keeps && time.Since(at) > time.Second {
			m.t.Errorf("%q has an answer from %v ago (%v)", key, time.Since(at), perr)
		}
	case got != "":
		m.t.Errorf("%q has the answer %q and the error %v", key, got, err)
	case errors.Is(err, context.Canceled):
		if ctx.Err() == nil {
			m.t.Errorf("%q was given up for another's sake", key)
		}
	case m.fails == 0:
		m.t.Errorf("%q has the error %v, and its host gives none", key, err)
	case errors.Is(err, pipeline.Filtered), errors.Is(err, errNone), errors.Is(err, errTime), errors.Is(err, errDown):
	case refused && reason == pipeline.ReasonPanic:
	default:
		m.t.Errorf("%q has the error %v, which its host does not give", key, err)
	}
}

// zipf gives a source of keys of which few are asked for often: the i-th 1/i as often as the first.
func zipf(r *rand.Rand, keys int) func() int {
	upTo, sum := make([]float64, keys), 0.0
	for i := range upTo {
		sum += 1 / float64(i+1)
		upTo[i] = sum
	}
	return func() int { return sort.SearchFloat64s(upTo, r.Float64()*sum) }
}

// TestCallsSaved counts the calls of 10,000 records about 2,000 things, of which some come up much more
// often than others, 64 at a time. A cache with room for all asks for each once.
func TestCallsSaved(t *testing.T) {
	const records, keys = 10_000, 2000
	no := false
	asked := map[string]int64{}
	distinct := map[int]bool{}
	for _, c := range []struct {
		name string
		set  func(*Settings)
	}{
		{"neither", func(s *Settings) { s.Share = &no }},
		{"one flight", func(*Settings) {}},
		{"a cache of 200", func(s *Settings) { s.Cache = &CacheSettings{TTL: time.Hour, Entries: keys / 10} }},
		{"a cache of all", func(s *Settings) { s.Cache = &CacheSettings{TTL: time.Hour} }},
		{"a cache of all alone", func(s *Settings) { s.Share, s.Cache = &no, &CacheSettings{TTL: time.Hour} }},
	} {
		synctest.Test(t, func(t *testing.T) {
			calls := newCalls(t, c.set)
			defer calls.Close()
			s := &oracle{t: t, twice: true, reply: func(ctx context.Context, key string, _ int, _ *string) (Reply[string], error) {
				return reply(key), sleep(ctx, 10*time.Millisecond)
			}}
			draw, d := zipf(rand.New(rand.NewPCG(1, 2)), keys), &desk{}
			next := make(chan int)
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() {
					for k := range next {
						key, got := fmt.Sprint("k", k), ""
						if _, err := d.run(t.Context(), calls, s.question(key, &got), i); err != nil || got != answerOf(key) {
							t.Errorf("got %q, %v", got, err)
						}
					}
				})
			}
			for range records {
				k := draw()
				distinct[k] = true
				next <- k
			}
			close(next)
			wg.Wait()
			asked[c.name] = s.all.Load()
			r := calls.Report()
			t.Logf("%s: %d calls, %d joined, %d hits", c.name, asked[c.name], r.CallsJoined, r.CacheHits)
			if n := asked[c.name] + r.CallsJoined + r.CacheHits; n != records {
				t.Errorf("%s: %d records are accounted for, want %d", c.name, n, records)
			}
			if calls.share == (r.CallsJoined == 0) {
				t.Errorf("%s: %d calls were joined", c.name, r.CallsJoined)
			}
			if r.CacheMisses != 0 && r.CacheMisses != asked[c.name] {
				t.Errorf("%s: %d misses, %d calls", c.name, r.CacheMisses, asked[c.name])
			}
		})
	}
	if n := asked["a cache of all"]; n != int64(len(distinct)) {
		t.Errorf("a cache with room for all has asked %d times about %d things", n, len(distinct))
	}
	if asked["neither"] != records || asked["one flight"] >= records*9/10 || asked["a cache of 200"] >= asked["one flight"]*2/3 {
		t.Errorf("calls: %v", asked)
	}
}

// direct is a call that only asks, to compare with.
func direct(ctx context.Context, q *Question[string]) error {
	r, err := q.Ask(ctx, nil, nil)
	if err != nil {
		return err
	}
	return q.Use(nil, r.Answer)
}

func through(ctx context.Context, c *Calls[string], q *Question[string], wake func()) error {
	call := c.Admit(*q, 1)
	if call.Gate() != nil {
		if _, ok := call.Enter(wake); !ok {
			return errors.New("not let in")
		}
	}
	err := call.Do(ctx, nil)
	call.Leave(pipeline.CallResult{Begun: true, Err: err})
	return err
}

var ways = []struct {
	name string
	key  string
	set  func(*Settings)
	most float64 // allocations of a call beyond those of Ask
}{
	{"alone", "", nil, 1},
	{"share", "k", nil, 2},
	{"hit", "k", func(s *Settings) { s.Cache = &CacheSettings{TTL: time.Hour} }, 1},
	{"miss", "k", func(s *Settings) { s.Cache = &CacheSettings{TTL: 1} }, 3},
}

func aCall(c interface {
	Helper()
	Fatal(...any)
}, key string, set func(*Settings)) (*Calls[string], *Question[string]) {
	c.Helper()
	s := Defaults()
	if set != nil {
		set(&s)
	}
	calls, err := New[string](Env{Settings: s, Workers: 64})
	if err != nil {
		c.Fatal(err)
	}
	calls.gates.random = func() float64 { return 0.5 } // no jitter
	var got string
	return calls, &Question[string]{Host: "api.example", Key: key,
		Ask: func(context.Context, *pipeline.Record, *string) (Reply[string], error) {
			return Reply[string]{Answer: "x"}, nil
		},
		Use: func(_ *pipeline.Record, answer string) error {
			if got = answer; got != "x" {
				return errDown
			}
			return nil
		}}
}

// TestWhatACallCosts counts what this package allocates for a call.
func TestWhatACallCosts(t *testing.T) {
	for _, w := range ways {
		calls, q := aCall(t, w.key, w.set)
		ctx, wake := t.Context(), func() {}
		bare := testing.AllocsPerRun(500, func() { direct(ctx, q) })
		if n := testing.AllocsPerRun(500, func() { through(ctx, calls, q, wake) }) - bare; n > w.most {
			t.Errorf("%s: %v allocations more than Ask, want at most %v", w.name, n, w.most)
		}
		calls.Close()
	}
}

func BenchmarkCall(b *testing.B) {
	_, q := aCall(b, "", nil)
	b.Run("direct", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			direct(b.Context(), q)
		}
	})
	for _, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			calls, q := aCall(b, w.key, w.set)
			defer calls.Close()
			wake := func() {}
			b.ReportAllocs()
			for b.Loop() {
				through(b.Context(), calls, q, wake)
			}
		})
	}
}
