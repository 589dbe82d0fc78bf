package database

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/tidwall/gjson"
)

var integer = &Type{OID: pgtype.Int4OID, Name: "integer", Numeric: WholeNumber, Delim: ','}

// 5, 5.0 and 5e0 are one number, and an exponent is never written out in digits.
func TestWholeNumbers(t *testing.T) {
	for raw, want := range map[string]string{
		"5": "5", "5.0": "5", "5e0": "5", "0.5e1": "5", "50E-1": "5", "-0": "0", "-0.0": "0", "1e9": "1000000000", "2147483647.00": "2147483647",
		"-2147483648": "-2147483648", "0e99999999999": "0",
		"2147483648": "a number out of range", "1e10": "a number out of range", "1e999999999999": "a number out of range",
		"5.5": "a number with a fraction", "1e-1": "a number with a fraction", "1e-999999999999": "a number with a fraction",
	} {
		text, wrong := bindWhole(integer, raw)
		if text+wrong != want {
			t.Errorf("%s: %q %q, want %s", raw, text, wrong, want)
		}
	}
}

// Brackets in a value must not take the process's stack.
func TestDeepValue(t *testing.T) {
	deep := strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20)
	if _, wrong := Bind(&Type{OID: pgtype.Int4ArrayOID, Name: "integer[]", Kind: Array, Elem: integer, Delim: ','}, gjson.Parse(deep)); wrong != "an array that is nested too deep" {
		t.Error(wrong)
	}
}
