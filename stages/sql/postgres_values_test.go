package sql

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/penstockio/penstock/pipeline/database"
)

var (
	pgInt    = &database.Type{OID: pgtype.Int4OID, Name: "integer", Numeric: database.WholeNumber, Delim: ','}
	pgText   = &database.Type{OID: pgtype.TextOID, Name: "text", Text: true, Delim: ','}
	pgInts   = &database.Type{OID: pgtype.Int4ArrayOID, Name: "integer[]", Kind: database.Array, Elem: pgInt, Delim: ','}
	pgTexts  = &database.Type{OID: pgtype.TextArrayOID, Name: "text[]", Kind: database.Array, Elem: pgText, Delim: ','}
	pgPair   = &database.Type{OID: 99, Kind: database.Composite, Fields: []database.Field{{Key: `"a":`, Type: pgInt}, {Key: `"b":`, Type: pgTexts}}}
	pgPairs  = &database.Type{OID: 98, Kind: database.Array, Elem: pgPair, Delim: ','}
	pgStored = &database.Type{OID: 97, Kind: database.Hstore}
)

// What a server writes against its own rules is an error and never half a value.
func TestPostgresTexts(t *testing.T) {
	for _, tt := range []struct {
		typ        *database.Type
		text, want string // "": an error
	}{
		{pgInts, `{}`, `[]`}, {pgInts, `{1,NULL,-3}`, `[1,null,-3]`}, {pgInts, `[2:3][0:0]={{1},{2}}`, `[[1],[2]]`}, {pgInts, `1,2`, ``}, {pgInts, ``, ``},
		{pgTexts, `{"a\"\\,}",b c,"NULL"}`, `["a\"\\,}","b c","NULL"]`},
		{pgPair, `(1,"{a,""b c""}")`, `{"a":1,"b":["a","b c"]}`}, {pgPair, `(,)`, `{"a":null,"b":null}`},
		{pgPair, `(1)`, ``}, {pgPair, `(1,{},2)`, ``}, {pgPair, `1,{}`, ``},
		{pgPairs, `{"(1,\"{x}\")",NULL}`, `[{"a":1,"b":["x"]},null]`},
		{pgStored, `"a"=>"1", "b"=>NULL, "c,"=>"=>\""`, `{"a":"1","b":null,"c,":"=>\""}`}, {pgStored, ``, `{}`}, {pgStored, `"a"`, ``},
	} {
		got, err := appendPg(nil, tt.typ, tt.text)
		if (err != nil) != (tt.want == "") || err == nil && string(got) != tt.want {
			t.Errorf("%s: %s, %v, want %s", tt.text, got, err, tt.want)
		}
	}
}

func FuzzPostgresTexts(f *testing.F) {
	for _, text := range []string{`{1,2}`, `{"a\"b",NULL}`, `(1,"{a,""b""}")`, `"a"=>"1", "b"=>NULL`, `[0:1]={1,2}`, `{{`, `("`, `\`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, typ := range []*database.Type{pgInts, pgTexts, pgPair, pgPairs, pgStored, {OID: pgtype.ByteaOID}, {OID: pgtype.TimestamptzOID}} {
			got, err := appendPg(nil, typ, text)
			if err == nil && !json.Valid(got) {
				t.Errorf("%s of %q is no JSON", got, text)
			}
		}
	})
}

// A statement that a pooler has left on another connection says nothing of the record.
func TestPostgresPooler(t *testing.T) {
	for _, code := range []string{"42P05", "26000"} {
		err := &boundError{&pgconn.PgError{Code: code, Message: `prepared statement "s1"`}, [][]byte{[]byte(`"canary"`)}}
		permanent, text, known := new(postgres).classify(err)
		if permanent || !known || !strings.Contains(text, "add default_query_exec_mode=exec to dsn") || strings.Contains(text, "argument") {
			t.Errorf("%s: %v, %s", code, permanent, text)
		}
	}
}
