package database

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A MySQLServer makes connections to a MySQL or MariaDB, and ends on the server what is given up here.
type MySQLServer struct {
	Config *mysql.Config
	tls    func() *tls.Config // as its files are now; nil: there are none
	begin  string
	kills  sync.WaitGroup
}

// NewMySQLServer reads the address; it connects to nothing. begin is a statement that each connection
// begins with. Close comes when the pool is closed.
func NewMySQLServer(dsn settings.Secret, files client.TLS, begin string) (*MySQLServer, error) {
	config, err := MySQL(dsn, files)
	if err != nil {
		return nil, err
	}
	d := &MySQLServer{Config: config, begin: begin}
	if files != (client.TLS{}) {
		opened, err := files.Open(nil)
		if err != nil {
			return nil, err
		}
		d.tls = opened.Config
	}
	return d, nil
}

// Open makes a pool of connections, each a *MySQLConn. The caller closes it.
func (d *MySQLServer) Open(limits client.SQLLimits) (*sql.DB, error) {
	if _, err := mysql.NewConnector(d.Config); err != nil {
		return nil, errors.New("reading dsn: a setting in it is not valid")
	}
	return client.OpenSQL(mysqlConnector{d}, limits), nil
}

// Close waits until what was given up has ended.
func (d *MySQLServer) Close() { d.kills.Wait() }

// Where names the database for errors, without secrets.
func (d *MySQLServer) Where() string {
	return "mysql " + d.Config.Addr + ", database " + d.Config.DBName
}

// Host names the database as calls have it: db.example/shop.
func (d *MySQLServer) Host() string {
	return strings.TrimSuffix(d.Config.Addr, ":3306") + "/" + d.Config.DBName
}

// A mysqlConnector makes the connections of a pool.
type mysqlConnector struct{ d *MySQLServer }

func (mysqlConnector) Driver() driver.Driver { return mysql.MySQLDriver{} }

// Connect implements driver.Connector.
func (c mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.d.connect(ctx)
	if err != nil {
		return nil, &mysqlConnectError{err, errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil}
	}
	return conn, nil
}

func (d *MySQLServer) connect(ctx context.Context) (*MySQLConn, error) {
	// One limit for all of it, the handshake too: the driver has its own for the dialling alone.
	ctx, cancel := context.WithTimeout(ctx, d.Config.Timeout)
	defer cancel()
	config := d.Config
	if d.tls != nil {
		config = config.Clone()
		config.TLS = d.tls()
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	plain, err := connector.Connect(ctx)
	if err != nil {
		return nil, withCause(ctx, err)
	}
	conn := &MySQLConn{mysqlDriverConn: plain.(mysqlDriverConn), Statements: map[int]driver.Stmt{}}
	if conn.id, err = conn.begin(ctx, config.Collation, d.begin); err != nil {
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

// ConnectTimeout gives the time-out of a connection when it is what err comes from; 0: err is another.
func (d *MySQLServer) ConnectTimeout(err error) time.Duration {
	if c := (*mysqlConnectError)(nil); errors.As(err, &c) && c.late {
		return d.Config.Timeout
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

// A MySQLConn is a connection with the statements that it has prepared, by the number of rows that each
// is for; who uses it keeps them.
type MySQLConn struct {
	mysqlDriverConn
	id         uint64 // on the server
	Statements map[int]driver.Stmt
}

// begin has a new connection carry out its first statement, and gives its number on the server. Whatever the server
// has its connections begin with, texts go as utf8mb4.
func (c *MySQLConn) begin(ctx context.Context, collation, first string) (id uint64, err error) {
	names := "SET NAMES utf8mb4"
	if collation != "" {
		names += " COLLATE " + collation
	}
	for _, s := range []string{first, names} {
		if _, err := c.ExecContext(ctx, s, nil); err != nil {
			return 0, err
		}
	}
	rows, err := c.QueryContext(ctx, "SELECT CONNECTION_ID(), @@character_set_client, @@character_set_connection", nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var row [3]driver.Value
	if err := rows.Next(row[:]); err != nil {
		return 0, err
	}
	for _, v := range row[1:] {
		if b, ok := v.([]byte); !ok || string(b) != "utf8mb4" {
			return 0, errors.New("the server does not take texts as utf8mb4")
		}
	}
	switch v := row[0].(type) {
	case int64:
		return uint64(v), nil
	case uint64:
		return v, nil
	case []byte:
		return strconv.ParseUint(string(v), 10, 64)
	}
	return 0, errors.New("the server gave no number of the connection")
}

// With calls do with a connection of the pool, and with another one when that was broken before
// anything was sent. When ctx ends meanwhile, the server ends what the connection is doing: the driver
// closes it, which a server notices only when it has something to send.
func (d *MySQLServer) With(ctx context.Context, db *sql.DB, do func(*MySQLConn) error) error {
	for try := 0; ; try++ {
		c, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		err = c.Raw(func(driverConn any) error {
			conn := driverConn.(*MySQLConn)
			d.kills.Add(1)
			stop := context.AfterFunc(ctx, func() {
				defer d.kills.Done()
				d.kill(conn.id)
			})
			err := do(conn)
			if e := (*mysql.MySQLError)(nil); stop() {
				d.kills.Done()
				if errors.As(err, &e) && (e.Number == 1290 || e.Number == 1836) {
					_ = conn.Close() // it only reads, and the next one may lead to another server
				}
			} else {
				_ = conn.Close() // it is killed, or will be
			}
			return err
		})
		if closing := c.Close(); err == nil && !errors.Is(closing, sql.ErrConnDone) {
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
func (d *MySQLServer) kill(id uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), killWithin)
	defer cancel()
	conn, err := d.connect(ctx)
	if err != nil {
		return // the query ends by itself
	}
	_, _ = conn.ExecContext(ctx, fmt.Sprintf("KILL %d", id), nil) // it may have ended
	_ = conn.Close()
}
