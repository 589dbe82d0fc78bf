package expr

import (
	"github.com/penstockio/penstock/pipeline"
)

// Path renders a file name or topic: in what a part gives, /, \, NUL and a leading dot
// are percent-encoded; an empty or missing value is an error.
func (t *Template) Path(rec *pipeline.Record) (string, error) {
	out, err := t.render(rec, func(m *machine, dst []byte, _ piece, v value) ([]byte, error) {
		text, err := present(m, v)
		if err != nil {
			return nil, err
		}
		for i, c := range text {
			if c == '/' || c == '\\' || c == 0 || c == '.' && i == 0 {
				dst = percent(dst, c)
			} else {
				dst = append(dst, c)
			}
		}
		return dst, nil
	})
	return string(out), err
}

// URL renders a URL: everything reserved in what a part gives is percent-encoded; an
// empty or missing value is an error, and so is . or .. in the path.
func (t *Template) URL(rec *pipeline.Record) (string, error) {
	out, err := t.render(rec, func(m *machine, dst []byte, p piece, v value) ([]byte, error) {
		text, err := present(m, v)
		if err != nil {
			return nil, err
		}
		if p.inPath && (string(text) == "." || string(text) == "..") {
			return nil, fault("a value of dots alone would change the path of the URL")
		}
		for _, c := range text {
			if unreserved(c) {
				dst = append(dst, c)
			} else {
				dst = percent(dst, c)
			}
		}
		return dst, nil
	})
	return string(out), err
}

// JSON renders a JSON document: what a part gives is put in as JSON text (a part
// within a JSON string, "{a} and {b}", as the escaped characters of its plain form,
// nil as none).
func (t *Template) JSON(rec *pipeline.Record) ([]byte, error) {
	return t.render(rec, func(m *machine, dst []byte, p piece, v value) ([]byte, error) {
		switch {
		case !p.inString:
			return appendJSON(m, dst, v)
		case v.kind == kNil:
			return dst, nil
		case v.kind == kString && v.form != plain:
			return append(dst, v.text...), nil
		}
		text, err := plainForm(m, nil, v)
		if err != nil {
			return nil, err
		}
		return appendEscaped(dst, text), nil
	})
}

// Text renders plain text; nil parts are empty.
func (t *Template) Text(rec *pipeline.Record) (string, error) {
	out, err := t.render(rec, func(m *machine, dst []byte, _ piece, v value) ([]byte, error) {
		if v.kind == kNil {
			return dst, nil
		}
		return plainForm(m, dst, v)
	})
	return string(out), err
}

// present gives the plain form of a part that must not be empty.
func present(m *machine, v value) ([]byte, error) {
	if v.kind == kNil {
		return nil, ofNil{fault("the value is missing")}
	}
	text, err := plainForm(m, nil, v)
	if err == nil && len(text) == 0 {
		err = fault("the value is empty")
	}
	return text, err
}

func percent(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(dst, '%', hex[c>>4], hex[c&15])
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '_' || c == '.' || c == '~'
}
