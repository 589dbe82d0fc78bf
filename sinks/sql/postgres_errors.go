package sqlsink

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/penstockio/penstock/pipeline/database"
)

// pgOfRow are classes and codes that speak of what a row holds: values, constraints, what a trigger
// refuses, two rows that are one to the database, an index entry that is too large.
var pgOfRow = []string{"22", "23", "21", "44", "P0", "54000"}

// pgOfTable are those that nothing but a change of the table, the rights or the settings cures.
var pgOfTable = []string{"28", "3D", "3F", "25006", "42P10"}

// pgOfNow are those of the server and of what else goes on in it, whatever the row.
var pgOfNow = []string{"00", "01", "02", "03", "08", "0B", "20", "24", "25", "26", "2B", "2D", "34", "3B", "40", "53", "55", "57", "58", "72", "F0"}

// pgOfNames are those of tables and columns that are not there, when the statement names them.
var pgOfNames = []string{"42P01", "42703"}

// pgClasses are the classes that the server has itself. What a trigger raises may have one of its own.
var pgClasses = []string{
	"00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "20", "21", "22", "23", "24", "25", "26", "27", "28", "2B", "2D", "2F",
	"34", "38", "39", "3B", "3D", "3F", "40", "42", "44", "53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX",
}

func (d *postgres) classify(err error) (about about, text string, known bool) {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		var c *pgconn.ConnectError
		if errors.As(err, &c) { // its own text repeats user and database
			err = c.Unwrap()
		}
		return aboutNow, strings.ReplaceAll(err.Error(), "\n", "; "), false
	}
	if len(e.Code) < 2 {
		return aboutNow, "the server answered an error without a code", true
	}
	is := func(list []string) bool {
		return slices.ContainsFunc(list, func(p string) bool { return strings.HasPrefix(e.Code, p) })
	}
	named := "" // of the schema, no value
	switch {
	case e.ConstraintName != "":
		named = ", constraint " + e.ConstraintName
	case e.ColumnName != "":
		named = ", column " + e.ColumnName
	}
	ofValue := e.Position == 0 && e.InternalQuery == ""
	switch {
	case is(pgOfRow), !slices.Contains(pgClasses, e.Code[:2]), ofValue && (e.Code == "42601" || e.Code == "42602"):
		// The message quotes values.
		return aboutRow, "the database refuses the row (" + database.SQLState(e.Code) + named + ")", true
	case is(pgOfTable), is(pgOfNames) && e.Position > 0:
		about = aboutTable
	case !is(pgOfNow):
		about = aboutAny
	}
	if !is(pgSpeaksOfNames) || e.Where != "" || ofValue && e.Code[:2] == "42" && e.Code != "42P10" && e.Code != "42501" {
		return about, "the database refuses the statement (" + database.SQLState(e.Code) + named + ")", true
	}
	return about, fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code), true
}

// pgSpeaksOfNames are those whose messages name tables, columns, users and settings. Any other, and what a function
// says, may quote values.
var pgSpeaksOfNames = []string{"28", "3D", "3F", "25006", "42", "53", "57"}
