package sql

import (
	dbsql "database/sql"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
)

// mySQL is the dialect of MySQL and MariaDB.
type mySQL struct {
	server *database.MySQLServer
	query  *scanner
	limit  int // rows of one look-up that are wanted

	alone atomic.Bool // the server does not take the query for several at once
}

func newMySQL(s Settings, query *scanner, limit int) (*mySQL, error) {
	server, err := database.NewMySQLServer(s.DSN, s.TLS, "SET SESSION TRANSACTION READ ONLY")
	if err != nil {
		return nil, err
	}
	d := &mySQL{server: server, query: query, limit: limit}
	d.alone.Store(!query.together())
	return d, nil
}

func (d *mySQL) open(limits client.SQLLimits) (*dbsql.DB, error) { return d.server.Open(limits) }

// close waits until what was given up has ended.
func (d *mySQL) close() error {
	d.server.Close()
	return nil
}

func (d *mySQL) where() string { return d.server.Where() }

func (d *mySQL) host() string { return d.server.Host() }

func (d *mySQL) connectTimeout(err error) time.Duration { return d.server.ConnectTimeout(err) }
