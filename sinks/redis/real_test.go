//go:build real

package redissink

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/redisserver/redistest"
	"github.com/penstockio/penstock/sinks/internal/sinktest"
)

func TestRealWhatIsStored(t *testing.T) { whatIsStored(t, redistest.Start(t).Addr) }

func TestRealPositionsAnew(t *testing.T) { positionsAnew(t, redistest.Start(t).Addr) }

func TestRealOnceByPosition(t *testing.T) { onceByPosition(t, redistest.Start(t).Addr) }

// TestRealRefusals: what a real server says of memory, of a master, of rights and of sizes, within a transaction.
func TestRealRefusals(t *testing.T) {
	s := redistest.Start(t)
	c := library(t, s.Addr)
	set := func(name, value string) {
		t.Helper()
		if err := c.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	held := map[int]string{0: "", 1: "", 2: ""}
	for name, tt := range map[string]struct {
		begin, end func()
		change     func(*Settings)
		failed     map[int]string
		text       string
		keys       int
	}{
		"memory":             {begin: func() { set("maxmemory", "1mb") }, end: func() { set("maxmemory", "0") }, failed: held, text: "no memory left for writes (maxmemory) (OOM)"},
		"memory of a script": {begin: func() { set("maxmemory", "1mb") }, end: func() { set("maxmemory", "0") }, change: func(s *Settings) { s.Command, s.TTL = "hset", time.Hour }, failed: held, text: "no memory left for writes (maxmemory) (OOM)"},
		"replica":            {begin: func() { c.Do(t.Context(), "replicaof", "127.0.0.1", "1") }, end: func() { c.Do(t.Context(), "replicaof", "no", "one") }, failed: held, text: "is a replica and takes no writes: has another become the master? (READONLY)"},
		"too few replicas":   {begin: func() { set("min-replicas-to-write", "1") }, end: func() { set("min-replicas-to-write", "0") }, failed: held, text: "too few replicas are in sync (NOREPLICAS)"},
		"rights to a key":    {begin: func() { c.Do(t.Context(), "acl", "setuser", "some", "on", ">pw", "~k:a", "~k:c", "+@all") }, change: func(s *Settings) { s.Server.Username, s.Server.Password = "some", "pw" }, failed: map[int]string{1: "redis"}, text: "and took others: the user may not do this", keys: 2},
		"rights to a command": {begin: func() { c.Do(t.Context(), "acl", "setuser", "reader", "on", ">pw", "~*", "+@all", "-set") },
			change: func(s *Settings) { s.Server.Username, s.Server.Password = "reader", "pw" }, failed: held, text: "the user may not do this"},
		"wrong password": {begin: func() { set("requirepass", "pw") }, end: func() { c.Do(t.Context(), "auth", "pw"); set("requirepass", "") }, change: func(s *Settings) { s.Server.Password = "wrong" }, failed: held, text: "the server refuses the log-in"},
		"no log-in":      {begin: func() { set("requirepass", "pw") }, end: func() { c.Do(t.Context(), "auth", "pw"); set("requirepass", "") }, failed: held, text: "the server wants a log-in: give password or password_file"},
		"no database":    {change: func(s *Settings) { s.Server.DB = 99 }, failed: held, text: "no database of this number: mend db"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.FlushDB(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			k := sink(t, s.Addr, "set", "k:{id}", tt.change)
			if tt.begin != nil {
				tt.begin()
			}
			err := k.Write(t.Context(), records(`{"id":"a"}`, `{"id":"b"}`, `{"id":"c"}`))
			if tt.end != nil {
				tt.end()
			}
			if failed := sinktest.Failures(t, err); !maps.Equal(failed, tt.failed) {
				t.Errorf("failed: %v, want %v", failed, tt.failed)
			}
			if err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v: want %q", err, tt.text)
			}
			if keys := len(c.Keys(t.Context(), "*").Val()); keys != tt.keys {
				t.Errorf("%d keys", keys)
			}
		})
	}
}

// drive writes the records of lanes until all are stored, each lane in order, as the engine does: what may be tried again is, with
// further ones behind it.
func drive(t *testing.T, k *Sink, lanes [][]*pipeline.Record, timeout time.Duration) {
	var all sync.WaitGroup
	for _, recs := range lanes {
		all.Go(func() {
			for len(recs) > 0 {
				n := min(50, len(recs))
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				failed := sinktest.Failures(t, k.Write(ctx, recs[:n]))
				cancel()
				var again []*pipeline.Record
				for i := range n {
					if reason, is := failed[i]; is && reason == "" {
						again = append(again, recs[i])
					} else if is {
						t.Errorf("%v: %s", recs[i].Position, reason)
						return
					}
				}
				if recs = append(again, recs[n:]...); len(again) > 0 {
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	all.Wait()
}

func lanes(n, each int) (all [][]*pipeline.Record) {
	for lane := range n {
		var recs []*pipeline.Record
		for i := range each {
			rec := sinktest.Record(int64(i), fmt.Sprintf(`{"lane":%d,"n":%d}`, lane, i))
			rec.Partition = int32(lane)
			recs = append(recs, rec)
		}
		all = append(all, recs)
	}
	return all
}

// trouble freezes the server for longer than a write has time, and kills connections, until over is closed.
func trouble(s *redistest.Server, c *goredis.Client, over <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-over:
			return
		case <-time.After(15 * time.Millisecond):
		}
		if i%3 == 0 {
			s.Freeze()
			time.Sleep(60 * time.Millisecond)
			s.Resume()
		}
		c.ClientKillByFilter(context.Background(), "TYPE", "normal", "SKIPME", "yes")
	}
}

// TestRealTroubles: while the server is frozen and connections are killed, entries by position are in the stream once and in
// order, and a key has the last of its values.
func TestRealTroubles(t *testing.T) {
	s := redistest.Start(t)
	c := library(t, s.Addr)
	const each = 10_000
	for _, command := range []string{"xadd", "set", "hset"} {
		t.Run(command, func(t *testing.T) {
			key := command + ":{lane}"
			if command == "xadd" {
				key = "s:{meta.topic}:{meta.partition}"
			}
			k := sink(t, s.Addr, command, key, func(s *Settings) {
				if command == "xadd" {
					s.ID = "position"
				}
			})
			over, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				trouble(s, c, over)
			}()
			drive(t, k, lanes(3, each), 40*time.Millisecond)
			close(over)
			<-ended
			for lane := range 3 {
				if command != "xadd" {
					if got := there(t, c, fmt.Sprint(command, ":", lane)); !strings.Contains(got, fmt.Sprint(each-1)) {
						t.Errorf("lane %d ends with %s", lane, got)
					}
					continue
				}
				entries := c.XRange(t.Context(), fmt.Sprint("s:t:", lane), "-", "+").Val()
				if len(entries) != each {
					t.Errorf("lane %d has %d entries", lane, len(entries))
				}
				for i, e := range entries {
					if e.Values["value"] != fmt.Sprintf(`{"lane":%d,"n":%d}`, lane, i) {
						t.Fatalf("lane %d, entry %d: %v", lane, i, e)
					}
				}
			}
		})
	}
}

func TestRealWithoutTransactions(t *testing.T) {
	s := redistest.Start(t)
	c := library(t, s.Addr)
	c.Do(t.Context(), "acl", "setuser", "writer", "on", ">pw", "~*", "+@all", "-multi")
	withoutTransactions(t, sink(t, s.Addr, "xadd", "x", func(s *Settings) { s.Server.Username, s.Server.Password = "writer", "pw" }), c)
}
