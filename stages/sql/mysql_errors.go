package sql

import (
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
// prepared statements, and rights that are being changed.
var mysqlTransient = []uint16{1203, 1226, 1461, 1044, 1049}

// mysqlPermanent are refusals that have no class of their own: collations that do not go together,
// arguments of functions, values that a column's type does not hold.
var mysqlPermanent = []uint16{1210, 1267, 1269, 1270, 1271, 1366, 1411, 1525, 1686, 3854, 4038}

// mysqlShown are errors whose text is of the query or the server, and never of a value: tables, columns and
// functions that are not there or not allowed, collations, a connection that only reads, locks, limits.
var mysqlShown = []uint16{1040, 1053, 1054, 1129, 1142, 1143, 1146, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 1243, 1267, 1290,
	1305, 1317, 1356, 1370, 1461, 1582, 1615, 1792, 1836, 1927, 1969, 3024, 4031}

// busy: too many connections, of all, of the user, or within the hour.
func (d *mySQL) busy(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && slices.Contains([]uint16{1040, 1203, 1226}, e.Number)
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
		permanent = !slices.Contains(mysqlTransient, e.Number)
	default:
		permanent = slices.Contains(mysqlPermanent, e.Number)
	}
	types, bound := argsOf(err)
	if !bound || slices.Contains(mysqlShown, e.Number) {
		return permanent, fmt.Sprintf("%s (error %d)", e.Message, e.Number), true
	}
	code := fmt.Sprintf("error %d", e.Number)
	if words := database.MySQLMeanings[e.Number]; words != "" {
		code += ": " + words
	}
	return permanent, fmt.Sprintf("the query cannot be run with these values (%s)%s", code, types), true
}
