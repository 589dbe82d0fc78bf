package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fileOf makes a database file out of statements.
func fileOf(t testing.TB, statements ...string) settings.Path {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a b?c%20#d.db")
	db, err := dbsql.Open("sqlite", "file:"+strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23").Replace(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return settings.Path(path)
}

func exprs(t testing.TB, texts ...string) []expr.Expr {
	t.Helper()
	list := make([]expr.Expr, len(texts))
	for i, text := range texts {
		if err := list[i].UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

func env(workers int) calls.Env {
	return calls.Env{Settings: calls.Defaults(), Workers: workers}
}

func record(value string) *pipeline.Record {
	var rec pipeline.Record
	rec.Init(pipeline.Position{Topic: "t", Offset: 1}, nil, []byte(value), nil, 0)
	return &rec
}

// stage makes a stage that ends with the test.
func stage(t testing.TB, path settings.Path, query string, change func(*Settings), args ...string) *Stage {
	t.Helper()
	s := Default()
	s.Driver, s.Path, s.Query, s.Into, s.Args = "sqlite", path, query, "got", exprs(t, args...)
	if change != nil {
		change(&s)
	}
	st, err := New(s, env(64))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// field runs the stage on a value and gives the field.
func field(t *testing.T, st *Stage, value string) string {
	t.Helper()
	rec := record(value)
	if err := st.Process(t.Context(), rec); err != nil {
		t.Fatalf("%s: %v", value, err)
	}
	text, err := rec.Field("got")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var airports = []string{
	"CREATE TABLE airports (iata TEXT PRIMARY KEY, name TEXT, lat REAL, n INTEGER)",
	"INSERT INTO airports VALUES ('OSL', 'Oslo', 60.19, 9223372036854775807), ('BGO', 'Bergen \"B\"', 60, 2), ('7', 'seven', 1.5, 7)",
}

func TestLookup(t *testing.T) {
	path := fileOf(t, airports...)
	st := stage(t, path, "SELECT iata, name, lat, n FROM airports WHERE iata = ?;", nil, "origin")
	for value, want := range map[string]string{
		`{"origin":"OSL"}`:            `{"iata":"OSL","name":"Oslo","lat":60.19,"n":9223372036854775807}`,
		`{"origin":"BGO"}`:            `{"iata":"BGO","name":"Bergen \"B\"","lat":60.0,"n":2}`,
		`{"origin":7}`:                `{"iata":"7","name":"seven","lat":1.5,"n":7}`,
		`{"origin":"XXX"}`:            "null",
		`{"origin":null}`:             "null",
		`{}`:                          "null",
		`{"origin":"OSL' OR '1'='1"}`: "null",
		`{"origin":"'; DROP TABLE airports; --"}`:       "null",
		`{"origin":"\u004fSL","got":"what was before"}`: `{"iata":"OSL","name":"Oslo","lat":60.19,"n":9223372036854775807}`,
	} {
		if got := field(t, st, value); got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
	if err := st.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// The result goes where the path leads; what stands in its way rejects before the query.
func TestIntoAtDepth(t *testing.T) {
	path := fileOf(t, airports...)
	st := stage(t, path, "SELECT n FROM airports WHERE iata = ?", func(s *Settings) { s.Into = "flight.from" }, "origin")
	rec := record(`{"origin":"BGO","flight":{"id": 1}}`)
	if err := st.Process(t.Context(), rec); err != nil || string(rec.Value()) != `{"origin":"BGO","flight":{"id": 1,"from":{"n":2}}}` {
		t.Errorf("%s, %v", rec.Value(), err)
	}
	st = stage(t, path, "SELECT * FROM nothing", func(s *Settings) { s.Into = "flight.from" })
	if reason, _ := pipeline.IsPermanent(st.Process(t.Context(), record(`{"flight":"canary"}`))); reason != pipeline.ReasonNoPath {
		t.Errorf("the reason is %q", reason)
	}
}

func TestAllRows(t *testing.T) {
	path := fileOf(t, airports...)
	all := func(s *Settings) { s.Rows = "all" }
	st := stage(t, path, "SELECT n FROM airports WHERE n < ? ORDER BY n", all, "max")
	for value, want := range map[string]string{
		`{"max":100}`: `[{"n":2},{"n":7}]`, `{"max":0}`: `[]`, `{"max":2.5}`: `[{"n":2}]`,
		`{"max":18446744073709551615}`: `[{"n":2},{"n":7},{"n":9223372036854775807}]`,
	} {
		if got := field(t, st, value); got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
	for name, change := range map[string]func(*Settings){
		"rows":  func(s *Settings) { s.Rows, s.MaxRows = "all", 2 },
		"bytes": func(s *Settings) { s.Rows, s.MaxBytes = "all", 10 },
	} {
		st := stage(t, path, "SELECT n FROM airports", change)
		if reason, _ := pipeline.IsPermanent(st.Process(t.Context(), record(`{}`))); reason != client.TypeTooLarge {
			t.Errorf("%s: the reason is %q", name, reason)
		}
	}
}

func TestOnMiss(t *testing.T) {
	path := fileOf(t, airports...)
	for _, rows := range []string{"first", "all"} {
		reject := stage(t, path, "SELECT 1 WHERE 0", func(s *Settings) { s.Rows, s.OnMiss = rows, client.MissReject })
		if reason, _ := pipeline.IsPermanent(reject.Process(t.Context(), record(`{}`))); reason != client.ReasonNoMatch {
			t.Errorf("the reason is %q", reason)
		}
		filter := stage(t, path, "SELECT 1 WHERE 0", func(s *Settings) { s.Rows, s.OnMiss = rows, client.MissFilter })
		if err := filter.Process(t.Context(), record(`{}`)); !errors.Is(err, pipeline.Filtered) {
			t.Error(err)
		}
	}
}

func TestSQLiteValues(t *testing.T) {
	path := fileOf(t,
		`CREATE TABLE v (i INTEGER, f REAL, s TEXT, b BLOB, d DATE, t DATETIME, j JSON, z BOOLEAN)`,
		`INSERT INTO v VALUES (-9223372036854775808, 1e300, '<&>'||char(9), x'00ff', '2026-01-02', '2026-01-02 03:04:05', '{"a": 1.10}', 1)`,
		`INSERT INTO v VALUES (NULL, 9e999, CAST(x'ff' AS TEXT), x'', NULL, NULL, 'no json', 0)`)
	st := stage(t, path, "SELECT * FROM v WHERE i IS ?", nil, "i")
	want := `{"i":-9223372036854775808,"f":1e+300,"s":"<&>\t","b":"AP8=","d":"2026-01-02","t":"2026-01-02T03:04:05Z","j":{"a":1.10},"z":1}`
	if got := field(t, st, `{"i":-9223372036854775808}`); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	st = stage(t, path, "SELECT i, f, b, j FROM v WHERE z = ?", nil, "z")
	if got, want := field(t, st, `{"z":false}`), `{"i":null,"f":"Infinity","b":"","j":"no json"}`; got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	for query, reason := range map[string]string{
		"SELECT s FROM v WHERE i IS NULL":                 client.TypeBadAnswer,
		"SELECT 1 AS a, 2 AS a":                           client.TypeSQL,
		"SELECT nope FROM v":                              client.TypeSQL,
		"SELECT * FROM nope":                              client.TypeSQL,
		"SELECT 1 FROM":                                   client.TypeSQL,
		"WITH x AS (SELECT 1) INSERT INTO v (i) SELECT 1": client.TypeSQL,
	} {
		st := stage(t, path, query, nil)
		err := st.Process(t.Context(), record(`{"secret":"canary"}`))
		if got, _ := pipeline.IsPermanent(err); got != reason {
			t.Errorf("%s: %v, want the reason %s", query, err, reason)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error quotes a value: %v", query, err)
		}
	}
}

// Brackets in a column of numbers must not take the process's stack.
func TestDeepText(t *testing.T) {
	path := fileOf(t, `CREATE TABLE n (v NUMERIC)`, `INSERT INTO n VALUES (replace(hex(zeroblob(6000000)), '0', '['))`)
	err := stage(t, path, "SELECT v FROM n", nil).Process(t.Context(), record(`{}`))
	if reason, _ := pipeline.IsPermanent(err); reason != client.TypeTooLarge {
		t.Error(err)
	}
}

// What a database says of a bound value may hold that value.
func TestErrorsQuoteNoBoundValue(t *testing.T) {
	path := fileOf(t, `CREATE TABLE v (j TEXT)`, `INSERT INTO v VALUES ('{}')`, `CREATE VIRTUAL TABLE f USING fts5(w)`)
	for _, query := range []string{"SELECT json_extract(j, ?) AS x FROM v", "SELECT w FROM f WHERE f MATCH ?"} {
		err := stage(t, path, query, nil, "secret").Process(t.Context(), record(`{"secret":"x-canary"}`))
		if reason, _ := pipeline.IsPermanent(err); reason != client.TypeSQL || strings.Contains(err.Error(), "canary") || !strings.HasSuffix(err.Error(), "argument 1 is a string") {
			t.Errorf("%s: %v", query, err)
		}
	}
	p, named, pasted := &postgres{query: &scanner{}}, &postgres{query: &scanner{text: "SELECT a FROM canary"}}, &postgres{query: &scanner{}, config: &pgx.ConnConfig{DefaultQueryExecMode: pgx.QueryExecModeSimpleProtocol}}
	for _, c := range []struct {
		d                *postgres
		err              error
		permanent, shown bool
		fault            fault
	}{
		{p, &boundError{err: &pgconn.PgError{Code: "42601", Message: `syntax error in tsquery: "x canary"`}}, true, false, ofOne},
		{p, &boundError{err: &pgconn.PgError{Code: "42P01", Message: `relation "canary" does not exist`}}, true, false, ofOne},
		{p, &boundError{err: &pgconn.PgError{Code: "42P01", Position: 15, Message: `relation "canary" does not exist`}}, false, true, ofAll},
		{pasted, &boundError{err: &pgconn.PgError{Code: "42P01", Position: 15, Message: `relation "canary" does not exist`}}, false, false, ofOne},
		{p, &boundError{err: &pgconn.PgError{Code: "42P01", InternalQuery: "SELECT 1 FROM canary", Where: "PL/pgSQL function canary", Message: `relation "canary" does not exist`}}, false, false, ofAll},
		{p, &boundError{err: &pgconn.PgError{Code: "42601", InternalQuery: "canary", Where: "PL/pgSQL function canary", Message: `syntax error at "canary"`}}, true, false, ofOne},
		{p, &boundError{err: &pgconn.PgError{Code: "42501", Message: `permission denied for schema canary`}}, false, false, ofAll},
		{named, &boundError{err: &pgconn.PgError{Code: "42501", Message: `permission denied for table canary`}}, false, true, ofAll},
		{p, &pgconn.PgError{Code: "42P18", Message: `no type for canary`}, false, true, ofAll}, // nothing is bound when Ping prepares
		{p, &boundError{err: &pgconn.PgError{Code: "UX001", Where: "PL/pgSQL function", Message: `no canary`}}, false, false, ofOne},
		{p, &boundError{err: &pgconn.PgError{Code: "57014", Where: "PL/pgSQL function", Message: `no canary`}}, false, false, ofTime},
		{p, &boundError{err: &pgconn.PgError{Code: "3F000", Message: `schema "canary" does not exist`}}, true, false, ofOne},
		{p, &boundError{err: &pgconn.PgError{Code: "XX000", Message: `hstore canary`}}, false, false, ofOne},
		{p, &boundError{err: &pgconn.PgError{Code: "57014", Message: `canary: statement timeout`}}, false, true, ofTime},
		{p, &boundError{err: &pgconn.PgError{Code: "53200", Message: `out of memory, canary`}}, false, true, ofAll},
		{p, &boundError{err: &pgconn.PgError{Code: "53400", Message: `temporary file, canary`}}, false, true, ofOne},
		{p, &boundError{err: io.EOF}, false, false, ofAll},
		{p, &argumentError{0, "text", "int4"}, true, false, ofOne},
	} {
		permanent, text, _ := c.d.classify(c.err)
		if permanent != c.permanent || strings.Contains(text, "canary") != c.shown || c.d.fault(c.err) != c.fault {
			t.Errorf("%v: permanent %v, fault %v, %s", c.err, permanent, c.d.fault(c.err), text)
		}
	}
}

// A connection has a time of its own, within that of the call: the error says that one.
func TestConnectionThatTakesTooLong(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := Default()
	s.Driver, s.Query, s.Into = "postgres", "SELECT 1", "x"
	s.DSN = settings.Secret("postgres://u:p@" + silent.Addr().String() + "/d?connect_timeout=1&sslmode=disable")
	st, err := New(s, env(1))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := st.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "database d: no connection within 1s;") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := st.Ping(ctx); err == nil || strings.Contains(err.Error(), "no connection within") {
		t.Errorf("the time of the call was over first: %v", err)
	}
}

// A database that has no room asks to be left alone, and another attempt is made.
func TestBusyDatabase(t *testing.T) {
	for _, c := range []struct {
		driver string
		dsn    settings.Secret
		err    error
		busy   bool
	}{
		{"postgres", "postgres://u:p@h/d", &pgconn.PgError{Code: "53300", Message: "sorry, too many clients already"}, true},
		{"postgres", "postgres://u:p@h/d", &pgconn.PgError{Code: "57P03", Message: "the database system is starting up"}, true},
		{"postgres", "postgres://u:p@h/d", &pgconn.PgError{Code: "40001", Message: "conflict"}, false},
		{"mysql", "mysql://u:p@h/d", &mysql.MySQLError{Number: 1040, SQLState: [5]byte{'0', '8', '0', '0', '4'}, Message: "Too many connections"}, true},
		{"mysql", "mysql://u:p@h/d", &mysql.MySQLError{Number: 1213, SQLState: [5]byte{'4', '0', '0', '0', '1'}, Message: "Deadlock"}, false},
	} {
		st := stage(t, "", "SELECT 1", func(s *Settings) { s.Driver, s.DSN = c.driver, c.dsn })
		err := st.queryError(t.Context(), c.err)
		var asks interface{ AsksToWait() bool }
		var own *client.Error
		if _, permanent := pipeline.IsPermanent(err); permanent || !errors.As(err, &own) || own.Type != client.TypeSQL {
			t.Errorf("%v: %v", c.err, err)
		}
		if got := errors.As(err, &asks) && asks.AsksToWait(); got != c.busy {
			t.Errorf("%v asks to wait: %v", c.err, got)
		}
	}
}

func TestNoObject(t *testing.T) {
	st := stage(t, fileOf(t, airports...), "SELECT 1 WHERE ? = 1", nil, "a")
	for value, want := range map[string]string{`[1]`: pipeline.ReasonNotObject, `7`: pipeline.ReasonNotObject,
		`{`: pipeline.ReasonInvalidJSON} {
		if reason, _ := pipeline.IsPermanent(st.Process(t.Context(), record(value))); reason != want {
			t.Errorf("%s: the reason is %q, want %s", value, reason, want)
		}
	}
	var tombstone pipeline.Record
	tombstone.Init(pipeline.Position{}, nil, nil, nil, 0)
	if err := st.Process(t.Context(), &tombstone); err != nil || !tombstone.Tombstone() {
		t.Error(err)
	}
	bad := stage(t, fileOf(t, airports...), "SELECT ?", nil, "a + 1")
	if reason, _ := pipeline.IsPermanent(bad.Process(t.Context(), record(`{"a":"x"}`))); reason != pipeline.ReasonExpression {
		t.Errorf("the reason is %q", reason)
	}
}

// A file that is not there is named at the start, and not made; when it goes away later, that is
// transient.
func TestMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nope.db")
	var env *pipeline.EnvironmentError
	s := Default()
	s.Driver, s.Query, s.Into = "sqlite", "SELECT 1", "x"
	for _, missing := range []string{path, filepath.Dir(path)} { // or is a folder
		s.Path = settings.Path(missing)
		if _, err := New(s, calls.Env{}); !errors.As(err, &env) || !strings.Contains(err.Error(), missing) {
			t.Errorf("%s: %v", missing, err)
		}
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	st := stage(t, settings.Path(path), "SELECT 1", nil)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := st.Ping(t.Context()); !errors.As(err, &env) || !strings.Contains(err.Error(), "nope.db") {
		t.Error(err)
	}
	err := st.Process(t.Context(), record(`{}`))
	if _, permanent := pipeline.IsPermanent(err); err == nil || permanent {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file was made")
	}
	wrong := stage(t, fileOf(t, airports...), "SELECT nope FROM airports", nil)
	if err := wrong.Ping(t.Context()); !errors.As(err, &env) || !strings.Contains(err.Error(), "nope") {
		t.Errorf("ping does not check the query: %v", err)
	}
}

// A repeated name of a column is known before the first record, and without running the
// query.
func TestPingKnowsTheColumns(t *testing.T) {
	path := fileOf(t, airports...)
	forever := "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) AS n, max(x) AS m FROM c"
	for query, name := range map[string]string{
		"SELECT 1 AS a, 2 AS b, 3 AS a": `"a"`,
		"SELECT ?, ?":                   `"?"`,
		"SELECT x.iata, y.iata FROM airports x, airports y;":  `"iata"`,
		"SELECT * FROM airports x JOIN airports y -- the end": `"iata"`,
		strings.Replace(forever, " m ", " n ", 1):             `"n"`,
		"VALUES (1, 2)": "", "SELECT iata, lat FROM airports WHERE n = ? /* an end": "", "SELECT 1 AS a, 2 AS \"a b:1\"": "", forever: "",
		"SELECT name FROM airports ORDER BY lat LIMIT 1": "",
	} {
		args := []string{"a", "b"}[:strings.Count(query, "?")]
		err := stage(t, path, query, nil, args...).Ping(t.Context())
		var env *pipeline.EnvironmentError
		switch {
		case name == "" && err != nil:
			t.Errorf("%s: %v", query, err)
		case name != "" && (!errors.As(err, &env) || !strings.Contains(err.Error(), "two columns have the name "+name+": give one another name with AS")):
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestLongQueryEndsWithItsContext(t *testing.T) {
	st := stage(t, fileOf(t, airports...),
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	err := st.Process(ctx, record(`{}`))
	var own *client.Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &own) || own.ErrorType() != client.TypeTimeout {
		t.Error(err)
	}
	// Close waits for the query; it must have been interrupted.
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

func TestConcurrentLookups(t *testing.T) {
	path := fileOf(t, "CREATE TABLE n (i INTEGER PRIMARY KEY, s TEXT)",
		"WITH RECURSIVE c(x) AS (SELECT 0 UNION ALL SELECT x+1 FROM c WHERE x < 99) INSERT INTO n SELECT x, 'n'||x FROM c")
	st := stage(t, path, "SELECT s FROM n WHERE i = ?", nil, "i")
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := range 100 {
				n := (i*7 + w%4) % 100
				rec := record(fmt.Sprintf(`{"i":%d}`, n))
				if err := st.Process(t.Context(), rec); err != nil {
					t.Error(err)
					return
				}
				if want := fmt.Sprintf(`{"i":%d,"got":{"s":"n%d"}}`, n, n); string(rec.Value()) != want {
					t.Errorf("%s, want %s", rec.Value(), want)
				}
			}
		})
	}
	wg.Wait()
}

func TestSettings(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Settings)
		fields string
	}{
		"nothing":         {func(s *Settings) { *s = Settings{} }, "driver query into rows on_miss max_rows max_bytes max_conns batch"},
		"no dsn of mysql": {func(s *Settings) { s.Driver = "mysql" }, "dsn path"},
		"mariadb": {func(s *Settings) {
			s.Driver, s.Path, s.DSN, s.Query = "mariadb", "", "mysql://u@h/d", "SELECT 1 INTO @x"
		}, "query"},
		"bad mysql dsn":   {func(s *Settings) { s.Driver, s.Path, s.DSN = "mysql", "", "mysql://u:canary@h:x/" }, "dsn"},
		"tls of sqlite":   {func(s *Settings) { s.TLS.CA = "ca.pem" }, "tls"},
		"half of a pair":  {func(s *Settings) { s.TLS.Cert = "a.pem" }, "tls"},
		"large batch":     {func(s *Settings) { s.Batch = 1001 }, "batch"},
		"no path":         {func(s *Settings) { s.Path = "" }, "path"},
		"dsn of sqlite":   {func(s *Settings) { s.DSN = "canary" }, "dsn"},
		"no dsn":          {func(s *Settings) { s.Driver = "postgres" }, "dsn path"},
		"bad dsn":         {func(s *Settings) { s.Driver, s.Path, s.DSN = "postgres", "", "postgres://u:canary@h:x/" }, "dsn"},
		"too many args":   {func(s *Settings) { s.Args = exprs(t, "a") }, "query"},
		"template":        {func(s *Settings) { s.Query = "SELECT '{a}'" }, "query"},
		"many places":     {func(s *Settings) { s.Into = "items[*].row" }, "into"},
		"no such row set": {func(s *Settings) { s.Rows = "one" }, "rows"},
	} {
		s := Default()
		s.Driver, s.Path, s.Query, s.Into = "sqlite", "x.db", "SELECT 1", "got"
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		tt.change(&s)
		err := s.Validate()
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error shows a secret: %v", name, err)
		}
		var fields []string
		for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
			var f *settings.FieldError
			if errors.As(e, &f) {
				fields = append(fields, f.Field)
			}
		}
		if strings.Join(fields, " ") != tt.fields {
			t.Errorf("%s: fields %v, want %s", name, fields, tt.fields)
		}
		if _, err := New(s, env(1)); err == nil {
			t.Errorf("%s: New took them", name)
		}
	}
}
