package expr

import (
	"math"
	"strconv"
	"time"
)

// appendJSON appends v as JSON text. What came from a record keeps its bytes.
func appendJSON(m *machine, dst []byte, v value) ([]byte, error) {
	start := len(dst)
	dst, err := encode(m, dst, start, v, 0)
	if err != nil {
		return dst[:start], err
	}
	return dst, nil
}

// maxDepth bounds what an expression nests; a record's own text is not looked into.
const maxDepth = 1000

func encode(m *machine, dst []byte, start int, v value, depth int) ([]byte, error) {
	if err := m.step(len(v.text) / 64); err != nil {
		return dst, err
	}
	if len(dst)-start > maxResult {
		return dst, m.tooLarge()
	}
	switch v.kind {
	case kList, kMap:
		if depth > maxDepth {
			return dst, m.limit("builds more than 1,000 levels")
		}
		return encodeBuilt(m, dst, start, v, depth)
	}
	return appendScalar(dst, v), nil
}

// appendScalar is encode for everything but a container that the expression built.
func appendScalar(dst []byte, v value) []byte {
	switch v.kind {
	case kBool:
		return strconv.AppendBool(dst, v.num != 0)
	case kInt, kFloat, kBig:
		switch {
		case v.text != nil:
			return append(dst, v.text...)
		case v.kind == kInt:
			return strconv.AppendInt(dst, v.num, 10)
		}
		return appendFloat(dst, v.float())
	case kString:
		if v.form == plain {
			return appendQuoted(dst, v.text)
		}
		return append(append(append(dst, '"'), v.text...), '"')
	case kArray, kObject:
		return append(dst, v.text...)
	case kTime, kDuration:
		return append(appendPlain(append(dst, '"'), v), '"')
	}
	return append(dst, "null"...)
}

// appendPlain is the plain form of a scalar: a string's own characters, the JSON text
// of anything else.
func appendPlain(dst []byte, v value) []byte {
	switch v.kind {
	case kString:
		return append(dst, v.plainText()...)
	case kTime:
		return time.Unix(0, v.num).UTC().AppendFormat(dst, time.RFC3339Nano)
	case kDuration:
		return append(dst, time.Duration(v.num).String()...)
	}
	return appendScalar(dst, v)
}

func encodeBuilt(m *machine, dst []byte, start int, v value, depth int) ([]byte, error) {
	opening, closing := byte('['), byte(']')
	if v.kind == kMap {
		opening, closing = '{', '}'
	}
	dst = append(dst, opening)
	for i, item := range v.built.items {
		if i > 0 {
			dst = append(dst, ',')
		}
		if v.kind == kMap {
			dst = append(appendQuoted(dst, []byte(v.built.names[i])), ':')
		}
		var err error
		if dst, err = encode(m, dst, start, item, depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, closing), nil
}

// appendFloat writes a float as encoding/json does: the shortest text that reads back.
func appendFloat(dst []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}

// appendQuoted writes a JSON string. Unlike jsontext.AppendString it keeps bytes that are not
// UTF-8: text that came from a record goes on as it came.
func appendQuoted(dst, text []byte) []byte {
	return append(appendEscaped(append(dst, '"'), text), '"')
}

// appendEscaped writes what stands between the quotes of a JSON string. Bytes that are
// not UTF-8 stay as they are.
func appendEscaped(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	from := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, text[from:]...)
}
