package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/settings"
)

type postgres struct {
	config *pgx.ConnConfig
	text   string

	mu     sync.Mutex
	params []*pgType // nil: not asked for yet
	types  map[uint32]*pgType
}

// postgresConfig reads the dsn. The error does not quote it.
func postgresConfig(dsn settings.Secret) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(dsn.Reveal())
	if err != nil {
		return nil, errors.New("the address is not valid: write postgres://user:password@host:port/database")
	}
	c.RuntimeParams["default_transaction_read_only"] = "on"
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "penstock"
	}
	isoDates(c.RuntimeParams)
	takeParam(c.RuntimeParams, "client_encoding")
	c.RuntimeParams["client_encoding"] = "UTF8" // as records are; the default is the encoding of the database
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	// A query that is given up must end on the server too, or slow ones pile up there.
	c.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: time.Second}
	}
	return c, nil
}

// isoDates has the server write dates as ISO 8601, whatever its own settings are: they are
// read as text here. The order of day and month in which it reads dates stays as the address has
// it.
func isoDates(params map[string]string) {
	style := "ISO"
	value := takeParam(params, "DateStyle")
	for _, w := range strings.FieldsFunc(strings.ToUpper(value), func(r rune) bool { return r == ',' || r == ' ' }) {
		if slices.Contains([]string{"DMY", "MDY", "YMD"}, w) {
			style = "ISO, " + w
		}
	}
	params["DateStyle"] = style
}

// takeParam removes a setting of the address and gives its value, in whatever case its name is
// written.
func takeParam(params map[string]string, name string) (value string) {
	for n, v := range params {
		if strings.EqualFold(n, name) {
			delete(params, n)
			value = v
		}
	}
	return value
}

func (d *postgres) open(limits client.SQLLimits) (*dbsql.DB, error) {
	return client.OpenSQL(stdlib.GetConnector(*d.config), limits), nil
}

func (d *postgres) close() error { return nil }

func (d *postgres) where() string {
	if strings.HasPrefix(d.config.Host, "/") {
		return "postgres " + d.config.Host + ", database " + d.config.Database
	}
	return "postgres " + net.JoinHostPort(d.config.Host, strconv.Itoa(int(d.config.Port))) + ", database " + d.config.Database
}

func (d *postgres) connectTimeout(err error) time.Duration {
	if c := (*pgconn.ConnectError)(nil); errors.As(err, &c) {
		return d.config.ConnectTimeout
	}
	return 0
}

// withConn calls do with a connection of the pool, and with another one when that was broken
// before anything was sent.
func (d *postgres) withConn(ctx context.Context, db *dbsql.DB, do func(*pgx.Conn) error) error {
	for try := 0; ; try++ {
		c, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		broken := false
		err = c.Raw(func(driverConn any) error {
			conn := driverConn.(*stdlib.Conn).Conn()
			err := do(conn)
			broken = conn.IsClosed()
			return err
		})
		if closing := c.Close(); err == nil {
			err = closing
		}
		if err == nil || !broken || !pgconn.SafeToRetry(err) || try == 2 {
			return err
		}
	}
}

// query uses the driver itself: database/sql's rows do not tell the types of arrays, composites
// and parameters.
func (d *postgres) query(ctx context.Context, db *dbsql.DB, args [][]byte, b *builder) error {
	return d.withConn(ctx, db, func(conn *pgx.Conn) error {
		params, fresh, err := d.parameters(ctx, conn)
		if err != nil {
			return err
		}
		err = d.run(ctx, conn, params, args, b)
		if err == nil || fresh || !typesMayBeStale(err) {
			return err
		}
		// A table may have changed since the types were loaded, and the value may fit now. When
		// the types are the same the error stands.
		d.forget()
		now, _, loadErr := d.parameters(ctx, conn)
		var shape *shapeError
		if loadErr != nil || !errors.As(err, &shape) && slices.EqualFunc(params, now, func(a, b *pgType) bool { return a.oid == b.oid }) {
			return err
		}
		return d.run(ctx, conn, now, args, b)
	})
}

// typesMayBeStale says whether err may come from types that have changed meanwhile.
func typesMayBeStale(err error) bool {
	var (
		argument *argumentError
		shape    *shapeError
		refused  *pgconn.PgError
	)
	return errors.As(err, &argument) || errors.As(err, &shape) ||
		errors.As(err, &refused) && (strings.HasPrefix(refused.Code, "22") || strings.HasPrefix(refused.Code, "42"))
}

func (d *postgres) run(ctx context.Context, conn *pgx.Conn, params []*pgType, args [][]byte, b *builder) error {
	values, err := bindAll(params, args)
	if err != nil {
		return err
	}
	for range 2 { // a second time when the type of a column was not known
		b.reset()
		var missing []uint32
		if missing, err = d.read(ctx, conn, values, b); err != nil || len(missing) == 0 {
			break
		}
		if err := d.load(ctx, conn, missing); err != nil {
			return err
		}
	}
	if err == nil {
		return nil
	}
	return &boundError{d.findRefused(ctx, conn, params, values, err), args}
}

// read puts the rows into b, or gives the types of columns that have to be loaded first.
// Every column comes as text: PostgreSQL writes all types so, exactly.
func (d *postgres) read(ctx context.Context, conn *pgx.Conn, values []any, b *builder) (missing []uint32, err error) {
	rows, err := conn.Query(ctx, d.text, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, values...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var columns []pgColumn
	for more := true; more && rows.Next(); {
		if columns == nil {
			if columns, missing, err = d.columns(rows.FieldDescriptions()); err != nil || len(missing) > 0 {
				return missing, err
			}
		}
		if err := b.begin(); err != nil {
			return nil, err
		}
		if b.out, err = appendPgRow(b.out, columns, rows.RawValues()); err != nil {
			return nil, err
		}
		if more, err = b.end(); err != nil {
			return nil, err
		}
	}
	rows.Close()
	return nil, rows.Err()
}

// check prepares the query, which tells its columns without running it.
func (d *postgres) check(ctx context.Context, db *dbsql.DB) error {
	return d.withConn(ctx, db, func(conn *pgx.Conn) error {
		st, err := conn.Prepare(ctx, "", d.text)
		if err != nil {
			return err
		}
		names := make([]string, len(st.Fields))
		for i, f := range st.Fields {
			names[i] = f.Name
		}
		return checkNames(names)
	})
}

// findRefused finds the argument that the server has refused, by sending each of them alone. Its
// error is a refusedError, or err when none was found.
func (d *postgres) findRefused(ctx context.Context, conn *pgx.Conn, params []*pgType, values []any, err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || conn.IsClosed() || !strings.HasPrefix(refused.Code, "22") && !strings.HasPrefix(refused.Code, "23") {
		return err
	}
	for i, t := range params {
		var text []byte
		if s, ok := values[i].(string); ok {
			text = []byte(s)
		}
		r := conn.PgConn().ExecParams(ctx, "SELECT $1", [][]byte{text}, []uint32{t.oid}, nil, nil).Read()
		var own *pgconn.PgError
		if errors.As(r.Err, &own) && own.Code == refused.Code {
			return &refusedError{argument: i, typ: t.name, code: own.Code}
		}
	}
	return err
}

// A refusedError is a value that the server does not take as the type of its parameter.
type refusedError struct {
	argument  int
	typ, code string
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("the server refused argument %d", e.argument+1)
}

func (d *postgres) classify(err error) (permanent bool, text string, known bool) {
	var argument *argumentError
	if errors.As(err, &argument) {
		return true, argument.Error(), true
	}
	var refused *refusedError
	if bound := (*boundError)(nil); errors.As(err, &refused) && errors.As(err, &bound) {
		return true, fmt.Sprintf("argument %d is %s that the query does not take as %s (%s)",
			refused.argument+1, kindOf(bound.args[refused.argument]), refused.typ, sqlState(refused.code)), true
	}
	var shape *shapeError
	if errors.As(err, &shape) { // a type is being changed
		return false, shape.Error(), true
	}
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		var c *pgconn.ConnectError
		if errors.As(err, &c) { // its own text repeats user and database
			err = c.Unwrap()
		}
		return false, strings.ReplaceAll(err.Error(), "\n", "; "), false
	}
	if len(e.Code) < 2 {
		return false, "the server answered an error without a code", true
	}
	if e.Code == "42P05" || e.Code == "26000" {
		return false, fmt.Sprintf("%s (SQLSTATE %s); %s", e.Message, e.Code, otherConnection), true
	}
	types, bound := argsOf(err)
	switch e.Code[:2] {
	case "22", "23", "21", "P0":
		// The message quotes the value.
		return true, fmt.Sprintf("the query cannot be run with these values (%s)%s", sqlState(e.Code), types), true
	case "42", "25":
		permanent = true
		// An error without a position in the text of the query comes from a value, and quotes
		// it: a word for a text search, a name for regclass. 42501, no right to do so, is about
		// tables.
		if bound && e.Code[:2] == "42" && e.Position == 0 && e.Code != "42501" {
			return true, fmt.Sprintf("the server refused the query with these values (%s)%s", sqlState(e.Code), types), true
		}
	}
	// 0A000 comes when a cached plan no longer fits: the next attempt prepares anew.
	return permanent, fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code), true
}

// otherConnection is the advice when the server has a prepared statement that should not be
// there, or has not one that should. Either a cached plan no longer fits, and the next attempt
// prepares anew; or a pooler has given another connection than the one that prepared.
const otherConnection = "when this repeats, a pooler lends connections by transaction: add default_query_exec_mode=exec to dsn"

// conditions are the meanings of codes whose messages cannot be shown: they quote values.
var conditions = map[string]string{
	"21000": "a subquery that must give one row gave more", "22001": "a text longer than its type allows",
	"22003": "a number out of range", "22004": "a null that is not allowed", "22007": "not the text of a date or time",
	"22008": "a date or time out of range", "22012": "division by zero", "22021": "text with a character that the database cannot hold",
	"22023": "a value that a function does not take", "22025": "an escape that is not valid", "22P02": "not the text of such a value",
	"22P03": "not the bytes of such a value", "22P05": "text with a character that the database cannot hold",
	"2201B": "a regular expression that is not valid", "2201E": "the logarithm of such a number", "2201F": "the power of such a number",
	"2201W": "a LIMIT that is not valid", "2201X": "an OFFSET that is not valid", "2202E": "arrays that do not fit together",
	"22030": "JSON with a key that comes twice", "22032": "JSON that is not valid", "23502": "a null that its type does not allow",
	"23514": "a condition of its type does not hold", "2200M": "an XML document that is not valid", "2200N": "XML that is not valid",
	"42601": "not the syntax of such a value", "42704": "no such object", "42P01": "no such table", "42703": "no such column", "P0001": "raised by a function",
}

func sqlState(code string) string {
	if words := conditions[code]; words != "" {
		return "SQLSTATE " + code + ": " + words
	}
	return "SQLSTATE " + code
}
