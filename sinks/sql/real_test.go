//go:build real

package sqlsink

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"

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

// What nobody waits for any more ends on the server, though the process has been killed.
func TestPostgresGuards(t *testing.T) {
	p := postgresPlace(t)
	p.exec("CREATE TABLE f (id int)")
	k := p.sink("f", nil, "id", "id")
	var got []string
	for _, name := range []string{"client_connection_check_interval", "idle_in_transaction_session_timeout"} {
		var v string
		if err := k.db.QueryRow("SHOW " + name).Scan(&v); err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	if !slices.Equal(got, []string{"1s", "1min"}) {
		t.Error(got)
	}
}
