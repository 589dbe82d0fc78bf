package httpstage

import (
	"maps"
	"net/url"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// contentType gives the Content-Type of what is sent, when the file does not say; "": nothing is.
func (s *Settings) contentType() string {
	switch {
	case s.Body != nil, s.JSON != nil:
		return "application/json"
	case len(s.Form) > 0:
		return "application/x-www-form-urlencoded"
	case s.Text != nil:
		return "text/plain; charset=utf-8"
	}
	return ""
}

// body gives what is sent for a record; nil: nothing. It is the caller's.
func (h *Stage) body(rec *pipeline.Record) ([]byte, error) {
	s := &h.settings
	switch {
	case s.Body != nil:
		return s.Body.JSON(rec)
	case s.JSON != nil:
		return s.JSON.JSON(rec)
	case len(s.Form) > 0:
		return h.form(rec)
	case s.Text != nil:
		text, err := s.Text.Text(rec)
		return []byte(text), err
	}
	return nil, nil
}

// form gives the fields of a form, sorted by name.
func (h *Stage) form(rec *pipeline.Record) ([]byte, error) {
	out := []byte{}
	add := func(name, value string) {
		if len(out) > 0 {
			out = append(out, '&')
		}
		out = append(append(append(out, url.QueryEscape(name)...), '='), url.QueryEscape(value)...)
	}
	for _, name := range h.fields {
		e := h.settings.Form[name]
		v, err := e.Evaluate(rec)
		if err != nil {
			return nil, err
		}
		switch v.Type {
		case "nil":
		case "array":
			gjson.ParseBytes(v.JSON).ForEach(func(_, each gjson.Result) bool {
				if each.Type != gjson.Null {
					add(name, plain([]byte(each.Raw)))
				}
				return true
			})
		default:
			add(name, plain(v.JSON))
		}
	}
	return out, nil
}

// plain gives a string's own characters, and the JSON text of anything else.
func plain(text []byte) string {
	if len(text) > 0 && text[0] == '"' {
		return jsontext.Unquote(text)
	}
	return string(text)
}

// formFields gives the names of the form in the order in which they are sent.
func (s *Settings) formFields() []string { return slices.Sorted(maps.Keys(s.Form)) }
