package sql

import (
	dbsql "database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	sqlitedriver "modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"github.com/penstockio/penstock/pipeline/client"
)

type sqlite struct{ path string }

// open opens for reading alone: a file that is not there is not made.
func (d sqlite) open(limits client.SQLLimits) (*dbsql.DB, error) {
	path, err := filepath.Abs(d.path)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(2000)"}
	c, err := sqlitedriver.NewConnector(u.String())
	if err != nil {
		return nil, err
	}
	return client.OpenSQL(c, limits), nil
}

func (d sqlite) where() string { return "sqlite " + filepath.Base(d.path) }

func (d sqlite) prepares() bool { return true }

// bind gives numbers as SQLite has them: an integer of 64 bits, or a float.
func (d sqlite) bind(text []byte) (any, error) {
	v, err := plain(text)
	raw, ok := v.(json.RawMessage)
	if err != nil || !ok {
		return v, err
	}
	if i, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return i, nil
	}
	if f, err := strconv.ParseFloat(string(raw), 64); err == nil {
		if _, err := strconv.ParseUint(string(raw), 10, 64); err != nil {
			return f, nil
		}
	}
	return string(raw), nil
}

func (d sqlite) patience(error) time.Duration { return 0 }

func (d sqlite) classify(err error) (permanent bool, text string, known bool) {
	var e *sqlitedriver.Error
	if !errors.As(err, &e) {
		return false, err.Error(), false
	}
	switch e.Code() & 0xff {
	case sqlitelib.SQLITE_ERROR, sqlitelib.SQLITE_READONLY, sqlitelib.SQLITE_TOOBIG, sqlitelib.SQLITE_CONSTRAINT,
		sqlitelib.SQLITE_MISMATCH, sqlitelib.SQLITE_MISUSE, sqlitelib.SQLITE_RANGE, sqlitelib.SQLITE_AUTH:
		if isBound(err) { // "bad JSON path: …", "no such column: …" of a full-text search
			return true, fmt.Sprintf("sqlite refused the query with these values (%s)", sqlitedriver.ErrorCodeString[e.Code()&0xff]), true
		}
		return true, e.Error(), true
	}
	return false, e.Error(), true
}
