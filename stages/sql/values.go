package sql

import (
	"bytes"
	dbsql "database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A result is what a query found, as JSON text. It is shared between records and
// must not be changed.
type result struct {
	rows int
	json []byte // nil: null
}

// A builder makes a result out of rows, within the limits of the settings.
type builder struct {
	settings *Settings
	rows     int
	out      []byte
}

// begin begins a row, whose text the caller appends to out.
func (b *builder) begin() error {
	all := b.settings.Rows == "all"
	if b.rows++; b.rows > b.settings.MaxRows && all {
		return refuse(client.TypeTooLarge, "the result has more rows than max_rows (%d): narrow the query, or add a LIMIT", b.settings.MaxRows)
	}
	if all && b.rows == 1 {
		b.out = append(b.out, '[')
	} else if all {
		b.out = append(b.out, ',')
	}
	return nil
}

// end ends a row; more says whether another is wanted.
func (b *builder) end() (more bool, err error) {
	if len(b.out) > int(b.settings.MaxBytes) {
		return false, refuse(client.TypeTooLarge, "the result is larger than max_bytes (%v)", b.settings.MaxBytes)
	}
	return b.settings.Rows == "all", nil
}

// reset forgets all rows.
func (b *builder) reset() { b.rows, b.out = 0, nil }

func (b *builder) result() result {
	r := result{rows: b.rows, json: b.out}
	switch {
	case b.settings.Rows != "all":
	case b.rows == 0:
		r.json = []byte("[]")
	default:
		r.json = append(r.json, ']')
	}
	return r
}

// read puts rows into b. The caller closes them.
func read(rows *dbsql.Rows, b *builder) error {
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	columns := make([]column, len(types))
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Name()
		columns[i] = column{keyOf(t.Name()), t.DatabaseTypeName()}
	}
	if err := checkNames(names); err != nil {
		return err
	}
	for more := true; more && rows.Next(); {
		if err := b.begin(); err != nil {
			return err
		}
		if b.out, err = appendRow(b.out, rows, columns); err != nil {
			return err
		}
		if more, err = b.end(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// refuse is a permanent error about a result; it quotes no value.
func refuse(typ, format string, args ...any) error {
	return pipeline.Reject(typ, client.NewError(typ, "reading the result of the query: "+fmt.Sprintf(format, args...), nil))
}

type column struct {
	name string // as a JSON key with its colon
	typ  string
}

// keyOf gives a column's name as a JSON key with its colon.
func keyOf(name string) string { return string(jsontext.AppendString(nil, name)) + ":" }

// checkNames refuses a name that comes twice: an object has one field of a name.
func checkNames(names []string) error {
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if seen[name] {
			return refuse(client.TypeSQL, "two columns have the name %q: give one another name with AS", name)
		}
		seen[name] = true
	}
	return nil
}

func appendRow(out []byte, rows *dbsql.Rows, columns []column) ([]byte, error) {
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, err
	}
	out = append(out, '{')
	for i, c := range columns {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, c.name...)
		var err error
		if out, err = appendValue(out, values[i], c); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// appendValue writes one value as JSON text, exactly.
func appendValue(out []byte, v any, c column) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(out, "null"...), nil
	case bool:
		return strconv.AppendBool(out, v), nil
	case int64:
		return strconv.AppendInt(out, v, 10), nil
	case float64:
		return appendFloat(out, v, 64), nil
	case time.Time:
		return appendTime(out, v, c.typ), nil
	case []byte:
		return appendBytes(out, v), nil
	case string:
		return appendText(out, v, c)
	}
	return nil, refuse(client.TypeSQL, "the column %s is of a type that has no JSON form: cast it to text", c.name)
}

func appendBytes(out, v []byte) []byte {
	out = append(out, '"')
	out = base64.StdEncoding.AppendEncode(out, v)
	return append(out, '"')
}

func appendFloat(out []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(out, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(out, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(out, `"-Infinity"`...)
	}
	start := len(out)
	out = strconv.AppendFloat(out, v, 'g', -1, bits)
	if bytes.IndexByte(out[start:], '.') < 0 && bytes.IndexByte(out[start:], 'e') < 0 {
		out = append(out, '.', '0') // what is a float stays one
	}
	return out
}

func appendTime(out []byte, v time.Time, typ string) []byte {
	out = append(out, '"')
	if h, m, s := v.Clock(); typ == "DATE" && h == 0 && m == 0 && s == 0 && v.Nanosecond() == 0 {
		out = v.AppendFormat(out, time.DateOnly)
	} else {
		out = v.UTC().AppendFormat(out, time.RFC3339Nano)
	}
	return append(out, '"')
}

func appendText(out []byte, v string, c column) ([]byte, error) {
	if !utf8.ValidString(v) {
		return nil, refuse(client.TypeBadAnswer, "the column %s holds text that is not valid UTF-8", c.name[:len(c.name)-1])
	}
	switch c.typ {
	case "NUMERIC":
		return appendNumber(out, v), nil
	case "JSON":
		return appendJSON(out, v), nil
	}
	return jsontext.AppendString(out, v), nil
}

// appendNumber writes the text of a number as one, and what is none as a string: NaN.
func appendNumber(out []byte, v string) []byte {
	// The first byte is checked before: gjson recurses for each level of nesting, and a number has none.
	if v != "" && v[0] <= '9' && gjson.Valid(v) && gjson.Parse(v).Type == gjson.Number {
		return append(out, v...)
	}
	return jsontext.AppendString(out, v)
}

// appendJSON puts JSON text in on one line, and what is none as a string.
func appendJSON(out []byte, v string) []byte {
	var line bytes.Buffer
	if err := json.Compact(&line, []byte(v)); err == nil {
		return append(out, line.Bytes()...)
	}
	return jsontext.AppendString(out, v)
}

// plain gives the value of JSON text for a parameter: nil, bool, string, or for a
// number, an object or an array its text as json.RawMessage.
func plain(text []byte) (any, error) {
	if len(text) == 0 {
		return nil, nil
	}
	switch v := gjson.ParseBytes(text); v.Type {
	case gjson.Null:
		return nil, nil
	case gjson.True, gjson.False:
		return v.Type == gjson.True, nil
	case gjson.String:
		return v.String(), nil
	case gjson.Number, gjson.JSON:
		return json.RawMessage(v.Raw), nil
	}
	return nil, errors.New("binding a parameter: the value has no JSON form")
}
