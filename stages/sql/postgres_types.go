package sql

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// A pgType is a type as the database's catalog describes it.
type pgType struct {
	oid     uint32
	name    string // as a query writes it
	kind    pgKind
	text    bool      // a kind of text, which takes any JSON
	elem    *pgType   // of an array
	delim   byte      // between the elements of an array
	array   string    // the type of arrays of it, as a query writes it; "": there is none, or it is taken apart
	between byte      // delimiter within such an array
	base    *pgType   // of a domain
	fields  []pgField // of a composite
	numeric numberKind
}

type pgField struct {
	key string // a JSON key with its colon
	typ *pgType
}

type pgKind int

const (
	pgScalar pgKind = iota // its text is taken by oid
	pgArray
	pgComposite
	pgDomain
	pgHstore
)

type numberKind int

const (
	noNumber numberKind = iota
	wholeNumber
	anyNumber
)

// resolve gives the type that a domain is based on, and any other type itself.
func (t *pgType) resolve() *pgType {
	for t.kind == pgDomain && t.base != nil {
		t = t.base
	}
	return t
}

// numbers are the types that JSON has numbers for.
var numbers = map[uint32]numberKind{
	pgtype.Int2OID: wholeNumber, pgtype.Int4OID: wholeNumber, pgtype.Int8OID: wholeNumber,
	pgtype.OIDOID: wholeNumber, pgtype.XIDOID: wholeNumber, pgtype.CIDOID: wholeNumber,
	pgtype.NumericOID: anyNumber, pgtype.Float4OID: anyNumber, pgtype.Float8OID: anyNumber,
}

// A pgColumn is a column of a result.
type pgColumn struct {
	name string
	pgField
}

// columns gives the columns of a result, or the types of those that have to be loaded.
func (d *postgres) columns(fields []pgconn.FieldDescription) (columns []pgColumn, missing []uint32, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := make([]string, len(fields))
	columns = make([]pgColumn, len(fields))
	for i, f := range fields {
		names[i] = f.Name
		columns[i] = pgColumn{f.Name, pgField{keyOf(f.Name), d.types[f.DataTypeOID]}}
		if columns[i].typ == nil {
			missing = append(missing, f.DataTypeOID)
		}
	}
	return columns, missing, checkNames(names)
}

const (
	// An element's type knows its true array; typelem is set for others too, like point.
	catalogTypes = `SELECT t.oid, pg_catalog.format_type(t.oid, NULL), t.typname, t.typtype, t.typcategory, coalesce(e.oid, 0), coalesce(e.typdelim, ','), t.typbasetype,
coalesce(pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(a.typname), ''), t.typdelim
FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.typarray = t.oid
LEFT JOIN pg_catalog.pg_type a ON a.oid = t.typarray LEFT JOIN pg_catalog.pg_namespace n ON n.oid = a.typnamespace
WHERE t.oid = ANY ($1::pg_catalog.oid[])`
	catalogFields = `SELECT t.oid, a.attname, a.atttypid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid
WHERE t.oid = ANY ($1::pg_catalog.oid[]) AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`
)

// load asks the catalog for types and for those that they are made of.
func (d *postgres) load(ctx context.Context, conn *pgx.Conn, oids []uint32) error {
	found := map[uint32]*pgType{}
	get := func(oid uint32) *pgType {
		if found[oid] == nil {
			// A type that the catalog does not have is taken for text.
			found[oid] = &pgType{oid: oid, name: "type " + strconv.Itoa(int(oid)), delim: ','}
		}
		return found[oid]
	}
	for len(oids) > 0 {
		var next []uint32
		want := func(oid uint32) *pgType {
			if found[oid] == nil {
				next = append(next, oid)
			}
			return get(oid)
		}
		for _, oid := range oids {
			get(oid)
		}
		list := "{" + strings.Trim(strings.ReplaceAll(fmt.Sprint(oids), " ", ","), "[]") + "}"
		types, err := catalog(ctx, conn, catalogTypes, list)
		if err != nil {
			return err
		}
		for _, row := range types {
			get(number(row[0])).describe(row, want)
		}
		fields, err := catalog(ctx, conn, catalogFields, list)
		if err != nil {
			return err
		}
		for _, row := range fields {
			t := get(number(row[0]))
			t.fields = append(t.fields, pgField{keyOf(string(row[1])), want(number(row[2]))})
		}
		oids = next
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.types == nil {
		d.types = map[uint32]*pgType{}
	}
	for oid, t := range found {
		d.types[oid] = t
	}
	return nil
}

// describe fills in a row of catalogTypes.
func (t *pgType) describe(row [][]byte, want func(uint32) *pgType) {
	t.name, t.text, t.numeric = string(row[1]), string(row[4]) == "S", numbers[t.oid]
	t.array, t.between = string(row[8]), row[9][0]
	if string(row[3]) == "p" { // a pseudo-type
		t.array = ""
	}
	switch elem := number(row[5]); {
	case elem != 0:
		t.kind, t.elem, t.delim = pgArray, want(elem), row[6][0]
	case string(row[3]) == "c":
		t.kind = pgComposite
	case string(row[3]) == "d":
		t.kind, t.base = pgDomain, want(number(row[7]))
	case string(row[2]) == "hstore":
		t.kind = pgHstore
	}
}

func number(text []byte) uint32 {
	n, _ := strconv.ParseUint(string(text), 10, 32) // of the catalog, always one
	return uint32(n)
}

func catalog(ctx context.Context, conn *pgx.Conn, query, oids string) ([][][]byte, error) {
	r := conn.PgConn().ExecParams(ctx, query, [][]byte{[]byte(oids)}, nil, nil, nil).Read()
	return r.Rows, r.Err
}
