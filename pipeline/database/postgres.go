package database

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/penstockio/penstock/pipeline/settings"
)

// Postgres reads the dsn of a PostgreSQL. The error does not quote it. Dates come as ISO 8601, text is UTF-8,
// and a statement that is given up ends on the server too.
func Postgres(dsn settings.Secret) (*pgx.ConnConfig, error) {
	invalid := errors.New("the address is not valid: write postgres://user:password@host:port/database, with @ : / ? # % of a password as %40 %3A %2F %3F %23 %25")
	text := dsn.Reveal()
	if strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://") {
		if !urlIsClear(text) {
			return nil, invalid
		}
	}
	c, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, invalid
	}
	for name := range c.RuntimeParams { // "CRET host", of a password with a space that has no quotes
		if strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789_.") != "" {
			return nil, invalid
		}
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "penstock"
	}
	isoDates(c.RuntimeParams)
	TakeParam(c.RuntimeParams, "client_encoding")
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
	value := TakeParam(params, "DateStyle")
	for _, w := range strings.FieldsFunc(strings.ToUpper(value), func(r rune) bool { return r == ',' || r == ' ' }) {
		if slices.Contains([]string{"DMY", "MDY", "YMD"}, w) {
			style = "ISO, " + w
		}
	}
	params["DateStyle"] = style
}

// TakeParam removes a setting of the address and gives its value, in whatever case its name is
// written.
func TakeParam(params map[string]string, name string) (value string) {
	for n, v := range params {
		if strings.EqualFold(n, name) {
			delete(params, n)
			value = v
		}
	}
	return value
}

// PostgresWhere names a database for errors, without secrets.
func PostgresWhere(c *pgx.ConnConfig) string {
	if strings.HasPrefix(c.Host, "/") {
		return "postgres " + c.Host + ", database " + c.Database
	}
	return "postgres " + net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))) + ", database " + c.Database
}

// PostgresHost names a database as calls have it: db.example/shop.
func PostgresHost(c *pgx.ConnConfig) string {
	if strings.HasPrefix(c.Host, "/") || c.Port == 5432 {
		return c.Host + "/" + c.Database
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))) + "/" + c.Database
}

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
	"23503": "no row that it refers to", "23505": "a row with such a unique value is there", "23P01": "a row that excludes it is there", "44000": "not a row of the view",
	"54000": "more than an index or a limit of the server allows", "23514": "a condition of its type does not hold", "2200M": "an XML document that is not valid", "2200N": "XML that is not valid",
	"42601": "not the syntax of such a value", "42704": "no such object", "42P01": "no such table", "42703": "no such column", "P0001": "raised by a function", "42501": "no right to that", "XX000": "an internal error", "0A000": "what it does not do", "40001": "another transaction came first", "40P01": "transactions that wait for each other",
	"55P03": "no lock within its time", "42P10": "no unique index on exactly the key",
}

// SQLState gives a code with what it means, of those whose messages quote values.
func SQLState(code string) string {
	if words := conditions[code]; words != "" {
		return "SQLSTATE " + code + ": " + words
	}
	return "SQLSTATE " + code
}
