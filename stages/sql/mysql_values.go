package sql

import (
	"database/sql/driver"
	"strconv"

	"github.com/penstockio/penstock/pipeline/client"
)

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
