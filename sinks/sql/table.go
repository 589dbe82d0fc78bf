package sqlsink

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
)

// A table is the table of the settings as the database has it.
type table struct {
	columns []*column // as the settings order them
	key     []int     // of columns
	exact   bool      // two keys are one to the database only when their values are the same here
	folds   bool      // two keys are one to the database only when fold gives the same of them, or cannot tell
	mixed   bool      // a statement, or what stands for one, takes rows to store and to delete
}

// A column is one of a table, as its dialect needs it.
type column struct {
	name  string
	typ   string // as the database calls it
	made  bool   // the database makes its values, and takes none
	exact bool   // equal to the database only when bind gives the same
	folds bool   // a text, or a UUID: equal to the database only when fold gives the same, or cannot tell

	// Of MySQL:
	full     string // the type with its lengths
	digits   string // of a second
	always   bool   // it is never null
	compares bool   // it is of the key

	pg   *database.Type
	cast string // PostgreSQL: what a text is cast to
}

// describe asks the database for the table. The error says what to do.
func (k *Sink) describe(ctx context.Context) (*table, error) {
	found, unique, err := k.dialect.describe(ctx, k.db)
	if err != nil {
		_, err = k.failure(ctx, err)
		return nil, err
	}
	wrong := func(format string, args ...any) error {
		return client.NewError(client.TypeSQL, k.what()+": "+fmt.Sprintf(format, args...), nil)
	}
	if len(found) == 0 {
		return nil, wrong("there is no such table, or no right to see it; one that would fit: %s", k.dialect.create(k.names, k.settings.Key))
	}
	t := &table{exact: true, folds: true}
	for i, name := range k.names {
		c := found[name]
		switch {
		case c == nil:
			return nil, wrong("there is no column %q: it has %s; add it, or mend columns", name, strings.Join(slices.Sorted(maps.Keys(found)), ", "))
		case c.made:
			return nil, wrong("the database makes the values of the column %q by itself: leave it out of columns", name)
		}
		t.columns = append(t.columns, c)
		if slices.Contains(k.settings.Key, name) {
			t.key = append(t.key, i)
			c.compares = true
			if why := c.cannotDelete(); why != "" && k.settings.OnTombstone == "delete" {
				return nil, wrong("rows cannot be deleted by the column %q of key, which is %s: %s; make it decimal, or leave on_tombstone out", name, c.full, why)
			}
			t.exact, t.folds = t.exact && c.exact, t.folds && (c.exact || c.folds)
		}
	}
	key := slices.Sorted(slices.Values(k.settings.Key))
	if len(key) > 0 && !slices.ContainsFunc(unique, func(u []string) bool { return slices.Equal(slices.Sorted(slices.Values(u)), key) }) {
		name := strings.ReplaceAll(k.settings.Table, ".", "_") + "_key"
		return nil, wrong("no unique index is on exactly the columns of key (%s), which %s needs; one that would do: CREATE UNIQUE INDEX %s ON %s (%s)",
			strings.Join(k.settings.Key, ", "), k.settings.Mode, name, k.settings.Table, strings.Join(k.settings.Key, ", "))
	}
	t.mixed = k.settings.Driver == "sqlite"
	return t, nil
}

// createTable is a table of texts.
func createTable(table string, names, key []string, keyType, quote string) string {
	var all []string
	for _, n := range names {
		typ := " text"
		if slices.Contains(key, n) {
			typ = " " + keyType + " NOT NULL"
		}
		all = append(all, quoted(quote, "", n)+typ)
	}
	if len(key) > 0 {
		all = append(all, "PRIMARY KEY ("+quoted(quote, ", ", key...)+")")
	}
	return "CREATE TABLE " + table + " (" + strings.Join(all, ", ") + "), with the types that you want"
}
