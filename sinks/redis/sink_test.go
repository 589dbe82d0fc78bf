package redissink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/sinks/internal/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func template(t testing.TB, text string) (tpl expr.Template) {
	t.Helper()
	if err := tpl.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return tpl
}

func expression(t testing.TB, text string) (e expr.Expr) {
	t.Helper()
	if err := e.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return e
}

func fields(t testing.TB, pairs ...string) (all settings.Fields[expr.Expr]) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, settings.Field[expr.Expr]{Name: settings.FieldPath(pairs[i]), Value: expression(t, pairs[i+1])})
	}
	return all
}

// sink makes a sink that ends with the test.
func sink(t testing.TB, address, command, key string, change func(*Settings)) *Sink {
	t.Helper()
	s := Defaults()
	s.Server.Address, s.Command, s.Key = address, command, template(t, key)
	if change != nil {
		change(&s)
	}
	k, err := New(s, calls.Env{Workers: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return k
}

func library(t testing.TB, address string) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: address, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// records makes records of values, with offsets from 0; "": a tombstone.
func records(values ...string) (recs []*pipeline.Record) {
	for i, v := range values {
		if v == "" {
			recs = append(recs, sinktest.Tombstone(int64(i)))
		} else {
			recs = append(recs, sinktest.Record(int64(i), v))
		}
	}
	return recs
}

// there gives what the server holds at a key, in words.
func there(t testing.TB, c *goredis.Client, key string) string {
	t.Helper()
	ctx := t.Context()
	switch c.Type(ctx, key).Val() {
	case "string":
		return c.Get(ctx, key).Val()
	case "hash":
		all := c.HGetAll(ctx, key).Val()
		var words []string
		for _, name := range slices.Sorted(maps.Keys(all)) {
			words = append(words, name+"="+all[name])
		}
		return strings.Join(words, " ")
	case "stream":
		var words []string
		for _, m := range c.XRange(ctx, key, "-", "+").Val() {
			words = append(words, fmt.Sprint(m.ID, m.Values))
		}
		return strings.Join(words, " ")
	}
	return c.Type(ctx, key).Val()
}

// whatIsStored is a table of what each command makes of records.
func whatIsStored(t *testing.T, address string) {
	c := library(t, address)
	position := func(s *Settings) { s.ID = "position" }
	for name, tt := range map[string]struct {
		command, key string
		change       func(*Settings)
		values       []string
		look         string
		want         string
		failed       map[int]string
		lives        bool // the key has an end
	}{
		"set":             {command: "set", key: "a:{id}", values: []string{`{"id":1, "x":1.10}`}, look: "a:1", want: `{"id":1, "x":1.10}`},
		"the last":        {command: "set", key: "a:{id}", values: []string{`{"id":1,"n":1}`, `{"id":1,"n":2}`}, look: "a:1", want: `{"id":1,"n":2}`},
		"no JSON":         {command: "set", key: "a:{meta.offset}", values: []string{"\xff\x00 text"}, look: "a:0", want: "\xff\x00 text"},
		"a text":          {command: "set", key: "b:{id}", change: func(s *Settings) { s.Value = expression(t, "name") }, values: []string{`{"id":1,"name":"Ann \"A\""}`}, look: "b:1", want: `Ann "A"`},
		"a list":          {command: "set", key: "b:{id}", change: func(s *Settings) { s.Value = expression(t, "[id, 1.10]") }, values: []string{`{"id":1}`}, look: "b:1", want: `[1,1.1]`},
		"value is null":   {command: "set", key: "b:{id}", change: func(s *Settings) { s.Value = expression(t, "name") }, values: []string{`{"id":3}`}, look: "b:3", want: "none", failed: map[int]string{0: "redis"}},
		"set with ttl":    {command: "set", key: "c:{id}", change: func(s *Settings) { s.TTL = time.Hour }, values: []string{`{"id":1}`}, look: "c:1", want: `{"id":1}`, lives: true},
		"a fixture":       {command: "set", key: "c:{meta.offset}", change: func(s *Settings) { s.As = "fixture" }, values: []string{`{"id":1}`}, look: "c:0", want: `{"topic":"t","partition":0,"offset":0,"payload_json":{"id":1}}`},
		"no key":          {command: "set", key: "d:{id}", values: []string{`{}`, `{"id":2}`, `{"id":""}`}, look: "d:2", want: `{"id":2}`, failed: map[int]string{0: "expression", 2: "expression"}},
		"a tombstone":     {command: "set", key: "e", values: []string{""}, look: "e", want: "none", failed: map[int]string{0: "not_object"}},
		"deleted":         {command: "set", key: "e", change: func(s *Settings) { s.OnTombstone = "delete" }, values: []string{`1`, ""}, look: "e", want: "none"},
		"and set again":   {command: "set", key: "e", change: func(s *Settings) { s.OnTombstone = "delete" }, values: []string{`1`, "", `2`}, look: "e", want: "2"},
		"hset":            {command: "hset", key: "h:{id}", values: []string{`{"id":1,"name":"Ann","l":[1],"x\"":"é\n"}`}, look: "h:1", want: "id=1 l=[1] name=Ann x\"=é\n"},
		"fields of it":    {command: "hset", key: "i:{id}", change: func(s *Settings) { s.Fields = fields(t, "n", "name", "late", "delay > 15") }, values: []string{`{"id":1,"name":"Ann","delay":20}`}, look: "i:1", want: "late=true n=Ann"},
		"null is taken":   {command: "hset", key: "j:{id}", values: []string{`{"id":1,"a":1,"b":2}`, `{"id":1,"a":null,"c":3}`}, look: "j:1", want: "b=2 c=3 id=1"},
		"all are null":    {command: "hset", key: "j2", values: []string{`{"a":1}`, `{"a":null}`}, look: "j2", want: "none"},
		"hset with ttl":   {command: "hset", key: "k:{id}", change: func(s *Settings) { s.TTL = time.Hour }, values: []string{`{"id":1}`}, look: "k:1", want: "id=1", lives: true},
		"hset of a list":  {command: "hset", key: "l", values: []string{`[1]`, `{}`, `{"a":1}`}, look: "l", want: "a=1", failed: map[int]string{0: "not_object", 1: "redis"}},
		"by position":     {command: "xadd", key: "x:{meta.topic}:{meta.partition}", change: position, values: []string{`{"a":1}`, `{"a":2}`}, look: "x:t:0", want: `0-1map[value:{"a":1}] 1-1map[value:{"a":2}]`},
		"fields of entry": {command: "xadd", key: "y:{meta.topic}:{meta.partition}", change: func(s *Settings) { position(s); s.Fields = fields(t, "a", "a", "b", "b") }, values: []string{`{"a":"1"}`, `{}`}, look: "y:t:0", want: `0-1map[a:1]`, failed: map[int]string{1: "redis"}},
		"another type":    {command: "hset", key: "m:{id}", values: []string{`{"id":"str"}`, `{"id":"ok"}`}, look: "m:ok", want: "id=ok", failed: map[int]string{0: "redis"}},
		"foreign key":     {command: "hset", key: "m:{id}", change: func(s *Settings) { s.TTL = time.Hour }, values: []string{`{"id":"str"}`, `{"id":"str"}`}, look: "m:str", want: "mine", failed: map[int]string{0: "redis", 1: "redis"}},
		"odd keys":        {command: "set", key: "n:{id}", values: []string{`{"id":"\r\nDEL m:str\r\n é"}`}, look: "n:\r\nDEL m:str\r\n é", want: `{"id":"\r\nDEL m:str\r\n é"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := errors.Join(c.FlushDB(t.Context()).Err(), c.Set(t.Context(), "m:str", "mine", 0).Err()); err != nil {
				t.Fatal(err)
			}
			k := sink(t, address, tt.command, tt.key, tt.change)
			failed := sinktest.Failures(t, k.Write(t.Context(), records(tt.values...)))
			if got := there(t, c, tt.look); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if !maps.Equal(failed, tt.failed) {
				t.Errorf("failed: %v, want %v", failed, tt.failed)
			}
			if lives := c.PTTL(t.Context(), tt.look).Val(); (lives > 0) != tt.lives {
				t.Errorf("the key lives %v", lives)
			}
			if got := there(t, c, "m:str"); got != "mine" {
				t.Errorf("somebody else's key is %q", got)
			}
		})
	}
}

func TestWhatIsStored(t *testing.T) { whatIsStored(t, miniredis.RunT(t).Addr()) }

// TestWhatTheServerRefuses: what is about the server holds all records, and nothing of them is stored; what is about one record
// rejects that alone; what may be about either is the record's when others pass.
func TestWhatTheServerRefuses(t *testing.T) {
	r := newRefusing(t)
	c := library(t, r.Addr())
	of := func(key, text string) func(string, []string) string {
		return func(cmd string, args []string) string {
			if cmd == "SET" && (key == "" || args[0] == key) {
				return text
			}
			return ""
		}
	}
	held := map[int]string{0: "", 1: "", 2: ""}
	for name, tt := range map[string]struct {
		refuse func(string, []string) string
		failed map[int]string
		stored []string
		text   string
	}{
		"memory":          {refuse: of("k:b", "OOM command not allowed when used memory > 'maxmemory'."), failed: held, text: "no memory left for writes (maxmemory) (OOM)"},
		"replica":         {refuse: of("", "READONLY You can't write against a read only replica."), failed: held, text: "is a replica and takes no writes"},
		"disk":            {refuse: of("", "MISCONF Redis is configured to save RDB snapshots"), failed: held, text: "cannot save its data to disk"},
		"log-in":          {refuse: of("", "NOAUTH Authentication required."), failed: held, text: "the server wants a log-in"},
		"rights of one":   {refuse: of("k:b", "NOPERM No permissions to access a key"), failed: map[int]string{1: "redis"}, stored: []string{"k:a", "k:c"}, text: "and took others: the user may not do this"},
		"rights of all":   {refuse: of("", "NOPERM No permissions to access a key"), failed: held, text: "the user may not do this"},
		"unknown, of one": {refuse: of("k:a", "ERR secret k:a is odd"), failed: map[int]string{0: "redis"}, stored: []string{"k:b", "k:c"}, text: "the server refuses the record, and took others: the server refuses the command (ERR)"},
		"size of one":     {refuse: of("k:c", "ERR string exceeds maximum allowed size (proto-max-bulk-len)"), failed: map[int]string{2: "redis"}, stored: []string{"k:a", "k:b"}, text: "larger than the server takes"},
		"one and the other": {refuse: func(cmd string, args []string) string {
			return of("k:b", "NOPERM x")(cmd, args) + of("k:c", "OOM x")(cmd, args)
		}, failed: held, text: "no memory left"},
	} {
		t.Run(name, func(t *testing.T) {
			r.refuses(nil)
			if err := c.FlushDB(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			k := sink(t, r.Addr(), "set", "k:{id}", nil)
			r.refuses(tt.refuse)
			recs := records(`{"id":"a"}`, `{"id":"b"}`, `{"id":"c"}`)
			err := k.Write(t.Context(), recs)
			r.refuses(nil)
			if failed := sinktest.Failures(t, err); !maps.Equal(failed, tt.failed) {
				t.Errorf("failed: %v, want %v", failed, tt.failed)
			}
			if !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v: want %q", err, tt.text)
			}
			keys := c.Keys(t.Context(), "*").Val()
			slices.Sort(keys)
			if !slices.Equal(keys, tt.stored) {
				t.Errorf("stored: %v, want %v", keys, tt.stored)
			}
			if err := k.Write(t.Context(), recs); err != nil { // the connection is as good as before
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestWhatIsHeldBack: a write goes in several transactions, and when one has to wait nothing behind it is sent.
func TestWhatIsHeldBack(t *testing.T) {
	r := newRefusing(t)
	var values []string
	for i := range 2*maxCommands + 10 {
		values = append(values, fmt.Sprintf(`{"id":%d}`, i))
	}
	k := sink(t, r.Addr(), "set", "k:{id}", nil)
	r.refuses(func(cmd string, args []string) string {
		if cmd == "SET" && args[0] == fmt.Sprint("k:", maxCommands+5) {
			return "OOM command not allowed"
		}
		return ""
	})
	failed := sinktest.Failures(t, k.Write(t.Context(), records(values...)))
	if len(failed) != maxCommands+10 || r.begun != 2 {
		t.Errorf("%d failed, %d transactions", len(failed), r.begun)
	}
	for i := range maxCommands {
		if _, there := failed[i]; there {
			t.Fatalf("%d has failed", i)
		}
	}
	if keys := len(library(t, r.Addr()).Keys(t.Context(), "*").Val()); keys != maxCommands {
		t.Errorf("%d are stored", keys)
	}
	r.refuses(nil)
	if err := k.Write(t.Context(), records(values...)); err != nil || r.begun != 3 {
		t.Errorf("%v, %d transactions", err, r.begun)
	}
}

// TestAMessageIsSent: a subscriber gets the messages of a channel in their order.
func TestAMessageIsSent(t *testing.T) {
	m := miniredis.RunT(t)
	sub := m.NewSubscriber()
	defer sub.Close()
	sub.Subscribe("c:1")
	k := sink(t, m.Addr(), "publish", "c:{id}", func(s *Settings) { s.Value = expression(t, "text") })
	over := make(chan error, 1)
	go func() {
		over <- k.Write(t.Context(), records(`{"id":1,"text":"one"}`, `{"id":2,"text":"other"}`, `{"id":1,"text":"two"}`))
	}()
	for _, want := range []string{"one", "two"} {
		if got := <-sub.Messages(); got.Message != want {
			t.Errorf("got %q, want %q", got.Message, want)
		}
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// TestAConnectionThatIsNotMade: a log-in or a database that is refused stores nothing, and says so of every record.
func TestAConnectionThatIsNotMade(t *testing.T) {
	for text, tt := range map[string]struct {
		begin  func(*miniredis.Miniredis)
		change func(*Settings)
	}{
		"no database of this number": {change: func(s *Settings) { s.Server.DB = 7 }, begin: func(m *miniredis.Miniredis) {
			m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
				if cmd == "SELECT" {
					c.WriteError("ERR DB index is out of range")
				}
				return cmd == "SELECT"
			})
		}},
		"the server refuses the log-in": {change: func(s *Settings) { s.Server.Password = "wrong" }, begin: func(m *miniredis.Miniredis) { m.RequireAuth("right") }},
		"the server wants a log-in":     {begin: func(m *miniredis.Miniredis) { m.RequireAuth("right") }},
		"connection refused":            {begin: func(m *miniredis.Miniredis) { m.Close() }},
	} {
		t.Run(text, func(t *testing.T) {
			m := miniredis.RunT(t)
			k := sink(t, m.Addr(), "set", "k:{id}", tt.change)
			tt.begin(m)
			err := k.Write(t.Context(), records(`{"id":1}`, `{"id":2}`))
			if failed := sinktest.Failures(t, err); !maps.Equal(failed, map[int]string{0: "", 1: ""}) {
				t.Errorf("failed: %v", failed)
			}
			if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "wrong") {
				t.Errorf("%v", err)
			}
			if keys := m.DB(7).Keys(); len(keys) > 0 || len(m.DB(0).Keys()) > 0 {
				t.Errorf("stored: %v %v", keys, m.DB(0).Keys())
			}
		})
	}
}
