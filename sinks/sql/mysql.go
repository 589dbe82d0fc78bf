package sqlsink

import (
	"context"
	dbsql "database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
)

// mySQL stores with one INSERT of many rows, which the server goes through in their order.
type mySQL struct {
	settings *Settings
	names    []string
	server   *database.MySQLServer
	table    string // quoted
	packet   atomic.Int64
}

// session has the server refuse values that do not fit, which it would cut else, and end a statement that waits
// long for a lock: when the process that sent it has been killed, it would be carried out when others have written
// later rows.
const session = "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), innodb_lock_wait_timeout = 5, lock_wait_timeout = 5"

func newMySQL(s *Settings, names []string) (*mySQL, error) {
	server, err := database.NewMySQLServer(s.DSN, s.TLS, session)
	if err != nil {
		return nil, err
	}
	// The driver puts the values into the statement, as it quotes them for the connection: prepared, a
	// statement of so many rows would take another way to the server and back.
	server.Config.InterpolateParams = true
	server.Config.MaxAllowedPacket = 0 // as the server has it
	parts, err := tableName(s.Table)
	if err != nil {
		return nil, err
	}
	return &mySQL{settings: s, names: names, server: server, table: quoted("`", ".", parts...)}, nil
}

func (d *mySQL) open(limits client.SQLLimits) (*dbsql.DB, error) { return d.server.Open(limits) }
func (d *mySQL) where() string                                   { return d.server.Where() }
func (d *mySQL) host() string                                    { return d.server.Host() }
func (d *mySQL) close()                                          { d.server.Close() }

func (d *mySQL) connectTimeout(err error) time.Duration { return d.server.ConnectTimeout(err) }

func (d *mySQL) create(names, key []string) string {
	return createTable(d.table, names, key, "varchar(255)", "`")
}

const (
	mysqlColumns = `SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, EXTRA, IS_NULLABLE = 'NO', COALESCE(DATETIME_PRECISION, 0) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = `
	mysqlItself  = `SELECT 1 FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_SCHEMA = TABLE_SCHEMA AND REFERENCED_TABLE_NAME = TABLE_NAME AND TABLE_SCHEMA = `
	mysqlUnique  = `SELECT INDEX_NAME, COALESCE(COLUMN_NAME, ''), SUB_PART IS NOT NULL FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND TABLE_SCHEMA = `
)

func (d *mySQL) describe(ctx context.Context, db *dbsql.DB) (*description, error) {
	parts, err := tableName(d.settings.Table)
	if err != nil {
		return nil, err
	}
	where := "DATABASE() AND TABLE_NAME = ?"
	if len(parts) == 2 {
		where = "? AND TABLE_NAME = ?"
	}
	args := make([]driver.NamedValue, len(parts))
	for i, p := range parts {
		args[i] = driver.NamedValue{Ordinal: i + 1, Value: p}
	}
	found := &description{columns: map[string]*column{}}
	err = d.server.With(ctx, db, func(conn *database.MySQLConn) error {
		limit, err := mysqlRows(ctx, conn, "SELECT @@max_allowed_packet", nil)
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(limit[0][0]), 10, 64)
		if err != nil {
			return err
		}
		d.packet.Store(n)
		rows, err := mysqlRows(ctx, conn, mysqlColumns+where, args)
		if err != nil {
			return err
		}
		for _, row := range rows {
			c := &column{name: string(row[0]), typ: strings.ToLower(string(row[1]))}
			c.full, c.always, c.digits = strings.ToLower(string(row[2])), string(row[4]) == "1", string(row[5])
			c.exact, c.folds = slices.Contains(mysqlWhole, c.typ), c.typ == "char" || c.typ == "varchar"
			c.counts = strings.Contains(strings.ToLower(string(row[3])), "auto_increment")
			c.made = strings.Contains(strings.ToUpper(string(row[3])), "GENERATED") && !strings.Contains(strings.ToUpper(string(row[3])), "DEFAULT_GENERATED")
			found.columns[c.name] = c
		}
		indexes, err := mysqlRows(ctx, conn, mysqlUnique+where, args)
		for i, row := range indexes {
			if string(row[2]) == "1" { // of a part of the column, which other columns do not hide
				indexes[i][1] = append([]byte("a part of "), row[1]...)
			}
		}
		if err != nil {
			return err
		}
		found.unique = grouped(indexes)
		itself, err := mysqlRows(ctx, conn, mysqlItself+where, args)
		found.itself = len(itself) > 0
		return err
	})
	return found, err
}

// mysqlRows gives the rows of a query as texts.
func mysqlRows(ctx context.Context, conn *database.MySQLConn, query string, args []driver.NamedValue) (all [][][]byte, err error) {
	rows, err := conn.QueryContext(ctx, query, args)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	values := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(values); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		row := make([][]byte, len(values))
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				row[i] = slices.Clone(b)
			} else {
				row[i] = fmt.Append(nil, v)
			}
		}
		all = append(all, row)
	}
}

var (
	mysqlWhole = []string{"tinyint", "smallint", "mediumint", "int", "bigint"}
	mysqlBytes = []string{"binary", "varbinary", "blob", "tinyblob", "mediumblob", "longblob"}
	mysqlText  = []string{"char", "varchar", "text", "tinytext", "mediumtext", "longtext", "enum", "set"}
)

// fits keeps a statement below what the server reads at once: a value may take twice its bytes in it.
func (d *mySQL) fits(_ *table, rows []*row) int {
	size := int64(1 << 10)
	for i, r := range rows {
		size += int64(2*r.size + 8*len(r.values))
		if size > d.packet.Load() && i > 0 {
			return i
		}
	}
	return len(rows)
}

func (d *mySQL) write(ctx context.Context, db *dbsql.DB, t *table, rows []*row) error {
	columns := make([]int, 0, len(t.columns))
	var text strings.Builder
	if rows[0].remove {
		for _, name := range d.settings.Key {
			columns = append(columns, slices.Index(d.names, name))
		}
		fmt.Fprintf(&text, "DELETE FROM %s WHERE (%s) IN (", d.table, quoted("`", ", ", d.settings.Key...))
	} else {
		for i := range t.columns {
			columns = append(columns, i)
		}
		fmt.Fprintf(&text, "INSERT INTO %s (%s) VALUES ", d.table, quoted("`", ", ", d.names...))
	}
	marks := make([]string, len(columns))
	for i, c := range columns {
		if marks[i] = "?"; rows[0].remove {
			marks[i] = t.columns[c].compared()
		}
	}
	places := "(" + strings.Join(marks, ", ") + ")"
	args := make([]driver.NamedValue, 0, len(rows)*len(columns))
	for i, r := range rows {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(places)
		for _, c := range columns {
			args = append(args, driver.NamedValue{Ordinal: len(args) + 1, Value: r.values[c]})
		}
	}
	if rows[0].remove {
		text.WriteByte(')')
	} else {
		text.WriteString(d.onDuplicate(t))
	}
	return d.server.With(ctx, db, func(conn *database.MySQLConn) error {
		_, err := conn.ExecContext(ctx, text.String(), args)
		if errors.Is(err, driver.ErrSkip) { // larger than a packet when it is quoted
			return mysql.ErrPktTooLarge
		}
		return err
	})
}

// onDuplicate gives what becomes of a row that is there. Assignments are carried out one after the other, so
// that of the version is the last. A row that is there by another unique index than the key is no row to replace: the
// first assignment is a null then, where none may be, and the row is refused.
func (d *mySQL) onDuplicate(t *table) string {
	if d.settings.Mode == "insert" {
		return ""
	}
	first := ""
	if t.others {
		var same []string
		for _, name := range d.settings.Key {
			name = quoted("`", "", name)
			same = append(same, fmt.Sprintf("%s.%s <=> VALUES(%[2]s)", d.table, name))
		}
		guard := quoted("`", "", t.guard)
		first = fmt.Sprintf("%s = IF(%s, %s.%[1]s, NULL)", guard, strings.Join(same, " AND "), d.table)
	}
	updated := d.settings.updated(d.names)
	if d.settings.Mode == "ignore" || len(updated) == 0 {
		// INSERT IGNORE would take wrong values too.
		key := quoted("`", "", d.settings.Key[0])
		if first == "" {
			first = key + " = " + d.table + "." + key
		}
		return " ON DUPLICATE KEY UPDATE " + first
	}
	if first != "" {
		first += ", "
	}
	newer := quoted("`", "", d.settings.Newer)
	slices.SortStableFunc(updated, func(a, b string) int {
		switch d.settings.Newer {
		case a:
			return 1
		case b:
			return -1
		}
		return 0
	})
	s := " ON DUPLICATE KEY UPDATE " + first
	for i, name := range updated {
		if i > 0 {
			s += ", "
		}
		name = quoted("`", "", name)
		if d.settings.Newer == "" {
			s += fmt.Sprintf("%s = VALUES(%[1]s)", name)
		} else {
			s += fmt.Sprintf("%s = IF(%s.%s IS NULL OR VALUES(%[3]s) >= %[2]s.%[3]s, VALUES(%[1]s), %[2]s.%[1]s)", name, d.table, newer)
		}
	}
	return s
}
