package sql

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	text = fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code)
	if bound && !d.textIsOwn(e) {
		text = fmt.Sprintf("the query failed (%s)%s", database.SQLState(e.Code), types)
	}
	switch class := e.Code[:2]; {
	case slices.Contains([]string{"21", "22", "23", "P0"}, class):
		// The message quotes the value.
		return true, fmt.Sprintf("the query cannot be run with these values (%s)%s", database.SQLState(e.Code), types), true
	case d.ofQuery(err):
		return false, text, true
	case class == "42", class == "3F":
		// It comes from a value, and quotes it: a word for a text search, a name for regclass.
		return true, fmt.Sprintf("the server refused the query with these values (%s)%s", database.SQLState(e.Code), types), true
	}
	// 0A000 comes when a cached plan no longer fits: the next attempt prepares anew.
	return e.Code[:2] == "25", text, true
}

// ofQuery says whether an error is of the query and what is in the database, whatever the values are: a
// table or a column that is not there, no right to read it. It stands in the text of the query, or in
// that of a function; one without such a place comes from a value. Something is being changed there, or
// has been: that is no record's fault.
func (d *postgres) ofQuery(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) || len(e.Code) < 2 || e.Code == "42P05" {
		return false
	}
	_, bound := argsOf(err)
	class := e.Code[:2]
	return e.Code == "42501" || (class == "42" || class == "3F") && (!bound || e.Position > 0) ||
		e.InternalQuery != "" && slices.Contains([]string{"42P01", "42703", "42704", "42883", "3F000"}, e.Code)
}

// pasted says whether the driver puts the values into the text of the query, so that a place in it may be
// that of a value.
func (d *postgres) pasted() bool {
	return d.config != nil && d.config.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol
}

// textIsOwn says whether the text of an error is the server's, and of no value: of the query as it is in the
// file, of connections, of locks, of limits. What code of the database's users raises comes with a place in it.
func (d *postgres) textIsOwn(e *pgconn.PgError) bool {
	named := e.Message[strings.LastIndexByte(e.Message, ' ')+1:] // permission denied for table t
	return e.Where == "" && (e.Position > 0 && !d.pasted() || e.Code == "42501" && strings.Contains(d.query.text, named) || e.Code == "55P03" || slices.Contains([]string{"25", "40", "53", "57"}, e.Code[:2]))
}

// fault says what an error of a query for several is of.
func (d *postgres) fault(err error) fault {
	var e *pgconn.PgError
	switch {
	case !errors.As(err, &e):
		if d.permanent(err) || errors.As(err, new(*shapeError)) {
			return ofOne
		}
		return ofAll
	case e.Code == "57014": // statement_timeout
		return ofTime
	case len(e.Code) < 2, d.ofQuery(err) && !d.pasted(), e.Code == "42P05", e.Code == "26000":
		return ofAll
	case e.Code != "53400" && slices.Contains([]string{"08", "53", "57", "58"}, e.Code[:2]): // 53400 is a limit, which several may reach
		return ofAll
	}
	return ofOne
}

// otherConnection is the advice when the server has a prepared statement that should not be
// there, or has not one that should. Either a cached plan no longer fits, and the next attempt
// prepares anew; or a pooler has given another connection than the one that prepared.
const otherConnection = "when this repeats, a pooler lends connections by transaction: add default_query_exec_mode=exec to dsn"
