package sqlsink

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A place is a database to store into, and a way to look at it that the sink has no part in.
type place struct {
	t      *testing.T
	driver string
	db     *dbsql.DB
	change func(*Settings) // has settings point to it
	count  *counter        // of the sink that was made last

	// hang has every statement on the table wait until restore is called; stuck is closed when one does. nil:
	// there is no way to tell.
	hang func(table string) (stuck <-chan struct{}, restore func())
}

func (p *place) exec(statements ...string) {
	p.t.Helper()
	for _, s := range statements {
		if _, err := p.db.Exec(s); err != nil {
			p.t.Fatalf("%s: %v", s, err)
		}
	}
}

// rows gives each row of a query as its values with blanks between; null is <nil>.
func (p *place) rows(query string) (all []string) {
	p.t.Helper()
	rows, err := p.db.Query(query)
	if err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		p.t.Fatal(err)
	}
	for rows.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range into {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			p.t.Fatal(err)
		}
		var texts []string
		for _, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			texts = append(texts, fmt.Sprint(v))
		}
		all = append(all, strings.Join(texts, " "))
	}
	if err := rows.Err(); err != nil {
		p.t.Fatal(err)
	}
	return all
}

func (p *place) wants(query string, want ...string) {
	p.t.Helper()
	if got := p.rows(query); !slices.Equal(got, want) {
		p.t.Errorf("%s gives\n%s\nwant\n%s", query, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// sink makes a sink of a table; columns are names and expressions, one after the other.
func (p *place) sink(table string, change func(*Settings), columns ...string) *Sink {
	p.t.Helper()
	s := Defaults()
	s.Table = table
	for i := 0; i < len(columns); i += 2 {
		f := settings.Field[expr.Expr]{Name: settings.FieldPath(columns[i])}
		if err := f.Value.UnmarshalText([]byte(columns[i+1])); err != nil {
			p.t.Fatal(err)
		}
		s.Columns = append(s.Columns, f)
	}
	p.change(&s)
	if change != nil {
		change(&s)
	}
	k, err := New(s, calls.Env{Workers: 64})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = k.Close(context.Background()) })
	p.count = &counter{dialect: k.dialect}
	k.dialect = p.count
	return k
}

// A counter counts the statements, and may have them fail.
type counter struct {
	dialect
	statements int
	fails      func(n int) error // of statement n, from 1
}

func (c *counter) write(ctx context.Context, db *dbsql.DB, t *table, rows []*row) error {
	c.statements++
	if c.fails != nil {
		if err := c.fails(c.statements); err != nil {
			return err
		}
	}
	return c.dialect.write(ctx, db, t, rows)
}

// sqlitePlace makes a database file.
func sqlitePlace(t *testing.T) *place {
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := dbsql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p := &place{t: t, driver: "sqlite", db: db, change: func(s *Settings) { s.Driver, s.Path = "sqlite", settings.Path(path) }}
	p.exec("CREATE TABLE made (i int)")
	return p
}

func record(offset int, key, value string) *pipeline.Record {
	var r pipeline.Record
	var bytes []byte
	if value != "" {
		bytes = []byte(value)
	}
	r.Init(pipeline.Position{Topic: "t", Offset: int64(offset)}, []byte(key), bytes, nil, 1_700_000_000_123)
	return &r
}

// records makes records of values; "" is a tombstone, of the key that stands before a colon.
func records(values ...string) (recs []*pipeline.Record) {
	for i, v := range values {
		key := ""
		if !strings.HasPrefix(v, "{") {
			key, v, _ = strings.Cut(v, ":")
		}
		recs = append(recs, record(i, key, v))
	}
	return recs
}

// outcome writes what became of the records of a write: their places, with the reason of those that are
// rejected, and a question mark at those that may be stored later.
func outcome(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var w *pipeline.WriteError
	if !errors.As(err, &w) {
		return "all ?"
	}
	var all []string
	last := -1
	for _, f := range w.Failed {
		if f.Index <= last {
			t.Errorf("place %d behind %d", f.Index, last)
		}
		last = f.Index
		reason, ok := pipeline.IsPermanent(f.Err)
		if !ok {
			reason = "?"
		}
		if strings.Contains(f.Err.Error(), "canary") {
			t.Errorf("it quotes the record: %v", f.Err)
		}
		all = append(all, fmt.Sprintf("%d %s", f.Index, reason))
	}
	return strings.Join(all, ", ")
}

func isOutcome(t *testing.T, err error, want string) {
	t.Helper()
	if got := outcome(t, err); got != want {
		t.Errorf("%q, want %q: %v", got, want, err)
	}
}

// scenarios are what holds for each kind of database.
var scenarios = map[string]func(*testing.T, *place){
	"conforms": conforms, "upsert": upserts, "delete": deletes, "newer": newerWins, "ignore": ignores, "bad rows": badRows,
	"the last is bad": lastIsBad, "held back": heldBack, "no table": noTable, "ping": pings, "names": oddNames, "rates": keepsToRates,
}

func runScenarios(t *testing.T, fresh func(t *testing.T) *place) {
	for _, name := range slices.Sorted(maps.Keys(scenarios)) {
		t.Run(name, func(t *testing.T) { scenarios[name](t, fresh(t)) })
	}
}

func TestSQLite(t *testing.T) { runScenarios(t, sqlitePlace) }

func conforms(t *testing.T, p *place) {
	n := 0
	pipelinetest.Sink(t, func(t *testing.T) pipelinetest.SinkUnderTest {
		n++
		table := fmt.Sprintf("kit_%d", n)
		id := map[string]string{"postgres": "bigserial PRIMARY KEY", "mysql": "bigint AUTO_INCREMENT PRIMARY KEY", "sqlite": "INTEGER PRIMARY KEY"}[p.driver]
		long := map[string]string{"postgres": "text", "mysql": "longtext", "sqlite": "text"}[p.driver]
		p.exec(fmt.Sprintf("CREATE TABLE %s (id %s, v %s NOT NULL CHECK (v <> '[1,2]'), o bigint)", table, id, long))
		s := Defaults()
		s.Table = table
		for _, c := range [][2]string{{"v", "$env"}, {"o", "meta.offset"}} {
			f := settings.Field[expr.Expr]{Name: settings.FieldPath(c[0])}
			if err := f.Value.UnmarshalText([]byte(c[1])); err != nil {
				t.Fatal(err)
			}
			s.Columns = append(s.Columns, f)
		}
		p.change(&s)
		k, err := New(s, calls.Env{Workers: 64})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = k.Close(context.Background()) })
		var hang func() (<-chan struct{}, func())
		if p.hang != nil {
			hang = func() (<-chan struct{}, func()) { return p.hang(table) }
		}
		return pipelinetest.SinkUnderTest{
			Sink: k,
			Hang: hang,
			Stored: func() (values [][]byte, err error) {
				for _, v := range p.rows("SELECT v FROM " + table + " ORDER BY id") {
					values = append(values, []byte(v))
				}
				return values, nil
			},
			Reject: []byte("[1,2]"),
			Fail: func() func() {
				p.exec("ALTER TABLE " + table + " RENAME TO away")
				return func() { p.exec("ALTER TABLE away RENAME TO " + table) }
			},
		}
	})
}
