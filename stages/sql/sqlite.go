package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	sqlitedriver "modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
)

type sqlite struct {
	path, text string

	mu   sync.Mutex
	stmt *dbsql.Stmt // nil: not yet
}

// open opens the file for reading alone: one that is not there is not created.
func (d *sqlite) open(limits client.SQLLimits) (*dbsql.DB, error) {
	path, err := filepath.Abs(d.path)
	if err != nil {
		return nil, err
	}
	if err := database.SQLiteFile(path); err != nil {
		return nil, &pipeline.EnvironmentError{Err: err}
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(2000)"}
	c, err := sqlitedriver.NewConnector(u.String())
	if err != nil {
		return nil, err
	}
	return client.OpenSQL(c, limits), nil
}

func (d *sqlite) host() string { return d.path }

func (d *sqlite) where() string { return "sqlite " + filepath.Base(d.path) }

// statement gives the prepared query; database/sql prepares it again on each connection.
func (d *sqlite) statement(ctx context.Context, db *dbsql.DB) (*dbsql.Stmt, error) {
	d.mu.Lock()
	stmt := d.stmt
	d.mu.Unlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := db.PrepareContext(ctx, d.text)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stmt != nil { // another was faster
		return d.stmt, stmt.Close()
	}
	d.stmt = stmt
	return stmt, nil
}

func (d *sqlite) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stmt == nil {
		return nil
	}
	return d.stmt.Close()
}

// ask asks for one at a time: SQLite is in this process, and there is no way to it that several
// could share.
func (d *sqlite) ask(ctx context.Context, db *dbsql.DB, looks []*look) error {
	for _, l := range looks {
		if err := d.query(ctx, db, l); err != nil {
			return err
		}
	}
	return nil
}

func (d *sqlite) take(int) int { return 1 }

func (d *sqlite) query(ctx context.Context, db *dbsql.DB, l *look) error {
	stmt, err := d.statement(ctx, db)
	if err != nil {
		return err
	}
	values := make([]any, len(l.args))
	for i, text := range l.args {
		if values[i], err = database.BindSQLite(text); err != nil {
			return err
		}
	}
	rows, err := stmt.QueryContext(ctx, values...)
	if err == nil {
		err = read(rows, l)
		err = errors.Join(err, rows.Close())
	}
	if err != nil {
		return &boundError{err, l.args}
	}
	return nil
}

// numbered is the name that SQLite gives a column of a subquery when another has its own:
// "a:1".
var numbered = regexp.MustCompile(`^(.*):[0-9]+$`)

// check looks at the names of the columns through a query around the query, of which no
// row is asked for: the query itself may take long.
func (d *sqlite) check(ctx context.Context, db *dbsql.DB) error {
	stmt, err := db.PrepareContext(ctx, d.text)
	if err != nil {
		return err
	}
	if err := stmt.Close(); err != nil {
		return err
	}
	s, err := scan(d.text, "sqlite")
	if err != nil {
		return err
	}
	rows, err := db.QueryContext(ctx, "SELECT * FROM (\n"+d.text[:s.end]+"\n) LIMIT 0", make([]any, s.parameters)...)
	if err != nil {
		return err
	}
	names, err := rows.Columns()
	if err = errors.Join(err, rows.Close()); err != nil {
		return err
	}
	for i, name := range names {
		if m := numbered.FindStringSubmatch(name); m != nil && slices.Contains(names[:i], m[1]) {
			names[i] = m[1]
		}
	}
	return checkNames(names)
}

func (d *sqlite) connectTimeout(error) time.Duration { return 0 }
func (d *sqlite) busy(error) bool                    { return false }
func (d *sqlite) fault(error) fault                  { return ofAll }
func (d *sqlite) ofQuery(error) bool                 { return false }

func (d *sqlite) classify(err error) (permanent bool, text string, known bool) {
	var e *sqlitedriver.Error
	if !errors.As(err, &e) {
		return false, err.Error(), false
	}
	switch e.Code() & 0xff {
	case sqlitelib.SQLITE_ERROR, sqlitelib.SQLITE_READONLY, sqlitelib.SQLITE_TOOBIG, sqlitelib.SQLITE_CONSTRAINT,
		sqlitelib.SQLITE_MISMATCH, sqlitelib.SQLITE_MISUSE, sqlitelib.SQLITE_RANGE, sqlitelib.SQLITE_AUTH:
		if bound, ok := argsOf(err); ok { // "bad JSON path: …", "no such column: …" of a full-text search
			return true, fmt.Sprintf("sqlite refused the query with these values (%s)%s", sqlitedriver.ErrorCodeString[e.Code()&0xff], bound), true
		}
		return true, e.Error(), true
	}
	return false, e.Error(), true
}
