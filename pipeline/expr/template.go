package expr

import (
	"cmp"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline"
)

// A Template is text with {EXPR} parts: "out/{origin}.jsonl". {{ and }} stand for
// braces. What the parts give is data, never structure, and is never read as a
// template again: see its methods. A part {raw(EXPR)} keeps the slashes of what it gives,
// in the path of a URL: see Raw. It is safe for concurrent use. Errors are those of an Expr.
type Template struct {
	text     string
	written  string // as the file has it, before variables were put in; "": the same
	conceal  func(text string) string
	pieces   []piece
	doubts   []*Error // of the text around the parts
	compiled bool
}

// A piece is text as it stands, or a part.
type piece struct {
	static   string
	part     *Expr // nil: static
	inString bool  // the part stands within a JSON string
	inPath   bool  // the part stands before the query of a URL
	inHost   bool  // the part stands between the scheme of a URL and its path
	raw      bool  // of {raw(EXPR)}
	offset   int   // of the part's expression in the text
}

// UnmarshalText compiles. The error is an *Error, which carries the column within
// the text.
func (t *Template) UnmarshalText(text []byte) error {
	s := scanner{text: string(text)}
	if err := s.scan(); err != nil {
		return err
	}
	*t = Template{text: string(text), pieces: s.pieces, doubts: s.doubts, compiled: true}
	t.mark()
	return nil
}

// String gives the text that was compiled.
func (t *Template) String() string { return t.text }

// NoteWritten notes how the template stands in the file, when variables were put into text. It must not
// be called while t is in use.
func (t *Template) NoteWritten(raw string) {
	t.written = raw
	t.eachPart(func(_ int, e *Expr) {
		if !strings.Contains(raw, e.text) {
			e.NoteWritten(raw)
		}
	})
}

// eachPart calls f for a new copy of each part.
func (t *Template) eachPart(f func(i int, e *Expr)) {
	t.pieces = slices.Clone(t.pieces)
	for i := range t.pieces {
		if p := &t.pieces[i]; p.part != nil {
			part := *p.part
			p.part = &part
			f(i, p.part)
		}
	}
}

// Conceal is that of an Expr, for the template and each of its parts.
func (t *Template) Conceal(secrets func(text string) string) {
	t.conceal = secrets
	t.eachPart(func(_ int, e *Expr) { e.Conceal(secrets) })
}

// Secrets gives the keys of hmac in the parts, as those of an Expr.
func (t *Template) Secrets() []string {
	var out []string
	for _, p := range t.pieces {
		if p.part != nil {
			out = append(out, p.part.Secrets()...)
		}
	}
	return out
}

// Written gives the template as it stands in the file: what a variable holds may be a
// secret, and does not belong into messages. Known secrets are taken out of it.
func (t *Template) Written() string {
	return t.Hide(cmp.Or(t.written, t.text))
}

// Hide takes known secrets of the file, those of Conceal, out of any text.
func (t *Template) Hide(text string) string {
	if t.conceal == nil {
		return text
	}
	return t.conceal(text)
}

// HoldsFile says whether ${file:…}, which is for secrets, stands in the template.
func (t *Template) HoldsFile() bool { return strings.Contains(t.written, "${file:") }

// IsZero says whether nothing has been compiled into t.
func (t *Template) IsZero() bool { return !t.compiled }

// MarshalText is the reverse of UnmarshalText.
func (t *Template) MarshalText() ([]byte, error) { return []byte(t.text), nil }

// Static says whether the template has no parts.
func (t *Template) Static() bool {
	return !slices.ContainsFunc(t.pieces, func(p piece) bool { return p.part != nil })
}

// Fields gives the names of the top-level fields that the parts read, sorted.
func (t *Template) Fields() []string {
	var names []string
	for _, p := range t.pieces {
		if p.part != nil {
			names = append(names, p.part.prog.fields...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// CheckJSON says whether JSON gives valid JSON, whatever the parts give.
func (t *Template) CheckJSON() error {
	var b []byte
	for _, p := range t.pieces {
		switch {
		case p.part == nil:
			b = append(b, p.static...)
		case p.inString:
			b = append(b, 'x')
		default:
			b = append(b, "null"...)
		}
	}
	if !json.Valid(b) {
		return errors.New("the template is not valid JSON: a brace of the document is written {{ or }}, a part is {EXPR}")
	}
	return nil
}

// mark finds out where each part stands.
func (t *Template) mark() {
	inString, inPath, inHost := false, true, false
	for i := range t.pieces {
		p := &t.pieces[i]
		p.inString, p.inPath, p.inHost = inString, inPath, inHost
		for j := 0; j < len(p.static); j++ {
			switch c := p.static[j]; {
			case c == '\\' && inString:
				j++
			case c == '"':
				inString = !inString
			}
		}
		inPath = inPath && !strings.ContainsAny(p.static, "?#")
		rest := p.static
		if _, host, ok := strings.Cut(p.static, "://"); ok && i == 0 {
			inHost, rest = true, host
		}
		inHost = inHost && !strings.ContainsAny(rest, "/?#")
	}
}

// A scanner takes a template apart.
type scanner struct {
	text   string
	at     int
	static strings.Builder
	pieces []piece
	doubts []*Error
}

func (s *scanner) scan() error {
	for s.at < len(s.text) {
		c := s.text[s.at]
		double := s.at+1 < len(s.text) && s.text[s.at+1] == c
		switch {
		case (c == '{' || c == '}') && double:
			if c == '{' {
				s.doubtBraces()
			}
			s.static.WriteByte(c)
			s.at += 2
		case c == '}':
			return &Error{Column: s.at + 1, Message: "a } that closes nothing", Suggestion: "write }} for the character"}
		case c == '{':
			s.flush()
			s.doubtPercent()
			if err := s.part(); err != nil {
				return err
			}
		default:
			s.static.WriteByte(c)
			s.at++
		}
	}
	s.flush()
	return nil
}

func (s *scanner) flush() {
	if s.static.Len() > 0 {
		s.pieces = append(s.pieces, piece{static: s.static.String()})
		s.static.Reset()
	}
}

// part compiles the expression behind the brace at s.at.
func (s *scanner) part() error {
	start := s.at + 1
	end := closing(s.text, start)
	if end < 0 {
		return &Error{Column: s.at + 1, Message: "a { without its }", Suggestion: "write {{ for the character"}
	}
	text, raw := s.text[start:end], false
	if from, to, ok := rawCall(text); ok {
		text, start, raw = text[from:to], start+from, true
	}
	if strings.TrimSpace(text) == "" {
		return &Error{Column: s.at + 1, Message: "a part without an expression", Suggestion: "write {{}} for two braces"}
	}
	p, err := compile(text, mAny)
	if err != nil {
		var located *Error
		if errors.As(err, &located) {
			located.Column += start
			if located.Suggestion == "" || isGeneric(located.Suggestion) {
				located.Suggestion = cmp.Or(foreign(text, located.Column-start), located.Suggestion)
			}
			if located.Suggestion == "" {
				located.Suggestion = "braces of the text itself are written {{ and }}"
			}
		}
		return err
	}
	s.pieces = append(s.pieces, piece{part: &Expr{text: text, prog: p}, offset: start, raw: raw})
	s.at = end + 1
	return nil
}

var rawName = regexp.MustCompile(`^\s*raw\s*\(`)

// rawCall gives where in the text of a part the argument of raw(…) stands, when that is all there
// is to the part.
func rawCall(text string) (from, to int, ok bool) {
	m := rawName.FindStringIndex(text)
	if m == nil {
		return 0, 0, false
	}
	depth := 0
	for i := m[1]; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' || c == '\'' || c == '`':
			if i = quoted(text, i) - 1; i < 0 {
				return 0, 0, false
			}
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == ')':
			return m[1], i, strings.TrimSpace(text[i+1:]) == ""
		}
	}
	return 0, 0, false
}

// Raw says whether a part is {raw(EXPR)}, which means something in the path of a URL alone: a
// setting that is no URL refuses it.
func (t *Template) Raw() bool {
	return slices.ContainsFunc(t.pieces, func(p piece) bool { return p.raw })
}

// GivesHost says of a URL whether a part gives its host, and whether its first part gives the
// scheme too, or all of it.
func (t *Template) GivesHost() (host, scheme bool) {
	scheme = len(t.pieces) > 0 && t.pieces[0].part != nil
	return scheme || slices.ContainsFunc(t.pieces, func(p piece) bool { return p.part != nil && p.inHost }), scheme
}

// CheckRaw says whether each {raw(EXPR)} of a URL stands in its path.
func (t *Template) CheckRaw() error {
	for i, p := range t.pieces {
		if p.raw && (!p.inPath || p.inHost || i == 0) {
			return errors.New("raw(…) keeps the slashes of a path: it may stand behind http://host/ and before a ? alone")
		}
	}
	return nil
}

// closing finds the brace that ends the expression from i on: braces within strings
// do not count, and pairs of its own are passed over.
func closing(text string, i int) int {
	depth := 0
	for i < len(text) {
		switch c := text[i]; c {
		case '"', '\'', '`':
			if i = quoted(text, i); i < 0 {
				return -1
			}
			continue
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i
			}
			depth--
		}
		i++
	}
	return -1
}

// quoted gives the index behind the string that starts at i, or -1.
func quoted(text string, i int) int {
	quote := text[i]
	for i++; i < len(text); i++ {
		switch {
		case text[i] == quote && quote == '`' && i+1 < len(text) && text[i+1] == quote:
			i++ // two stand for the character
		case text[i] == quote:
			return i + 1
		case text[i] == '\\' && quote != '`':
			i++
		}
	}
	return -1
}

// roomOfParts is how much more room than the text of a template is made for what its parts give.
const roomOfParts = 32

// render puts the template together; put appends what one part gives.
func (t *Template) render(rec *pipeline.Record, put func(m *machine, dst []byte, p piece, v value) ([]byte, error)) (out []byte, err error) {
	if !t.compiled {
		return nil, failed("rendering", "", fault("no template has been compiled"))
	}
	out = make([]byte, 0, len(t.text)+roomOfParts)
	for _, p := range t.pieces {
		if p.part == nil {
			out = append(out, p.static...)
			continue
		}
		if out, err = p.part.put(rec, out, p, put); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// put evaluates a part and appends it.
func (e *Expr) put(rec *pipeline.Record, dst []byte, p piece, put func(*machine, []byte, piece, value) ([]byte, error)) (out []byte, err error) {
	m, err := e.start(rec)
	if err != nil {
		return nil, err
	}
	defer e.end(m, &err)
	v, err := e.prog.run(m)
	if err != nil {
		return nil, err
	}
	return put(m, dst, p, v)
}
