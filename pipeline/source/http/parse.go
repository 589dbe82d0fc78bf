package http

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/textformat"
)

// This file finds the records in a body. Values are parts of the body: what was posted leaves byte for byte as it came.

// form gives what the body of a request is.
func (s *Source) form(r *http.Request) (string, *refusal) {
	if s.settings.As != "" {
		return s.settings.As, nil
	}
	wrong := &refusal{
		status: http.StatusUnsupportedMediaType, reason: "content_type",
		header: http.Header{"Accept-Post": {"application/json, application/x-ndjson, text/plain, application/octet-stream"}},
		detail: "the Content-Type has to be application/json, application/x-ndjson, text/plain or application/octet-stream, as in curl -H 'Content-Type: application/json'",
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return "", wrong
	}
	if charset := strings.ToLower(params["charset"]); charset != "" && charset != "utf-8" && charset != "us-ascii" && kind != "application/octet-stream" {
		wrong.detail = "the charset of the Content-Type has to be utf-8"
		return "", wrong
	}
	switch {
	case kind == "application/json", strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"):
		return asJSON, nil
	case kind == "application/x-ndjson", kind == "application/ndjson", kind == "application/jsonl", kind == "application/x-jsonlines":
		return asNDJSON, nil
	case kind == "text/plain", kind == "application/octet-stream":
		return asText, nil
	}
	return "", wrong
}

// parse finds the values in a body.
func (s *Source) parse(form string, body []byte) ([][]byte, *refusal) {
	switch form {
	case asText:
		return [][]byte{body}, nil
	case asNDJSON:
		return s.parseLines(body)
	}
	i := jsontext.Space(body, 0)
	if i == len(body) {
		return nil, badValue("the body is empty, and no JSON")
	}
	if err := textformat.CheckJSON(body); err != nil {
		return nil, badValue(fmt.Sprintf("the body is no JSON: %v", err))
	}
	if body[i] != '[' {
		return [][]byte{bytes.Trim(body, space)}, nil
	}
	var values [][]byte
	tooMany := false
	jsontext.Elements(body[i:], func(element []byte) bool {
		tooMany = len(values) == s.settings.MaxRecords
		if !tooMany {
			values = append(values, element)
		}
		return !tooMany
	})
	if tooMany {
		return nil, s.tooMany()
	}
	return values, nil
}

const space = " \t\r\n"

// parseLines finds the values of lines. Blank lines are none.
func (s *Source) parseLines(body []byte) ([][]byte, *refusal) {
	var values [][]byte
	line, begins := 0, 0
	for rest := body; len(rest) > 0; line++ {
		text, behind, _ := bytes.Cut(rest, []byte("\n"))
		value := bytes.Trim(text, space)
		if len(value) > 0 {
			if err := textformat.CheckJSON(value); err != nil {
				indent := len(text) - len(bytes.TrimLeft(text, space))
				return nil, badValue(fmt.Sprintf("line %d, which begins at byte %d, is no JSON: %v", line+1, begins+indent, err))
			}
			if len(values) == s.settings.MaxRecords {
				return nil, s.tooMany()
			}
			values = append(values, value)
		}
		begins += len(rest) - len(behind)
		rest = behind
	}
	return values, nil
}

// describe evaluates what the file says of the records of a post: their keys and times.
func (s *Source) describe(p *post) *refusal {
	if s.settings.Key == nil && s.settings.Time == nil {
		return nil
	}
	var rec pipeline.Record
	for i, value := range p.values {
		rec.Init(pipeline.Position{Topic: p.topic, Partition: p.line.number, Offset: -1}, nil, value, p.headers, p.time)
		if s.settings.Key != nil {
			key, err := s.settings.Key.Bytes(&rec)
			if err != nil {
				return badRecord(i, len(p.values), "key", err)
			}
			p.keys = append(p.keys, key)
			p.charge.Add(int64(len(key)))
		}
		if s.settings.Time != nil {
			t, ok, err := s.settings.Time.Time(&rec)
			if err != nil {
				return badRecord(i, len(p.values), "time", err)
			}
			if !ok {
				t = p.time
			}
			p.times = append(p.times, t)
		}
	}
	return nil
}

// keptHeaders gives the headers that records of a request keep, and how many bytes they take.
func (s *Source) keptHeaders(r *http.Request) (kept []pipeline.Header, bytes int64) {
	for _, name := range s.settings.Headers {
		for _, value := range r.Header.Values(name) {
			kept = append(kept, pipeline.Header{Name: strings.ToLower(name), Value: []byte(value)})
			bytes += headerBytes + int64(len(value))
		}
	}
	return kept, bytes
}

func badValue(detail string) *refusal {
	return &refusal{status: http.StatusBadRequest, reason: "invalid", detail: detail}
}

func badRecord(i, of int, what string, err error) *refusal {
	return badValue(fmt.Sprintf("record %d of %d has no %s: %v", i+1, of, what, err))
}

func (s *Source) tooMany() *refusal {
	return &refusal{
		status: http.StatusRequestEntityTooLarge, reason: "too_many_records",
		detail: fmt.Sprintf("the request has more than %d records (max_records): send several", s.settings.MaxRecords),
	}
}

func (s *Source) tooLarge() *refusal {
	return &refusal{
		status: http.StatusRequestEntityTooLarge, reason: "too_large", close: true,
		detail: fmt.Sprintf("the body has more than %v (max_body), before or after decompression: send several requests", s.settings.MaxBody),
	}
}
