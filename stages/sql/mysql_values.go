package sql

import (
	"database/sql/driver"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/penstockio/penstock/pipeline/client"
)

// bindMySQL gives the value of a parameter. A number goes as one, whole numbers in any way to write
// them as integers; one that a float would not hold goes as its text. An array and an object go as
// JSON text.
func bindMySQL(text []byte) (any, error) {
	v, err := plain(text)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case json.RawMessage:
		return mysqlNumber(string(v)), nil
	}
	return v, nil
}

func mysqlNumber(raw string) any {
	if raw[0] == '{' || raw[0] == '[' {
		return raw
	}
	if n, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return n
	}
	if n, err := strconv.ParseUint(raw, 10, 64); err == nil {
		return n
	}
	n, whole, fits := wholeOf(raw)
	if whole && fits {
		return n
	}
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, raw)
	if f, err := strconv.ParseFloat(raw, 64); err == nil && (len(digits) <= 15 || strings.ContainsAny(raw, "eE")) {
		return f
	}
	return raw
}

func appendMySQLRow(out []byte, values []driver.Value, columns []column) ([]byte, error) {
	out = append(out, '{')
	for i, c := range columns {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, c.name...)
		var err error
		if out, err = appendMySQL(out, values[i], c); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// appendMySQL writes the JSON form of a value.
func appendMySQL(out []byte, v driver.Value, c column) ([]byte, error) {
	var text string
	switch v := v.(type) {
	case []byte:
		text = string(v)
	case string:
		text = v
	default:
		return appendValue(out, v, c)
	}
	switch c.typ {
	case "BIT": // big-endian
		var n uint64
		for i := range len(text) {
			n = n<<8 | uint64(text[i])
		}
		return strconv.AppendUint(out, n, 10), nil
	case "DECIMAL", "UNSIGNED BIGINT":
		return appendNumber(out, text), nil
	case "DATETIME", "TIMESTAMP":
		return appendTimestamp(out, text), nil
	case "BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "BINARY", "VARBINARY", "GEOMETRY", "VECTOR":
		return appendBytes(out, []byte(text)), nil
	case "":
		return nil, refuse(client.TypeSQL, "the column %s is of a type that has no JSON form: cast it to text", c.name)
	}
	return appendText(out, text, c)
}
