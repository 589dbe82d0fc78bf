// SPDX-License-Identifier: Apache-2.0

// Package sqlsink stores records as rows of a table of PostgreSQL, MySQL, MariaDB or SQLite.
package sqlsink

import (
	"context"
	dbsql "database/sql"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/event"
)

// A Sink stores records as rows of a table, the records of a write with one statement.
//
// A statement stores all of its rows or none. When the database refuses one for what a row holds,
// the rows are written by halves until that row is found, which takes at most twice as many
// statements as there are records: its record is rejected, and all others are stored. What is wrong with the
// table, the rights or the server holds the records until somebody mends it.
//
// What the database refuses and is about no row that anybody knows is one's fault when others of the write
// pass. Else the records wait.
//
// Where it makes no difference, the last of several records of a key is sent alone; an earlier one is stored when that
// is rejected. Rows keep their order where the table has more that is unique than the key, or refers to itself. Values
// are bound, and names come from the file and are quoted.
//
// When the answer to a statement is lost, its rows are written again. Of upsert and ignore that
// changes nothing; insert may store them twice, unless a unique index refuses it, and the record is
// rejected then though its row is stored. A server that was frozen may carry out a statement when later ones
// are through: see Settings.Newer.
type Sink struct {
	settings Settings
	names    []string
	dialect  dialect
	limiter  *calls.Limiter
	db       *dbsql.DB

	mu     sync.Mutex
	table  *table    // nil: not known, or no longer
	asked  time.Time // when the database was asked for it last
	closed bool

	// none says that all rows of a write have failed alone, and none has passed since: the next finds it out with a few.
	none atomic.Bool
	most atomic.Int64 // rows of a statement, since one has not ended in time; 0: as many as there are
}

// A dialect is what differs between databases.
type dialect interface {
	open(limits client.SQLLimits) (*dbsql.DB, error)
	where() string // for errors: which database, without secrets
	host() string  // the database as calls have it
	// describe gives what the database says of the table. No columns: there is no such table.
	describe(ctx context.Context, db *dbsql.DB) (*description, error)
	// bind gives a value that is not null as the column takes it, or says what is wrong with it.
	bind(c *column, v gjson.Result) (value any, wrong string)
	// fits says how many of the first rows one statement takes, at least 1.
	fits(t *table, rows []*row) int
	// write stores all rows, or none. They are all to be stored or, but with table.mixed, all to be deleted.
	write(ctx context.Context, db *dbsql.DB, t *table, rows []*row) error
	// classify says what an error is about, in a text that quotes no value; known: the database
	// said so.
	classify(err error) (about about, text string, known bool)
	// create gives a statement that makes a table that would fit.
	create(names, key []string) string
	close()
	// connectTimeout is the time-out of a connection when it is what err comes from, and not that of
	// the write; 0: err is another.
	connectTimeout(err error) time.Duration
}

// An about says what an error of the database is about.
type about int

const (
	aboutNow   about = iota // another attempt may do
	aboutRow                // one of the rows
	aboutTable              // the table, the rights, the statement: somebody has to mend it
	aboutAny                // one of the rows when others pass, else the table
)

// New makes an sql sink for as many lanes at once as env has workers; what it sends keeps to what env
// holds calls back by. It connects with the first Write.
func New(s Settings, env calls.Env) (*Sink, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	k := &Sink{settings: s, names: names}
	switch s.Driver {
	case "postgres":
		k.dialect, err = newPostgres(&k.settings, names)
	case "mysql", "mariadb":
		k.dialect, err = newMySQL(&k.settings, names)
	default:
		k.dialect, err = newSQLite(&k.settings, names)
	}
	if err != nil {
		return nil, err
	}
	conns := s.MaxConns
	if env.Workers > 0 {
		conns = min(conns, env.Workers)
	}
	if s.Driver == "sqlite" {
		conns = 1
	}
	if k.db, err = k.dialect.open(client.SQLLimits{Conns: conns}); err != nil {
		return nil, err
	}
	if k.limiter, err = calls.NewLimiter(env); err != nil {
		return nil, errors.Join(err, k.db.Close())
	}
	return k, nil
}

var _ pipeline.Hosted = (*Sink)(nil)

// Host implements pipeline.Hosted.
func (k *Sink) Host() string { return k.dialect.host() }

// Attach implements pipeline.Attacher.
func (k *Sink) Attach(e *event.Emitter) { k.limiter.Attach(e) }

// Write implements pipeline.Sink. Its destination is the row of a key, and with insert the table.
func (k *Sink) Write(ctx context.Context, recs []*pipeline.Record) error {
	if len(recs) == 0 {
		return nil
	}
	t, err := k.known(ctx)
	if err != nil {
		return err
	}
	w := &write{sink: k, table: t}
	w.rows(recs)
	if len(w.failed) > 0 { // what it does not take may be what it has come to take
		now, err := k.changed(ctx, t)
		if err != nil {
			return err
		}
		if now != nil {
			w = &write{sink: k, table: now}
			w.rows(recs)
		}
	}
	w.store(ctx)
	if len(w.failed) == 0 {
		return nil
	}
	slices.SortFunc(w.failed, func(a, b pipeline.Failure) int { return a.Index - b.Index })
	return &pipeline.WriteError{Failed: w.failed}
}

// known gives the table, and asks the database for it when it is not known.
func (k *Sink) known(ctx context.Context) (*table, error) {
	k.mu.Lock()
	t := k.table
	k.mu.Unlock()
	if t != nil {
		return t, nil
	}
	err := k.limiter.Do(ctx, k.dialect.host(), func(ctx context.Context) (err error) {
		t, err = k.describe(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.table, k.asked = t, time.Now()
	return t, nil
}

// askAgain is how long the table that is known is taken for what it is, before a record is rejected by it.
const askAgain = time.Second

// changed gives the table when it is another than t is; else nil.
func (k *Sink) changed(ctx context.Context, t *table) (*table, error) {
	k.mu.Lock()
	now, recent := k.table, time.Since(k.asked) < askAgain
	if !recent {
		k.table = nil
	}
	k.mu.Unlock()
	if !recent {
		var err error
		if now, err = k.known(ctx); err != nil {
			return nil, err
		}
	}
	if now == nil || now.known == t.known {
		return nil, nil
	}
	return now, nil
}

// forget has the database asked for the table again: it may be another.
func (k *Sink) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.table = nil
}

// Ping implements pipeline.Pinger: it connects and compares the table with the settings.
func (k *Sink) Ping(ctx context.Context) error {
	_, err := k.describe(ctx)
	return err
}

// Close implements pipeline.Sink. It waits until what was given up has ended.
func (k *Sink) Close(context.Context) error {
	k.mu.Lock()
	closed := k.closed
	k.closed = true
	k.mu.Unlock()
	if closed {
		return nil
	}
	err := k.db.Close()
	k.dialect.close()
	k.limiter.Close()
	return err
}

func (k *Sink) what() string {
	return "storing into " + k.dialect.where() + ", table " + k.settings.Table
}

// failure gives the error of a statement. What it gives quotes no value of a record. One of a row is
// permanent.
func (k *Sink) failure(ctx context.Context, err error) (about, error) {
	var own *client.Error
	switch {
	case errors.As(err, &own):
		return aboutNow, err
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && k.dialect.connectTimeout(err) > 0:
		return aboutNow, client.NewError(client.TypeTimeout, k.what()+": no connection within "+k.dialect.connectTimeout(err).String(), err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return aboutNow, client.NewError(client.TypeTimeout, k.what()+": "+context.DeadlineExceeded.Error()+"; the rows go in smaller statements now: smaller writes (batch.records) or a longer timeout may do", context.DeadlineExceeded)
	case ctx.Err() != nil, errors.Is(err, context.Canceled):
		return aboutNow, client.NewError(client.TypeCanceled, k.what()+": given up", context.Canceled)
	}
	of, text, known := k.dialect.classify(err)
	switch {
	case !known:
		return aboutNow, client.NewError(client.TypeNetwork, k.what()+": "+text, err)
	case of == aboutRow:
		return of, k.reject(text, err)
	case of == aboutTable, of == aboutAny:
		text += "; the records wait, because it is not about them: mend the table, the rights or the settings"
	}
	return of, client.NewError(client.TypeSQL, k.what()+": "+text, err).WithDetail(err.Error())
}

// reject is the error of a record whose row is not stored.
func (k *Sink) reject(text string, err error) error {
	e := client.NewError(client.TypeSQL, k.what()+": "+text, err)
	if err != nil {
		e = e.WithDetail(err.Error())
	}
	return pipeline.Reject(client.TypeSQL, e)
}

// atFault is the error of a record that others of its write show to be at fault for err.
func (k *Sink) atFault(err error) error {
	text, cause := "the database refuses the row, and took others", errors.Unwrap(err)
	if cause == nil {
		cause = err
	}
	if _, words, known := k.dialect.classify(cause); known {
		text += ": " + words
	}
	return k.reject(text, cause)
}
