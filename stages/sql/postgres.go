package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
)

type postgres struct {
	config *pgx.ConnConfig
	query  *scanner
	limit  int // rows of one look-up that are wanted

	mu    sync.Mutex
	plan  *pgPlan // nil: not made yet
	types map[uint32]*database.Type
}

// readOnly has connections only read. Where the address says what a server has to be (target_session_attrs), they do
// when it has been found: before, every server would say that it only reads.
func readOnly(c *pgx.ConnConfig) {
	const setting = "default_transaction_read_only"
	database.TakeParam(c.RuntimeParams, setting)
	if c.ValidateConnect == nil {
		c.RuntimeParams[setting] = "on"
		return
	}
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		return conn.Exec(ctx, "SET "+setting+" = on").Close()
	}
}

func (d *postgres) open(limits client.SQLLimits) (*dbsql.DB, error) {
	return client.OpenSQL(stdlib.GetConnector(*d.config), limits), nil
}

func (d *postgres) close() error { return nil }

func (d *postgres) where() string { return database.PostgresWhere(d.config) }

func (d *postgres) host() string { return database.PostgresHost(d.config) }

func (d *postgres) connectTimeout(err error) time.Duration {
	return database.PostgresConnectTimeout(d.config, err)
}

// ask uses the driver itself: database/sql's rows do not tell the types of arrays, composites
// and parameters.
func (d *postgres) ask(ctx context.Context, db *dbsql.DB, looks []*look) error {
	return database.WithPostgres(ctx, db, func(conn *pgx.Conn) error {
		plan, fresh, err := d.planned(ctx, conn)
		switch {
		case err != nil:
			return err
		case len(looks) > 1:
			return d.askTogether(ctx, conn, plan, looks)
		}
		l := looks[0]
		err = d.run(ctx, conn, plan.params, l)
		if err == nil {
			d.weigh(ctx, conn, plan, l)
			return nil
		} else if fresh || !typesMayBeStale(err) {
			return err
		}
		// A table may have changed since the types were loaded, and the value may fit now. When
		// the types are the same the error stands.
		d.forget()
		now, _, loadErr := d.planned(ctx, conn)
		var shape *shapeError
		if loadErr != nil || !errors.As(err, &shape) && slices.EqualFunc(plan.params, now.params, func(a, b *database.Type) bool { return a.OID == b.OID }) {
			return err
		}
		return d.run(ctx, conn, now.params, l)
	})
}

// typesMayBeStale says whether err may come from types that have changed meanwhile.
func typesMayBeStale(err error) bool {
	var (
		argument *argumentError
		shape    *shapeError
		refused  *pgconn.PgError
	)
	return errors.As(err, &argument) || errors.As(err, &shape) ||
		errors.As(err, &refused) && (strings.HasPrefix(refused.Code, "22") || strings.HasPrefix(refused.Code, "42"))
}

func (d *postgres) run(ctx context.Context, conn *pgx.Conn, params []*database.Type, l *look) error {
	values, err := bindAll(params, l.args)
	if err != nil {
		return err
	}
	if err = d.read(ctx, conn, d.query.text, values, []*look{l}); err != nil {
		return &boundError{d.findRefused(ctx, conn, params, values, err), l.args}
	}
	return nil
}

// read puts the rows into looks. When there are several, the first column says whose a row is, from 1.
func (d *postgres) read(ctx context.Context, conn *pgx.Conn, text string, values []any, looks []*look) error {
	for range 2 { // a second time when the type of a column was not known
		for _, l := range looks {
			l.reset()
		}
		missing, err := d.readKnown(ctx, conn, text, values, looks)
		if err != nil || len(missing) == 0 {
			return err
		}
		if err := d.load(ctx, conn, missing); err != nil {
			return err
		}
	}
	return errors.New("the types of the columns keep changing")
}

// readKnown is read, or gives the types of columns that have to be loaded first.
// Every column comes as text: PostgreSQL writes all types so, exactly.
func (d *postgres) readKnown(ctx context.Context, conn *pgx.Conn, text string, values []any, looks []*look) (missing []uint32, err error) {
	rows, err := conn.Query(ctx, text, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, values...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	own := 0 // columns in front of those of the query
	if len(looks) > 1 {
		own = 1
	}
	var columns []pgColumn
	for more := true; more && rows.Next(); {
		if columns == nil {
			if columns, missing, err = d.columns(rows.FieldDescriptions()[own:]); err != nil || len(missing) > 0 {
				return missing, err
			}
		}
		values, l := rows.RawValues(), looks[0]
		if own > 0 {
			n, err := strconv.Atoi(string(values[0]))
			if err != nil || n < 1 || n > len(looks) {
				return nil, errors.New("a row belongs to no look-up")
			}
			l = looks[n-1]
		}
		more, err = l.row(func(out []byte) ([]byte, error) { return appendPgRow(out, columns, values[own:]) })
		if err != nil {
			return nil, err
		}
		more = more || own > 0
	}
	rows.Close()
	return nil, rows.Err()
}

// check prepares the query, which tells its columns without running it.
func (d *postgres) check(ctx context.Context, db *dbsql.DB) error {
	return database.WithPostgres(ctx, db, func(conn *pgx.Conn) error {
		st, err := conn.Prepare(ctx, "", d.query.text)
		if err != nil {
			return err
		}
		return checkNames(fieldNames(st.Fields))
	})
}

func fieldNames(fields []pgconn.FieldDescription) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}
