package sqlsink

import (
	"errors"

	sqlitedriver "modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

func (d *sqlite) classify(err error) (about about, text string, known bool) {
	var e *sqlitedriver.Error
	if !errors.As(err, &e) {
		return aboutNow, err.Error(), false
	}
	words := sqlitedriver.ErrorCodeString[e.Code()]
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
