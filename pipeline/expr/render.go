package expr

import (
	"bytes"

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

// URL renders a URL: everything reserved in what a part gives is percent-encoded, but for the
// slashes of {raw(EXPR)}. A part that stands in place of the host, or of host and port, may give
// both; one with which the template begins gives the URL itself, or its beginning, as it stands:
// whoever takes such templates checks whom the URL leads to. An empty or missing value is an
// error, and so is a . or .. that becomes a segment of the path.
func (t *Template) URL(rec *pipeline.Record) (string, error) {
	first := len(t.pieces) > 0 && t.pieces[0].part != nil
	var parts []int // where those that may make a segment of dots begin and end
	out, err := t.render(rec, func(m *machine, dst []byte, p piece, v value) ([]byte, error) {
		text, err := present(m, v)
		if err != nil {
			return nil, err
		}
		if first {
			first = false
			return append(dst, text...), nil
		}
		from := len(dst)
		for _, c := range text {
			if unreserved(c) || p.raw && c == '/' || p.inHost && (c == ':' || c == '[' || c == ']') {
				dst = append(dst, c)
			} else {
				dst = percent(dst, c)
			}
		}
		if p.inPath && !p.inHost && bytes.ContainsAny(text, "./") {
			parts = append(parts, from, len(dst))
		}
		return dst, nil
	})
	if err == nil && dotSegment(out, parts) {
		return "", failed("rendering", t.Written(), fault("a value of dots alone would change the path of the URL"))
	}
	return string(out), err
}

// dotSegment says whether a segment that one of the parts touches is . or .. .
func dotSegment(url []byte, parts []int) bool {
	for i := 0; i < len(parts); i += 2 {
		from := bytes.LastIndexByte(url[:parts[i]], '/') + 1
		to := len(url)
		if end := bytes.IndexAny(url[parts[i+1]:], "/?#"); end >= 0 {
			to = parts[i+1] + end
		}
		for segment := range bytes.SplitSeq(url[from:to], []byte{'/'}) {
			if string(segment) == "." || string(segment) == ".." {
				return true
			}
		}
	}
	return false
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

// Filled renders plain text, as Text does, in which every part has a value: an empty or missing one is an
// error.
func (t *Template) Filled(rec *pipeline.Record) (string, error) {
	out, err := t.render(rec, func(m *machine, dst []byte, _ piece, v value) ([]byte, error) {
		text, err := present(m, v)
		return append(dst, text...), err
	})
	return string(out), err
}

// present gives the plain form of a part that must not be empty. It is not to be changed.
func present(m *machine, v value) (text []byte, err error) {
	switch v.kind {
	case kNil:
		return nil, ofNil{fault("the value is missing")}
	case kString:
		text, err = v.plainText(), m.step(len(v.text)/64)
	default:
		text, err = plainForm(m, nil, v)
	}
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
