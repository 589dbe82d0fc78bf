package sql

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/penstockio/penstock/pipeline/database"
)

// mysqlTwice is the number of the error of two columns of one name.
const mysqlTwice = 1060

// mysqlPrepareAnew are errors of a statement that the server has, or has no more, and cannot use.
var mysqlPrepareAnew = []uint16{1243, 1615}

// mysqlTransient are errors of the classes of refusals that another attempt may cure: limits of users and of
// prepared statements.
var mysqlTransient = []uint16{1203, 1226, 1461}

// mysqlPermanent are refusals that have no class of their own: collations that do not go together,
// arguments of functions, values that a column's type does not hold.
var mysqlPermanent = []uint16{1210, 1267, 1269, 1270, 1271, 1366, 1411, 1525, 1686, 3854, 4038}

// mysqlOfQuery are errors of the query and of what is in the database, whatever the values are: databases, tables,
// columns and functions that are not there, rights, a view that no longer fits. Something is being changed
// there, or has been: that is no record's fault.
var mysqlOfQuery = []uint16{1044, 1049, 1054, 1142, 1143, 1146, 1305, 1356, 1370}

// mysqlOfServer are errors of connections, of the server, and of what it has left.
var mysqlOfServer = []uint16{1021, 1037, 1038, 1040, 1041, 1053, 1129, 1158, 1159, 1160, 1161, 1203, 1226, 1290, 1317, 1461, 1836, 1927, 4031}

// mysqlTooLong are errors of a query that runs longer than the server allows.
var mysqlTooLong = []uint16{1969, 3024}

// mysqlMeanings are what errors say whose texts are not shown: who writes functions there can give any text
// to any of them, with values in it.
var mysqlMeanings = map[uint16]string{
	1040: "too many connections", 1044: "no right to use the database", 1049: "no such database", 1053: "the server shuts down", 1054: "no such column",
	1142: "no right to do so with the table", 1143: "no right to do so with the column", 1146: "no such table", 1203: "too many connections of the user",
	1205: "a lock was waited for too long", 1213: "a deadlock", 1226: "more than the user may use", 1267: "collations that do not go together", 1305: "no such function",
	1317: "the query was interrupted", 1356: "a view that no longer fits its tables, or no right to them", 1370: "no right to run the function", 1644: "raised by a function",
	1792: "a connection that only reads", 1927: "the connection was killed", 1969: "longer than max_statement_time", 3024: "longer than max_execution_time",
}

func mysqlIs(err error, numbers []uint16) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && slices.Contains(numbers, e.Number)
}

// fault says what an error of a query for several is of.
func (d *mySQL) fault(err error) fault {
	permanent, _, known := d.classify(err)
	switch {
	case mysqlIs(err, mysqlTooLong):
		return ofTime
	case !known && !permanent, mysqlIs(err, mysqlOfQuery), mysqlIs(err, mysqlOfServer):
		return ofAll
	}
	return ofOne
}

func (d *mySQL) ofQuery(err error) bool { return mysqlIs(err, mysqlOfQuery) }

// busy: too many connections, of all, of the user, or within the hour.
func (d *mySQL) busy(err error) bool {
	return mysqlIs(err, []uint16{1040, 1203, 1226})
}

func (d *mySQL) classify(err error) (permanent bool, text string, known bool) {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		switch {
		case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, context.Canceled):
			return false, "the connection was lost", false
		case errors.Is(err, mysql.ErrPktTooLarge):
			return true, "the values are more than the server reads at once (maxAllowedPacket of dsn)", true
		}
		return false, strings.ReplaceAll(err.Error(), "\n", "; "), false
	}
	state := string(e.SQLState[:])
	switch state[:2] {
	case "21", "22", "23", "25", "42":
		permanent = !slices.Contains(mysqlTransient, e.Number) && !slices.Contains(mysqlOfQuery, e.Number)
	default:
		permanent = slices.Contains(mysqlPermanent, e.Number)
	}
	types, bound := argsOf(err)
	if !bound {
		return permanent, fmt.Sprintf("%s (error %d)", e.Message, e.Number), true
	}
	code := fmt.Sprintf("error %d", e.Number)
	if words := cmp.Or(mysqlMeanings[e.Number], database.MySQLMeanings[e.Number]); words != "" {
		code += ": " + words
	}
	if !permanent {
		return false, fmt.Sprintf("the query failed (%s)", code), true
	}
	return true, fmt.Sprintf("the query cannot be run with these values (%s)%s", code, types), true
}
