package sqlsink

import (
	"errors"

	sqlitedriver "modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// constraints says which kind of constraint an error is about. The text of a trigger may quote values.
var constraints = map[int]string{
	sqlitelib.SQLITE_CONSTRAINT_CHECK: "a condition, CHECK, does not hold", sqlitelib.SQLITE_CONSTRAINT_NOTNULL: "a null that is not allowed",
	sqlitelib.SQLITE_CONSTRAINT_UNIQUE: "a row with such a unique value is there", sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY: "a row with such a key is there",
	sqlitelib.SQLITE_CONSTRAINT_ROWID: "a row with such a key is there", sqlitelib.SQLITE_CONSTRAINT_FOREIGNKEY: "no row that it refers to",
	sqlitelib.SQLITE_CONSTRAINT_TRIGGER: "a trigger refuses it", sqlitelib.SQLITE_CONSTRAINT_DATATYPE: "not of the type of its column",
}

func (d *sqlite) classify(err error) (about about, text string, known bool) {
	var e *sqlitedriver.Error
	if !errors.As(err, &e) {
		return aboutNow, err.Error(), false
	}
	words := constraints[e.Code()]
	if words == "" {
		words = sqlitedriver.ErrorCodeString[e.Code()&0xff]
	}
	switch e.Code() & 0xff {
	case sqlitelib.SQLITE_CONSTRAINT, sqlitelib.SQLITE_MISMATCH, sqlitelib.SQLITE_TOOBIG, sqlitelib.SQLITE_RANGE:
		return aboutRow, "the database refuses the row (" + words + ")", true
	case sqlitelib.SQLITE_ERROR, sqlitelib.SQLITE_READONLY, sqlitelib.SQLITE_AUTH, sqlitelib.SQLITE_CANTOPEN, sqlitelib.SQLITE_NOTADB, sqlitelib.SQLITE_PERM:
		return aboutTable, e.Error(), true
	}
	return aboutNow, e.Error(), true
}
