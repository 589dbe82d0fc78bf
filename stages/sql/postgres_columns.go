package sql

import (
	"context"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline/database"
)

// A pgColumn is a column of a result.
type pgColumn struct {
	name string
	database.Field
}

// columns gives the columns of a result, or the types of those that have to be loaded.
func (d *postgres) columns(fields []pgconn.FieldDescription) (columns []pgColumn, missing []uint32, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := make([]string, len(fields))
	columns = make([]pgColumn, len(fields))
	for i, f := range fields {
		names[i] = f.Name
		columns[i] = pgColumn{f.Name, database.Field{Key: keyOf(f.Name), Type: d.types[f.DataTypeOID]}}
		if columns[i].Type == nil {
			missing = append(missing, f.DataTypeOID)
		}
	}
	return columns, missing, checkNames(names)
}

// An argumentError is a value that its parameter does not take. It does not quote it.
type argumentError struct {
	argument  int
	is, takes string
}

func (e *argumentError) Error() string {
	return fmt.Sprintf("argument %d is %s, and the query takes %s", e.argument+1, e.is, e.takes)
}

// bindAll gives every value as the text that PostgreSQL reads as the type of its parameter:
// exact for numbers of any size. nil is NULL.
func bindAll(params []*database.Type, args [][]byte) ([]any, error) {
	if len(params) != len(args) { // the scanner of the query has counted otherwise
		return nil, fmt.Errorf("the server counts %d parameters in the query and args has %d values", len(params), len(args))
	}
	values := make([]any, len(args))
	for i, text := range args {
		v := gjson.ParseBytes(text)
		if len(text) == 0 || v.Type == gjson.Null {
			continue
		}
		s, wrong := database.Bind(params[i], v)
		if wrong != "" {
			return nil, &argumentError{i, wrong, params[i].Name}
		}
		values[i] = s
	}
	return values, nil
}

// load asks the catalog for types and for those that they are made of.
func (d *postgres) load(ctx context.Context, conn *pgx.Conn, oids []uint32) error {
	found, err := database.Load(ctx, conn, oids)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.types == nil {
		d.types = map[uint32]*database.Type{}
	}
	maps.Copy(d.types, found)
	return nil
}
