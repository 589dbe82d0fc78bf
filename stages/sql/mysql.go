package sql

import (
	"context"
	dbsql "database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
	"github.com/penstockio/penstock/pipeline/tlsfiles"
)

// mySQL is the dialect of MySQL and MariaDB.
type mySQL struct {
	config *mysql.Config
	files  *tlsfiles.Files // nil: none
	query  *scanner
	limit  int // rows of one look-up that are wanted

	alone atomic.Bool // the server does not take the query for several at once
	kills sync.WaitGroup
}

func newMySQL(s Settings, query *scanner, limit int) (*mySQL, error) {
	config, err := database.MySQL(s.DSN, s.TLS)
	if err != nil {
		return nil, err
	}
	d := &mySQL{config: config, query: query, limit: limit}
	if s.TLS != (client.TLS{}) {
		if d.files, err = s.TLS.Open(nil); err != nil {
			return nil, err
		}
	}
	d.alone.Store(!query.together())
	return d, nil
}

func (d *mySQL) open(limits client.SQLLimits) (*dbsql.DB, error) {
	if _, err := mysql.NewConnector(d.config); err != nil {
		return nil, errors.New("reading dsn: a setting in it is not valid")
	}
	return client.OpenSQL(mysqlConnector{d}, limits), nil
}

// close waits until what was given up has ended.
func (d *mySQL) close() error {
	d.kills.Wait()
	return nil
}

func (d *mySQL) where() string { return database.MySQLWhere(d.config) }

func (d *mySQL) host() string { return database.MySQLHost(d.config) }

// A mysqlConnector makes connections that only read, and whose statements are kept.
type mysqlConnector struct{ d *mySQL }

func (mysqlConnector) Driver() driver.Driver { return mysql.MySQLDriver{} }

// Connect implements driver.Connector.
func (c mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.d.connect(ctx)
	if err != nil {
		return nil, &mysqlConnectError{err, errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil}
	}
	return conn, nil
}

func (d *mySQL) connect(ctx context.Context) (*mysqlConn, error) {
	// One limit for all of it, the handshake too: the driver has its own for the dialling alone.
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout)
	defer cancel()
	config := d.config
	if d.files != nil { // as they are now
		config = config.Clone()
		config.TLS = d.files.Config()
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	plain, err := connector.Connect(ctx)
	if err != nil {
		return nil, withCause(ctx, err)
	}
	conn := &mysqlConn{mysqlDriverConn: plain.(mysqlDriverConn), statements: map[int]driver.Stmt{}}
	if conn.id, err = conn.begin(ctx); err != nil {
		_ = conn.Close()
		return nil, withCause(ctx, err)
	}
	return conn, nil
}

// withCause gives the end of ctx for an error that comes from it: the driver's own says that the
// connection is broken.
func withCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// A mysqlConnectError is that of a connection that was not made.
type mysqlConnectError struct {
	err  error
	late bool // it was the time-out of the connection
}

func (e *mysqlConnectError) Error() string { return e.err.Error() }
func (e *mysqlConnectError) Unwrap() error { return e.err }

func (d *mySQL) connectTimeout(err error) time.Duration {
	if c := (*mysqlConnectError)(nil); errors.As(err, &c) && c.late {
		return d.config.Timeout
	}
	return 0
}

// mysqlDriverConn is what the driver's connections can do that database/sql asks for.
type mysqlDriverConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// A mysqlConn is a connection with the statements that it has prepared, by the number of look-ups
// that each asks for.
type mysqlConn struct {
	mysqlDriverConn
	id         uint64 // on the server
	statements map[int]driver.Stmt
}

// begin has a new connection read only, and gives its number on the server.
func (c *mysqlConn) begin(ctx context.Context) (id uint64, err error) {
	if _, err := c.ExecContext(ctx, "SET SESSION TRANSACTION READ ONLY", nil); err != nil {
		return 0, err
	}
	rows, err := c.QueryContext(ctx, "SELECT CONNECTION_ID()", nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var row [1]driver.Value
	if err := rows.Next(row[:]); err != nil {
		return 0, err
	}
	switch v := row[0].(type) {
	case int64:
		return uint64(v), nil
	case []byte:
		return strconv.ParseUint(string(v), 10, 64)
	}
	return 0, errors.New("the server gave no number of the connection")
}

// withConn calls do with a connection of the pool, and with another one when that was broken before
// anything was sent. When ctx ends meanwhile, the server ends what the connection is doing: the driver
// closes it, which a server notices only when it has something to send.
func (d *mySQL) withConn(ctx context.Context, db *dbsql.DB, do func(*mysqlConn) error) error {
	for try := 0; ; try++ {
		c, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		err = c.Raw(func(driverConn any) error {
			conn := driverConn.(*mysqlConn)
			d.kills.Add(1)
			stop := context.AfterFunc(ctx, func() {
				defer d.kills.Done()
				d.kill(conn.id)
			})
			err := do(conn)
			if stop() {
				d.kills.Done()
			} else {
				_ = conn.Close() // it is killed, or will be
			}
			return err
		})
		if closing := c.Close(); err == nil && !errors.Is(closing, dbsql.ErrConnDone) {
			err = closing
		}
		if !errors.Is(err, driver.ErrBadConn) || try == 2 || ctx.Err() != nil {
			return err
		}
	}
}

// killWithin is how long the end of a query that was given up is tried for.
const killWithin = 2 * time.Second

// kill ends a connection on the server, over another that is made for it.
func (d *mySQL) kill(id uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), killWithin)
	defer cancel()
	conn, err := d.connect(ctx)
	if err != nil {
		return // the query ends by itself
	}
	_, _ = conn.ExecContext(ctx, fmt.Sprintf("KILL %d", id), nil) // it may have ended
	_ = conn.Close()
}
