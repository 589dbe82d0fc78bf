//go:build real

package sql

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/settings"
)

// server gives the dsn of the PostgreSQL that `make test-real` has started, and a
// connection that may write.
func server(t *testing.T) (settings.Secret, *pgx.Conn) {
	t.Helper()
	dsn := os.Getenv("PENSTOCK_TEST_POSTGRES")
	if dsn == "" {
		t.Fatal("PENSTOCK_TEST_POSTGRES is not set: run make test-real")
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return settings.Secret(dsn), conn
}

func exec(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := conn.Exec(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func pgStage(t *testing.T, dsn settings.Secret, query string, change func(*Settings), args ...string) *Stage {
	t.Helper()
	return stage(t, "", query, func(s *Settings) {
		s.Driver, s.DSN = "postgres", dsn
		if change != nil {
			change(s)
		}
	}, args...)
}

func TestPostgresValues(t *testing.T) {
	dsn, _ := server(t)
	for query, want := range map[string]string{
		"SELECT 9223372036854775807::int8 AS v":                        `9223372036854775807`,
		"SELECT 12345678901234567890.1234567890::numeric AS v":         `12345678901234567890.1234567890`,
		"SELECT 'NaN'::numeric AS v":                                   `"NaN"`,
		"SELECT 1.1::float4 AS v":                                      `1.1`,
		"SELECT 2::float8 AS v":                                        `2.0`,
		"SELECT 'Infinity'::float8 AS v":                               `"Infinity"`,
		"SELECT true AS v":                                             `true`,
		"SELECT NULL::int AS v":                                        `null`,
		"SELECT e'a\"<\\n' AS v":                                       `"a\"<\n"`,
		"SELECT '\\x00ff'::bytea AS v":                                 `"AP8="`,
		"SELECT '2026-01-02'::date AS v":                               `"2026-01-02"`,
		"SELECT '2026-01-02 03:04:05.678901'::timestamp AS v":          `"2026-01-02T03:04:05.678901Z"`,
		"SELECT '2026-01-02 03:04:05+02'::timestamptz AS v":            `"2026-01-02T01:04:05Z"`,
		"SELECT 'infinity'::timestamptz AS v":                          `"infinity"`,
		"SELECT '{\"b\": 1.10, \"a\": 9007199254740993}'::json AS v":   `{"b":1.10,"a":9007199254740993}`,
		"SELECT '{\"b\": 1.10}'::jsonb AS v":                           `{"b":1.10}`,
		"SELECT 'null'::jsonb AS v":                                    `null`,
		"SELECT 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'::uuid AS v":     `"f81d4fae-7dec-11d0-a765-00a0c91e6bf6"`,
		"SELECT '{1,2}'::int[] AS v":                                   `[1,2]`,
		"SELECT to_json('{1,2}'::int[]) AS v":                          `[1,2]`,
		"SELECT '1 day'::interval AS v":                                `"1 day"`,
		"SELECT current_setting('default_transaction_read_only') AS v": `"on"`,
		"SELECT 1::int2 AS v /* $1 */ WHERE '$1' = $q$$1$q$ -- $1":     `1`,
		"SELECT (SELECT v FROM (VALUES ('x')) AS t(v)) AS v":           `"x"`,
	} {
		st := pgStage(t, dsn, query, nil)
		if got := field(t, st, `{}`); got != `{"v":`+want+`}` {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestPostgresParameters(t *testing.T) {
	dsn, conn := server(t)
	exec(t, conn, "DROP TABLE IF EXISTS p", "CREATE TABLE p (i int8, n numeric, s text, b bool, j jsonb, f float8, t timestamptz)",
		`INSERT INTO p VALUES (9223372036854775807, 0.1, 'a''; DROP TABLE p; --', true, '{"a": 1}', 0.5, '2026-01-02T03:04:05Z')`)
	for cond, value := range map[string]string{
		"i = $1":                     `9223372036854775807`,
		"n = $1":                     `0.1`,
		"n < $1":                     `123456789012345678901234567890`,
		"s = $1":                     `"a'; DROP TABLE p; --"`,
		"b = $1":                     `true`,
		"j @> $1":                    `{"a":1}`,
		"f = $1":                     `0.5`,
		"t = $1":                     `"2026-01-02T03:04:05Z"`,
		"$1::text IS NULL":           `null`,
		"i = ANY($1::int8[])":        `"{9223372036854775807}"`,
		"s <> $1 AND $1::text = '7'": `7`,
	} {
		st := pgStage(t, dsn, "SELECT 1 AS ok FROM p WHERE "+cond, nil, "v")
		if got := field(t, st, `{"v":`+value+`}`); got != `{"ok":1}` {
			t.Errorf("%s with %s: %s", cond, value, got)
		}
	}
	st := pgStage(t, dsn, "SELECT 1 AS ok FROM p WHERE s = $1", nil, "v")
	if got := field(t, st, `{"v":"a' OR '1'='1"}`); got != "null" {
		t.Errorf("an injected condition held: %s", got)
	}
}

func TestPostgresErrors(t *testing.T) {
	dsn, conn := server(t)
	exec(t, conn, "DROP TABLE IF EXISTS e", "CREATE TABLE e (i int)")
	for query, permanent := range map[string]bool{
		"SELECT 1 FROM e WHERE i = $1":                                                          true,  // 22P02: canary is no number
		"SELECT 1 FROM nope WHERE $1::text = 'x'":                                               false, // 42P01
		"SELECT nope FROM e WHERE $1::text = 'x'":                                               false, // 42703
		"WITH x AS (INSERT INTO e VALUES (1) RETURNING i) SELECT i FROM x WHERE $1::text = 'x'": true,  // 25006
		"SELECT 1/0 WHERE $1::text <> ''":                                                       true,  // 22012
		"SELECT pg_terminate_backend(pg_backend_pid()) WHERE $1::text <> ''":                    false, // 57P01
		"SELECT 1 WHERE to_tsvector('a') @@ to_tsquery($1 || ' b')":                             true,  // 42601: of the value
		"SELECT $1::text::regclass::text AS t":                                                  true,  // 42P01: of the value
		"SELECT 'a' || E'\\xff' || $1":                                                          true,  // 22021
	} {
		st := pgStage(t, dsn, query, nil, "v")
		err := st.Process(t.Context(), record(`{"v":"canary"}`))
		if err == nil {
			t.Errorf("%s: no error", query)
			continue
		}
		if _, got := pipeline.IsPermanent(err); got != permanent {
			t.Errorf("%s: permanent %v: %v", query, got, err)
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error quotes a value: %v", query, err)
		}
	}
	// The pool is good again after a connection was ended.
	st := pgStage(t, dsn, "SELECT 1 AS a", nil)
	if got := field(t, st, `{}`); got != `{"a":1}` {
		t.Error(got)
	}
}

// A table that changes under a running step costs at most a few attempts.
func TestPostgresTableChanges(t *testing.T) {
	dsn, conn := server(t)
	exec(t, conn, "DROP TABLE IF EXISTS c", "CREATE TABLE c (a int)", "INSERT INTO c VALUES (1)")
	st := pgStage(t, dsn, "SELECT * FROM c", func(s *Settings) { s.MaxConns = 1 })
	if got := field(t, st, `{}`); got != `{"a":1}` {
		t.Fatal(got)
	}
	exec(t, conn, "ALTER TABLE c ADD b text DEFAULT 'x'")
	var rec *pipeline.Record
	for attempt := range 3 {
		rec = record(`{}`)
		err := st.Process(t.Context(), rec)
		if err == nil {
			break
		}
		if _, permanent := pipeline.IsPermanent(err); permanent {
			t.Fatalf("attempt %d: %v", attempt, err)
		}
	}
	if got := string(rec.Value()); got != `{"got":{"a":1,"b":"x"}}` {
		t.Error(got)
	}
}

func TestPostgresPing(t *testing.T) {
	dsn, _ := server(t)
	if err := pgStage(t, dsn, "SELECT 1", nil).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	var env *pipeline.EnvironmentError
	for name, st := range map[string]*Stage{
		"no server":   pgStage(t, "postgres://u:canary@127.0.0.1:1/d", "SELECT 1", nil),
		"no database": pgStage(t, settings.Secret(strings.Replace(string(dsn), "/postgres", "/nope", 1)), "SELECT 1", nil),
		"no table":    pgStage(t, dsn, "SELECT 1 FROM nope", nil),
	} {
		err := st.Ping(t.Context())
		if !errors.As(err, &env) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		t.Log(err)
	}
}

// A query that is given up ends on the server too.
func TestPostgresGivenUpQueryEnds(t *testing.T) {
	dsn, conn := server(t)
	st := pgStage(t, dsn, "SELECT pg_sleep(60) /* given up */", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := st.Process(ctx, record(`{}`))
	var own *client.Error
	if !errors.As(err, &own) || own.Type != client.TypeTimeout {
		t.Error(err)
	}
	if err := st.Close(); err != nil { // waits for the query
		t.Error(err)
	}
	var n int
	for range 100 {
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(60)%given%'").Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		exec(t, conn, "SELECT pg_sleep(0.05)")
	}
	t.Errorf("%d queries still run", n)
}

// No more connections than max_conns, equal look-ups share one query.
func TestPostgresPool(t *testing.T) {
	dsn, conn := server(t)
	st := pgStage(t, settings.Secret(string(dsn)+"&application_name=pool"), "SELECT $1::text AS v, pg_sleep(0.01)::text AS s",
		func(s *Settings) { s.MaxConns = 4 }, "v")
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for range 5 {
				rec := record(fmt.Sprintf(`{"v":"%d"}`, i%8))
				if err := st.Process(t.Context(), rec); err != nil {
					t.Error(err)
				}
				if want := fmt.Sprintf(`{"v":"%d","got":{"v":"%d","s":""}}`, i%8, i%8); string(rec.Value()) != want {
					t.Errorf("%s, want %s", rec.Value(), want)
				}
			}
		})
	}
	wg.Wait()
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pool'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n < 1 || n > 4 {
		t.Errorf("%d connections, want 1 to 4", n)
	}
}
