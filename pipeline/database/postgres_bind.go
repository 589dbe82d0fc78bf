package database

import (
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/tidwall/gjson"
)

// Bind gives a value that is not null as the text that PostgreSQL reads as the type, exact for
// numbers of any size, or says what is wrong with it: "a number out of range".
func Bind(t *Type, v gjson.Result) (text, wrong string) { return bind(t, v, 0) }

func bind(t *Type, v gjson.Result, depth int) (text, wrong string) {
	t = t.Resolve()
	structured := v.IsArray() || v.IsObject()
	switch {
	case t.OID == pgtype.JSONOID || t.OID == pgtype.JSONBOID:
		return v.Raw, ""
	case t.OID == pgtype.ByteaOID && v.Type == gjson.String:
		return bindBytes(v.String())
	case v.Type == gjson.String && t.OID == pgtype.TimestampOID:
		return withoutZone(v.String()), ""
	case v.Type == gjson.String:
		return v.String(), ""
	case t.Kind == Array && v.IsArray():
		return bindArray(t, v, depth)
	case t.Kind != Scalar, structured && !t.Text, t.OID == pgtype.ByteaOID:
		return "", kind(v)
	case t.Numeric == WholeNumber && v.Type == gjson.Number:
		return bindWhole(t, v.Raw)
	case t.Numeric != NoNumber && v.Type != gjson.Number:
		return "", kind(v)
	}
	return v.Raw, ""
}

// zones are the forms of a time that says its zone.
var zones = []string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07", "2006-01-02T15:04:05Z07", "2006-01-02 15:04:05Z0700", "2006-01-02T15:04:05Z0700"}

// withoutZone gives a time for a timestamp without a zone, which is taken as UTC: the server would read the time of
// day alone, wherever it is.
func withoutZone(text string) string {
	for _, layout := range zones {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC().Format("2006-01-02 15:04:05.999999999")
		}
	}
	return text
}

// MaxDimensions is PostgreSQL's own limit of an array.
const MaxDimensions = 6

// bindArray gives the literal of an array: {"a","b",NULL}.
func bindArray(t *Type, v gjson.Result, depth int) (text, wrong string) {
	if depth == MaxDimensions {
		return "", "nested too deep"
	}
	elem := t.Elem.Resolve()
	nests := elem.Kind != Array && elem.OID != pgtype.JSONOID && elem.OID != pgtype.JSONBOID
	out := []byte{'{'}
	v.ForEach(func(_, e gjson.Result) bool {
		if len(out) > 1 {
			out = append(out, t.Delim)
		}
		var s string
		switch {
		case e.Type == gjson.Null:
			out = append(out, "NULL"...)
			return true
		case nests && e.IsArray():
			s, wrong = bindArray(t, e, depth+1)
			out = append(out, s...)
			return wrong == ""
		}
		if s, wrong = bind(t.Elem, e, depth+1); wrong != "" {
			wrong = "an array with " + wrong + " in it"
			return false
		}
		out = AppendItem(out, s)
		return true
	})
	if wrong == "nested too deep" && depth == 0 {
		wrong = "an array that is nested too deep"
	}
	return string(append(out, '}')), wrong
}

// AppendItem writes an element of an array.
func AppendItem(out []byte, s string) []byte {
	out = append(out, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			out = append(out, '\\')
		}
		out = append(out, s[i])
	}
	return append(out, '"')
}

// bindBytes reads base64, which is what a result gives, and PostgreSQL's own form.
func bindBytes(s string) (text, wrong string) {
	if digits, ok := strings.CutPrefix(s, `\x`); ok {
		if _, err := hex.DecodeString(digits); err == nil {
			return s, ""
		}
	} else if b, err := base64.StdEncoding.DecodeString(s); err == nil {
		return `\x` + hex.EncodeToString(b), ""
	}
	return "", `a string that is neither base64 nor \x and hexadecimal`
}

var wholeRanges = map[uint32]struct{ min, max int64 }{
	pgtype.Int2OID: {-1 << 15, 1<<15 - 1}, pgtype.Int4OID: {-1 << 31, 1<<31 - 1}, pgtype.Int8OID: {-1 << 63, 1<<63 - 1},
	pgtype.OIDOID: {0, 1<<32 - 1}, pgtype.XIDOID: {0, 1<<32 - 1}, pgtype.CIDOID: {0, 1<<32 - 1},
}

// bindWhole reads a whole number in all forms of JSON: 5, 5.0 and 5e0 are the same.
func bindWhole(t *Type, raw string) (text, wrong string) {
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil {
		var whole, ok bool
		if n, whole, ok = WholeOf(raw); !whole {
			return "", "a number with a fraction"
		} else if !ok {
			return "", "a number out of range"
		}
	}
	if r := wholeRanges[t.OID]; n < r.min || n > r.max {
		return "", "a number out of range"
	}
	return strconv.FormatInt(n, 10), ""
}

// WholeOf gives the value of a JSON number when it is whole and fits. It never makes the
// digits that a large exponent stands for.
func WholeOf(raw string) (n int64, whole, ok bool) {
	mantissa, exp := raw, int64(0)
	if i := strings.IndexAny(raw, "eE"); i >= 0 {
		var err error
		mantissa = raw[:i]
		if exp, err = strconv.ParseInt(strings.TrimPrefix(raw[i+1:], "+"), 10, 32); err != nil {
			exp = 1 << 31
			if strings.HasPrefix(raw[i+1:], "-") {
				exp = -exp
			}
		}
	}
	sign := ""
	if strings.HasPrefix(mantissa, "-") {
		sign, mantissa = "-", mantissa[1:]
	}
	digits, fraction, _ := strings.Cut(mantissa, ".")
	exp -= int64(len(fraction))
	digits = strings.TrimLeft(digits+fraction, "0")
	kept := strings.TrimRight(digits, "0")
	exp += int64(len(digits) - len(kept))
	switch {
	case kept == "":
		return 0, true, true
	case exp < 0:
		return 0, false, false
	case int64(len(kept))+exp > 19:
		return 0, true, false
	}
	v, _ := new(big.Int).SetString(sign+kept+strings.Repeat("0", int(exp)), 10)
	return v.Int64(), true, v.IsInt64()
}

// KindOf names the JSON type of a text; an empty one is null.
func KindOf(text []byte) string {
	if len(text) == 0 {
		return "null"
	}
	return kind(gjson.ParseBytes(text))
}

func kind(v gjson.Result) string {
	switch {
	case v.Type == gjson.Null:
		return "null"
	case v.Type == gjson.True, v.Type == gjson.False:
		return "a boolean"
	case v.Type == gjson.Number:
		return "a number"
	case v.Type == gjson.String:
		return "a string"
	case v.IsArray():
		return "an array"
	}
	return "an object"
}
