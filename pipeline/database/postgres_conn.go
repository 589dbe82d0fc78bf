package database

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// WithPostgres calls do with a connection of a pool of PostgreSQL, and with another one when that was broken
// before anything was sent.
func WithPostgres(ctx context.Context, db *sql.DB, do func(*pgx.Conn) error) error {
	for try := 0; ; try++ {
		c, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		broken := false
		err = c.Raw(func(driverConn any) error {
			conn := driverConn.(*stdlib.Conn).Conn()
			err := do(conn)
			broken = conn.IsClosed()
			if e := (*pgconn.PgError)(nil); errors.As(err, &e) && e.Code == "25006" {
				_ = conn.Close(ctx) // it only reads, and the next one may lead to another server
			}
			return err
		})
		if closing := c.Close(); err == nil && !errors.Is(closing, sql.ErrConnDone) {
			err = closing
		}
		if err == nil || !broken || !pgconn.SafeToRetry(err) || try == 2 {
			return err
		}
	}
}

// PostgresConnectTimeout gives the time-out of a connection when a connection that was not made is what err
// comes from; 0: err is another.
func PostgresConnectTimeout(c *pgx.ConnConfig, err error) time.Duration {
	if e := (*pgconn.ConnectError)(nil); errors.As(err, &e) {
		return c.ConnectTimeout
	}
	return 0
}
