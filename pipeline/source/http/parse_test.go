package http

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// FuzzParse: whatever is posted is refused, or gives values that are JSON, stand in the body in their order, and are not too many.
func FuzzParse(f *testing.F) {
	for _, body := range []string{"", "[]", "[1, {\"a\": [2]} ]", "1\n2\n", " \r\n[\n]", "{\"a\":1}{\"b\":2}", "null", "\xff", strings.Repeat("[", 100), "[1,]", "1\n\n x\n"} {
		f.Add([]byte(body), true)
		f.Add([]byte(body), false)
	}
	s := Defaults()
	s.MaxRecords = 3
	src := &Source{settings: s}
	f.Fuzz(func(t *testing.T, body []byte, lines bool) {
		form := asJSON
		if lines {
			form = asNDJSON
		}
		values, no := src.parse(form, body)
		if no != nil {
			if no.status != 400 && no.status != 413 || values != nil {
				t.Errorf("%d values beside %d", len(values), no.status)
			}
			return
		}
		if len(values) > s.MaxRecords {
			t.Errorf("%d values", len(values))
		}
		rest := body
		for _, v := range values {
			i := bytes.Index(rest, v)
			if i < 0 || !json.Valid(v) || len(bytes.Trim(v, space)) != len(v) {
				t.Fatalf("%q is no value of %q", v, body)
			}
			rest = rest[i+len(v):]
		}
		if form == asJSON && !json.Valid(body) {
			t.Errorf("%q was taken", body)
		}
	})
}
