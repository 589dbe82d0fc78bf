package sqlsink

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

func init() {
	for name, scenario := range map[string]func(*testing.T, *place){
		"as one by one": asOneByOne, "other indexes": otherIndexes, "equal keys": equalKeys, "a poison row": poisonRow, "altered": altered, "a column of that name": placeName,
		"what does not end in time": tooSlow,
	} {
		scenarios[name] = scenario
	}
}

func byID(s *Settings) {
	upsertBy("id")(s)
	s.OnTombstone = "delete"
}

// A write leaves what its records leave one by one.
func asOneByOne(t *testing.T, p *place) {
	for name, c := range map[string]struct {
		change func(*Settings)
		values []string
	}{
		"update leaves out": {func(s *Settings) { byID(s); s.Update = []string{"b"} }, []string{`1:{"a":1,"b":1}`, `1:{"a":2,"b":2}`, `2:{"a":1,"b":1}`, `1:{"a":3,"b":3}`, "2:", `2:{"a":7,"b":7}`, `2:{"a":8,"b":8}`, `3:{"a":1,"b":1}`, "3:"}},
		"out of columns":    {byID, []string{"9:", `9:{"a":1,"b":1}`, `8:{"a":1,"b":1}`, "8:", `8:{"a":2,"b":2}`, `9:{"a":3,"b":3}`, "7:", `7:{"a":1,"b":1}`, "7:"}},
		"newer": {func(s *Settings) { byID(s); s.Newer, s.Update = "b", []string{"b"} }, []string{`1:{"a":1,"b":5}`, `1:{"a":2,"b":9}`, `1:{"a":3,"b":7}`, "1:", `1:{"a":4,"b":1}`, `1:{"a":5,"b":2}`,
			`9:{"a":6,"b":1}`}},
	} {
		var want []string
		for _, together := range []bool{false, true} {
			p.exec("DROP TABLE IF EXISTS f", "CREATE TABLE f (id int PRIMARY KEY, a int, b int, beside varchar(9) DEFAULT 'new')", "INSERT INTO f VALUES (9, 0, 0, 'old'), (8, 0, 0, 'old')")
			k := p.sink("f", c.change, "id", "meta.key", "a", "a", "b", "b")
			var recs []*pipeline.Record
			for i, v := range c.values {
				key, value, _ := strings.Cut(v, ":")
				recs = append(recs, record(i, key, value))
			}
			if together {
				isOutcome(t, k.Write(t.Context(), recs), "")
				p.wants("SELECT * FROM f ORDER BY id", want...)
				continue
			}
			for _, r := range recs {
				isOutcome(t, k.Write(t.Context(), []*pipeline.Record{r}), "")
			}
			want = p.rows("SELECT * FROM f ORDER BY id")
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// Rows that another index than the key's puts in each other's way go in the order of the records.
func otherIndexes(t *testing.T, p *place) {
	p.exec("CREATE TABLE f (id int NOT NULL PRIMARY KEY, u varchar(9), CONSTRAINT f_u UNIQUE (u))", "INSERT INTO f VALUES (1, 'a'), (9, 'z')")
	k := p.sink("f", byID, "id", "meta.key", "u", "u")
	isOutcome(t, k.Write(t.Context(), []*pipeline.Record{
		record(0, "9", ""), record(1, "5", `{"u":"z"}`), record(2, "1", `{"u":"b"}`), record(3, "3", `{"u":"a"}`), record(4, "1", `{"u":"c"}`), record(5, "2", `{"u":"b"}`),
	}), "")
	p.wants("SELECT id, u FROM f ORDER BY id", "1 c", "2 b", "3 a", "5 z")
	// A row that is there by the other index is not taken for that of the key, nor swallowed.
	isOutcome(t, k.Write(t.Context(), []*pipeline.Record{record(0, "6", `{"u":"y"}`), record(1, "7", `{"u":"a"}`), record(2, "8", `{"u":"x"}`)}), "1 sql")
	k = p.sink("f", func(s *Settings) { s.Mode, s.Key = "ignore", []string{"id"} }, "id", "meta.key", "u", "u")
	isOutcome(t, k.Write(t.Context(), []*pipeline.Record{record(0, "1", `{"u":"q"}`), record(1, "10", `{"u":"a"}`), record(2, "11", `{"u":"w"}`)}), "1 sql")
	p.wants("SELECT id, u FROM f ORDER BY id", "1 c", "2 b", "3 a", "5 z", "6 y", "8 x", "11 w")
	// A tree: each row after the one that it hangs on, whatever their keys.
	engine := map[string]string{"mysql": " ENGINE=InnoDB"}[p.driver]
	p.exec("CREATE TABLE tree (id int NOT NULL PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES tree (id))" + engine)
	k = p.sink("tree", byID, "id", "meta.key", "up", "up")
	isOutcome(t, k.Write(t.Context(), []*pipeline.Record{record(0, "5", `{}`), record(1, "3", `{"up":5}`), record(2, "4", `{"up":3}`), record(3, "4", ""), record(4, "3", ""), record(5, "1", `{"up":5}`)}), "")
	p.wants("SELECT id, up FROM tree ORDER BY id", "1 5", "5 <nil>")
}

// A row that stands back for one that is refused does not overtake what is one key to the database alone.
func equalKeys(t *testing.T, p *place) {
	typ := map[string]string{"postgres": "uuid", "mysql": "varchar(50)", "sqlite": "text COLLATE NOCASE"}[p.driver]
	p.exec("CREATE TABLE f (id " + typ + " PRIMARY KEY, v int CHECK (v < 9))")
	k := p.sink("f", upsertBy("id"), "id", "meta.key", "v", "v")
	const small, capital = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"
	isOutcome(t, k.Write(t.Context(), []*pipeline.Record{record(0, small, `{"v":1}`), record(1, capital, `{"v":2}`), record(2, small, `{"v":10}`)}), "2 sql")
	p.wants("SELECT v FROM f", "2")
}

// An errorOf makes one row fail with an error that says nothing of rows.
type errorOf struct {
	dialect
	bad        func(*row) bool
	statements int
}

var errOdd = errors.New("odd")

func (d *errorOf) write(ctx context.Context, db *dbsql.DB, t *table, rows []*row) error {
	d.statements++
	for _, r := range rows {
		if d.bad(r) {
			return errOdd
		}
	}
	return d.dialect.write(ctx, db, t, rows)
}

func (d *errorOf) classify(err error) (about, string, bool) {
	if errors.Is(err, errOdd) {
		return aboutAny, "odd", true
	}
	return d.dialect.classify(err)
}

// A row that fails alone, with whatever error, is rejected when others pass; when none does, all wait.
func poisonRow(t *testing.T, p *place) {
	p.exec("CREATE TABLE f (id int PRIMARY KEY, v int)")
	k := p.sink("f", byID, "id", "meta.key", "v", "v")
	odd := &errorOf{dialect: k.dialect}
	k.dialect = odd
	var recs []*pipeline.Record
	for i := range 20 {
		recs = append(recs, record(i, fmt.Sprint(i), `{"v":1}`))
	}
	odd.bad = func(r *row) bool { return r.index == 7 || r.index == 19 }
	isOutcome(t, k.Write(t.Context(), recs), "7 sql, 19 sql")
	p.wants("SELECT count(*) FROM f", "18")
	odd.bad = func(*row) bool { return true }
	isOutcome(t, k.Write(t.Context(), recs[:3]), "0 ?, 1 ?, 2 ?")
	// That is found out with a few statements at every other attempt.
	var many []*pipeline.Record
	for i := range 500 {
		many = append(many, record(i, fmt.Sprint(i), `{"v":1}`))
	}
	for _, atMost := range []int{40, 1000, 40} {
		odd.statements = 0
		if err := k.Write(t.Context(), many); strings.Count(outcome(t, err), "?") != 500 || odd.statements > atMost {
			t.Errorf("%d statements: %v", odd.statements, err)
		}
	}
	odd.bad = func(r *row) bool { return r.index < 100 }
	if got := outcome(t, k.Write(t.Context(), many)); strings.Count(got, "sql") != 100 || strings.Contains(got, "?") {
		t.Errorf("%d are rejected", strings.Count(got, "sql"))
	}
	odd.bad = func(*row) bool { return false }
	isOutcome(t, k.Write(t.Context(), many[:20]), "")
	p.exec("DELETE FROM f WHERE id IN (7, 19) OR id > 19")
	if p.driver == "sqlite" {
		return // one transaction takes both
	}
	// That rows can be deleted does not say that any can be stored.
	odd.bad = func(r *row) bool { return !r.remove }
	isOutcome(t, k.Write(t.Context(), append(recs[:3:3], record(3, "4", ""))), "0 ?, 1 ?, 2 ?")
	p.wants("SELECT count(*) FROM f", "17")
}

// A record is not rejected for what the table no longer is.
func altered(t *testing.T, p *place) {
	if p.driver == "sqlite" {
		p.exec("CREATE TABLE f (id int PRIMARY KEY, v int)")
	} else {
		p.exec("CREATE TABLE f (id int PRIMARY KEY, v varchar(2))")
	}
	k := p.sink("f", upsertBy("id"), "id", "id", "v", "v")
	isOutcome(t, k.Write(t.Context(), records(`{"id":1,"v":"1"}`, `{"id":3000000000.5,"v":"1"}`)), "1 sql")
	switch p.driver {
	case "postgres":
		p.exec("ALTER TABLE f ALTER id TYPE numeric, ALTER v TYPE varchar(9)")
	case "mysql":
		p.exec("ALTER TABLE f MODIFY id decimal(20,1), MODIFY v varchar(9)")
	case "sqlite":
		p.exec("DROP TABLE f", "CREATE TABLE f (id numeric PRIMARY KEY, v text)", "INSERT INTO f VALUES (1, '1')")
	}
	k.mu.Lock()
	k.asked = k.asked.Add(-askAgain)
	k.mu.Unlock()
	isOutcome(t, k.Write(t.Context(), records(`{"id":3000000000.5,"v":"12345"}`, `{"id":2,"v":"x"}`)), "")
	p.wants("SELECT count(*) FROM f", "3")
}

// What the sink calls the place of a row may be the name of a column.
func placeName(t *testing.T, p *place) {
	p.exec("CREATE TABLE f (penstock_n int PRIMARY KEY, penstock_t numeric, penstock_d int)")
	k := p.sink("f", func(s *Settings) { upsertBy("penstock_n")(s); s.OnTombstone = "delete" }, "penstock_n", "meta.key", "penstock_t", "v", "penstock_d", "v")
	isOutcome(t, k.Write(t.Context(), []*pipeline.Record{record(0, "1", `{"v":1}`), record(1, "2", `{"v":1}`), record(2, "1", `{"v":2}`), record(3, "2", "")}), "")
	p.wants("SELECT * FROM f", "1 2 2")
}

// A statement that does not end in time is parted for the next attempts, until it does.
func tooSlow(t *testing.T, p *place) {
	p.exec("CREATE TABLE f (id int PRIMARY KEY)")
	k := p.sink("f", upsertBy("id"), "id", "meta.key")
	var recs []*pipeline.Record
	for i := range 64 {
		recs = append(recs, record(i, fmt.Sprint(i), `{}`))
	}
	isOutcome(t, k.Write(t.Context(), recs[:1]), "")
	slow := &slowDialect{dialect: k.dialect, most: 10}
	k.dialect = slow
	tries := 0
	for ; len(recs) > 0; tries++ {
		if tries == 40 {
			t.Fatal("it never fits")
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		slow.cancel = cancel
		err := k.Write(&lateContext{ctx}, recs)
		cancel(nil)
		var w *pipeline.WriteError
		var again []*pipeline.Record
		if errors.As(err, &w) {
			for _, f := range w.Failed {
				again = append(again, recs[f.Index])
			}
		}
		recs = again
	}
	p.wants("SELECT count(*) FROM f", "64")
	if tries < 3 {
		t.Errorf("%d tries", tries)
	}
}

// A slowDialect takes too long for more rows than most.
type slowDialect struct {
	dialect
	most   int
	cancel context.CancelCauseFunc
}

func (d *slowDialect) write(ctx context.Context, db *dbsql.DB, t *table, rows []*row) error {
	if len(rows) > d.most {
		d.cancel(context.DeadlineExceeded)
		<-ctx.Done()
		return ctx.Err()
	}
	return d.dialect.write(ctx, db, t, rows)
}

// A lateContext ends as one whose time is up when it is cancelled.
type lateContext struct{ context.Context }

func (c *lateContext) Err() error {
	if c.Context.Err() != nil {
		return context.DeadlineExceeded
	}
	return nil
}
