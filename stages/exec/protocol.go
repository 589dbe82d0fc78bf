package execstage

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// protocol is the version of what docs/reference/exec-protocol.md says.
const (
	protocol     = 1
	protocolText = "1"
)

// appendQuestion appends the line about a record, with its end.
func appendQuestion(b []byte, id uint64, rec *pipeline.Record) []byte {
	b = append(b, `{"id":`...)
	b = strconv.AppendUint(b, id, 10)
	b = appendValue(append(b, ','), rec)
	if key := rec.Key(); key != nil {
		b = appendBytes(append(b, `,"key":`...), key)
	}
	if headers := rec.Headers(); len(headers) > 0 {
		b = append(b, `,"headers":`...)
		sep := byte('{')
		for _, h := range headers {
			b = jsontext.AppendString(append(b, sep), h.Name)
			if b = append(b, ':'); h.Value == nil {
				b = append(b, "null"...)
			} else {
				b = appendBytes(b, h.Value)
			}
			sep = ','
		}
		b = append(b, '}')
	}
	b = jsontext.AppendString(append(b, `,"topic":`...), rec.Topic)
	b = strconv.AppendInt(append(b, `,"partition":`...), int64(rec.Partition), 10)
	b = strconv.AppendInt(append(b, `,"offset":`...), rec.Offset, 10)
	if rec.Time != pipeline.NoTime {
		b = strconv.AppendInt(append(b, `,"time":`...), rec.Time, 10)
	}
	return append(b, '}', '\n')
}

// appendValue appends the value under a name that says what it is: JSON, text, or neither.
func appendValue(b []byte, rec *pipeline.Record) []byte {
	value := rec.Value()
	switch {
	case !utf8.Valid(value):
		b = append(b, `"base64":"`...)
		return append(base64.StdEncoding.AppendEncode(b, value), '"')
	case rec.CheckJSON() == nil:
		return appendOneLine(append(b, `"value":`...), value)
	}
	return appendOneLine(append(b, `"text":`...), jsontext.AppendString(nil, string(value)))
}

// appendBytes appends what is text mostly: a string, or {"base64": "..."}.
func appendBytes(b, text []byte) []byte {
	if utf8.Valid(text) {
		return appendOneLine(b, jsontext.AppendString(nil, string(text)))
	}
	b = append(b, `{"base64":"`...)
	return append(base64.StdEncoding.AppendEncode(b, text), '"', '}')
}

// appendOneLine appends JSON such that nobody takes it for several lines. In JSON a line feed is white space,
// and the separators of lines that Unicode has, at which Node ends a line too, stand within strings.
func appendOneLine(b, text []byte) []byte {
	if !bytes.ContainsAny(text, "\n\r\u2028\u2029") {
		return append(b, text...)
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n', c == '\r':
			b = append(b, ' ')
		case c == 0xe2 && i+2 < len(text) && text[i+1] == 0x80 && text[i+2]&^1 == 0xa8:
			b = append(append(b, `\u202`...), "89"[text[i+2]&1])
			i += 2
		default:
			b = append(b, c)
		}
	}
	return b
}
