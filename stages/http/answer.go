package httpstage

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

var byteOrderMark = []byte("\ufeff")

// text gives the JSON text of an answer; nil is null.
func (h *Stage) text(r client.Request, a *client.Answer) ([]byte, error) {
	if len(a.Body) == 0 {
		return nil, nil
	}
	if h.settings.Answer == "base64" {
		out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(a.Body))+2)
		out = base64.StdEncoding.AppendEncode(append(out, '"'), a.Body)
		return append(out, '"'), nil
	}
	body := bytes.TrimPrefix(a.Body, byteOrderMark)
	if len(body) == 0 {
		return nil, nil
	}
	typ := a.Header.Get("Content-Type")
	refuse := func(why string) error {
		return pipeline.Reject(client.TypeBadAnswer, client.NewError(client.TypeBadAnswer, calling(r)+": the answer "+why, nil))
	}
	if isUTF16(typ, body) {
		return nil, refuse("comes in UTF-16: the server must send UTF-8, or write answer: base64")
	}
	if !utf8.Valid(body) {
		return nil, refuse("is not valid UTF-8: the server must send UTF-8, or write answer: base64")
	}
	if h.settings.Answer == "text" || h.settings.Answer != "json" && !isJSON(typ) {
		return jsontext.AppendString(nil, string(body)), nil
	}
	if body = bytes.TrimSpace(body); len(body) == 0 {
		return nil, nil
	}
	if deeperThan(body, maxDepth) {
		return nil, refuse(fmt.Sprintf("is nested deeper than %d", maxDepth))
	}
	wrong := "is not the JSON that its type says"
	if h.settings.Answer == "json" {
		wrong = "is not the JSON that answer: json wants"
	}
	if !gjson.ValidBytes(body) {
		return nil, refuse(wrong)
	}
	if bytes.IndexByte(body, '\n') >= 0 || bytes.IndexByte(body, '\r') >= 0 { // a record stays one line
		var line bytes.Buffer
		if err := json.Compact(&line, body); err != nil {
			return nil, refuse(wrong)
		}
		body = line.Bytes()
	}
	return body, nil
}

// kept gives an object with those headers of keep_headers that the answer has, under the names that
// the file gives them; one that came several times has its lines joined by commas.
func (h *Stage) kept(header http.Header) []byte {
	if h.headersInto == nil {
		return nil
	}
	out := []byte{'{'}
	for _, name := range h.settings.KeepHeaders {
		lines := header.Values(name)
		if len(lines) == 0 {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(jsontext.AppendString(out, name), ':')
		out = jsontext.AppendString(out, strings.Join(lines, ", "))
	}
	return append(out, '}')
}

// isJSON goes by the media type alone, which is in front of the first semicolon. Servers get the
// parameters behind it wrong in many ways, and none of them tells what the answer is.
func isJSON(contentType string) bool {
	if contentType == "application/json" { // as mostly
		return true
	}
	t, _, _ := strings.Cut(contentType, ";")
	t, _, _ = strings.Cut(t, ",") // of a header that came twice, the first
	t = strings.ToLower(strings.TrimSpace(t))
	return t == "application/json" || t == "text/json" || strings.HasSuffix(t, "+json")
}

// isUTF16 goes by the body: many servers say UTF-16 and send UTF-8. Without a byte order mark a
// zero byte tells: most text in UTF-16 is valid UTF-8 too, with a zero behind every letter.
func isUTF16(contentType string, body []byte) bool {
	if bytes.HasPrefix(body, []byte("\xff\xfe")) || bytes.HasPrefix(body, []byte("\xfe\xff")) {
		return true
	}
	return bytes.IndexByte(body, 0) >= 0 && strings.Contains(strings.ToLower(contentType), "utf-16")
}

const maxDepth = 512

// deeperThan says whether arrays and objects nest deeper than limit, which a recursive
// parser pays for with its stack.
func deeperThan(text []byte, limit int) bool {
	if bytes.Count(text, []byte{'{'})+bytes.Count(text, []byte{'['}) <= limit { // as nearly always
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
