// SPDX-License-Identifier: Apache-2.0

// Package sql is the stage that looks a record up in a database: SQLite,
// PostgreSQL, MySQL or MariaDB. It is a package of its own because the drivers are heavy.
package sql

import (
	"bytes"
	"context"
	dbsql "database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A Stage puts what a query finds into a field of the record. It belongs into a
// waiting step.
//
// The text of the query is the file's; values of records are bound. The database is
// opened for reading. Look-ups that wait at the same moment become one query, which gives each what
// a query of its own would; equal ones are one. A query ends, on the server too, when nobody waits for
// it any more.
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
	batches  batches
	calls    *calls.Calls[result]

	mu     sync.Mutex
	db     *dbsql.DB
	closed bool
}

// A dialect is what differs between databases.
type dialect interface {
	open(limits client.SQLLimits) (*dbsql.DB, error)
	where() string // for errors: which database, without secrets
	host() string  // the database as calls have it: db.example/shop
	// take says how many of n look-ups one query asks for, at least 1.
	take(n int) int
	// ask puts what the query finds into looks, with one query. What is wrong with one of
	// them alone is that one's err. An error is of the query: of all of them, or, when it is permanent,
	// of one of them, it is not known which; errNotTogether says that each has to be asked for alone.
	ask(ctx context.Context, db *dbsql.DB, looks []*look) error
	// check has the database check the query and its columns, without values.
	check(ctx context.Context, db *dbsql.DB) error
	classify(err error) (permanent bool, text string, known bool)
	// fault says what an error of a query for several is of.
	fault(err error) fault
	// ofQuery says that an error is of the query and what is in the database, whatever the values are.
	ofQuery(err error) bool
	// busy says that the database has no room for a connection now, or is starting.
	busy(err error) bool
	close() error
	// connectTimeout is the time-out of a connection when it is what err comes from, and not
	// that of the call; 0: err is another.
	connectTimeout(err error) time.Duration
}

// A fault is what an error of a query for several look-ups is of.
type fault uint8

const (
	ofOne  fault = iota // of one of them, perhaps: a value
	ofAll               // of the connection, the server, or the query, whatever the values are
	ofTime              // of how long the query has taken, which is longer for several
)

var errNotTogether = errors.New("the query cannot be asked for several at once")

// New makes the stage. It connects with the first query.
func New(s Settings, env calls.Env) (*Stage, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	into, err := s.Into.Place()
	if err != nil {
		return nil, err
	}
	query, err := scan(s.Query, s.Driver)
	if err != nil {
		return nil, err
	}
	st := &Stage{settings: s, into: into}
	limit := 1 // rows
	if s.Rows == "all" {
		limit = s.MaxRows + 1
	}
	switch s.Driver {
	case "sqlite":
		st.dialect = &sqlite{path: string(s.Path), text: s.Query}
	case "postgres":
		config, err := database.Postgres(s.DSN)
		if err != nil {
			return nil, err
		}
		readOnly(config)
		st.dialect = &postgres{config: config, query: query, limit: limit}
	case "mysql", "mariadb":
		if st.dialect, err = newMySQL(s, query, limit); err != nil {
			return nil, err
		}
	}
	conns := min(s.MaxConns, max(env.Workers, 1))
	st.batches = batches{max: conns, ask: st.ask, take: func(n int) int { return st.dialect.take(min(n, s.Batch)) },
		pace: new(pace), apart: env.Settings.Share != nil && !*env.Settings.Share}
	if st.calls, err = calls.New[result](env); err != nil {
		return nil, err
	}
	st.db, err = st.dialect.open(client.SQLLimits{Conns: conns})
	return st, err
}

// Attach implements pipeline.Attacher.
func (s *Stage) Attach(e *event.Emitter) { s.calls.Attach(e) }

// Account implements pipeline.Accounter.
func (s *Stage) Account(add func(bytes int64)) { s.calls.Account(add) }

// Report implements pipeline.Reporter.
func (s *Stage) Report() pipeline.Report { return s.calls.Report() }

// Resize implements engine.Resizer.
func (s *Stage) Resize(workers int) { s.calls.Resize(workers) }

// Process implements pipeline.Stage.
func (s *Stage) Process(ctx context.Context, rec *pipeline.Record) error {
	return calls.Process(ctx, s, rec)
}

// Admit implements pipeline.Admitter.
func (s *Stage) Admit(rec *pipeline.Record, attempt int) (pipeline.Call, error) {
	if rec.Tombstone() {
		return calls.None(nil), nil
	}
	key, args, bad := s.args(rec)
	// Before the query: a value that can take no field is rejected without one.
	if err := s.takesField(rec); err != nil {
		return nil, err
	}
	if bad != nil {
		return nil, bad
	}
	return s.calls.Admit(calls.Question[result]{
		Host: s.dialect.host(),
		Key:  key,
		Ask: func(ctx context.Context, _ *pipeline.Record, _ *result) (calls.Reply[result], error) {
			l, err := s.batches.do(ctx, key, &look{settings: &s.settings, args: args})
			if err != nil {
				return calls.Reply[result]{}, s.queryError(ctx, err)
			}
			return calls.Reply[result]{Answer: l.result, Bytes: len(l.result.json), Negative: l.result.rows == 0}, nil
		},
		Use: s.use,
	}, attempt), nil
}

// takesField says whether a result can be put into the record, which stays as it is.
func (s *Stage) takesField(rec *pipeline.Record) error {
	if len(s.into) == 1 && s.into[0].Kind == jsontext.Named {
		return rec.CheckObject()
	}
	return rec.Clone().SetRawAt(s.into, nil)
}

// use puts a result into the record.
func (s *Stage) use(rec *pipeline.Record, res result) error {
	if res.rows == 0 && s.settings.OnMiss != client.MissNull {
		if s.settings.OnMiss == client.MissFilter {
			return pipeline.Filtered
		}
		return pipeline.Reject(client.ReasonNoMatch, client.NewError(client.ReasonNoMatch, s.what()+": no row", nil))
	}
	return rec.SetRawAt(s.into, res.json)
}

// ask asks for all looks, and sets the result or the err of each. Where one of them makes the query
// fail for all, that one is looked for by halves, so that only its record fails. Where the query for all
// takes too long, each is to be asked for again. once says that one query has answered all.
func (s *Stage) ask(ctx context.Context, looks []*look) (once bool) {
	err := s.dialect.ask(ctx, s.db, looks)
	if err != nil && len(looks) > 1 {
		switch half := len(looks) / 2; {
		case errors.Is(context.Cause(ctx), errLate), ctx.Err() == nil && s.dialect.fault(err) == ofTime:
			for _, l := range looks {
				l.reset()
				l.again = true
			}
			return false
		case ctx.Err() == nil && s.ofOne(err):
			for _, l := range looks {
				l.reset()
			}
			s.ask(ctx, looks[:half])
			s.ask(ctx, looks[half:])
			return false
		}
	}
	for _, l := range looks {
		if err != nil {
			l.err = err
		}
		l.finish()
	}
	return err == nil
}

// ofOne says whether an error of a query for several may be of one of them.
func (s *Stage) ofOne(err error) bool {
	_, permanent := pipeline.IsPermanent(err)
	return permanent || errors.Is(err, errNotTogether) || errors.As(err, new(*client.Error)) || s.dialect.fault(err) == ofOne
}

func (s *Stage) what() string { return "querying " + s.dialect.where() }

// args evaluates the parameters. key is the same only for the same parameters. The texts are
// copies: a shared call may outlive the record.
func (s *Stage) args(rec *pipeline.Record) (key string, args [][]byte, err error) {
	var buf [256]byte
	k := append(buf[:0], '?') // a key is never empty: that would be equal to none
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

// appendKey appends one parameter, so that no two lists of parameters give the same
// key.
func appendKey(k, text []byte) []byte {
	k = binary.AppendUvarint(k, uint64(len(text)))
	return append(k, text...)
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
		types += fmt.Sprintf("%sargument %d is %s", sep, i+1, database.KindOf(text))
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
	case s.dialect.busy(err):
		return &busyError{client.NewError(client.TypeSQL, s.what()+": "+text, err)}
	case !known:
		return client.NewError(client.TypeNetwork, s.what()+": "+text, err)
	case s.dialect.ofQuery(err):
		return &outOfServiceError{client.NewError(client.TypeSQL, s.what()+": "+text, err)}
	case permanent:
		return pipeline.Reject(client.TypeSQL, client.NewError(client.TypeSQL, s.what()+": "+text, err))
	}
	return client.NewError(client.TypeSQL, s.what()+": "+text, err)
}

// A busyError has all steps leave the database alone for a while.
type busyError struct{ err *client.Error }

func (e *busyError) Error() string    { return e.err.Error() }
func (e *busyError) Unwrap() error    { return e.err }
func (e *busyError) AsksToWait() bool { return true }

// An outOfServiceError has all steps leave the database alone until what the query asks for is there again.
type outOfServiceError struct{ err *client.Error }

func (e *outOfServiceError) Error() string      { return e.err.Error() }
func (e *outOfServiceError) Unwrap() error      { return e.err }
func (e *outOfServiceError) OutOfService() bool { return true }

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
	s.batches.wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.calls.Close()
	return errors.Join(s.dialect.close(), s.db.Close())
}
