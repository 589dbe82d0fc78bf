package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/expr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func template(t testing.TB, text string) (tpl expr.Template) {
	t.Helper()
	if err := tpl.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return tpl
}

func env(workers int) calls.Env { return calls.Env{Settings: calls.Defaults(), Workers: workers} }

func record(value string) *pipeline.Record {
	var rec pipeline.Record
	rec.Init(pipeline.Position{Topic: "t", Offset: 1}, nil, []byte(value), nil, 0)
	return &rec
}

// stage makes a stage that ends with the test.
func stage(t testing.TB, address string, change func(*Settings)) *Stage {
	t.Helper()
	s := Default()
	s.Server.Address, s.Into = address, "got"
	if change != nil {
		change(&s)
	}
	if s.Key.IsZero() && len(s.Keys) == 0 {
		s.Key = template(t, "k:{id}")
	}
	st, err := New(s, env(64))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// field runs the stage on a value and gives the field, or how it ended.
func field(t *testing.T, st *Stage, value string) string {
	t.Helper()
	rec := record(value)
	if err := st.Process(t.Context(), rec); err != nil {
		reason, permanent := pipeline.IsPermanent(err)
		if !permanent {
			reason = "transient"
		}
		return "! " + reason + ": " + err.Error()
	}
	text, err := rec.Field("got")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// filled is a server with something of each type.
func filled(t testing.TB) *miniredis.Miniredis {
	m := miniredis.RunT(t)
	for key, value := range map[string]string{
		"k:json": ` {"a": 1.10, "b": [9007199254740993]}`, "k:text": "Oslo \"S\"", "k:number": "007", "k:null": "null", "k:empty": "", "k:bytes": "\xff\x00",
		"k:large": strings.Repeat("x", 3000), "k:\r\nGET k:text\r\n": "odd",
	} {
		if err := m.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	m.HSet("k:hash", "name", "Ann", "age", "41", "odd \" name", "x")
	if _, err := m.Lpush("k:list", "1"); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWhatIsThereIsPutIn(t *testing.T) {
	m := filled(t)
	hget := func(s *Settings) { s.Command, s.Field = "hget", template(t, "{f}") }
	hgetall := func(s *Settings) { s.Command = "hgetall" }
	mget := func(s *Settings) {
		s.Command, s.Keys = "mget", []expr.Template{template(t, "k:{a}"), template(t, "k:{b}")}
	}
	as := func(as string, others ...func(*Settings)) func(*Settings) {
		return func(s *Settings) {
			for _, o := range others {
				o(s)
			}
			s.As = as
		}
	}
	for _, c := range []struct {
		change      func(*Settings)
		value, want string
	}{
		{nil, `{"id":"json"}`, `{"a": 1.10, "b": [9007199254740993]}`},
		{nil, `{"id":"text"}`, `"Oslo \"S\""`},
		{nil, `{"id":"number"}`, `"007"`},
		{nil, `{"id":"null"}`, `null`},
		{nil, `{"id":"empty"}`, `""`},
		{nil, `{"id":"none"}`, `null`},
		{nil, `{"id":"\r\nGET k:text\r\n"}`, `"odd"`}, // a key is an argument, whatever is in it
		{nil, `{"id":"bytes"}`, "! bad_answer: reading from redis ADDRESS (get): what was found is no UTF-8, which JSON cannot hold: write as: base64"},
		{nil, `{"id":"hash"}`, "! redis: reading from redis ADDRESS (get): the key holds a value of another type (WRONGTYPE)"},
		{nil, `{"id":""}`, "! expression: evaluating id: the value is empty"},
		{nil, `{}`, "! expression: evaluating id: the value is missing"},
		{nil, `[]`, "! not_object: editing a field: the value is no JSON object"},
		{as("text"), `{"id":"json"}`, `" {\"a\": 1.10, \"b\": [9007199254740993]}"`},
		{as("base64"), `{"id":"bytes"}`, `"/wA="`},
		{hget, `{"id":"hash","f":"name"}`, `"Ann"`},
		{hget, `{"id":"hash","f":"age"}`, `41`},
		{hget, `{"id":"hash","f":"none"}`, `null`},
		{hget, `{"id":"none","f":"name"}`, `null`},
		{hget, `{"id":"list","f":"name"}`, "! redis: reading from redis ADDRESS (hget): the key holds a value of another type (WRONGTYPE)"},
		{hgetall, `{"id":"hash"}`, `{"age":41,"name":"Ann","odd \" name":"x"}`},
		{as("text", hgetall), `{"id":"hash"}`, `{"age":"41","name":"Ann","odd \" name":"x"}`},
		{hgetall, `{"id":"none"}`, `null`},
		{hgetall, `{"id":"text"}`, "! redis: reading from redis ADDRESS (hgetall): the key holds a value of another type (WRONGTYPE)"},
		{mget, `{"a":"text","b":"none"}`, `["Oslo \"S\"",null]`},
		{mget, `{"a":"nope","b":"none"}`, `[null,null]`},
		{mget, `{"a":"hash","b":"number"}`, `[null,"007"]`},
		{mget, `{"a":"text"}`, "! expression: evaluating b: the value is missing"},
		{func(s *Settings) { s.OnMiss = client.MissReject }, `{"id":"none"}`, "! no_match: reading from redis ADDRESS (get): nothing is there"},
		{func(s *Settings) { mget(s); s.OnMiss = client.MissReject }, `{"a":"nope","b":"none"}`, "! no_match: reading from redis ADDRESS (mget): nothing is there"},
		{func(s *Settings) { hgetall(s); s.OnMiss = client.MissFilter }, `{"id":"none"}`, "! transient: filtered"},
		{func(s *Settings) { s.MaxBytes = 2000 }, `{"id":"large"}`, "! too_large: reading from redis ADDRESS (get): the answer is larger than max_bytes (2000B)"},
		{func(s *Settings) { hgetall(s); s.MaxBytes = 8 }, `{"id":"hash"}`, "! too_large: reading from redis ADDRESS (hgetall): the answer is larger than max_bytes (8B)"},
	} {
		st := stage(t, m.Addr(), c.change)
		got := strings.ReplaceAll(field(t, st, c.value), m.Addr(), "ADDRESS")
		if strings.TrimSpace(got) != c.want {
			t.Errorf("%s of %s:\n got %s\nwant %s", st.settings.Command, c.value, got, c.want)
		}
	}
}

// TestAConnectionThatIsNotMade: a log-in or a database that is refused finds nothing, which is not that there is nothing.
func TestAConnectionThatIsNotMade(t *testing.T) {
	for want, change := range map[string]func(*Settings){
		"the server refuses the log-in: mend username, password or password_file (WRONGPASS)":                 func(s *Settings) { s.Server.Password = "wrong" },
		"the server wants a log-in: give password or password_file, and username where it has users (NOAUTH)": nil,
		"the server has no database of this number: mend db (ERR)":                                            func(s *Settings) { s.Server.Password, s.Server.DB = "right", 7 },
	} {
		m := filled(t)
		m.RequireAuth("right")
		m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
			if cmd == "SELECT" {
				c.WriteError("ERR DB index is out of range")
			}
			return cmd == "SELECT"
		})
		for _, command := range []string{"get", "hgetall"} {
			st := stage(t, m.Addr(), func(s *Settings) {
				if s.Command = command; change != nil {
					change(s)
				}
			})
			want := "! transient: reading from redis " + st.server.Host() + " (" + command + "): " + want
			if got := field(t, st, `{"id":"none"}`); got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
		}
	}
}

func TestATombstonePassesWithoutALookUp(t *testing.T) {
	st := stage(t, "127.0.0.1:1", nil)
	var rec pipeline.Record
	rec.Init(pipeline.Position{Topic: "t"}, []byte("k"), nil, nil, 0)
	if err := st.Process(t.Context(), &rec); err != nil || !rec.Tombstone() {
		t.Errorf("%v", err)
	}
}

// TestWhatWaitsGoesTogether: while the one connection is busy look-ups wait, and then go in few pipelines, one of them that
// fails alone, and one whose answer is too large.
func TestWhatWaitsGoesTogether(t *testing.T) {
	m := filled(t)
	st := stage(t, m.Addr(), func(s *Settings) { s.Server.MaxConns, s.MaxBytes = 1, 2000 })
	if err := m.Set("k:huge", strings.Repeat("x", 4<<20)); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var sizes []int
	begun, goOn := make(chan struct{}), make(chan struct{})
	ask := st.batches.ask
	st.batches.ask = func(ctx context.Context, looks []*look) {
		mu.Lock()
		sizes = append(sizes, len(looks))
		first := len(sizes) == 1
		mu.Unlock()
		if first {
			close(begun)
			<-goOn
		}
		ask(ctx, looks)
	}
	want := map[string]string{"text": `"Oslo \"S\""`, "hash": "! redis", "none": "null", "large": "! too_large", "huge": "! too_large", "number": `"007"`}
	ids := slices.Sorted(maps.Keys(want))
	var all sync.WaitGroup
	look := func(n int) {
		all.Go(func() {
			id := ids[n%len(ids)]
			l := &look{args: []string{"k:" + id}, done: make(chan struct{})}
			err := st.batches.do(t.Context(), l)
			got := string(l.answer.json)
			if err != nil {
				reason, _ := pipeline.IsPermanent(st.explain(t.Context(), err))
				got = "! " + reason
			}
			if got != want[id] {
				t.Errorf("%s: %s", id, got)
			}
		})
	}
	look(0)
	<-begun
	for n := range 59 {
		look(n + 1)
	}
	until(t, func() bool {
		st.batches.mu.Lock()
		defer st.batches.mu.Unlock()
		return len(st.batches.waiting) == 59
	})
	close(goOn)
	all.Wait()
	if !slices.Equal(sizes, []int{1, 59}) {
		t.Errorf("look-ups of each pipeline: %v", sizes)
	}
}

func until(t testing.TB, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within a minute")
		}
	}
}

// silent is a server that accepts, and says nothing.
func silent(t testing.TB) (address string, accepted <-chan net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 100)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns <- conn
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-over
		close(conns)
		for conn := range conns {
			_ = conn.Close()
		}
	})
	return l.Addr().String(), conns
}

// TestAServerThatSaysNothingIsLeft: the look-up ends with its context, by its time or because it is given up, and the connection
// is closed, so that the next attempt has its turn.
func TestAServerThatSaysNothingIsLeft(t *testing.T) {
	address, conns := silent(t)
	st := stage(t, address, func(s *Settings) { s.Server.MaxConns = 1 })
	for _, c := range []struct{ name, kind string }{{"time", client.TypeTimeout}, {"given up", client.TypeCanceled}} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if c.kind == client.TypeCanceled {
			ctx, cancel = context.WithCancel(t.Context())
		}
		over := make(chan error)
		go func() { over <- st.Process(ctx, record(`{"id":1}`)) }()
		conn := <-conns
		if c.kind == client.TypeCanceled {
			cancel()
		}
		err := <-over
		cancel()
		e := new(client.Error)
		if _, permanent := pipeline.IsPermanent(err); permanent || !errors.As(err, &e) || e.Type != c.kind {
			t.Errorf("%s: %v", c.name, err)
		}
		buf := make([]byte, 1<<10)
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		for {
			if _, err := conn.Read(buf); err != nil {
				if slow, is := err.(net.Error); is && slow.Timeout() {
					t.Errorf("%s: the connection is open", c.name)
				}
				break
			}
		}
	}
}

// TestErrorsSayWhomTheyAreOf: what the server says of itself is tried again, what it says of the key rejects the record, and nothing
// quotes what was asked.
func TestErrorsSayWhomTheyAreOf(t *testing.T) {
	m := miniredis.RunT(t)
	said := ""
	m.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		if cmd != "GET" || said == "" {
			return false
		}
		c.WriteError(said)
		return true
	})
	st := stage(t, m.Addr(), nil)
	for text, want := range map[string]string{
		"WRONGTYPE Operation against a key":                          "! redis: the key holds a value of another type (WRONGTYPE)",
		"LOADING Redis is loading":                                   "! transient down: the server is loading its data (LOADING)",
		"MASTERDOWN Link with MASTER is down":                        "! transient down: the server is a replica that has lost its master (MASTERDOWN)",
		"READONLY You can't write":                                   "! transient down: the server is a replica and takes no writes: has another become the master? (READONLY)",
		"CLUSTERDOWN The cluster is down":                            "! transient down: the cluster is down (CLUSTERDOWN)",
		"NOAUTH Authentication required.":                            "! transient down: the server wants a log-in: give password or password_file, and username where it has users (NOAUTH)",
		"WRONGPASS invalid":                                          "! transient down: the server refuses the log-in: mend username, password or password_file (WRONGPASS)",
		"MOVED 1 127.0.0.1:1":                                        "! transient down: the server is part of a cluster, of which nothing is known here: name a server of its own, or a proxy that hides the cluster (MOVED)",
		"ERR max number of clients reached":                          "! transient busy: the server has no room for another connection (maxclients) (ERR)",
		"BUSY Redis is busy running a script":                        "! transient busy: the server is busy with a script (BUSY)",
		"NOPERM No permissions to access a key":                      "! transient: the user may not do this, or not with this key: mend the rights of the user (ACL) (NOPERM)",
		"ERR unknown command 'GET', with args beginning: 'k:secret'": "! transient down: the server does not know the command: is it older, or a proxy that leaves it out? (ERR)",
		"ERR something of k:secret":                                  "! transient: the server refuses the command (ERR)",
		"odd k:secret":                                               "! transient: the server refuses the command (ERR)",
	} {
		said = text
		err := st.Process(t.Context(), record(`{"id":"secret"}`))
		kind := "transient"
		if reason, permanent := pipeline.IsPermanent(err); permanent {
			kind = reason
		}
		var down interface{ OutOfService() bool }
		var busy interface{ AsksToWait() bool }
		switch {
		case kind != "transient":
		case errors.As(err, &busy) && busy.AsksToWait():
			kind += " busy"
		case errors.As(err, &down) && down.OutOfService():
			kind += " down"
		}
		got := "! " + kind + ": " + strings.TrimPrefix(fmt.Sprint(err), "reading from redis "+m.Addr()+" (get): ")
		if got != want || strings.Contains(got, "secret") {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
}
