package sql

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/tidwall/gjson"
)

var (
	pgInt    = &pgType{oid: pgtype.Int4OID, name: "integer", numeric: wholeNumber, delim: ','}
	pgText   = &pgType{oid: pgtype.TextOID, name: "text", text: true, delim: ','}
	pgInts   = &pgType{oid: pgtype.Int4ArrayOID, name: "integer[]", kind: pgArray, elem: pgInt, delim: ','}
	pgTexts  = &pgType{oid: pgtype.TextArrayOID, name: "text[]", kind: pgArray, elem: pgText, delim: ','}
	pgPair   = &pgType{oid: 99, kind: pgComposite, fields: []pgField{{`"a":`, pgInt}, {`"b":`, pgTexts}}}
	pgPairs  = &pgType{oid: 98, kind: pgArray, elem: pgPair, delim: ','}
	pgStored = &pgType{oid: 97, kind: pgHstore}
)

// What a server writes against its own rules is an error and never half a value.
func TestPostgresTexts(t *testing.T) {
	for _, tt := range []struct {
		typ        *pgType
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
		for _, typ := range []*pgType{pgInts, pgTexts, pgPair, pgPairs, pgStored, {oid: pgtype.ByteaOID}, {oid: pgtype.TimestamptzOID}} {
			got, err := appendPg(nil, typ, text)
			if err == nil && !json.Valid(got) {
				t.Errorf("%s of %q is no JSON", got, text)
			}
		}
	})
}

// 5, 5.0 and 5e0 are one number, and an exponent is never written out in digits.
func TestWholeNumbers(t *testing.T) {
	for raw, want := range map[string]string{
		"5": "5", "5.0": "5", "5e0": "5", "0.5e1": "5", "50E-1": "5", "-0": "0", "-0.0": "0", "1e9": "1000000000", "2147483647.00": "2147483647",
		"-2147483648": "-2147483648", "0e99999999999": "0",
		"2147483648": "a number out of range", "1e10": "a number out of range", "1e999999999999": "a number out of range",
		"5.5": "a number with a fraction", "1e-1": "a number with a fraction", "1e-999999999999": "a number with a fraction",
	} {
		text, wrong := bindWhole(pgInt, raw)
		if text+wrong != want {
			t.Errorf("%s: %q %q, want %s", raw, text, wrong, want)
		}
	}
}

// Brackets in a value must not take the process's stack.
func TestDeepArgument(t *testing.T) {
	deep := strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20)
	if _, wrong := bind(pgInts, gjson.Parse(deep), 0); wrong != "an array that is nested too deep" {
		t.Error(wrong)
	}
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
