package sql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/penstockio/penstock/pipeline/database"
)

// findRefused finds the argument that the server has refused, by sending each of them alone. Its
// error is a refusedError, or err when none was found.
func (d *postgres) findRefused(ctx context.Context, conn *pgx.Conn, params []*database.Type, values []any, err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || conn.IsClosed() || !strings.HasPrefix(refused.Code, "22") && !strings.HasPrefix(refused.Code, "23") {
		return err
	}
	for i, t := range params {
		var text []byte
		if s, ok := values[i].(string); ok {
			text = []byte(s)
		}
		r := conn.PgConn().ExecParams(ctx, "SELECT $1", [][]byte{text}, []uint32{t.OID}, nil, nil).Read()
		var own *pgconn.PgError
		if errors.As(r.Err, &own) && own.Code == refused.Code {
			return &refusedError{argument: i, typ: t.Name, code: own.Code}
		}
	}
	return err
}

// A refusedError is a value that the server does not take as the type of its parameter.
type refusedError struct {
	argument  int
	typ, code string
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("the server refused argument %d", e.argument+1)
}

// busy: too many connections, or none yet.
func (d *postgres) busy(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "53300" || e.Code == "57P03")
}

func (d *postgres) classify(err error) (permanent bool, text string, known bool) {
	var argument *argumentError
	if errors.As(err, &argument) {
		return true, argument.Error(), true
	}
	var refused *refusedError
	if bound := (*boundError)(nil); errors.As(err, &refused) && errors.As(err, &bound) {
		return true, fmt.Sprintf("argument %d is %s that the query does not take as %s (%s)",
			refused.argument+1, database.KindOf(bound.args[refused.argument]), refused.typ, database.SQLState(refused.code)), true
	}
	var shape *shapeError
	if errors.As(err, &shape) { // a type is being changed
		return false, shape.Error(), true
	}
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		var c *pgconn.ConnectError
		if errors.As(err, &c) { // its own text repeats user and database
			err = c.Unwrap()
		}
		return false, strings.ReplaceAll(err.Error(), "\n", "; "), false
	}
	if len(e.Code) < 2 {
		return false, "the server answered an error without a code", true
	}
	if e.Code == "42P05" || e.Code == "26000" {
		return false, fmt.Sprintf("%s (SQLSTATE %s); %s", e.Message, e.Code, otherConnection), true
	}
	types, bound := argsOf(err)
	switch e.Code[:2] {
	case "22", "23", "21", "P0":
		// The message quotes the value.
		return true, fmt.Sprintf("the query cannot be run with these values (%s)%s", database.SQLState(e.Code), types), true
	case "42", "25":
		permanent = true
		// An error without a position in the text of the query comes from a value, and quotes
		// it: a word for a text search, a name for regclass. 42501, no right to do so, is about
		// tables.
		if bound && e.Code[:2] == "42" && e.Position == 0 && e.Code != "42501" {
			return true, fmt.Sprintf("the server refused the query with these values (%s)%s", database.SQLState(e.Code), types), true
		}
	}
	// 0A000 comes when a cached plan no longer fits: the next attempt prepares anew.
	return permanent, fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code), true
}

// otherConnection is the advice when the server has a prepared statement that should not be
// there, or has not one that should. Either a cached plan no longer fits, and the next attempt
// prepares anew; or a pooler has given another connection than the one that prepared.
const otherConnection = "when this repeats, a pooler lends connections by transaction: add default_query_exec_mode=exec to dsn"
