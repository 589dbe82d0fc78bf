//go:build real

package sqlsink

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
	"github.com/penstockio/penstock/pipeline/settings"
)

// postgresPlace makes a schema of its own in the real server.
func postgresPlace(t *testing.T) *place {
	dsn := os.Getenv("PENSTOCK_TEST_POSTGRES")
	if dsn == "" {
		t.Fatal("PENSTOCK_TEST_POSTGRES is not set: testdata/real/run.sh starts a server")
	}
	db, err := dbsql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	p := &place{t: t, driver: "postgres", db: db, change: func(s *Settings) { s.Driver, s.DSN = "postgres", settings.Secret(dsn+"&search_path=sinktest") }}
	p.hang = func(table string) (<-chan struct{}, func()) {
		return p.lock("pgx", dsn+"&search_path=sinktest", "BEGIN; LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE", "SELECT count(*) FROM pg_locks WHERE NOT granted")
	}
	p.exec("SET client_min_messages = warning", "DROP SCHEMA IF EXISTS sinktest CASCADE", "CREATE SCHEMA sinktest", "SET search_path = sinktest")
	return p
}

// mariaPlace makes a database of its own in the real server.
func mariaPlace(t *testing.T) *place {
	dsn := os.Getenv("PENSTOCK_TEST_MARIADB")
	if dsn == "" {
		t.Fatal("PENSTOCK_TEST_MARIADB is not set: testdata/real/run.sh starts a server")
	}
	config, err := database.MySQL(settings.Secret(dsn), client.TLS{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := dbsql.OpenDB(c)
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	own := strings.Replace(dsn, "/?", "/sinktest?", 1)
	p := &place{t: t, driver: "mysql", db: db, change: func(s *Settings) { s.Driver, s.DSN = "mariadb", settings.Secret(own) }}
	p.hang = func(table string) (<-chan struct{}, func()) {
		return p.lock("mysql", config.FormatDSN(), "LOCK TABLES sinktest."+table+" WRITE", "SELECT count(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'")
	}
	p.exec("DROP DATABASE IF EXISTS sinktest", "CREATE DATABASE sinktest CHARACTER SET utf8mb4", "USE sinktest")
	return p
}

// lock has a connection of its own lock a table. stuck is closed when waiting counts somebody.
func (p *place) lock(driver, dsn, text, waiting string) (stuck <-chan struct{}, restore func()) {
	p.t.Helper()
	db, err := dbsql.Open(driver, dsn)
	if err != nil {
		p.t.Fatal(err)
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := conn.ExecContext(context.Background(), text); err != nil {
		p.t.Fatal(err)
	}
	seen := make(chan struct{})
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			n := 0
			if err := conn.QueryRowContext(context.Background(), waiting).Scan(&n); err == nil && n > 0 {
				close(seen)
				return
			}
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	return seen, func() {
		close(done)
		watch.Wait()
		_, _ = conn.ExecContext(context.Background(), map[string]string{"pgx": "ROLLBACK", "mysql": "UNLOCK TABLES"}[driver])
		_ = conn.Close()
		_ = db.Close()
	}
}

func TestPostgres(t *testing.T) { runScenarios(t, postgresPlace) }

func TestMariaDB(t *testing.T) { runScenarios(t, mariaPlace) }

// Every type of PostgreSQL takes what JSON has for it, with every digit, and refuses the rest.
func TestPostgresTypes(t *testing.T) {
	p := postgresPlace(t)
	p.exec("CREATE TYPE mood AS ENUM ('glad', 'sad')", "CREATE DOMAIN small AS int CHECK (VALUE < 10)")
	for i, c := range []struct{ typ, value, want string }{
		{"int", "5.0", "5"}, {"int", `" 7 "`, "7"}, {"int", "2147483648", ""}, {"int", "1.5", ""}, {"int", `"x"`, ""}, {"int", "true", ""},
		{"bigint", "9223372036854775807", "9223372036854775807"}, {"numeric", "12345678901234567890.123456789012345678901", "12345678901234567890.123456789012345678901"},
		{"numeric(6,2)", "1234.567", "1234.57"}, {"numeric(6,2)", "123456", ""}, {"float8", "0.1", "0.1"}, {"float8", "1e400", ""},
		{"text", `"a\tb\nc\\d\re\"f{},NULL"`, "a\tb\nc\\d\re\"f{},NULL"}, {"text", `"\\N"`, `\N`}, {"text", `""`, ""}, {"text", `{"a": [1, null]}`, `{"a": [1, null]}`}, {"text", "1.50", "1.50"}, {"text", `"a\u0000b"`, ""},
		{"varchar(3)", `"abc"`, "abc"}, {"varchar(3)", `"abcd"`, ""}, {"char(3)", `"ab"`, "ab"}, {"char(3)", `"abcd"`, ""}, {"bit(3)", `"101"`, "101"}, {"bit(3)", `"1011"`, ""},
		{"bool", "true", "true"}, {"bool", `"off"`, "false"}, {"bool", "1", "true"}, {"uuid", `"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"`, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}, {"uuid", `"x"`, ""},
		{"timestamptz", `"2026-01-31T08:00:00.5Z"`, "2026-01-31 08:00:00.5+00"}, {"timestamptz", "1700000000123", "2023-11-14 22:13:20.123+00"}, {"timestamptz", "1e300", ""}, {"timestamp", "0", "1970-01-01 00:00:00"},
		{"date", `"2026-01-31"`, "2026-01-31"}, {"date", `"2026-02-31"`, ""}, {"inet", `"10.0.0.1/8"`, "10.0.0.1/8"}, {"interval", `"1 day"`, "1 day"},
		{"jsonb", `{"b": 1, "a": [1.50]}`, `{"a": [1.50], "b": 1}`}, {"jsonb", `"text"`, `"text"`}, {"json", `{"b":  1}`, `{"b":  1}`}, {"jsonb", `"\u0000"`, ""},
		{"int[]", "[1, null, 3]", "{1,NULL,3}"}, {"text[]", `["a,b", "c\"d", "\\", "NULL"]`, `{"a,b","c\"d","\\","NULL"}`}, {"int[]", "[[1,2],[3,4]]", "{{1,2},{3,4}}"}, {"int[]", `["x"]`, ""}, {"int[]", "5", ""},
		{"bytea", `"aGk="`, `\x6869`}, {"bytea", `"?"`, ""}, {"mood", `"sad"`, "sad"}, {"mood", `"mad"`, ""}, {"small", "9", "9"}, {"small", "10", ""},
	} {
		for _, mode := range []string{"insert", "upsert"} {
			p.exec("DROP TABLE IF EXISTS v", "CREATE TABLE v (id int PRIMARY KEY, v "+c.typ+")")
			k := p.sink("v", func(s *Settings) {
				if mode == "upsert" {
					upsertBy("id")(s)
				}
			}, "id", "meta.offset", "v", "v")
			err := errors.Join(k.Write(t.Context(), records(`{"v":`+c.value+`}`, `{"v":null}`)), k.Close(t.Context()))
			if c.want == "" && c.value != `""` {
				isOutcome(t, err, "0 sql")
				if err == nil || strings.Contains(err.Error(), strings.Trim(c.value, `"`)) && len(c.value) > 5 {
					t.Errorf("%d %s %s: %v", i, c.typ, c.value, err)
				}
				p.wants("SELECT id FROM v", "1")
				continue
			}
			isOutcome(t, err, "")
			p.wants("SELECT id, v::text FROM v ORDER BY id", "0 "+c.want, "1 <nil>")
		}
	}
}

// The same for MariaDB.
func TestMariaTypes(t *testing.T) {
	p := mariaPlace(t)
	for _, c := range []struct{ typ, value, want string }{
		{"int", "5.0", "5"}, {"int", `"7"`, "7"}, {"int", "2147483648", ""}, {"int", "1.5", ""}, {"int", `"x"`, ""}, {"tinyint(1)", "true", "1"}, {"int unsigned", "-1", ""},
		{"bigint unsigned", "18446744073709551615", "18446744073709551615"}, {"decimal(40,10)", "123456789012345678901234567890.0123456789", "123456789012345678901234567890.0123456789"},
		{"double", "0.1", "0.1"}, {"text", `"a\tb\nc\\d'e\"f"`, "a\tb\nc\\d'e\"f"}, {"text", `"é😀"`, "é😀"}, {"text", `{"a": [1, null]}`, `{"a": [1, null]}`}, {"varchar(3)", `"abcd"`, ""},
		{"datetime(3)", `"2026-01-31T08:00:00.5+01:00"`, "2026-01-31 07:00:00.500"}, {"timestamp(3)", "1700000000123", "2023-11-14 22:13:20.123"}, {"datetime", `"x"`, ""}, {"date", `"2026-01-31"`, "2026-01-31"},
		{"date", `"2026-02-31"`, ""}, {"json", `{"b": 1}`, `{"b": 1}`}, {"blob", `"aGk="`, "hi"}, {"blob", `"?"`, ""}, {"enum('a','b')", `"b"`, "b"}, {"enum('a','b')", `"c"`, ""}, {"int", "[1]", ""},
	} {
		p.exec("DROP TABLE IF EXISTS v", "CREATE TABLE v (id int PRIMARY KEY, v "+c.typ+" NULL)")
		k := p.sink("v", nil, "id", "meta.offset", "v", "v")
		err := errors.Join(k.Write(t.Context(), records(`{"v":`+c.value+`}`, `{"v":null}`)), k.Close(t.Context()))
		if c.want == "" {
			isOutcome(t, err, "0 sql")
			p.wants("SELECT id FROM v", "1")
			continue
		}
		isOutcome(t, err, "")
		p.wants("SELECT id, CAST(v AS char) FROM v ORDER BY id", "0 "+c.want, "1 <nil>")
	}
}

// A statement is parted before it is larger than the server reads; a row that alone is larger is rejected.
func TestMariaPacket(t *testing.T) {
	p := mariaPlace(t)
	p.exec("CREATE TABLE f (id int PRIMARY KEY, a longtext)")
	k := p.sink("f", upsertBy("id"), "id", "id", "a", "a")
	var values []string
	for i := range 12 {
		values = append(values, fmt.Sprintf(`{"id":%d,"a":"%s"}`, i, strings.Repeat("'", 2<<20)))
	}
	values = append(values, fmt.Sprintf(`{"id":99,"a":"%s"}`, strings.Repeat("x", 17<<20)), `{"id":100}`)
	isOutcome(t, k.Write(t.Context(), records(values...)), "12 sql")
	p.wants("SELECT count(*), sum(length(a)) FROM f", fmt.Sprint("13 ", 12*2<<20))
}

// Lanes that write the same keys at the same time, each in an order of its own, do not wait for each other in
// a circle; of each key one whole row is left.
func TestPostgresLanes(t *testing.T) {
	for _, typ := range []string{"int", "decimal"} { // by our order, and by the server's
		p := postgresPlace(t)
		p.exec("CREATE TABLE f (id " + typ + " PRIMARY KEY, a int, b int)")
		k := p.sink("f", upsertBy("id"), "id", "id", "a", "a", "b", "a")
		k.dialect = p.count.dialect // which is not for several at a time
		var lanes sync.WaitGroup
		for lane := range 8 {
			lanes.Go(func() {
				for round := range 20 {
					var values []string
					for i := range 300 {
						values = append(values, fmt.Sprintf(`{"id":%d,"a":%d}`, (i*7919*(lane+1)+round)%300, lane*1000+round))
					}
					if err := k.Write(t.Context(), records(values...)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		lanes.Wait()
		p.wants("SELECT count(*), count(*) FILTER (WHERE a = b) FROM f", "300 300")
	}
}

// A statement that waits for a lock ends on the server when its process has gone, and is not carried out when
// the lock has: the connection is cut without a word.
func TestPostgresGuard(t *testing.T) {
	p := postgresPlace(t)
	p.exec("CREATE TABLE f (id int)")
	k := p.sink("f", nil, "id", "id")
	var made []net.Conn
	d := p.count.dialect.(*postgres)
	dial := d.config.DialFunc
	d.config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if len(made) > 0 { // nobody is there any more who could ask for the end of the statement
			return nil, errors.New("gone")
		}
		c, err := dial(ctx, network, address)
		made = append(made, c)
		return c, err
	}
	err := k.db.Close()
	if err != nil {
		t.Fatal(err)
	}
	if k.db, err = d.open(client.SQLLimits{}); err != nil {
		t.Fatal(err)
	}
	if err := k.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	stuck, restore := p.hang("f")
	var end sync.WaitGroup
	end.Go(func() { isOutcome(t, k.Write(t.Context(), records(`{"id":1}`)), "0 ?") })
	<-stuck
	if len(made) != 1 {
		t.Errorf("%d connections", len(made))
	}
	_ = made[0].Close()
	end.Wait()
	for deadline := time.Now().Add(30 * time.Second); len(p.rows("SELECT 1 FROM pg_locks WHERE NOT granted")) > 0; {
		if time.Now().After(deadline) {
			t.Fatal("the statement still waits")
		}
	}
	restore()
	p.wants("SELECT id FROM f")
}

// Connections that are cut, at any moment of a statement, lose no row, reject none, and let none be overtaken.
func TestConnectionsDie(t *testing.T) {
	for name, c := range map[string]struct {
		place func(*testing.T) *place
		kill  func(p *place)
	}{
		"postgres": {postgresPlace, func(p *place) {
			p.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'penstock'")
		}},
		"mariadb": {mariaPlace, func(p *place) {
			for _, id := range p.rows("SELECT id FROM information_schema.processlist WHERE db = 'sinktest' AND id <> CONNECTION_ID()") {
				_, _ = p.db.Exec("KILL " + id) // it may have ended
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.place(t)
			p.exec("CREATE TABLE f (id int PRIMARY KEY, v int)", "CREATE TABLE g (id int PRIMARY KEY)")
			upsert := p.sink("f", upsertBy("id"), "id", "id", "v", "v")
			upsert.dialect = p.count.dialect
			ignore := p.sink("g", func(s *Settings) { s.Mode, s.Key = "ignore", []string{"id"} }, "id", "v * 1000 + id")
			ignore.dialect = p.count.dialect
			done := make(chan struct{})
			var killer sync.WaitGroup
			kills := 0
			killer.Go(func() {
				tick := time.NewTicker(15 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-done:
						return
					case <-tick.C:
						c.kill(p)
						kills++
					}
				}
			})
			failures := 0
			for version := range 60 {
				var values []string
				for id := range 500 {
					values = append(values, fmt.Sprintf(`{"id":%d,"v":%d}`, id, version))
				}
				for _, k := range []*Sink{upsert, ignore} {
					recs := records(values...)
					for try := 0; len(recs) > 0; try++ {
						err := k.Write(t.Context(), recs)
						if err == nil {
							break
						}
						if failures++; try == 200 || strings.Contains(outcome(t, err), "sql") {
							t.Fatalf("attempt %d: %v", try, err)
						}
						var w *pipeline.WriteError
						if errors.As(err, &w) {
							var again []*pipeline.Record
							for _, f := range w.Failed {
								again = append(again, recs[f.Index])
							}
							recs = again
						}
					}
				}
			}
			close(done)
			killer.Wait()
			t.Logf("%d kills, %d writes failed", kills, failures)
			if failures == 0 {
				t.Error("no connection was cut while it was in use")
			}
			p.wants("SELECT count(*), min(v), max(v) FROM f", "500 59 59")
			p.wants("SELECT count(*), min(id), max(id) FROM g", "30000 0 59499")
		})
	}
}
