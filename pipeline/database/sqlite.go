package database

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// SQLiteFile says what keeps a file from being a database of SQLite that can be opened, as far as that is
// known before a query: it is not there, or it is no file. The error names it: a query would only say
// that it cannot be opened, and be repeated.
func SQLiteFile(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("it is a folder")}
	}
	if err != nil {
		return fmt.Errorf("looking for the database file: %w", err)
	}
	return nil
}
