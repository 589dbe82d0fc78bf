//go:build real

package sqlsink

import (
	"fmt"
	"testing"

	"github.com/penstockio/penstock/pipeline"
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
