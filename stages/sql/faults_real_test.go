//go:build real

package sql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// askMany looks up all values, 64 at a time, each within 10 seconds, and gives what came of each.
func askMany(t *testing.T, st *Stage, values []string) (records []*pipeline.Record, errs []error) {
	t.Helper()
	records, errs = make([]*pipeline.Record, len(values)), make([]error, len(values))
	var all sync.WaitGroup
	places := make(chan struct{}, 64)
	for i, v := range values {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			records[i] = record(`{"i":` + v + `}`)
			errs[i] = st.Process(ctx, records[i])
		})
	}
	all.Wait()
	return records, errs
}

func numbers(n int) (values []string) {
	for i := range n {
		values = append(values, fmt.Sprint(i))
	}
	return values
}

// Look-ups of which each takes as long as the server allows several in all: none fails for those that it goes with.
func TestSlowLookupsWithAServersLimit(t *testing.T) {
	for name, open := range databases(t) {
		limit := map[string]string{"postgres": "&statement_timeout=300", "mysql": "&max_statement_time=0.3"}[name]
		st := open("SELECT s, SLEEP(CASE WHEN i < 200 THEN 0.1 ELSE 0 END) AS z FROM k WHERE i = $1", func(s *Settings) { s.DSN += settings.Secret(limit) }, "i")
		queries := count(st)
		if _, errs := askMany(t, st, append(numbers(1000)[200:], numbers(200)...)); errors.Join(errs...) != nil {
			t.Errorf("%s: %v", name, errors.Join(errs...))
		}
		if n := queries.n.Load(); n >= 900 {
			t.Errorf("%s: %d queries", name, n)
		} else {
			t.Logf("%s: %d queries for 1,000 look-ups, 200 of which are slow", name, n)
		}
	}
}

// A value that makes a query fail with an error of any class fails alone, and what the database says of it is not shown.
func TestBadValueOfAnyClassFailsAlone(t *testing.T) {
	pg, conn := server(t)
	exec(t, conn, "CREATE EXTENSION IF NOT EXISTS hstore", `CREATE OR REPLACE FUNCTION refuses(v text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
		IF v = '17' THEN RAISE EXCEPTION 'no canary%', v USING ERRCODE = 'UX001'; END IF; RETURN v; END $$`,
		`CREATE OR REPLACE FUNCTION pretends(v text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
		IF v = '17' THEN RAISE EXCEPTION 'no canary%', v USING ERRCODE = '55P03'; END IF; RETURN v; END $$`)
	my, db := mariadb(t)
	execMy(t, db, "DROP TABLE IF EXISTS one", "CREATE TABLE one (i INT)", "INSERT INTO one VALUES (1)", "DROP FUNCTION IF EXISTS refuses",
		"CREATE FUNCTION refuses(v TEXT) RETURNS TEXT DETERMINISTIC BEGIN IF v = '17' THEN SIGNAL SQLSTATE 'UX001' SET MESSAGE_TEXT = 'no canary17', MYSQL_ERRNO = 1146; END IF; RETURN v; END",
		"DROP FUNCTION IF EXISTS complains", "CREATE FUNCTION complains(v TEXT) RETURNS TEXT DETERMINISTIC BEGIN IF v = '17' THEN SIGNAL SQLSTATE 'UX001' SET MESSAGE_TEXT = 'no canary17'; END IF; RETURN v; END")
	for _, c := range []struct {
		query, bad, code string
		st               func(string) *Stage
	}{
		{"SELECT ($1::text::hstore)::text AS h", `"canary=>"`, "XX000", func(q string) *Stage { return pgStage(t, pg, q, nil, "i") }},
		{"SELECT refuses($1) AS s", `17`, "UX001", func(q string) *Stage { return pgStage(t, pg, q, nil, "i") }},
		{"SELECT pretends($1) AS s", `17`, "55P03", func(q string) *Stage { return pgStage(t, pg, q, nil, "i") }},
		{"SELECT $1::text::regclass::text AS s", `"canary.s.t"`, "0A000", func(q string) *Stage { return pgStage(t, pg, q, nil, "i") }},
		{"SELECT $1::text::regclass::text AS s", `"canary.t"`, "3F000", func(q string) *Stage { return pgStage(t, pg, q, nil, "i") }},
		{"SELECT i FROM one WHERE complains(?) <> ''", `17`, "1644", func(q string) *Stage { return myStage(t, my, q, nil, "i") }},
	} {
		st := c.st(c.query)
		var good string
		switch {
		case strings.Contains(c.query, "hstore"):
			good = `"a=>1"`
		case strings.Contains(c.query, "regclass"):
			good = `"pg_class"`
		default:
			good = `5`
		}
		values := make([]string, 300)
		for i := range values {
			values[i] = good
			if good == `5` {
				values[i] = fmt.Sprint(100 + i)
			}
		}
		values[150] = c.bad
		st.batches.apart = true
		_, errs := askMany(t, st, values)
		for i, err := range errs {
			if (err != nil) != (i == 150) {
				t.Errorf("%s: %s: %v", c.query, values[i], err)
			} else if err != nil && (strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), c.code)) {
				t.Errorf("%s: %v", c.query, err)
			}
		}
	}
	st := myStage(t, my, "SELECT i FROM one WHERE refuses(?) <> ''", nil, "i")
	if err := st.Process(t.Context(), record(`{"i":17}`)); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("an error of a function with a number of the server's: %v", err)
	}
}

// A table that is not there for a while is no record's fault: nobody serves there meanwhile. It is looked up in
// again when it is back.
func TestRenamedTable(t *testing.T) {
	_, conn := server(t)
	_, db := mariadb(t)
	run := map[string]func(string){"postgres": func(s string) { exec(t, conn, s) }, "mysql": func(s string) { execMy(t, db, s) }}
	for name, open := range databases(t) {
		run[name]("DROP TABLE IF EXISTS gone")
		st := open("SELECT s FROM k WHERE i = $1", nil, "i")
		askMany(t, st, numbers(200))
		for _, change := range [][2]string{{"ALTER TABLE k RENAME TO gone", "ALTER TABLE gone RENAME TO k"}, {"ALTER TABLE k RENAME COLUMN s TO z", "ALTER TABLE k RENAME COLUMN z TO s"}} {
			run[name](change[0])
			looks := []*look{lookFor(st, []string{"1"}), lookFor(st, []string{"2"}), lookFor(st, []string{"3"})}
			st.ask(t.Context(), looks[:1])
			st.ask(t.Context(), looks[1:])
			for _, l := range looks {
				err := st.queryError(t.Context(), l.err)
				var out interface{ OutOfService() bool }
				if _, permanent := pipeline.IsPermanent(err); permanent || err == nil || !errors.As(err, &out) || !out.OutOfService() {
					t.Errorf("%s, %s: %v", name, change[0], err)
				}
			}
			run[name](change[1])
			if _, errs := askMany(t, st, numbers(200)); errors.Join(errs...) != nil {
				t.Errorf("%s, %s: %v", name, change[1], errors.Join(errs...))
			}
		}
	}
}

// A column without a name of its own has the same field whether its look-up goes with others or not.
func TestPostgresNamesOfColumns(t *testing.T) {
	dsn, _ := server(t)
	for _, query := range []string{"SELECT $1::numeric(9,2)", "SELECT 1 AS a, $1::text", "SELECT $1::int AS a"} {
		st := pgStage(t, dsn, query, func(s *Settings) { s.MaxConns = 1 }, "i")
		want := field(t, st, `{"i":1}`)
		records, errs := askMany(t, st, append(numbers(200)[2:], "1"))
		if errors.Join(errs...) != nil {
			t.Fatal(errors.Join(errs...))
		}
		for _, rec := range records {
			if got := string(rec.Value()); strings.Contains(got, "penstock") {
				t.Errorf("%s: %s", query, got)
			}
		}
		if got := string(records[len(records)-1].Value()); got != `{"i":1,"got":`+want+`}` {
			t.Errorf("%s: %s, alone %s", query, got, want)
		}
	}
}

// Each record has a look-up of its own when equal ones are not to be shared.
func TestLookupsApart(t *testing.T) {
	for name, open := range databases(t) {
		unique := map[string]string{"postgres": "gen_random_uuid()", "mysql": "UUID()"}[name]
		for _, batch := range []int{1, 64} {
			st := open("SELECT s, "+unique+" AS u FROM k WHERE i = $1", func(s *Settings) { s.Batch, s.MaxConns = batch, 1 }, "i")
			st.batches.apart = true
			askMany(t, st, numbers(500))
			no := false
			e := env(64)
			e.Settings.Share = &no
			apart, err := New(st.settings, e)
			if err != nil {
				t.Fatal(err)
			}
			queries := count(apart)
			records, errs := askMany(t, apart, strings.Split(strings.Repeat("5,", 499)+"5", ","))
			seen := map[string]bool{}
			for i, rec := range records {
				if errs[i] != nil {
					t.Error(errs[i])
				}
				seen[string(rec.Value())] = true
			}
			if len(seen) != 500 {
				t.Errorf("%s, batch %d: %d of 500 differ", name, batch, len(seen))
			}
			if n := queries.n.Load(); (n < 500) != (batch > 1) {
				t.Errorf("%s, batch %d: %d queries", name, batch, n)
			}
			if err := apart.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A server that has to be one that writes is found, and then only read.
func TestPostgresThatHasToWrite(t *testing.T) {
	dsn, conn := server(t)
	exec(t, conn, "DROP TABLE IF EXISTS kept", "CREATE TABLE kept (i int)")
	for attrs, ok := range map[string]bool{"read-write": true, "primary": true, "any": true, "prefer-standby": true, "read-only": false, "standby": false} {
		st := pgStage(t, dsn+settings.Secret("&target_session_attrs="+attrs), "SELECT current_setting('transaction_read_only') AS r", nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		rec := record(`{}`)
		err := st.Process(ctx, rec)
		cancel()
		if (err == nil) != ok || ok && string(rec.Value()) != `{"got":{"r":"on"}}` {
			t.Errorf("%s: %s, %v", attrs, rec.Value(), err)
		}
	}
}

// A time with a zone, for a column that has none, is taken to UTC, as results are.
func TestPostgresTimesWithoutAZone(t *testing.T) {
	dsn, _ := server(t)
	for value, want := range map[string]string{
		`"2026-01-02T05:04:05+02:00"`: `{"v":"2026-01-02T03:04:05Z"}`, `"2026-01-02T03:04:05.5Z"`: `{"v":"2026-01-02T03:04:05.5Z"}`,
		`"2026-01-02 03:04:05"`: `{"v":"2026-01-02T03:04:05Z"}`, `"2026-01-02 05:04:05+02"`: `{"v":"2026-01-02T03:04:05Z"}`, `"infinity"`: `{"v":"infinity"}`,
	} {
		if got := field(t, pgStage(t, dsn, "SELECT $1::timestamp AS v", nil, "v"), `{"v":`+value+`}`); got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
		if got := field(t, pgStage(t, dsn, "SELECT $1::timestamp[] AS v", nil, "v"), `{"v":[`+value+`]}`); !strings.Contains(got, want[5:len(want)-2]) {
			t.Errorf("a list of %s: %s", value, got)
		}
	}
}
