package sql

import (
	dbsql "database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
)

type postgres struct{ config *pgx.ConnConfig }

// postgresConfig reads the dsn. The error does not quote it.
func postgresConfig(dsn pipeline.Secret) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(dsn.Reveal())
	if err != nil {
		return nil, errors.New("the address is not valid: write postgres://user:password@host:port/database")
	}
	c.RuntimeParams["default_transaction_read_only"] = "on"
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "penstock"
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	// A query that is given up must end on the server too, or slow ones pile up there.
	c.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: time.Second}
	}
	return c, nil
}

func (d postgres) open(limits client.SQLLimits) (*dbsql.DB, error) {
	return client.OpenSQL(stdlib.GetConnector(*d.config), limits), nil
}

func (d postgres) where() string {
	if strings.HasPrefix(d.config.Host, "/") {
		return "postgres " + d.config.Host + ", database " + d.config.Database
	}
	return "postgres " + net.JoinHostPort(d.config.Host, strconv.Itoa(int(d.config.Port))) + ", database " + d.config.Database
}

func (d postgres) patience(err error) time.Duration {
	if c := (*pgconn.ConnectError)(nil); errors.As(err, &c) {
		return d.config.ConnectTimeout
	}
	return 0
}

// pgx keeps prepared statements by connection itself, and prepares again when a
// table has changed.
func (d postgres) prepares() bool { return false }

// bind gives every value as text, which PostgreSQL reads as the type that the
// parameter has in the query: exact for numbers of any size.
func (d postgres) bind(text []byte) (any, error) {
	v, err := plain(text)
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v), err
	case json.RawMessage:
		return string(v), err
	}
	return v, err
}

func (d postgres) classify(err error) (permanent bool, text string, known bool) {
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
	switch e.Code[:2] {
	case "22", "23", "21", "P0":
		// The message quotes the value.
		return true, fmt.Sprintf("the server refused the values (SQLSTATE %s)", e.Code), true
	case "42", "25":
		permanent = true
		// What has no place in the text of the query comes from a value, and quotes it: a
		// word for a text search, a name for regclass. Rights (42501) are about tables.
		if isBound(err) && e.Code[:2] == "42" && e.Position == 0 && e.Code != "42501" {
			return true, fmt.Sprintf("the server refused the query with these values (SQLSTATE %s)", e.Code), true
		}
	}
	// 0A000 and 26000 come when a cached plan no longer fits: the next attempt prepares
	// anew.
	return permanent, fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code), true
}
