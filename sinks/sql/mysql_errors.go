package sqlsink

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/penstockio/penstock/pipeline/database"
)

// mysqlOfRow are errors that speak of what a row holds, of classes that do not say so: truncated and wrong
// values, a CHECK, what a trigger refuses, no partition, more than a row may have.
var mysqlOfRow = []uint16{1118, 1265, 1292, 1366, 1411, 1525, 1526, 1644, 3819, 4025, 4078}

// mysqlOfTable are those that nothing but a change of the table, the rights or the settings cures: log-in,
// databases, tables and columns, defaults that are missing, a server that only reads.
var mysqlOfTable = []uint16{1044, 1045, 1049, 1054, 1142, 1143, 1146, 1290, 1356, 1364, 1471, 1698, 1792, 1836, 3100}

// mysqlOfNow are those of the server and of what else goes on in it, whatever the row: locks, connections, memory,
// disks, its end.
var mysqlOfNow = []uint16{
	1015, 1020, 1021, 1028, 1030, 1036, 1037, 1038, 1040, 1041, 1053, 1077, 1078, 1079, 1080, 1099, 1114, 1129, 1130, 1152, 1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161, 1180, 1184,
	1203, 1205, 1206, 1207, 1213, 1222, 1223, 1226, 1317, 1613, 1614, 1637, 1684, 1689, 1927, 1969, 2006, 2013, 3024, 3101, 3168, 3169, 3572,
}

func (d *mySQL) classify(err error) (about about, text string, known bool) {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		switch {
		case errors.Is(err, mysql.ErrPktTooLarge):
			return aboutRow, "the row is more than the server reads at once (max_allowed_packet)", true
		case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn):
			return aboutNow, "the connection was lost", false
		}
		return aboutNow, strings.ReplaceAll(err.Error(), "\n", "; "), false
	}
	state := string(e.SQLState[:])
	switch {
	case slices.Contains(mysqlOfTable, e.Number):
		return aboutTable, fmt.Sprintf("%s (error %d)", e.Message, e.Number), true
	case e.Number == 1153:
		return aboutRow, "the row is more than the server reads at once (max_allowed_packet)", true
	case slices.Contains(mysqlOfRow, e.Number), slices.Contains([]string{"21", "22", "23", "45"}, state[:2]):
		// The message quotes values.
		code := fmt.Sprintf("error %d", e.Number)
		if e.Number == 1366 {
			code += ": not the text of such a value"
		} else if words := database.MySQLMeanings[e.Number]; words != "" {
			code += ": " + words
		}
		return aboutRow, "the database refuses the row (" + code + ")", true
	case slices.Contains(mysqlOfNow, e.Number), state[:2] == "08", state[:2] == "40":
		return aboutNow, fmt.Sprintf("the database refuses the statement (error %d%s)", e.Number, meaning(e.Number)), true
	}
	return aboutAny, fmt.Sprintf("the database refuses the statement (error %d)", e.Number), true
}

func meaning(number uint16) string {
	if words := mysqlMeanings[number]; words != "" {
		return ": " + words
	}
	return ""
}

// mysqlMeanings are what errors say that have nothing to do with a row.
var mysqlMeanings = map[uint16]string{
	1205: "no lock within its time", 1213: "transactions that wait for each other", 1040: "too many connections", 1053: "it is being shut down", 1317: "it was interrupted",
	1114: "the table is full", 1021: "the disk is full", 1030: "its storage failed", 1036: "the table is read only", 1203: "too many connections of the user", 1226: "more than the user may",
	1969: "it took longer than max_statement_time", 3024: "it took longer than max_execution_time",
}
