package client

import (
	"database/sql"
	"database/sql/driver"
	"time"
)

// SQLLimits bound a pool. Zero stands for the default.
type SQLLimits struct {
	Conns    int           // most connections, idle ones included. 0: 8
	Idle     time.Duration // an idle connection is closed after this. 0: 5 minutes
	Lifetime time.Duration // a connection is replaced after this, so that a failover is followed. 0: 30 minutes
}

// OpenSQL makes a pool of connections of c. It connects when it is first used. The
// caller closes it.
func OpenSQL(c driver.Connector, l SQLLimits) *sql.DB {
	db := sql.OpenDB(c)
	conns := l.Conns
	if conns <= 0 {
		conns = 8
	}
	// As many idle as open: a pool that closes what a burst has opened reconnects
	// for every burst.
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(orElse(l.Idle, 5*time.Minute))
	db.SetConnMaxLifetime(orElse(l.Lifetime, 30*time.Minute))
	return db
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}
