package database

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// BindMySQL gives the value of a parameter. A number goes as one, whole numbers in any way to write
// them as integers; one that a float would not hold goes as its text. An array and an object go as
// JSON text.
func BindMySQL(text []byte) (any, error) {
	v, err := Plain(text)
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
	n, whole, fits := WholeOf(raw)
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

// BindSQLite gives the value of a parameter. A number becomes what SQLite has: an integer of 64 bits, or
// a float. An integer from 2^63 to 2^64 is bound as text: a float would lose its last digits.
func BindSQLite(text []byte) (any, error) {
	v, err := Plain(text)
	raw, ok := v.(json.RawMessage)
	if err != nil || !ok {
		return v, err
	}
	if i, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return i, nil
	}
	if f, err := strconv.ParseFloat(string(raw), 64); err == nil {
		if _, err := strconv.ParseUint(string(raw), 10, 64); err != nil {
			return f, nil
		}
	}
	return string(raw), nil
}

// Plain gives the value of JSON text for a parameter: nil, bool, string, or for a
// number, an object or an array its text as json.RawMessage.
func Plain(text []byte) (any, error) {
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
