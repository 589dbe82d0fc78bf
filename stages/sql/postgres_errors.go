package sql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// findRefused finds the argument that the server has refused, by sending each of them alone. Its
// error is a refusedError, or err when none was found.
func (d *postgres) findRefused(ctx context.Context, conn *pgx.Conn, params []*pgType, values []any, err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || conn.IsClosed() || !strings.HasPrefix(refused.Code, "22") && !strings.HasPrefix(refused.Code, "23") {
		return err
	}
	for i, t := range params {
		var text []byte
		if s, ok := values[i].(string); ok {
			text = []byte(s)
		}
		r := conn.PgConn().ExecParams(ctx, "SELECT $1", [][]byte{text}, []uint32{t.oid}, nil, nil).Read()
		var own *pgconn.PgError
		if errors.As(r.Err, &own) && own.Code == refused.Code {
			return &refusedError{argument: i, typ: t.name, code: own.Code}
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
			refused.argument+1, kindOf(bound.args[refused.argument]), refused.typ, sqlState(refused.code)), true
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
		return true, fmt.Sprintf("the query cannot be run with these values (%s)%s", sqlState(e.Code), types), true
	case "42", "25":
		permanent = true
		// An error without a position in the text of the query comes from a value, and quotes
		// it: a word for a text search, a name for regclass. 42501, no right to do so, is about
		// tables.
		if bound && e.Code[:2] == "42" && e.Position == 0 && e.Code != "42501" {
			return true, fmt.Sprintf("the server refused the query with these values (%s)%s", sqlState(e.Code), types), true
		}
	}
	// 0A000 comes when a cached plan no longer fits: the next attempt prepares anew.
	return permanent, fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code), true
}

// otherConnection is the advice when the server has a prepared statement that should not be
// there, or has not one that should. Either a cached plan no longer fits, and the next attempt
// prepares anew; or a pooler has given another connection than the one that prepared.
const otherConnection = "when this repeats, a pooler lends connections by transaction: add default_query_exec_mode=exec to dsn"

// conditions are the meanings of codes whose messages cannot be shown: they quote values.
var conditions = map[string]string{
	"21000": "a subquery that must give one row gave more", "22001": "a text longer than its type allows",
	"22003": "a number out of range", "22004": "a null that is not allowed", "22007": "not the text of a date or time",
	"22008": "a date or time out of range", "22012": "division by zero", "22021": "text with a character that the database cannot hold",
	"22023": "a value that a function does not take", "22025": "an escape that is not valid", "22P02": "not the text of such a value",
	"22P03": "not the bytes of such a value", "22P05": "text with a character that the database cannot hold",
	"2201B": "a regular expression that is not valid", "2201E": "the logarithm of such a number", "2201F": "the power of such a number",
	"2201W": "a LIMIT that is not valid", "2201X": "an OFFSET that is not valid", "2202E": "arrays that do not fit together",
	"22030": "JSON with a key that comes twice", "22032": "JSON that is not valid", "23502": "a null that its type does not allow",
	"23514": "a condition of its type does not hold", "2200M": "an XML document that is not valid", "2200N": "XML that is not valid",
	"42601": "not the syntax of such a value", "42704": "no such object", "42P01": "no such table", "42703": "no such column", "P0001": "raised by a function",
}

func sqlState(code string) string {
	if words := conditions[code]; words != "" {
		return "SQLSTATE " + code + ": " + words
	}
	return "SQLSTATE " + code
}
