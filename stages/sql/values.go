package sql

import (
	"bytes"
	dbsql "database/sql"
	"encoding/base64"
	"encoding/json"
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

// A look is one look-up: what is asked for, and what came of it. Its texts are its own: it may
// outlive the record.
type look struct {
	settings *Settings
	args     [][]byte // the JSON texts of the parameters; an empty one is NULL

	rows int
	out  []byte
	full bool // no more rows are wanted

	result result
	err    error
	again  bool // it has to be asked for again, alone
}

// size is about how much the parameters take.
func (l *look) size() (n int) {
	for _, a := range l.args {
		n += len(a)
	}
	return n
}

// row adds a row, whose text is what add appends. A row too many, or one that is too large, is the
// error of this look-up alone: see refuse. more says whether another row is wanted.
func (l *look) row(add func(out []byte) ([]byte, error)) (more bool, err error) {
	if l.full {
		return false, nil
	}
	if err = l.begin(); err == nil {
		if l.out, err = add(l.out); err == nil {
			err = l.end()
		}
	}
	if _, own := pipeline.IsPermanent(err); own {
		l.err, l.full, err = err, true, nil
	}
	return !l.full, err
}

func (l *look) begin() error {
	all := l.settings.Rows == "all"
	if l.rows++; l.rows > l.settings.MaxRows && all {
		return refuse(client.TypeTooLarge, "the result has more rows than max_rows (%d): narrow the query, or add a LIMIT", l.settings.MaxRows)
	}
	if all && l.rows == 1 {
		l.out = append(l.out, '[')
	} else if all {
		l.out = append(l.out, ',')
	}
	return nil
}

func (l *look) end() error {
	if len(l.out) > int(l.settings.MaxBytes) {
		return refuse(client.TypeTooLarge, "the result is larger than max_bytes (%v)", l.settings.MaxBytes)
	}
	l.full = l.settings.Rows != "all"
	return nil
}

// reset forgets all rows, for another attempt at the query.
func (l *look) reset() { l.rows, l.out, l.full, l.err = 0, nil, false, nil }

// finish makes the result of the rows.
func (l *look) finish() {
	l.result = result{rows: l.rows, json: l.out}
	switch {
	case l.settings.Rows != "all":
	case l.rows == 0:
		l.result.json = []byte("[]")
	default:
		l.result.json = append(l.result.json, ']')
	}
}

// read puts rows into l. The caller closes them.
func read(rows *dbsql.Rows, l *look) error {
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
		if more, err = l.row(func(out []byte) ([]byte, error) { return appendRow(out, rows, columns) }); err != nil {
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
	case float32:
		return appendFloat(out, float64(v), 32), nil
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
