//go:build real

package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/redisserver/redistest"
)

func library(t testing.TB, address string) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: address, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestRealAnswers: what a real server says of its state, of rights and of keys of other types.
func TestRealAnswers(t *testing.T) {
	s := redistest.Start(t)
	c := library(t, s.Addr)
	do := func(args ...any) {
		t.Helper()
		if err := c.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	do("set", "k:1", `{"a":1}`)
	do("hset", "k:2", "a", "1")
	do("acl", "setuser", "some", "on", ">pw", "~k:2", "+@all")
	some := func(s *Settings) { s.Server.Username, s.Server.Password = "some", "pw" }
	for name, tt := range map[string]struct {
		begin, end func()
		change     func(*Settings)
		value      string
		want       string
	}{
		"there":           {value: `{"id":1}`, want: `{"a":1}`},
		"another type":    {value: `{"id":2}`, want: "! redis: reading from redis ADDRESS (get): the key holds a value of another type (WRONGTYPE)"},
		"no right":        {change: some, value: `{"id":1}`, want: "! transient: reading from redis ADDRESS (get): the user may not do this, or not with this key: mend the rights of the user (ACL) (NOPERM)"},
		"a right":         {change: func(s *Settings) { some(s); s.Command = "hgetall" }, value: `{"id":2}`, want: `{"a":1}`},
		"another user":    {change: func(s *Settings) { some(s); s.Server.Password = "x" }, value: `{"id":1}`, want: "! transient: reading from redis ADDRESS (get): the server refuses the log-in: mend username, password or password_file (WRONGPASS)"},
		"no database":     {change: func(s *Settings) { s.Server.DB = 99 }, value: `{"id":1}`, want: "! transient: reading from redis ADDRESS/99 (get): the server has no database of this number: mend db (ERR)"},
		"another":         {change: func(s *Settings) { s.Server.DB = 1 }, value: `{"id":1}`, want: "null"},
		"without log-in":  {begin: func() { do("config", "set", "requirepass", "pw") }, end: func() { do("auth", "pw"); do("config", "set", "requirepass", "") }, value: `{"id":1}`, want: "! transient: reading from redis ADDRESS (get): the server wants a log-in: give password or password_file, and username where it has users (NOAUTH)"},
		"without master":  {begin: func() { do("config", "set", "replica-serve-stale-data", "no"); do("replicaof", "127.0.0.1", "1") }, end: func() { do("replicaof", "no", "one") }, value: `{"id":1}`, want: "! transient: reading from redis ADDRESS (get): the server is a replica that has lost its master (MASTERDOWN)"},
		"of many clients": {begin: func() { do("config", "set", "maxclients", "1") }, end: func() { do("config", "set", "maxclients", "1000") }, value: `{"id":1}`, want: "! transient: reading from redis ADDRESS (get): "},
	} {
		t.Run(name, func(t *testing.T) {
			st := stage(t, s.Addr, tt.change)
			if tt.begin != nil {
				tt.begin()
			}
			got := strings.ReplaceAll(field(t, st, tt.value), s.Addr, "ADDRESS")
			if tt.end != nil {
				tt.end()
			}
			if got != tt.want && (name != "of many clients" || !strings.HasPrefix(got, tt.want)) { // the answer may be lost when the server hangs up
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestRealServerThatStops: a frozen server costs each attempt its time and no more, and when it goes on, is killed or is started
// again, look-ups are answered as before, each with what is at its own key.
func TestRealServerThatStops(t *testing.T) {
	s := redistest.Start(t)
	fill := func() {
		c := library(t, s.Addr)
		pipe := c.Pipeline()
		for i := range 1000 {
			pipe.Set(t.Context(), fmt.Sprintf("k:%d", i), i, 0)
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	fill()
	st := stage(t, s.Addr, nil)
	ends, end := context.WithCancel(t.Context())
	var answered, failed atomic.Int64
	var all sync.WaitGroup
	for worker := range 64 {
		all.Go(func() {
			for n := worker; ends.Err() == nil; n++ {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				rec := record(fmt.Sprintf(`{"id":%d}`, n%1000))
				err := ask(ctx, st, n%1000)
				cancel()
				var e *client.Error
				switch {
				case err == nil:
					answered.Add(1)
				case errors.Is(err, errOther):
					t.Error(err)
				case !errors.As(err, &e) || e.Type != client.TypeTimeout && e.Type != client.TypeNetwork && e.Type != client.TypeCanceled:
					t.Errorf("%s: %v", rec.Value(), err)
				default:
					failed.Add(1)
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	goesOn := func(what string) {
		t.Helper()
		from := answered.Load()
		for limit := time.Now().Add(time.Minute); answered.Load() < from+1000; time.Sleep(time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("no answers after %s", what)
			}
		}
	}
	goesOn("the start")
	for range 2 {
		from := failed.Load()
		s.Freeze()
		for failed.Load() < from+100 {
			time.Sleep(time.Millisecond)
		}
		s.Resume()
		goesOn("it was frozen")
		s.Kill()
		s.Run()
		fill()
		goesOn("it was started again")
	}
	end()
	all.Wait()
	t.Logf("%d answered, %d failed", answered.Load(), failed.Load())
}

var errOther = errors.New("the answer is another's")

// ask looks one key up, past what holds calls back.
func ask(ctx context.Context, st *Stage, n int) error {
	l := &look{args: []string{fmt.Sprintf("k:%d", n)}, done: make(chan struct{})}
	if err := st.batches.do(ctx, l); err != nil {
		return st.explain(ctx, err)
	}
	if got := string(l.answer.json); got != fmt.Sprint(n) && got != "null" { // before it is filled again nothing is there
		return fmt.Errorf("%w: %s for %d", errOther, got, n)
	}
	return nil
}

// TestRealLookUps says how fast look-ups are, alone and together.
func TestRealLookUps(t *testing.T) {
	s := redistest.Start(t)
	c := library(t, s.Addr)
	pipe := c.Pipeline()
	for i := range 1000 {
		pipe.Set(t.Context(), fmt.Sprintf("k:%d", i), `{"name":"Ann","level":"gold"}`, 0)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ conns, batch int }{{4, 1}, {64, 1}, {1, 128}, {4, 128}} {
		st := stage(t, s.Addr, func(s *Settings) { s.Server.MaxConns, s.Batch = tt.conns, tt.batch })
		var pipelines atomic.Int64
		inner := st.batches.ask
		st.batches.ask = func(ctx context.Context, looks []*look) {
			pipelines.Add(1)
			inner(ctx, looks)
		}
		const n = 30_000
		began := time.Now()
		var all sync.WaitGroup
		for worker := range 64 {
			all.Go(func() {
				for i := worker; i < n; i += 64 {
					l := &look{args: []string{fmt.Sprintf("k:%d", i%1100)}, done: make(chan struct{})}
					if err := st.batches.do(t.Context(), l); err != nil || l.answer.found != (i%1100 < 1000) {
						t.Errorf("%d: %v", i, err)
					}
				}
			})
		}
		all.Wait()
		t.Logf("%d connections, batch %d: %.0f look-ups/s in %d pipelines", tt.conns, tt.batch, n/time.Since(began).Seconds(), pipelines.Load())
	}
}

var _ pipeline.Stage = (*Stage)(nil)
