package database

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A Type is a type as the catalog of PostgreSQL describes it.
type Type struct {
	OID       uint32
	Name      string // as a query writes it
	Kind      Kind
	Text      bool    // a kind of text, which takes any JSON
	Elem      *Type   // of an array
	Delim     byte    // between the elements of an array
	ArrayName string  // the type of arrays of it, as a query writes it; "": there is none, or it is taken apart
	Between   byte    // delimiter within such an array
	Base      *Type   // of a domain
	Fields    []Field // of a composite
	Numeric   NumberKind
}

// A Field is one of a composite.
type Field struct {
	Key  string // a JSON key with its colon
	Type *Type
}

// A Kind says how the text of a value is made up.
type Kind int

// The kinds of types.
const (
	Scalar Kind = iota // its text is taken by OID
	Array
	Composite
	Domain
	Hstore
)

// A NumberKind says which numbers of JSON a type has.
type NumberKind int

// The kinds of numbers.
const (
	NoNumber NumberKind = iota
	WholeNumber
	AnyNumber
)

// Resolve gives the type that a domain is based on, and any other type itself.
func (t *Type) Resolve() *Type {
	for t.Kind == Domain && t.Base != nil {
		t = t.Base
	}
	return t
}

// numbers are the types that JSON has numbers for.
var numbers = map[uint32]NumberKind{
	pgtype.Int2OID: WholeNumber, pgtype.Int4OID: WholeNumber, pgtype.Int8OID: WholeNumber,
	pgtype.OIDOID: WholeNumber, pgtype.XIDOID: WholeNumber, pgtype.CIDOID: WholeNumber,
	pgtype.NumericOID: AnyNumber, pgtype.Float4OID: AnyNumber, pgtype.Float8OID: AnyNumber,
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

// Load asks the catalog for types and for those that they are made of.
func Load(ctx context.Context, conn *pgx.Conn, oids []uint32) (map[uint32]*Type, error) {
	found := map[uint32]*Type{}
	get := func(oid uint32) *Type {
		if found[oid] == nil {
			// A type that the catalog does not have is taken for text.
			found[oid] = &Type{OID: oid, Name: "type " + strconv.Itoa(int(oid)), Delim: ','}
		}
		return found[oid]
	}
	for len(oids) > 0 {
		var next []uint32
		want := func(oid uint32) *Type {
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
			return nil, err
		}
		for _, row := range types {
			get(number(row[0])).describe(row, want)
		}
		fields, err := catalog(ctx, conn, catalogFields, list)
		if err != nil {
			return nil, err
		}
		for _, row := range fields {
			t := get(number(row[0]))
			t.Fields = append(t.Fields, Field{string(jsontext.AppendString(nil, string(row[1]))) + ":", want(number(row[2]))})
		}
		oids = next
	}
	return found, nil
}

// describe fills in a row of catalogTypes.
func (t *Type) describe(row [][]byte, want func(uint32) *Type) {
	t.Name, t.Text, t.Numeric = string(row[1]), string(row[4]) == "S", numbers[t.OID]
	t.ArrayName, t.Between = string(row[8]), row[9][0]
	if string(row[3]) == "p" { // a pseudo-type
		t.ArrayName = ""
	}
	switch elem := number(row[5]); {
	case elem != 0:
		t.Kind, t.Elem, t.Delim = Array, want(elem), row[6][0]
	case string(row[3]) == "c":
		t.Kind = Composite
	case string(row[3]) == "d":
		t.Kind, t.Base = Domain, want(number(row[7]))
	case string(row[2]) == "hstore":
		t.Kind = Hstore
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
