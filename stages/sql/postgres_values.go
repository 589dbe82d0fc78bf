package sql

import (
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A shapeError is a value that does not have the form of its type in the catalog.
type shapeError struct{ column string }

func (e *shapeError) Error() string {
	return "the column " + strconv.Quote(e.column) + " does not fit its type, which may have changed: cast it to text or json"
}

var errShape = errors.New("a value does not fit its type")

// appendPgRow writes a row as an object. A nil value is NULL.
func appendPgRow(out []byte, columns []pgColumn, values [][]byte) ([]byte, error) {
	out = append(out, '{')
	for i, c := range columns {
		if i > 0 {
			out = append(out, ',')
		}
		if out = append(out, c.Key...); values[i] == nil {
			out = append(out, "null"...)
			continue
		}
		if !utf8.Valid(values[i]) {
			return nil, refuse(client.TypeBadAnswer, "the column %q holds text that is not valid UTF-8", c.name)
		}
		var err error
		if out, err = appendPg(out, c.Type, string(values[i])); err != nil {
			return nil, &shapeError{c.name}
		}
	}
	return append(out, '}'), nil
}

// appendPg writes the JSON form of a value that the server has written as text.
func appendPg(out []byte, t *database.Type, text string) ([]byte, error) {
	switch t = t.Resolve(); t.Kind {
	case database.Array:
		return appendPgArray(out, t, text)
	case database.Composite:
		return appendPgComposite(out, t, text)
	case database.Hstore:
		return appendHstore(out, text)
	}
	switch t.OID {
	case pgtype.BoolOID:
		return strconv.AppendBool(out, text == "t"), nil
	case pgtype.Float4OID, pgtype.Float8OID:
		bits := 64
		if t.OID == pgtype.Float4OID {
			bits = 32
		}
		f, err := strconv.ParseFloat(text, bits)
		return appendFloat(out, f, bits), err
	case pgtype.ByteaOID:
		b, err := bytesOf(text)
		return appendBytes(out, b), err
	case pgtype.TimestampOID, pgtype.TimestamptzOID:
		return appendTimestamp(out, text), nil
	case pgtype.JSONOID, pgtype.JSONBOID:
		return appendJSON(out, text), nil
	}
	if t.Numeric != database.NoNumber {
		return appendNumber(out, text), nil
	}
	return jsontext.AppendString(out, text), nil
}

var timestamps = []string{"2006-01-02 15:04:05.999999", "2006-01-02 15:04:05.999999-07", "2006-01-02 15:04:05.999999-07:00", "2006-01-02 15:04:05.999999-07:00:00"}

// appendTimestamp writes RFC 3339 in UTC. What that has no form for, years of five digits
// or before Christ and infinity, stays as the server writes it.
func appendTimestamp(out []byte, text string) []byte {
	for _, layout := range timestamps {
		if v, err := time.Parse(layout, text); err == nil && v.UTC().Year() > 0 && v.UTC().Year() < 10_000 {
			return appendTime(out, v, "")
		}
	}
	return jsontext.AppendString(out, text)
}

// bytesOf reads both forms that bytea_output asks for.
func bytesOf(text string) ([]byte, error) {
	if digits, ok := strings.CutPrefix(text, `\x`); ok {
		return hex.DecodeString(digits)
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '\\':
			out = append(out, text[i])
		case strings.HasPrefix(text[i+1:], `\`):
			out = append(out, '\\')
			i++
		case i+4 <= len(text):
			b, err := strconv.ParseUint(text[i+1:i+4], 8, 8)
			if err != nil {
				return nil, err
			}
			out = append(out, byte(b))
			i += 3
		default:
			return nil, errShape
		}
	}
	return out, nil
}

// appendPgArray writes {1,{2,NULL}} as a list. Bounds that stand in front are left out.
func appendPgArray(out []byte, t *database.Type, text string) ([]byte, error) {
	if strings.HasPrefix(text, "[") {
		_, text, _ = strings.Cut(text, "=")
	}
	out, rest, err := appendPgList(out, t, text, 0)
	if err == nil && rest != "" {
		err = errShape
	}
	return out, err
}

// appendPgList writes the list that text begins with, and gives what stands behind it.
func appendPgList(out []byte, t *database.Type, text string, depth int) (_ []byte, rest string, err error) {
	text, ok := strings.CutPrefix(text, "{")
	if !ok || depth == database.MaxDimensions {
		return nil, "", errShape
	}
	out = append(out, '[')
	for first := true; !strings.HasPrefix(text, "}"); first = false {
		if !first {
			if text == "" || text[0] != t.Delim {
				return nil, "", errShape
			}
			text = text[1:]
			out = append(out, ',')
		}
		if strings.HasPrefix(text, "{") {
			out, text, err = appendPgList(out, t, text, depth+1)
		} else {
			item, quoted, n := token(text, string([]byte{t.Delim, '}'}))
			text = text[n:]
			switch {
			case n == 0:
				err = errShape
			case item == "NULL" && !quoted:
				out = append(out, "null"...)
			default:
				out, err = appendPg(out, t.Elem, item)
			}
		}
		if err != nil {
			return nil, "", err
		}
	}
	return append(out, ']'), text[1:], nil
}

// appendPgComposite writes (1,"a b",) as an object of the fields by name.
func appendPgComposite(out []byte, t *database.Type, text string) ([]byte, error) {
	inner, ok := strings.CutPrefix(text, "(")
	inner, ends := strings.CutSuffix(inner, ")")
	if !ok || !ends {
		return nil, errShape
	}
	out = append(out, '{')
	for i, f := range t.Fields {
		if i > 0 {
			if !strings.HasPrefix(inner, ",") {
				return nil, errShape
			}
			inner = inner[1:]
			out = append(out, ',')
		}
		item, quoted, n := token(inner, ",")
		inner = inner[n:]
		out = append(out, f.Key...)
		var err error
		if item == "" && !quoted {
			out = append(out, "null"...)
		} else if out, err = appendPg(out, f.Type, item); err != nil {
			return nil, err
		}
	}
	if inner != "" {
		return nil, errShape
	}
	return append(out, '}'), nil
}

// appendHstore writes "a"=>"1", "b"=>NULL as an object.
func appendHstore(out []byte, text string) ([]byte, error) {
	out = append(out, '{')
	for first := true; text != ""; first = false {
		if !first {
			if !strings.HasPrefix(text, ", ") {
				return nil, errShape
			}
			text = text[2:]
			out = append(out, ',')
		}
		key, _, n := token(text, "=")
		value, ok := strings.CutPrefix(text[n:], "=>")
		if !ok {
			return nil, errShape
		}
		item, quoted, n := token(value, ",")
		text = value[n:]
		out = append(out, keyOf(key)...)
		if item == "NULL" && !quoted {
			out = append(out, "null"...)
		} else {
			out = jsontext.AppendString(out, item)
		}
	}
	return append(out, '}'), nil
}

// token reads one item up to one of the bytes of ends, and gives its length. Within quotes a
// backslash, or a second quote, escapes the character behind it.
func token(text, ends string) (item string, quoted bool, n int) {
	if !strings.HasPrefix(text, `"`) {
		n := strings.IndexAny(text, ends)
		if n < 0 {
			n = len(text)
		}
		return text[:n], false, n
	}
	b := make([]byte, 0, len(text))
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text), c == '"' && strings.HasPrefix(text[i+1:], `"`):
			i++
			b = append(b, text[i])
		case c == '"':
			return string(b), true, i + 1
		default:
			b = append(b, c)
		}
	}
	return string(b), true, len(text)
}
