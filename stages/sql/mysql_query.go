package sql

import (
	"context"
	dbsql "database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
)

// mysqlSizes are the numbers of look-ups that statements are made for: each connection keeps one of
// each, and the server holds them.
var mysqlSizes = []int{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64}

func (d *mySQL) take(n int) int {
	if d.alone.Load() {
		return 1
	}
	size := 1
	for _, s := range mysqlSizes {
		if s <= n && s*len(d.query.text) <= maxBatchBytes {
			size = s
		}
	}
	return size
}

// together says whether a query of MySQL can be one of several of a UNION ALL: it is one SELECT, of
// tables, its parameters can be counted whatever the settings of the server are, and a LIMIT can be
// put behind it, or it has one. Without one both servers leave the order of a part of a UNION out.
//
// No parameter may stand in what the columns are made of: a column of a UNION has one type, and
// that of a text is one without the spaces at its end when texts of different lengths come together.
func (s *scanner) together() bool {
	for _, w := range []string{"UNION", "EXCEPT", "INTERSECT", "MINUS", "FOR", "LOCK", "PROCEDURE"} {
		if s.outermost[w] {
			return false
		}
	}
	if s.first != "SELECT" || s.parens || s.doubtful || s.from == 0 {
		return false
	}
	for _, p := range s.places {
		if p.from < s.from || p.depth > 0 && (s.where == 0 || p.from < s.where) { // a table that is a query
			return false
		}
	}
	return s.parameters > 0
}

// text gives the query for n look-ups: the query as it is for each of them, with a number behind
// its columns that says whose its rows are. Nothing has to be compared here, by whatever collation.
// The number stands in the query itself: around it, it would make a table of its own on disk for each
// of them, when a column is a TEXT.
func (d *mySQL) text(n int) string {
	if n == 1 {
		return d.query.text
	}
	columns, rest := d.query.text[:d.query.from], d.query.text[d.query.from:d.query.end]
	if !d.query.outermost["LIMIT"] && !d.query.outermost["FETCH"] {
		rest += fmt.Sprintf("\nLIMIT %d", d.limit)
	}
	var text strings.Builder
	for i := range n {
		if i > 0 {
			text.WriteString(" UNION ALL ")
		}
		fmt.Fprintf(&text, "(%s\n, %d AS penstock_n %s\n)", columns, i, rest)
	}
	return text.String()
}

// statement gives the prepared query for n look-ups.
func (d *mySQL) statement(ctx context.Context, conn *database.MySQLConn, n int) (driver.Stmt, error) {
	if stmt := conn.Statements[n]; stmt != nil {
		return stmt, nil
	}
	stmt, err := conn.PrepareContext(ctx, d.text(n))
	if err != nil && n > 1 && d.refused(err) {
		// When it is not the query that the server refuses, it is that it stands within another.
		one, alone := conn.PrepareContext(ctx, d.text(1))
		if alone != nil {
			return nil, alone
		}
		d.alone.Store(true)
		_ = one.Close()
		return nil, errNotTogether
	}
	if err != nil {
		return nil, err
	}
	if have, want := stmt.NumInput(), n*d.query.parameters; have != want {
		_ = stmt.Close()
		if n > 1 {
			d.alone.Store(true)
			return nil, errNotTogether
		}
		return nil, refuse(client.TypeSQL, "the server counts %d parameters in the query and args has %d values", have, want)
	}
	conn.Statements[n] = stmt
	return stmt, nil
}

func (d *mySQL) refused(err error) bool {
	var e *mysql.MySQLError
	permanent, _, _ := d.classify(err)
	return (permanent || d.ofQuery(err)) && errors.As(err, &e)
}

// ask uses the driver itself: a statement belongs to a connection.
func (d *mySQL) ask(ctx context.Context, db *dbsql.DB, looks []*look) error {
	return d.server.With(ctx, db, func(conn *database.MySQLConn) error {
		for _, l := range looks {
			l.reset() // of an attempt over a connection that was broken
		}
		stmt, err := d.statement(ctx, conn, len(looks))
		if err != nil {
			return err
		}
		var values []driver.NamedValue
		for _, l := range looks {
			for _, text := range l.args {
				v, err := database.BindMySQL(text)
				if err != nil {
					return err
				}
				values = append(values, driver.NamedValue{Ordinal: len(values) + 1, Value: v})
			}
		}
		rows, err := stmt.(driver.StmtQueryContext).QueryContext(ctx, values)
		if err == nil {
			err = readMySQL(rows, looks)
			if closing := rows.Close(); err == nil {
				err = closing
			}
		}
		if err == nil {
			return nil
		}
		var refused *mysql.MySQLError
		if errors.As(err, &refused) && slices.Contains(mysqlPrepareAnew, refused.Number) {
			delete(conn.Statements, len(looks))
			_ = stmt.Close()
		}
		if len(looks) > 1 {
			return &boundError{err, nil}
		}
		return &boundError{err, looks[0].args}
	})
}

// readMySQL puts the rows into looks. When there are several, the last column says whose a row is.
func readMySQL(rows driver.Rows, looks []*look) error {
	names := rows.Columns()
	own := len(names) // columns of the query
	if len(looks) > 1 {
		own--
	}
	columns := make([]column, own)
	for i := range columns {
		columns[i] = column{keyOf(names[i]), rows.(driver.RowsColumnTypeDatabaseTypeName).ColumnTypeDatabaseTypeName(i)}
	}
	if err := checkNames(names[:own]); err != nil {
		return err
	}
	values := make([]driver.Value, len(names))
	for more := true; more; {
		if err := rows.Next(values); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		l := looks[0]
		if len(looks) > 1 {
			n, ok := values[own].(int64)
			if !ok || n < 0 || int(n) >= len(looks) {
				return errors.New("a row belongs to no look-up")
			}
			l = looks[n]
		}
		var err error
		if more, err = l.row(func(out []byte) ([]byte, error) { return appendMySQLRow(out, values[:own], columns) }); err != nil {
			return err
		}
		more = more || len(looks) > 1
	}
	return nil
}

// check prepares the query, and the query within another, which must not have two columns of one name.
func (d *mySQL) check(ctx context.Context, db *dbsql.DB) error {
	return d.server.With(ctx, db, func(conn *database.MySQLConn) error {
		if _, err := d.statement(ctx, conn, 1); err != nil {
			return err
		}
		stmt, err := conn.PrepareContext(ctx, "SELECT * FROM (\n"+d.query.text[:d.query.end]+"\n) AS q")
		if err == nil {
			return stmt.Close()
		}
		var e *mysql.MySQLError
		if errors.As(err, &e) && e.Number == mysqlTwice {
			return refuse(client.TypeSQL, "two columns have the same name (%s): give one another name with AS", e.Message)
		}
		if errors.As(err, &e) {
			return nil // it does not stand within another, and need not
		}
		return err
	})
}
