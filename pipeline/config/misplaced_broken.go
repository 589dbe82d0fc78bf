package config

import (
	"reflect"
	"strings"
	"unicode/utf8"
)

// This file hides what YAML could not read where settings with secrets stand. What is sure to be none stays readable: where the
// line says admin: {listen: 127.0.0.1:9600, pprof: [}, the mistake is to be seen.

// hideBroken hides the line from n on, which stands in place of a value of type t, but for the names and values of settings that hold
// no secret, up to the first text that is anything else.
func (d *decoder) hideBroken(n *node, t reflect.Type) {
	if n.src == nil || n.line < 1 {
		return
	}
	line := n.src.line(n.line)
	rest := withoutEnd(line[byteIndex(line, n.col):])
	if strings.HasPrefix(rest, "${") {
		return
	}
	s := harmless{d: d, text: rest}
	s.value(t)
	if behind := rest[s.at:]; strings.Trim(behind, "{}[], \t") != "" {
		n.src.hideAt(n.line, n.col+utf8.RuneCountInString(rest[:s.at]), utf8.RuneCountInString(behind))
	}
}

// A harmless goes over a text as far as it is sure to hold no secret.
type harmless struct {
	d    *decoder
	text string
	at   int
}

// value goes over a value of type t. It gives false where it stops: what stands there is not known, or may be a secret.
func (s *harmless) value(t reflect.Type) bool {
	s.blanks()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	_, ordered := isOrdered(t)
	switch next := s.next(); {
	case next == 0 || holdsSecrets(t):
		return false
	case next == '{':
		return t.Kind() == reflect.Struct && !isText(t) && s.mapping(t)
	case next == '[':
		return t.Kind() == reflect.Slice && !ordered && s.list(t.Elem())
	}
	return !hidesSecrets(t, 0) && s.scalar()
}

// next gives the character at hand, 0 at the end.
func (s *harmless) next() byte {
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

func (s *harmless) blanks() {
	for s.next() == ' ' || s.next() == '\t' {
		s.at++
	}
}

func (s *harmless) mapping(t reflect.Type) bool {
	return s.entries('}', func() bool {
		rest := s.text[s.at:]
		name := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz0123456789_"))]
		of := s.d.typeOfKey(t, name)
		if of == nil || !strings.HasPrefix(rest[len(name):], ":") {
			return false
		}
		s.at += len(name) + 1
		return s.value(of)
	})
}

func (s *harmless) list(t reflect.Type) bool {
	return s.entries(']', func() bool { return s.value(t) })
}

// entries goes over what stands between brackets, parted by commas.
func (s *harmless) entries(end byte, entry func() bool) bool {
	s.at++
	for {
		s.blanks()
		switch s.next() {
		case end:
			s.at++
			return true
		case ',':
			s.at++
			continue
		}
		if !entry() {
			return false
		}
		if s.blanks(); s.next() != ',' && s.next() != end {
			return false
		}
	}
}

// scalar goes over a text, unless another key may stand in it: where a comma or a quote is forgotten, a secret may follow.
func (s *harmless) scalar() bool {
	rest := s.text[s.at:]
	end := strings.IndexAny(rest, ",{}[]")
	if end < 0 {
		end = len(rest)
	}
	if rest[0] == '"' || rest[0] == '\'' {
		if end = closingQuote(rest) + 1; end == 0 {
			return false
		}
	}
	if key := strings.Index(rest[:end], ": "); key >= 0 {
		if blank := strings.LastIndexAny(rest[:key], " \t"); blank >= 0 && rest[0] != '"' && rest[0] != '\'' {
			s.at += strings.IndexAny(rest, " \t")
		}
		return false
	}
	s.at += end
	return true
}

// typeOfKey gives the type of what stands behind a key of a mapping in place of t, nil when there is no such key.
func (d *decoder) typeOfKey(t reflect.Type, name string) reflect.Type {
	shape, isItem := itemShapes[t]
	switch {
	case !isItem:
		if f := findField(fieldsOf(t), name); f != nil {
			return f.typ
		}
		return nil
	case shape.common != nil:
		if f := findField(fieldsOf(shape.common), name); f != nil {
			return f.typ
		}
	}
	if k := d.kinds.Find(shape.section, name); k != nil {
		return reflect.TypeOf(k.Settings())
	}
	return nil
}
