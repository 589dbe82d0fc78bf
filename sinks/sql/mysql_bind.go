package sqlsink

import (
	"encoding/base64"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline/database"
)

func (d *mySQL) bind(c *column, v gjson.Result) (value any, wrong string) {
	if c.compares && d.settings.OnTombstone == "delete" {
		return bindMySQLKey(c, v)
	}
	switch c.typ {
	case "json":
		return v.Raw, ""
	case "datetime", "timestamp":
		return bindMoment(v)
	}
	switch {
	case slices.Contains(mysqlBytes, c.typ):
		b, err := base64.StdEncoding.DecodeString(v.String())
		if v.Type != gjson.String || err != nil {
			return nil, noBase64
		}
		return b, ""
	case slices.Contains(mysqlText, c.typ):
		if v.Type == gjson.String {
			return v.String(), ""
		}
		return v.Raw, ""
	case v.IsArray() || v.IsObject():
		return nil, describeKind(v)
	case v.Type == gjson.String && slices.Contains(mysqlWhole, c.typ):
		text, ok := wholeText(v.String())
		if !ok {
			return nil, noWhole
		}
		v = gjson.Parse(text)
	case v.Type == gjson.Number && slices.Contains(mysqlWhole, c.typ):
		if _, whole, _ := database.WholeOf(v.Raw); !whole {
			return nil, "a number with a fraction"
		}
	case v.Type == gjson.Number && c.typ == "decimal":
		return v.Raw, "" // with every digit
	}
	value, err := database.BindMySQL([]byte(v.Raw))
	if err != nil {
		return nil, describeKind(v)
	}
	return value, ""
}

// bindMoment gives a time as both servers read it: RFC 3339 they do not. Other texts go as they are.
func bindMoment(v gjson.Result) (value any, wrong string) {
	const layout = "2006-01-02 15:04:05.999999"
	switch {
	case v.Type == gjson.Number:
		t, ok := moment(v.Raw)
		if !ok {
			return nil, noMoment
		}
		return t.Format(layout), ""
	case v.Type != gjson.String:
		return nil, describeKind(v)
	}
	if t, err := time.Parse(time.RFC3339Nano, v.String()); err == nil {
		return t.UTC().Format(layout), ""
	}
	return v.String(), ""
}

const (
	outOfRange = "a number out of range"
	noNumber   = "a string that is no number"
	noTime     = "a string that is no time"
)

// compared gives what a value of the key is compared as: in a DELETE the server reads a text as any number that it
// begins with, and compares numbers as floats. The type is what it makes of the value when it stores it.
func (c *column) compared() string {
	switch c.typ {
	case "decimal":
		precision, scale := c.decimals()
		return "CAST(? AS DECIMAL(" + strconv.Itoa(precision) + "," + strconv.Itoa(scale) + "))"
	case "date":
		return "CAST(? AS DATE)"
	case "datetime", "timestamp":
		return "CAST(? AS DATETIME(" + c.digits + "))"
	case "time":
		return "CAST(? AS TIME(" + c.digits + "))"
	}
	return "?"
}

// decimals gives how many digits a DECIMAL has, and how many of them behind the point.
func (c *column) decimals() (precision, scale int) {
	_, rest, _ := strings.Cut(c.full, "(")
	rest, _, _ = strings.Cut(rest, ")")
	before, behind, _ := strings.Cut(rest, ",")
	precision, _ = strconv.Atoi(before)
	scale, _ = strconv.Atoi(behind)
	return precision, scale
}

// cannotDelete says why rows cannot be deleted by the column; "": they can.
func (c *column) cannotDelete() string {
	switch {
	case c.full == "": // of another database
	case c.typ == "float":
		return "its values are equal to no number that is written"
	case c.typ == "double" && strings.Contains(c.full, "("):
		return "its values are rounded"
	}
	return ""
}

var (
	mysqlNumber = regexp.MustCompile(`^[+-]?(\d{1,100}\.?\d{0,100}|\.\d{1,100})([eE][+-]?\d{1,3})?$`)
	mysqlDate   = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
	mysqlClock  = regexp.MustCompile(`^-?\d{1,3}:\d{2}(:\d{2}(\.\d{1,9})?)?$`)
	mysqlMoment = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?$`)
)

// bindMySQLKey gives a value of a key by which rows are deleted too: one that stands for exactly one value of the
// column, or for none.
func bindMySQLKey(c *column, v gjson.Result) (value any, wrong string) {
	switch {
	case slices.Contains(mysqlBytes, c.typ):
		b, err := base64.StdEncoding.DecodeString(v.String())
		if v.Type != gjson.String || err != nil {
			return nil, noBase64
		}
		if _, size, ok := strings.Cut(strings.TrimSuffix(c.full, ")"), "("); ok && c.typ == "binary" {
			if n, err := strconv.Atoi(size); err == nil && len(b) < n { // as it is stored
				b = append(b, make([]byte, n-len(b))...)
			}
		}
		return b, ""
	case slices.Contains(mysqlText, c.typ):
		if v.Type == gjson.String {
			return v.String(), ""
		}
		return v.Raw, ""
	case v.IsArray() || v.IsObject():
		return nil, describeKind(v)
	case c.typ == "datetime" || c.typ == "timestamp":
		value, wrong = bindMoment(v)
		return matching(mysqlMoment, value, wrong)
	case c.typ == "date":
		return matching(mysqlDate, v.String(), "")
	case c.typ == "time":
		return matching(mysqlClock, v.String(), "")
	case slices.Contains(mysqlWhole, c.typ), c.typ == "bit", c.typ == "year":
		return bindMySQLWhole(c, v)
	case c.typ == "decimal", c.typ == "double":
		return bindMySQLNumber(c, v)
	case v.Type == gjson.String:
		return v.String(), ""
	}
	return v.Raw, ""
}

func matching(form *regexp.Regexp, value any, wrong string) (any, string) {
	if s, ok := value.(string); wrong == "" && (!ok || !form.MatchString(s)) {
		return nil, noTime
	}
	return value, wrong
}

func bindMySQLWhole(c *column, v gjson.Result) (value any, wrong string) {
	raw := v.Raw
	switch v.Type {
	case gjson.True:
		raw = "1"
	case gjson.False:
		raw = "0"
	case gjson.String:
		var ok bool
		if raw, ok = wholeText(v.String()); !ok {
			return nil, noWhole
		}
	}
	if n, err := strconv.ParseUint(raw, 10, 64); err == nil && n > 1<<63-1 && c.typ != "year" {
		return n, ""
	}
	n, whole, fits := database.WholeOf(raw)
	switch {
	case !whole:
		return nil, "a number with a fraction"
	case !fits, c.typ == "bit" && n < 0:
		return nil, outOfRange
	case c.typ != "year":
		return n, ""
	case n == 0 && v.Type == gjson.String, n > 0 && n < 70: // years of two digits, as the server has them
		n += 2000
	case n >= 70 && n < 100:
		n += 1900
	}
	if n != 0 && (n < 1901 || n > 2155) {
		return nil, outOfRange
	}
	return n, ""
}

func bindMySQLNumber(c *column, v gjson.Result) (value any, wrong string) {
	text := v.Raw
	switch v.Type {
	case gjson.True:
		text = "1"
	case gjson.False:
		text = "0"
	case gjson.String:
		text = strings.TrimSpace(v.String())
	}
	if !mysqlNumber.MatchString(text) {
		return nil, noNumber
	}
	if c.typ == "double" {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, outOfRange
		}
		return f + 0, "" // -0 is 0
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, noNumber
	}
	precision, scale := c.decimals()
	text = n.FloatString(scale) // rounds as the server does
	digits, _, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	if len(strings.TrimLeft(digits, "0")) > precision-scale {
		return nil, outOfRange
	}
	if strings.Trim(text, "-0.") == "" {
		text = strings.TrimPrefix(text, "-")
	}
	return text, ""
}
