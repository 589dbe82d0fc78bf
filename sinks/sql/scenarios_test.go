package sqlsink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

func upsertBy(key ...string) func(*Settings) {
	return func(s *Settings) { s.Mode, s.Key = "upsert", key }
}

// The last row of a key wins, within a write and from one to the next; what update leaves out stays.
func upserts(t *testing.T, p *place) {
	p.exec("CREATE TABLE f (id int PRIMARY KEY, a varchar(20), b int)")
	k := p.sink("f", upsertBy("id"), "a", "a", "id", "id", "b", "b")
	isOutcome(t, k.Write(t.Context(), records(`{"id":1,"a":"x","b":1}`, `{"id":2,"a":"y","b":1}`, `{"id":1,"a":"z","b":2}`)), "")
	p.wants("SELECT id, a, b FROM f ORDER BY id", "1 z 2", "2 y 1")
	if p.count.statements != 1 {
		t.Errorf("%d statements", p.count.statements)
	}
	k = p.sink("f", func(s *Settings) { s.Mode, s.Key, s.Update = "upsert", []string{"id"}, []string{"b"} }, "id", "id", "a", "a", "b", "b")
	isOutcome(t, k.Write(t.Context(), records(`{"id":"1","a":"n","b":5}`, `{"id":1.0,"a":"m","b":6}`, `{"id":3,"a":"o","b":7}`)), "")
	p.wants("SELECT id, a, b FROM f ORDER BY id", "1 z 6", "2 y 1", "3 o 7")
	// Nothing but the key.
	k = p.sink("f", upsertBy("id"), "id", "id")
	isOutcome(t, k.Write(t.Context(), records(`{"id":1}`, `{"id":4}`, `{}`)), "2 sql")
	p.wants("SELECT id, a, b FROM f ORDER BY id", "1 z 6", "2 y 1", "3 o 7", "4 <nil> <nil>")
	// Keys that are one to the database in several ways to write them.
	p.exec("CREATE TABLE d (k decimal(10,2) PRIMARY KEY, v int)")
	k = p.sink("d", upsertBy("k"), "k", "k", "v", "v")
	isOutcome(t, k.Write(t.Context(), records(`{"k":5,"v":1}`, `{"k":5.00,"v":2}`, `{"k":5,"v":3}`, `{"k":5.0,"v":4}`)), "")
	p.wants("SELECT v FROM d", "4")
	// Of several columns, in another order than the table's.
	p.exec("CREATE TABLE m (a varchar(9) NOT NULL, b int NOT NULL, c int, UNIQUE (b, a))")
	k = p.sink("m", upsertBy("a", "b"), "c", "c", "b", "b", "a", "a")
	isOutcome(t, k.Write(t.Context(), records(`{"a":"x","b":1,"c":1}`, `{"a":"x","b":2,"c":2}`, `{"a":"x","b":1,"c":3}`)), "")
	p.wants("SELECT a, b, c FROM m ORDER BY b", "x 1 3", "x 2 2")
}

// A tombstone deletes the row of its key, in its turn.
func deletes(t *testing.T, p *place) {
	del := func(s *Settings) { upsertBy("id")(s); s.OnTombstone = "delete" }
	p.exec("CREATE TABLE f (v int, id int PRIMARY KEY)")
	k := p.sink("f", del, "v", "v", "id", "meta.key")
	isOutcome(t, k.Write(t.Context(), []*pipeline.Record{
		record(0, "1", `{"v":1}`), record(1, "2", `{"v":2}`), record(2, "1", ""), record(3, "3", ""), record(4, "3", `{"v":3}`), record(5, "4", ""),
	}), "")
	p.wants("SELECT id, v FROM f ORDER BY id", "2 2", "3 3")
	isOutcome(t, k.Write(t.Context(), []*pipeline.Record{record(0, "2", ""), record(1, "x", "")}),
		map[string]string{"postgres": "1 sql", "mysql": "1 sql"}[p.driver]) // to SQLite it is the key of no row
	p.wants("SELECT id, v FROM f ORDER BY id", "3 3")
	// Of two columns, whose order in the settings is another, and of a text.
	p.exec("CREATE TABLE g (a varchar(9), b int, v int, PRIMARY KEY (a, b))")
	k = p.sink("g", func(s *Settings) { upsertBy("b", "a")(s); s.OnTombstone = "delete" }, "a", `split(meta.key, "/")[0]`, "b", `split(meta.key, "/")[1]`, "v", "v")
	isOutcome(t, k.Write(t.Context(), []*pipeline.Record{record(0, "x/1", `{"v":1}`), record(1, "x/2", `{"v":2}`), record(2, "x/1", ""), record(3, "y/1", `{"v":3}`)}), "")
	p.wants("SELECT a, b, v FROM g ORDER BY a, b", "x 2 2", "y 1 3")
	// In turn: two statements where it is sure that keys are different, more where it is not.
	typ := map[string]string{"postgres": "uuid", "mysql": "varchar(50)", "sqlite": "text COLLATE NOCASE"}[p.driver]
	p.exec("CREATE TABLE h (id " + typ + " PRIMARY KEY, v int)")
	k = p.sink("h", del, "id", "meta.key", "v", "v")
	const small, capital = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a%02x", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A%02X"
	var recs []*pipeline.Record
	for i := range 100 {
		value := fmt.Sprintf(`{"v":%d}`, i)
		if i%2 == 0 {
			value = ""
		}
		recs = append(recs, record(i, fmt.Sprintf(small, i), value))
	}
	isOutcome(t, k.Write(t.Context(), recs), "")
	p.wants("SELECT count(*) FROM h", "50")
	if p.count.statements > 2 {
		t.Errorf("%d statements", p.count.statements)
	}
	isOutcome(t, k.Write(t.Context(), []*pipeline.Record{
		record(0, fmt.Sprintf(capital, 200), `{"v":1}`), record(1, fmt.Sprintf(small, 200), ""), record(2, fmt.Sprintf(capital, 200), `{"v":2}`),
		record(3, fmt.Sprintf(small, 201), `{"v":1}`), record(4, fmt.Sprintf(capital, 201), ""), record(5, fmt.Sprintf(small, 1), ""),
		record(6, fmt.Sprintf(capital, 202), `{"v":4}`), record(7, fmt.Sprintf(small, 202), `{"v":5}`),
	}), "")
	p.wants("SELECT count(*), sum(v) FROM h WHERE v < 20", fmt.Sprint("11 ", 99+2+5))
	k = p.sink("f", nil, "id", "meta.key", "v", "v")
	isOutcome(t, k.Write(t.Context(), []*pipeline.Record{record(0, "8", ""), record(1, "9", `{"v":9}`)}), "0 not_object")
}

// A row that is older than the one that is stored does not replace it.
func newerWins(t *testing.T, p *place) {
	p.exec("CREATE TABLE f (id int PRIMARY KEY, version int, a varchar(9))")
	k := p.sink("f", func(s *Settings) { upsertBy("id")(s); s.Newer = "version" }, "id", "id", "version", "version", "a", "a")
	isOutcome(t, k.Write(t.Context(), records(`{"id":1,"version":5,"a":"five"}`, `{"id":1,"version":3,"a":"three"}`, `{"id":2,"version":1,"a":"one"}`)), "")
	p.wants("SELECT id, version, a FROM f ORDER BY id", "1 5 five", "2 1 one")
	isOutcome(t, k.Write(t.Context(), records(`{"id":1,"version":4,"a":"four"}`, `{"id":2,"version":1,"a":"same"}`, `{"id":2,"a":"none"}`)), "")
	p.wants("SELECT id, version, a FROM f ORDER BY id", "1 5 five", "2 1 same")
}

// What is there stays, and the first of several of a key is the one that is stored.
func ignores(t *testing.T, p *place) {
	p.exec("CREATE TABLE f (id int PRIMARY KEY, a varchar(9) NOT NULL)", "INSERT INTO f VALUES (1, 'old')")
	k := p.sink("f", func(s *Settings) { s.Mode, s.Key = "ignore", []string{"id"} }, "id", "id", "a", "a")
	isOutcome(t, k.Write(t.Context(), records(`{"id":1,"a":"new"}`, `{"id":2}`, `{"id":2,"a":"a"}`, `{"id":2,"a":"b"}`)), "1 sql")
	p.wants("SELECT id, a FROM f ORDER BY id", "1 old", "2 a")
}

// Rows that the database refuses reject their records, and no other; that takes a bounded number of statements.
func badRows(t *testing.T, p *place) {
	for name, mode := range map[string]func(*Settings){"insert": nil, "upsert": upsertBy("id")} {
		p.exec("DROP TABLE IF EXISTS f", "CREATE TABLE f (id int PRIMARY KEY, a varchar(40) NOT NULL, CHECK (a <> 'canary'))")
		k := p.sink("f", mode, "id", "id", "a", "a")
		var values []string
		want := 0
		for i := range 200 {
			switch i {
			case 0, 77, 78, 199:
				values = append(values, fmt.Sprintf(`{"id":%d,"a":"canary"}`, i))
			case 100:
				values = append(values, fmt.Sprintf(`{"id":%d}`, i))
			default:
				values = append(values, fmt.Sprintf(`{"id":%d,"a":"a"}`, i))
				want++
			}
		}
		isOutcome(t, k.Write(t.Context(), records(values...)), "0 sql, 77 sql, 78 sql, 100 sql, 199 sql")
		p.wants("SELECT count(*), min(a), max(a) FROM f", fmt.Sprint(want, " a a"))
		if p.count.statements > 2*5*9 {
			t.Errorf("%s: %d statements for 5 bad rows of 200", name, p.count.statements)
		}
		values = nil
		for i := range 64 {
			values = append(values, fmt.Sprintf(`{"id":%d,"a":"canary"}`, 1000+i))
		}
		p.count.statements = 0
		err := k.Write(t.Context(), records(values...))
		if got := strings.Count(outcome(t, err), "sql"); got != 64 || p.count.statements != 2*64-1 {
			t.Errorf("%s: %d of 64 are rejected, with %d statements", name, got, p.count.statements)
		}
	}
	k := p.sink("f", nil, "id", "id", "a", "a")
	isOutcome(t, k.Write(t.Context(), records(`{"id":1,"a":"again"}`, `{"id":900,"a":"a"}`, `{"id":901,"a":"a"}`, `{"id":900,"a":"b"}`)), "0 sql, 3 sql")
}

// When the last row of a key is refused, the one before it is stored.
func lastIsBad(t *testing.T, p *place) {
	p.exec("CREATE TABLE f (id int PRIMARY KEY, a varchar(9), CHECK (a <> 'bad'))")
	k := p.sink("f", func(s *Settings) { upsertBy("id")(s); s.OnTombstone = "delete" }, "id", "id ?? meta.key", "a", "a")
	isOutcome(t, k.Write(t.Context(), records(`{"id":1,"a":"x"}`, `{"id":1,"a":"y"}`, `{"id":2,"a":"z"}`, `{"id":1,"a":"bad"}`, `{"id":1,"a":"bad"}`, `{"id":3,"a":"bad"}`)),
		"3 sql, 4 sql, 5 sql")
	p.wants("SELECT id, a FROM f ORDER BY id", "1 y", "2 z")
	// Neither that which stands back for one that cannot be stored now is stored, nor is it lost.
	lost := errors.New("lost")
	p.count.statements = 0
	p.count.fails = func(n int) error { return lost }
	isOutcome(t, k.Write(t.Context(), records(`{"id":1,"a":"p"}`, `{"id":1,"a":"q"}`, `{"id":4,"a":5,"x":1}`)), "0 ?, 1 ?, 2 ?")
	// The row that is refused is found, and then the connection breaks: what it stood for waits.
	p.count.statements = 0
	p.count.fails = func(n int) error {
		if n == 2 {
			return lost
		}
		return nil
	}
	isOutcome(t, k.Write(t.Context(), records(`{"id":1,"a":"p"}`, `{"id":1,"a":"bad"}`)),
		map[string]string{"sqlite": "0 ?, 1 ?"}[p.driver]+map[string]string{"postgres": "0 ?, 1 sql", "mysql": "0 ?, 1 sql"}[p.driver]) // SQLite is given both
	p.wants("SELECT id, a FROM f ORDER BY id", "1 y", "2 z")
}

// When a statement fails for the time being, nothing behind it is stored, and what is not named is.
func heldBack(t *testing.T, p *place) {
	for fail := 1; fail <= 7; fail++ {
		p.exec("DROP TABLE IF EXISTS f", "CREATE TABLE f (id int, CHECK (id <> 5))")
		k := p.sink("f", nil, "id", "id")
		p.count.fails = func(n int) error {
			if n == fail {
				return errors.New("lost")
			}
			return nil
		}
		var values []string
		for i := range 8 {
			values = append(values, fmt.Sprintf(`{"id":%d}`, i))
		}
		recs := records(values...)
		err := k.Write(t.Context(), recs)
		var w *pipeline.WriteError
		if !errors.As(err, &w) {
			t.Fatal(err)
		}
		left := map[int]bool{}
		var again []*pipeline.Record
		for _, f := range w.Failed {
			left[f.Index] = true
			if _, permanent := pipeline.IsPermanent(f.Err); !permanent {
				again = append(again, recs[f.Index])
			}
		}
		var want []string
		for i := range 8 {
			if !left[i] {
				want = append(want, fmt.Sprint(i))
			}
		}
		p.wants("SELECT id FROM f ORDER BY id", want...)
		for i := 1; i < len(again); i++ {
			if again[i].Offset < again[0].Offset || !left[int(again[i].Offset)] {
				t.Errorf("fault %d: %v", fail, w.Failed)
			}
		}
		if len(again) > 0 && len(want)+len(again)+1 < 8 {
			t.Errorf("fault %d: %d stored, %d to be tried again", fail, len(want), len(again))
		}
		p.count.fails = nil
		_ = k.Write(t.Context(), again)
		p.wants("SELECT id FROM f ORDER BY id", "0", "1", "2", "3", "4", "6", "7")
	}
}

// A table that is not there, or has become another, holds the records, and rejects none.
func noTable(t *testing.T, p *place) {
	p.exec("CREATE TABLE f (id int)")
	k := p.sink("f", nil, "id", "id")
	isOutcome(t, k.Write(t.Context(), records(`{"id":1}`)), "")
	p.exec("DROP TABLE f")
	isOutcome(t, k.Write(t.Context(), records(`{"id":2}`, `{"id":3}`)), "0 ?, 1 ?")
	err := k.Write(t.Context(), records(`{"id":2}`, `{"id":3}`))
	isOutcome(t, err, "all ?")
	if !strings.Contains(fmt.Sprint(err), "CREATE TABLE") {
		t.Error(err)
	}
	p.exec("CREATE TABLE f (id int, x int)")
	isOutcome(t, k.Write(t.Context(), records(`{"id":2}`, `{"id":3}`)), "")
	p.wants("SELECT id FROM f ORDER BY id", "2", "3")
	p.exec("ALTER TABLE f RENAME COLUMN id TO other")
	isOutcome(t, k.Write(t.Context(), records(`{"id":4}`)), "0 ?")
	err = k.Write(t.Context(), records(`{"id":4}`))
	isOutcome(t, err, "all ?")
	if !strings.Contains(fmt.Sprint(err), `no column "id"`) {
		t.Error(err)
	}
}

func pings(t *testing.T, p *place) {
	p.exec("CREATE TABLE f (id int NOT NULL, a varchar(9), b int NOT NULL)")
	both := upsertBy("id", "b")
	for _, c := range []struct {
		table  string
		change func(*Settings)
		column string
		want   string
	}{
		{"nowhere", both, "a", `no such table, or no right to see it; one that would fit: CREATE TABLE`},
		{"f", nil, "c", `there is no column "c": it has a, b, id`},
		{"f", both, "a", "CREATE UNIQUE INDEX f_key ON f (id, b)"},
	} {
		err := p.sink(c.table, c.change, "id", "id", "b", "b", c.column, "1").Ping(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	k := p.sink("f", both, "id", "id", "b", "b", "a", "1")
	p.exec("CREATE UNIQUE INDEX wide ON f (id, b, a)")
	if err := k.Ping(t.Context()); err == nil {
		t.Error("an index on more columns counts")
	}
	p.exec("CREATE UNIQUE INDEX fits ON f (b, id)")
	if err := k.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// Names are quoted, and taken as they are written.
func oddNames(t *testing.T, p *place) {
	q := `"`
	if p.driver == "mysql" {
		q = "`"
	}
	p.exec(strings.ReplaceAll(`CREATE TABLE "order by" ("group" int PRIMARY KEY, "a ""b. "" `+"``"+`" int, n int)`, `"`, q))
	name := "a \"b. \" ``"
	if p.driver == "mysql" {
		name = "a `b. ` `"
	}
	k := p.sink("order by", upsertBy("group"), "group", "id", jsontext.Path{{Name: name}}.String(), "2", "n", "3")
	isOutcome(t, k.Write(t.Context(), records(`{"id":1}`, `{"id":2}`)), "")
	p.wants(strings.ReplaceAll(`SELECT * FROM "order by" ORDER BY "group"`, `"`, q), "1 2 3", "2 2 3")
}

// Statements keep to the rates that the sink names, and what waits for one when the write ends is not sent.
func keepsToRates(t *testing.T, p *place) {
	p.exec("CREATE TABLE f (id int)")
	k := p.sink("f", nil, "id", "id")
	var err error
	k.limiter.Close()
	if k.limiter, err = calls.NewLimiter(calls.Env{Workers: 64, Settings: calls.Settings{Limit: []string{"db"}}, Shared: calls.NewShared(
		map[string]calls.RateSettings{"db": {Rate: settings.Rate{N: 1, Per: time.Hour}, Burst: 3, Per: "process"}})}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and one for what the table is like
		isOutcome(t, k.Write(t.Context(), records(`{"id":1}`)), "")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = k.Write(ctx, records(`{"id":2}`))
	isOutcome(t, err, "0 ?")
	if !errors.Is(err, context.DeadlineExceeded) || p.count.statements != 2 {
		t.Errorf("%v, after %d statements", err, p.count.statements)
	}
	p.wants("SELECT id FROM f", "1", "1")
}
