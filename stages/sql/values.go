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
)

// A result is what a query found, as JSON text. It is shared between records and
// must not be changed.
type result struct {
	rows int
	json []byte // nil: null
}

// read makes JSON of rows. The caller closes them.
func read(rows *dbsql.Rows, s Settings) (result, error) {
	types, err := rows.ColumnTypes()
	if err != nil {
		return result{}, err
	}
	columns, err := columnsOf(types)
	if err != nil {
		return result{}, err
	}
	all := s.Rows == "all"
	var out []byte
	if all {
		out = append(out, '[')
	}
	res := result{}
	for rows.Next() {
		if res.rows++; res.rows > s.MaxRows && all {
			return result{}, refuse(client.TypeTooLarge, "the result has more rows than max_rows (%d): narrow the query, or add a LIMIT", s.MaxRows)
		}
		if res.rows > 1 && all {
			out = append(out, ',')
		}
		if out, err = appendRow(out, rows, columns); err != nil {
			return result{}, err
		}
		if len(out) > int(s.MaxBytes) {
			return result{}, refuse(client.TypeTooLarge, "the result is larger than max_bytes (%v)", s.MaxBytes)
		}
		if !all {
			break
		}
	}
	if all {
		out = append(out, ']')
	}
	res.json = out
	return res, rows.Err()
}

// refuse is a permanent error about a result; it quotes no value.
func refuse(typ, format string, args ...any) error {
	return pipeline.Reject(typ, client.NewError(typ, "reading the result of the query: "+fmt.Sprintf(format, args...), nil))
}

type column struct {
	name string // as a JSON key with its colon
	typ  string
}

func columnsOf(types []*dbsql.ColumnType) ([]column, error) {
	columns := make([]column, len(types))
	seen := make(map[string]bool, len(types))
	for i, t := range types {
		if seen[t.Name()] {
			return nil, refuse(client.TypeSQL, "two columns have the name %s: give one another name with AS", t.Name())
		}
		seen[t.Name()] = true
		columns[i] = column{string(appendString(nil, t.Name())) + ":", t.DatabaseTypeName()}
	}
	return columns, nil
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
		return appendFloat(out, v, c.typ), nil
	case time.Time:
		return appendTime(out, v, c.typ), nil
	case []byte:
		if c.typ == "JSON" || c.typ == "JSONB" {
			return appendText(out, string(v), c)
		}
		out = append(out, '"')
		out = base64.StdEncoding.AppendEncode(out, v)
		return append(out, '"'), nil
	case string:
		return appendText(out, v, c)
	}
	return nil, refuse(client.TypeSQL, "the column %s is of a type that has no JSON form: cast it to text", c.name)
}

func appendFloat(out []byte, v float64, typ string) []byte {
	bits := 64
	if typ == "FLOAT4" {
		bits = 32
	}
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
		// The first byte is looked at first: gjson takes the stack for each level of nesting.
		if v != "" && v[0] <= '9' && gjson.Valid(v) && gjson.Parse(v).Type == gjson.Number {
			return append(out, v...), nil
		}
	case "JSON", "JSONB":
		var line bytes.Buffer
		if err := json.Compact(&line, []byte(v)); err == nil {
			return append(out, line.Bytes()...), nil
		}
	}
	return appendString(out, v), nil
}

func appendString(out []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always has a text
	return append(out, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
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
