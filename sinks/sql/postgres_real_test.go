//go:build real

package sqlsink

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// What is longer than its type is refused, of a domain too, and its tombstone deletes no other row.
func TestPostgresCutsNothing(t *testing.T) {
	p := postgresPlace(t)
	p.exec("CREATE DOMAIN three AS varchar(3)", "CREATE DOMAIN inner3 AS three", "CREATE DOMAIN bits AS bit(3)", "CREATE DOMAIN chars AS char(3)", "CREATE DOMAIN listed AS varchar(3)[]",
		"CREATE DOMAIN vbits AS varbit(3)", "CREATE TYPE pair AS (a three, b int)")
	for _, c := range []struct{ typ, good, long string }{
		{"three", "abc", "abcd"}, {"inner3", "abc", "abcd"}, {"varchar(3)", "abc", "abcd"}, {"chars", "abc", "abcd"}, {"char(3)", "abc", "abcd"}, {"bits", "101", "1011"},
		{"bit(3)", "101", "1011"}, {"vbits", "101", "1011"}, {"listed", "{abc}", "{abcd}"}, {"three[]", "{abc}", "{abcd}"}, {"pair", "(abc,1)", "(abcd,1)"},
	} {
		p.exec("DROP TABLE IF EXISTS f", "CREATE TABLE f (k "+c.typ+" UNIQUE, v int)")
		k := p.sink("f", func(s *Settings) { upsertBy("k")(s); s.OnTombstone = "delete" }, "k", "meta.key", "v", "v")
		isOutcome(t, k.Write(t.Context(), []*pipeline.Record{record(0, c.good, `{"v":1}`)}), "")
		isOutcome(t, k.Write(t.Context(), []*pipeline.Record{record(0, c.long, `{"v":2}`)}), "0 sql")
		if err := k.Write(t.Context(), []*pipeline.Record{record(0, c.long, "")}); err != nil {
			isOutcome(t, err, "0 sql")
		}
		p.wants("SELECT k::text, v FROM f", c.good+" 1")
		if t.Failed() {
			t.Fatal(c.typ)
		}
	}
}

// Keys that are one once they are rounded are one in a statement, and are deleted as they are stored.
func TestPostgresRoundedKeys(t *testing.T) {
	p := postgresPlace(t)
	p.exec("CREATE DOMAIN cents AS numeric(12,2)")
	for _, c := range []struct{ typ, key string }{
		{"timestamptz(0)", "2026-01-01T00:00:%02d.%dZ"}, {"timestamp(0)", "2026-01-01T00:00:%02d.%dZ"}, {"numeric(12,2)", "%d.00%d"}, {"cents", "%d.00%d"}, {"time(0)", "00:00:%02d.%d"},
	} {
		p.exec("DROP TABLE IF EXISTS f", "CREATE TABLE f (k "+c.typ+" PRIMARY KEY, v int)")
		k := p.sink("f", func(s *Settings) { upsertBy("k")(s); s.OnTombstone = "delete" }, "k", "meta.key", "v", "v")
		var recs []*pipeline.Record
		for i := range 200 {
			recs = append(recs, record(i, fmt.Sprintf(c.key, i%50, i/50), fmt.Sprintf(`{"v":%d}`, i)))
		}
		isOutcome(t, k.Write(t.Context(), recs), "")
		p.wants("SELECT count(*), min(v) FROM f", "50 150")
		if p.count.statements != 1 {
			t.Errorf("%s: %d statements", c.typ, p.count.statements)
		}
		isOutcome(t, k.Write(t.Context(), []*pipeline.Record{record(0, fmt.Sprintf(c.key, 7, 3), "")}), "")
		p.wants("SELECT count(*) FROM f", "49")
	}
}

// A time with an offset is the moment that it says, in a column that has no zone too.
func TestPostgresOffsets(t *testing.T) {
	p := postgresPlace(t)
	p.exec("CREATE DOMAIN moment AS timestamp", "CREATE TABLE f (id int PRIMARY KEY, a timestamp, b moment, c timestamptz)", "SET TIME ZONE 'UTC'")
	for _, k := range []*Sink{p.sink("f", nil, "id", "meta.offset", "a", "v", "b", "v", "c", "v"), p.sink("f", upsertBy("id"), "id", "meta.offset", "a", "v", "b", "v", "c", "v")} {
		isOutcome(t, k.Write(t.Context(), records(`{"v":"2026-01-31T08:00:00.5+02:00"}`, `{"v":"2026-01-31 08:00:00.5+02"}`, `{"v":"2026-01-31 08:00:00.5-0330"}`, `{"v":"2026-01-31T08:00:00.5Z"}`)), "")
		for i, want := range []string{"06:00:00.5", "06:00:00.5", "11:30:00.5", "08:00:00.5"} {
			p.wants(fmt.Sprintf("SELECT a::text, b::text, (c AT TIME ZONE 'UTC')::text FROM f WHERE id = %d", i), fmt.Sprintf("2026-01-31 %s 2026-01-31 %[1]s 2026-01-31 %[1]s", want))
		}
		p.exec("DELETE FROM f")
	}
}

// Whatever a trigger, a policy or a type says of one row rejects that record, holds no other, and stands in no log.
func TestPostgresPoison(t *testing.T) {
	p := postgresPlace(t)
	p.exec("CREATE TABLE f (id int PRIMARY KEY, v text)", `CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		CASE split_part(NEW.v, ' ', 1)
		WHEN 'good' THEN RETURN NEW;
		WHEN 'missing' THEN EXECUTE 'SELECT * FROM ' || 'canary_table';
		WHEN 'column' THEN EXECUTE 'SELECT canary_column FROM f';
		WHEN 'no' THEN RAISE insufficient_privilege USING MESSAGE = NEW.v;
		ELSE RAISE EXCEPTION USING ERRCODE = split_part(NEW.v, ' ', 1), MESSAGE = NEW.v, DETAIL = NEW.v; END CASE; END $$`,
		"CREATE TRIGGER odd BEFORE INSERT OR UPDATE ON f FOR EACH ROW EXECUTE FUNCTION odd()")
	for _, mode := range []func(*Settings){upsertBy("id"), nil} {
		k := p.sink("f", mode, "id", "id", "v", "v")
		for i, how := range []string{"UX001", "XX000", "42601", "42602", "42501", "P0001", "42P01", "HV000", "0A000", "38000", "2F000", "missing", "column", "no"} {
			p.exec("DELETE FROM f")
			err := k.Write(t.Context(), records(`{"id":1,"v":"good"}`, `{"id":2,"v":"good"}`, fmt.Sprintf(`{"id":3,"v":"%s canary"}`, how), `{"id":4,"v":"good"}`))
			isOutcome(t, err, "2 sql") // which looks for the canary too
			p.wants("SELECT count(*) FROM f", "3")
			var detail pipeline.Detailer
			if !errors.As(err, &detail) || !strings.Contains(detail.Detail(), "canary") {
				t.Errorf("%s: no detail: %v", how, err)
			}
			if t.Failed() {
				t.Fatal(i, how)
			}
		}
		for _, how := range []string{"53300", "57014", "25006", "40001", "28000"} { // of the server: all wait, and nothing is quoted
			err := k.Write(t.Context(), records(fmt.Sprintf(`{"id":5,"v":"%s canary"}`, how), `{"id":6,"v":"good"}`))
			isOutcome(t, err, "0 ?, 1 ?")
		}
	}
}

// A view, and a table with row security, take rows though COPY does not.
func TestPostgresWithoutCopy(t *testing.T) {
	p := postgresPlace(t)
	p.exec("DROP ROLE IF EXISTS sinkrole", "CREATE ROLE sinkrole LOGIN", "CREATE TABLE f (id int, v text)", "CREATE VIEW g AS SELECT * FROM f", "ALTER TABLE f ENABLE ROW LEVEL SECURITY",
		"CREATE POLICY a ON f USING (v <> 'canary') WITH CHECK (v <> 'canary')", "GRANT ALL ON SCHEMA sinktest TO sinkrole", "GRANT ALL ON f TO sinkrole")
	t.Cleanup(func() { p.exec("DROP SCHEMA sinktest CASCADE", "DROP ROLE sinkrole") })
	isOutcome(t, p.sink("g", nil, "id", "id", "v", "v").Write(t.Context(), records(`{"id":1,"v":"a"}`, `{"id":2,"v":"b"}`)), "")
	k := p.sink("f", func(s *Settings) {
		s.DSN = settings.Secret(strings.Replace(s.DSN.Reveal(), "penstock@", "sinkrole@", 1))
	}, "id", "id", "v", "v")
	isOutcome(t, k.Write(t.Context(), records(`{"id":3,"v":"a"}`, `{"id":4,"v":"canary"}`, `{"id":5,"v":"b"}`)), "1 sql")
	p.wants("SELECT id FROM f ORDER BY id", "1", "2", "3", "5")
}

// A connection to a server that only reads is not used again: the address may lead to another by now.
func TestPostgresLeavesReaders(t *testing.T) {
	p := postgresPlace(t)
	p.exec("CREATE TABLE f (id int)")
	k := p.sink("f", nil, "id", "id")
	isOutcome(t, k.Write(t.Context(), records(`{"id":1}`)), "")
	name := p.rows("SELECT current_database()")[0]
	p.exec("ALTER DATABASE " + name + " SET default_transaction_read_only = on")
	t.Cleanup(func() {
		p.exec("SET default_transaction_read_only = off", "ALTER DATABASE "+name+" RESET default_transaction_read_only")
	})
	p.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'penstock'")
	for try := 0; ; try++ { // the first may find its connection cut
		err := k.Write(t.Context(), records(`{"id":2}`))
		if err != nil && strings.Contains(err.Error(), "25006") {
			break
		}
		if isOutcome(t, err, "0 ?"); try == 3 {
			t.Fatal("it does not read only")
		}
	}
	p.exec("SET default_transaction_read_only = off", "ALTER DATABASE "+name+" RESET default_transaction_read_only")
	isOutcome(t, k.Write(t.Context(), records(`{"id":2}`)), "")
}

// Lanes that delete and store the same rows do not wait for each other in a circle.
func TestPostgresDeletingLanes(t *testing.T) {
	p := postgresPlace(t)
	p.exec("CREATE TABLE f (id int PRIMARY KEY, a int)")
	k := p.sink("f", byID, "id", "meta.key", "a", "a")
	k.dialect = p.count.dialect
	var lanes sync.WaitGroup
	for lane := range 8 {
		lanes.Go(func() {
			for round := range 15 {
				var recs []*pipeline.Record
				for i := range 300 {
					value := ""
					if (i+lane+round)%2 == 0 {
						value = `{"a":1}`
					}
					recs = append(recs, record(i, fmt.Sprint((i*7919*(lane+1)+round)%300), value))
				}
				if err := k.Write(t.Context(), recs); err != nil {
					t.Error(err)
				}
			}
		})
	}
	lanes.Wait()
}

// A number that the database counts up itself is in no row's way: writes are as one statement then.
func TestPostgresCountedKeys(t *testing.T) {
	p := postgresPlace(t)
	for _, typ := range []string{"serial", "int GENERATED BY DEFAULT AS IDENTITY", "uuid DEFAULT gen_random_uuid()"} {
		p.exec("DROP TABLE IF EXISTS f", "CREATE TABLE f (n "+typ+" PRIMARY KEY, id int UNIQUE, a int)")
		k := p.sink("f", upsertBy("id"), "id", "id", "a", "a")
		isOutcome(t, k.Write(t.Context(), records(`{"id":2,"a":1}`, `{"id":1,"a":1}`, `{"id":2,"a":2}`)), "")
		p.wants("SELECT id, a FROM f ORDER BY id", "1 1", "2 2")
		if p.count.statements != 1 {
			t.Errorf("%s: %d statements", typ, p.count.statements)
		}
	}
}

// A record is rejected though the table has been asked for again, when it is as it was.
func TestPostgresAsItWas(t *testing.T) {
	p := postgresPlace(t)
	p.exec("CREATE TYPE pair AS (a int, b text[])", "CREATE DOMAIN small AS int[]", "CREATE TABLE f (id int, v pair, w small, x jsonb, y text[])")
	k := p.sink("f", nil, "id", "id", "v", "v", "w", "w")
	for _, value := range []string{`{"id":1,"w":["x"]}`, `{"id":1,"v":"x"}`, `{"id":"x"}`} {
		isOutcome(t, k.Write(t.Context(), records(`{"id":2}`)), "")
		k.mu.Lock()
		k.asked = k.asked.Add(-askAgain)
		k.mu.Unlock()
		isOutcome(t, k.Write(t.Context(), records(value, `{"id":3}`)), "0 sql")
	}
}
