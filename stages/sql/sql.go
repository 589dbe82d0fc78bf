// SPDX-License-Identifier: Apache-2.0

// Package sql is the stage that looks a record up in a database: SQLite or
// PostgreSQL. It is a package of its own because the drivers are heavy.
package sql

import (
	"bytes"
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings are the settings of the sql stage.
type Settings struct {
	Driver   string             `yaml:"driver" doc:"kind of database" enum:"sqlite|postgres" required:"true"`
	Path     settings.Path      `yaml:"path" doc:"database file of sqlite; it is opened for reading"`
	DSN      settings.Secret    `yaml:"dsn" doc:"address of postgres: postgres://user:password@host:port/database"`
	Query    string             `yaml:"query" doc:"one SELECT; its parameters are ? in sqlite, $1, $2 and so on in postgres" required:"true"`
	Args     []expr.Expr        `yaml:"args" value:"true" doc:"values of the parameters, in order; they are bound, never put into the text. Of postgres an array takes a list, json any value as it is, bytea base64, and an integer also 5.0"`
	Into     settings.FieldPath `yaml:"into" doc:"field that takes the result: an object of the columns by name. Of postgres arrays are lists, composites and hstores are objects, and what JSON has no form for is the text that the server writes" required:"true"`
	Rows     string             `yaml:"rows" doc:"first: the first row as an object; all: an array of them" enum:"first|all"`
	OnMiss   client.OnMiss      `yaml:"on_miss" doc:"what a result without rows does to the record: null (with rows: all an empty array), reject or filter" enum:"null|reject|filter"`
	MaxRows  int                `yaml:"max_rows" doc:"most rows with rows: all; more reject the record" min:"1"`
	MaxBytes settings.Size      `yaml:"max_bytes" doc:"largest result as JSON; a larger one rejects the record" min:"1B" max:"1GiB"`
	MaxConns int                `yaml:"max_conns" doc:"most connections of this step" min:"1"`
}

// Default gives the settings of an sql stage before a file is read.
func Default() Settings {
	return Settings{Rows: "first", OnMiss: client.MissNull, MaxRows: 1000, MaxBytes: 1 << 20, MaxConns: 8}
}

// Validate checks what can be known without a database. It joins several errors.
func (s *Settings) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &settings.FieldError{Field: field, Err: fmt.Errorf(format, args...)})
	}
	switch s.Driver {
	case "sqlite":
		if s.Path == "" {
			bad("path", "sqlite needs the path of its database file")
		}
		if s.DSN != "" {
			bad("dsn", "sqlite has none: write path")
		}
	case "postgres":
		if s.DSN == "" {
			bad("dsn", "postgres needs its address: write dsn: postgres://user:password@host:port/database")
		} else if _, err := postgresConfig(s.DSN); err != nil {
			bad("dsn", "%w", err)
		}
		if s.Path != "" {
			bad("path", "postgres has none: write dsn")
		}
	default:
		bad("driver", "%q is none: write sqlite or postgres", s.Driver)
	}
	if err := checkQuery(s.Query, s.Driver, len(s.Args)); err != nil {
		bad("query", "%w", err)
	}
	if s.Into == "" {
		bad("into", "name the field that takes the result")
	} else if _, err := s.Into.Place(); err != nil {
		bad("into", "%w", err)
	}
	if s.Rows != "first" && s.Rows != "all" {
		bad("rows", "%q is none: write first or all", s.Rows)
	}
	if err := s.OnMiss.Validate(); err != nil {
		bad("on_miss", "%w", err)
	}
	if s.MaxRows < 1 {
		bad("max_rows", "it must be at least 1")
	}
	if s.MaxBytes < 1 || s.MaxBytes > 1<<30 {
		bad("max_bytes", "%v is out of range: write a size from 1B to 1GiB", s.MaxBytes)
	}
	if s.MaxConns < 1 {
		bad("max_conns", "it must be at least 1")
	}
	return errors.Join(errs...)
}

// A Stage puts what a query finds into a field of the record. It belongs into a
// waiting step.
//
// The text of the query is the file's; values of records are bound. The database is
// opened for reading. Look-ups that are equal and run at the same time share one
// query, which ends when nobody waits for it any more.
//
// Integers and numerics keep every digit, times are RFC 3339 in UTC (a time without
// a zone is taken as UTC), bytes are base64, json columns are put in as JSON, NULL is
// null. Of PostgreSQL arrays are lists, composites and hstores are objects, and what
// JSON has no form for is the text that the server writes. An argument takes what a
// result gives. A value that is no object, or in which something else stands in the way of the field
// that takes the result, is rejected without a query, a tombstone passes without one.
type Stage struct {
	settings Settings
	into     jsontext.Path
	dialect  dialect
	flights  flights

	mu     sync.Mutex
	db     *dbsql.DB
	closed bool
}

// A dialect is what differs between databases.
type dialect interface {
	open(limits client.SQLLimits) (*dbsql.DB, error)
	where() string // for errors: which database, without secrets
	// query puts what the query finds into b. args are the JSON texts of the
	// parameters; an empty one is NULL.
	query(ctx context.Context, db *dbsql.DB, args [][]byte, b *builder) error
	// check has the database check the query and its columns, without values.
	check(ctx context.Context, db *dbsql.DB) error
	classify(err error) (permanent bool, text string, known bool)
	close() error
	// connectTimeout is the time-out of a connection when it is what err comes from, and not
	// that of the call; 0: err is another.
	connectTimeout(err error) time.Duration
}

// New makes the stage. It connects with the first query.
func New(s Settings, workers int) (*Stage, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	into, err := s.Into.Place()
	if err != nil {
		return nil, err
	}
	st := &Stage{settings: s, into: into}
	switch s.Driver {
	case "sqlite":
		st.dialect = &sqlite{path: string(s.Path), text: s.Query}
	case "postgres":
		config, err := postgresConfig(s.DSN)
		if err != nil {
			return nil, err
		}
		st.dialect = &postgres{config: config, text: s.Query}
	}
	st.db, err = st.dialect.open(client.SQLLimits{Conns: min(s.MaxConns, max(workers, 1))})
	return st, err
}

// Process implements pipeline.Stage.
func (s *Stage) Process(ctx context.Context, rec *pipeline.Record) error {
	if rec.Tombstone() {
		return nil
	}
	key, args, bad := s.args(rec)
	// Before the query: a value that can take no field is rejected without one.
	if err := rec.SetRawAt(s.into, nil); err != nil {
		return err
	}
	if bad != nil {
		return bad
	}
	res, err := s.flights.do(ctx, key, func(ctx context.Context) (result, error) {
		b := builder{settings: &s.settings}
		err := s.dialect.query(ctx, s.db, args, &b)
		return b.result(), err
	})
	if err != nil {
		return s.queryError(ctx, err)
	}
	if res.rows == 0 && s.settings.OnMiss != client.MissNull {
		if s.settings.OnMiss == client.MissFilter {
			return pipeline.Filtered
		}
		return pipeline.Reject(client.ReasonNoMatch, client.NewError(client.ReasonNoMatch, s.what()+": no row", nil))
	}
	return rec.SetRawAt(s.into, res.json)
}

func (s *Stage) what() string { return "querying " + s.dialect.where() }

// args evaluates the parameters. key is the same only for the same parameters. The texts are
// copies: a shared call may outlive the record.
func (s *Stage) args(rec *pipeline.Record) (key string, args [][]byte, err error) {
	var buf [256]byte
	k := buf[:0]
	for i := range s.settings.Args {
		text, err := s.settings.Args[i].JSON(rec)
		if err != nil {
			return "", nil, err
		}
		k = appendKey(k, text)
		args = append(args, bytes.Clone(text))
	}
	return string(k), args, nil
}

// A boundError is an error of a statement that has been given its parameters: the text of the
// database may quote them.
type boundError struct {
	err  error
	args [][]byte // their JSON texts
}

func (e *boundError) Error() string { return e.err.Error() }
func (e *boundError) Unwrap() error { return e.err }

// argsOf says whether the statement of err had been given its parameters, and of which JSON
// types they are: "; argument 1 is a string".
func argsOf(err error) (types string, bound bool) {
	var b *boundError
	if !errors.As(err, &b) {
		return "", false
	}
	sep := "; "
	for i, text := range b.args {
		types += fmt.Sprintf("%sargument %d is %s", sep, i+1, kindOf(text))
		sep = ", "
	}
	return types, true
}

// queryError classifies an error of a query. What it gives quotes no value of a record.
func (s *Stage) queryError(ctx context.Context, err error) error {
	var own *client.Error
	var crash *pipeline.PanicError
	switch {
	case errors.As(err, &own), errors.As(err, &crash):
		return err
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && s.dialect.connectTimeout(err) > 0:
		return client.NewError(client.TypeTimeout, s.what()+": no connection within "+s.dialect.connectTimeout(err).String(), err)
	case errors.Is(err, context.DeadlineExceeded):
		return client.NewError(client.TypeTimeout, s.what()+": "+context.DeadlineExceeded.Error(), err)
	case errors.Is(err, context.Canceled):
		return client.NewError(client.TypeCanceled, s.what()+": given up", err)
	}
	permanent, text, known := s.dialect.classify(err)
	switch {
	case !known:
		return client.NewError(client.TypeNetwork, s.what()+": "+text, err)
	case permanent:
		return pipeline.Reject(client.TypeSQL, client.NewError(client.TypeSQL, s.what()+": "+text, err))
	}
	return client.NewError(client.TypeSQL, s.what()+": "+text, err)
}

// Ping implements pipeline.Pinger: it connects and has the database check the query.
func (s *Stage) Ping(ctx context.Context) error {
	err := s.dialect.check(ctx, s.db)
	if err == nil {
		return nil
	}
	var own *client.Error
	if errors.As(err, &own) { // it says what to do itself
		return &pipeline.EnvironmentError{Err: fmt.Errorf("%s: %w", s.what(), err)}
	}
	return &pipeline.EnvironmentError{Err: fmt.Errorf("%w; %s", s.queryError(ctx, err), s.hint())}
}

func (s *Stage) hint() string {
	if s.settings.Driver == "sqlite" {
		return "is the file there, and does the query fit its tables?"
	}
	return "is the server up, are the credentials right, and does the query fit its tables?"
}

// Close implements io.Closer. It waits for queries that nobody waits for any more.
func (s *Stage) Close() error {
	s.flights.wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return errors.Join(s.dialect.close(), s.db.Close())
}
