//go:build real

package sql

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/settings"
)

var lookupsFor = flag.Duration("lookups-for", 0, "TestSQLLookups: how long each way is measured, in rounds of 10,000 look-ups; 0: one round")

const (
	lookupsOfARound = 10_000
	lookupsWaiting  = 64
	lookupRows      = 100_000
)

// A way is how look-ups are made.
type way struct {
	name   string
	far    bool // the server is 1 ms away
	change func(*Settings)
	calls  func(*calls.Settings)
	zipf   bool

	lookups, queries int64
	rates            []float64
}

// TestSQLLookups measures look-ups, 64 of them waiting at a time, with one query for each and with one for all that
// wait, in turn, and counts the queries at the server. It fails when the answers are wrong or no query is saved.
// Run it with -v and -args -lookups-for=10s.
func TestSQLLookups(t *testing.T) {
	pg, conn := server(t)
	my, db := mariadb(t)
	exec(t, conn, "DROP TABLE IF EXISTS look", "CREATE TABLE look (iata text PRIMARY KEY, name text, city text, lat float8)",
		fmt.Sprintf("INSERT INTO look SELECT 'K' || g, 'name ' || g, 'city ' || g, g / 8.0 FROM generate_series(0, %d) g", lookupRows-1), "ANALYZE look")
	execMy(t, db, "DROP TABLE IF EXISTS look", "CREATE TABLE look (iata VARCHAR(10) PRIMARY KEY, name TEXT, city TEXT, lat DOUBLE)",
		fmt.Sprintf("INSERT INTO look SELECT CONCAT('K', seq), CONCAT('name ', seq), CONCAT('city ', seq), seq / 8.0 FROM seq_0_to_%d", lookupRows-1), "ANALYZE TABLE look")

	pgHost, pgFar := relay(t, pg)
	myHost, myFar := relay(t, my)
	far := strings.NewReplacer(pgHost, pgFar, myHost, myFar)
	for _, server := range []struct {
		name   string
		change func(*Settings)
		sent   func() int64 // queries that the server has counted
	}{
		{"postgres", func(s *Settings) {
			s.Driver, s.DSN, s.Query = "postgres", pg, "SELECT name, city, lat FROM look WHERE iata = $1"
		}, func() (n int64) {
			// A connection tells what it has done when it ends.
			for last, same := int64(-1), 0; same < 5; last = n {
				if err := conn.QueryRow(t.Context(), "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()").Scan(&n); err != nil {
					t.Fatal(err)
				}
				if time.Sleep(20 * time.Millisecond); n-last < 3 {
					same++
				}
			}
			return n
		}},
		{"mariadb", func(s *Settings) {
			s.Driver, s.DSN, s.Query = "mysql", my, "SELECT name, city, lat FROM look WHERE iata = ?"
		}, func() (n int64) {
			var name string
			if err := db.QueryRow("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'").Scan(&name, &n); err != nil {
				t.Fatal(err)
			}
			return n
		}},
	} {
		share := true
		ways := []*way{
			{name: "one query each, 8 connections", change: func(s *Settings) { s.Batch = 1 }},
			{name: "one query each, 64 connections", change: func(s *Settings) { s.Batch, s.MaxConns = 1, 64 }},
			{name: "together, 8 connections", change: func(*Settings) {}},
			{name: "together, 2 connections", change: func(s *Settings) { s.MaxConns = 2 }},
			{name: "together, 1 connection", change: func(s *Settings) { s.MaxConns = 1 }},
			{name: "1 ms away, one query each, 8 connections", change: func(s *Settings) { s.Batch = 1 }, far: true},
			{name: "1 ms away, one query each, 64 connections", change: func(s *Settings) { s.Batch, s.MaxConns = 1, 64 }, far: true},
			{name: "1 ms away, together, 8 connections", change: func(*Settings) {}, far: true},
			{name: "1 ms away, together, 1 connection", change: func(s *Settings) { s.MaxConns = 1 }, far: true},
			{name: "Zipf, one query each", change: func(s *Settings) { s.Batch = 1 }, zipf: true, calls: func(c *calls.Settings) { no := false; c.Share = &no }},
			{name: "Zipf, shared", change: func(s *Settings) { s.Batch = 1 }, zipf: true, calls: func(c *calls.Settings) { c.Share = &share }},
			{name: "Zipf, shared and cached", change: func(s *Settings) { s.Batch = 1 }, zipf: true, calls: cached},
			{name: "Zipf, shared, cached and together", change: func(*Settings) {}, zipf: true, calls: cached},
		}
		for begin := time.Now(); ; {
			for _, w := range ways {
				w.round(t, func(s *Settings) {
					if server.change(s); w.far {
						s.DSN = settings.Secret(far.Replace(string(s.DSN)))
					}
				}, server.sent)
			}
			if time.Since(begin) >= *lookupsFor*time.Duration(len(ways)) {
				break
			}
		}
		base := slices.Clone(ways[0].rates)
		for _, w := range ways {
			times := make([]float64, len(base)) // as fast as the first way in the same turn
			for i, r := range w.rates {
				times[i] = r / base[i]
			}
			slices.Sort(times)
			slices.Sort(w.rates)
			t.Logf("%-8s %-42s %8.0f look-ups/s (median of %d rounds, %.0f to %.0f), %.2f times the first, %6.0f queries for 10,000", server.name, w.name,
				w.rates[len(w.rates)/2], len(w.rates), w.rates[0], w.rates[len(w.rates)-1], times[len(times)/2], float64(w.queries)/float64(w.lookups)*10_000)
		}
		for _, w := range []*way{ways[2], ways[3], ways[4], ways[7], ways[8]} {
			if w.queries*2 > w.lookups {
				t.Errorf("%s, %s: %d queries for %d look-ups", server.name, w.name, w.queries, w.lookups)
			}
		}
		if w := ways[11]; w.queries*2 > w.lookups {
			t.Errorf("%s: the cache has saved little: %d queries for %d look-ups", server.name, w.queries, w.lookups)
		}
	}
}

// relay gives the address of a server and one that leads to it over a way that takes half a millisecond in each
// direction.
func relay(t *testing.T, dsn settings.Secret) (host, far string) {
	t.Helper()
	u, err := url.Parse(string(dsn))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", u.Host)
			if err != nil {
				t.Error(err)
				_ = near.Close()
				return
			}
			all.Go(func() { later(near, server, 500*time.Microsecond) })
			all.Go(func() { later(server, near, 500*time.Microsecond) })
		}
	})
	return u.Host, listener.Addr().String()
}

// later copies what comes from one connection to another, each byte after d, and closes both.
func later(from, to net.Conn, d time.Duration) {
	type piece struct {
		bytes []byte
		due   time.Time
	}
	pieces := make(chan piece, 1000)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(pieces)
		for {
			b := make([]byte, 32<<10)
			n, err := from.Read(b)
			if err != nil {
				return
			}
			pieces <- piece{b[:n], time.Now().Add(d)}
		}
	})
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			_ = from.Close() // ends the reading
		}
	}
	_, _ = from.Close(), to.Close()
	reading.Wait()
}

func cached(c *calls.Settings) {
	cache := calls.DefaultCache()
	cache.TTL = time.Hour
	c.Cache = &cache
}

// round makes 10,000 look-ups with a stage of its own, and checks what they find.
func (w *way) round(t *testing.T, of func(*Settings), sent func() int64) {
	t.Helper()
	s := Default()
	s.Into, s.Args = "got", exprs(t, "k")
	of(&s)
	w.change(&s)
	e := env(lookupsWaiting)
	if w.calls != nil {
		w.calls(&e.Settings)
	}
	st, err := New(s, e)
	if err != nil {
		t.Fatal(err)
	}
	before := sent()
	var next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range lookupsWaiting {
		wg.Go(func() {
			source := rand.New(rand.NewPCG(uint64(i), 7))
			zipf := rand.NewZipf(source, 1.1, 1, lookupRows-1)
			for next.Add(1) <= lookupsOfARound {
				k := source.IntN(lookupRows * 10 / 9) // a tenth is not there
				if w.zipf {
					k = int(zipf.Uint64())
				}
				rec := record(fmt.Sprintf(`{"k":"K%d"}`, k))
				want := fmt.Sprintf(`{"k":"K%d","got":null}`, k)
				if k < lookupRows {
					lat := fmt.Sprint(float64(k) / 8)
					if k%8 == 0 {
						lat += ".0"
					}
					want = fmt.Sprintf(`{"k":"K%d","got":{"name":"name %d","city":"city %d","lat":%s}}`, k, k, k, lat)
				}
				if err := st.Process(t.Context(), rec); err != nil || string(rec.Value()) != want {
					t.Errorf("%s: %s, %v, want %s", w.name, rec.Value(), err, want)
					return
				}
			}
		})
	}
	wg.Wait()
	w.rates = append(w.rates, lookupsOfARound/time.Since(begin).Seconds())
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	w.lookups += lookupsOfARound
	w.queries += sent() - before
}
