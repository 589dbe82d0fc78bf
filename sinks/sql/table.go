package sqlsink

import (
	"context"
	"errors"
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
	full    bool      // a row that is stored replaces all of an older one, but what is left out of columns
	ordered bool      // rows of different keys can stand in each other's way, and keep their order
	apart   bool      // rows of one key need a statement each
	others  bool      // MySQL: the server takes a row of another key for the one that is there
	guard   string    // MySQL, with others: a column of the key that is never null
	known   string    // all that was found out about the columns, to compare
}

// A description is what a database says of a table.
type description struct {
	columns map[string]*column // by name
	unique  [][]string         // the columns of each unique index that is on columns alone, and on all rows
	others  int                // unique indexes, and what is like them, that are not in unique
	itself  bool               // it refers to itself
}

// A column is one of a table, as its dialect needs it.
type column struct {
	name   string
	typ    string // as the database calls it
	made   bool   // the database makes its values, and takes none
	counts bool   // left out, it has a value that no other row has
	exact  bool   // equal to the database only when bind gives the same
	folds  bool   // a text, or a UUID: equal to the database only when fold gives the same, or cannot tell

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
	d, err := k.dialect.describe(ctx, k.db)
	if err != nil {
		_, err = k.failure(ctx, err)
		return nil, err
	}
	wrong := func(format string, args ...any) error {
		return client.NewError(client.TypeSQL, k.what()+": "+fmt.Errorf(format, args...).Error(), nil)
	}
	found, unique := d.columns, d.unique
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
		t.known += fmt.Sprintf("%q %q %q %q\n", c.typ, c.cast, c.full, c.digits)
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
	t.full = len(k.settings.updated(k.names)) == len(k.names)-len(key)
	if err := k.otherIndexes(t, d, key); err != nil {
		return nil, wrong("%w", err)
	}
	t.apart = k.settings.Driver == "postgres" && k.settings.Mode == "upsert" && (t.ordered || !t.full)
	return t, nil
}

// otherIndexes finds out what else than the key makes rows of the table stand in each other's way.
func (k *Sink) otherIndexes(t *table, d *description, key []string) error {
	others := d.others
	for _, u := range d.unique {
		if !slices.ContainsFunc(key, func(name string) bool { return !slices.Contains(u, name) }) {
			continue // rows that are one by it are one by the key
		}
		// What the database makes up by itself is in no row's way.
		if slices.ContainsFunc(u, func(name string) bool {
			return d.columns[name] != nil && d.columns[name].counts && !slices.Contains(k.names, name)
		}) {
			continue
		}
		others++
		t.others = true
	}
	t.ordered = others > 0 || d.itself
	mysql := k.settings.Driver == "mysql" || k.settings.Driver == "mariadb"
	if t.others = t.others && mysql && len(key) > 0; !t.others {
		return nil
	}
	for _, name := range key {
		if d.columns[name].always {
			t.guard = name
			return nil
		}
	}
	return errors.New("it has another unique index, by which the server would take another row for that of the key: make a column of key NOT NULL, by which that is noticed")
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
