package sqlsink

import (
	"context"
	dbsql "database/sql"
	"encoding/base64"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	sqlitedriver "modernc.org/sqlite"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
)

// sqlite stores row by row, in one transaction: the database is in this process, and nothing is won by
// longer statements.
type sqlite struct {
	settings *Settings
	names    []string
	path     string
	table    string // quoted
}

func newSQLite(s *Settings, names []string) (*sqlite, error) {
	path, err := filepath.Abs(string(s.Path))
	if err != nil {
		return nil, err
	}
	parts, err := tableName(s.Table)
	if err != nil {
		return nil, err
	}
	return &sqlite{settings: s, names: names, path: path, table: quoted(`"`, ".", parts...)}, nil
}

// open opens a file that is there. What is committed is on disk.
func (d *sqlite) open(limits client.SQLLimits) (*dbsql.DB, error) {
	if err := database.SQLiteFile(d.path); err != nil {
		return nil, &pipeline.EnvironmentError{Err: err}
	}
	u := url.URL{Scheme: "file", Path: d.path,
		RawQuery: "mode=rw&_txlock=immediate&_pragma=busy_timeout(2000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"}
	c, err := sqlitedriver.NewConnector(u.String())
	if err != nil {
		return nil, err
	}
	return client.OpenSQL(c, limits), nil
}

func (d *sqlite) host() string                       { return d.path }
func (d *sqlite) where() string                      { return "sqlite " + filepath.Base(d.path) }
func (d *sqlite) close()                             {}
func (d *sqlite) connectTimeout(error) time.Duration { return 0 }
func (d *sqlite) fits(_ *table, rows []*row) int     { return len(rows) }

func (d *sqlite) create(names, key []string) string {
	return createTable(d.table, names, key, "text", `"`)
}

func (d *sqlite) describe(ctx context.Context, db *dbsql.DB) (*description, error) {
	parts, err := tableName(d.settings.Table)
	if err != nil {
		return nil, err
	}
	name, schema := parts[len(parts)-1], "main"
	if len(parts) == 2 {
		schema = parts[0]
	}
	found, err := texts(ctx, db, "SELECT name, type, hidden, pk FROM pragma_table_xinfo(?, ?)", name, schema)
	if err != nil {
		return nil, err
	}
	columns := map[string]*column{}
	var primary []string
	for _, row := range found {
		c := &column{name: string(row[0]), typ: strings.ToLower(string(row[1])), made: string(row[2]) == "2" || string(row[2]) == "3"}
		columns[c.name] = c
		if string(row[3]) != "0" {
			primary = append(primary, c.name)
		}
	}
	indexes, err := texts(ctx, db, `SELECT l.name, coalesce(i.name, '') FROM pragma_index_list(?, ?) AS l, pragma_index_info(l.name, ?) AS i WHERE l."unique" AND NOT l.partial`,
		name, schema, schema)
	return &description{columns: columns, unique: append(grouped(indexes), primary)}, err
}

// texts gives the rows of a query.
func texts(ctx context.Context, db *dbsql.DB, query string, args ...any) (all [][][]byte, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		row := make([][]byte, len(names))
		into := make([]any, len(names))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

func (d *sqlite) bind(c *column, v gjson.Result) (value any, wrong string) {
	if strings.Contains(c.typ, "blob") {
		b, err := base64.StdEncoding.DecodeString(v.String())
		if v.Type != gjson.String || err != nil {
			return nil, noBase64
		}
		return b, ""
	}
	if c.typ == "json" {
		return v.Raw, ""
	}
	if v.Type == gjson.Number && strings.Contains(c.typ, "int") { // which would be a float
		n, whole, fits := database.WholeOf(v.Raw)
		switch {
		case !whole:
			return nil, "a number with a fraction"
		case !fits:
			return nil, "a number out of range"
		}
		return n, ""
	}
	value, err := database.BindSQLite([]byte(v.Raw))
	if err != nil {
		return nil, describeKind(v)
	}
	if b, ok := value.(bool); ok && strings.Contains(c.typ, "text") {
		value = map[bool]string{true: "true", false: "false"}[b]
	} else if ok {
		value = map[bool]int64{true: 1}[b]
	}
	return value, ""
}

func (d *sqlite) write(ctx context.Context, db *dbsql.DB, t *table, rows []*row) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err = d.rows(ctx, tx, t, rows); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

func ignoreDone(err error) error {
	if errors.Is(err, dbsql.ErrTxDone) {
		return nil
	}
	return err
}

func (d *sqlite) rows(ctx context.Context, tx *dbsql.Tx, t *table, rows []*row) (err error) {
	var insert, remove *dbsql.Stmt
	for _, r := range rows {
		switch {
		case r.remove && remove == nil:
			if remove, err = tx.PrepareContext(ctx, d.deletes(t)); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, remove.Close()) }()
		case !r.remove && insert == nil:
			if insert, err = tx.PrepareContext(ctx, d.inserts()); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, insert.Close()) }()
		}
		if r.remove {
			key := make([]any, len(t.key))
			for i, c := range t.key {
				key[i] = r.values[c]
			}
			_, err = remove.ExecContext(ctx, key...)
		} else {
			_, err = insert.ExecContext(ctx, r.values...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *sqlite) deletes(t *table) string {
	s := "DELETE FROM " + d.table + " WHERE "
	for i, c := range t.key {
		if i > 0 {
			s += " AND "
		}
		s += quoted(`"`, "", d.names[c]) + " = ?"
	}
	return s
}

func (d *sqlite) inserts() string {
	s := "INSERT INTO " + d.table + " AS penstock_t (" + quoted(`"`, ", ", d.names...) + ") VALUES (?" + strings.Repeat(", ?", len(d.names)-1) + ")"
	if d.settings.Mode == "insert" {
		return s
	}
	return s + onConflict(d.settings, d.names)
}
