package config

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/internal/smallfile"
)

// maxSecret bounds what ${file:…} reads.
const maxSecret = 64 << 10

// A piece is what a variable gave: name as it stands in the file, ${NAME}.
type piece struct {
	name   string
	text   string
	secret bool
	whole  bool // a message quotes it as a whole: its single words are not looked for
	broken bool // it has no value, which has been reported

	// Of a parameter:
	given   *node  // its value, where that stands
	open    bool   // all of it stands in files, so that messages may show it
	written string // as node.written
}

// A fault is a mistake in a scalar, at a byte of its raw text.
type fault struct {
	offset, length   int
	text, suggestion string
}

// variables looks up what ${…} names.
type variables struct {
	env func(string) (string, bool)
	dir string // folder of the file, for ${file:…}

	reads func(path string) // see Loader.Reads; nil: nobody wants to know

	included  bool            // the file is included
	params    params          // which come before the environment
	declaring map[string]bool // names of parameters, while their defaults are read
}

// noteRead tells who wants to know that a file is read.
func (v *variables) noteRead(path string) {
	if v.reads != nil {
		v.reads(path)
	}
}

// substitute puts variables into text. The result is never read as YAML again. $${
// stands for ${.
func (v *variables) substitute(text string) (string, []piece, []fault) {
	if !strings.Contains(text, "${") {
		return text, nil, nil
	}
	var (
		out    strings.Builder
		pieces []piece
		faults []fault
	)
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "$${"):
			out.WriteString("${")
			i += 3
		case strings.HasPrefix(text[i:], "${"):
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				faults = append(faults, fault{i, len(text) - i, "a variable that does not end: ${ without }", "close it with }, or write $${ for the two characters"})
				return out.String(), pieces, faults
			}
			name := text[i : i+end+1]
			p, problem, suggestion := v.lookup(name)
			if problem != "" {
				faults = append(faults, fault{i, len(name), problem, suggestion})
			}
			pieces = append(pieces, p)
			out.WriteString(p.text)
			i += end + 1
		default:
			out.WriteByte(text[i])
			i++
		}
	}
	return out.String(), pieces, faults
}

// lookup resolves one ${…}.
func (v *variables) lookup(whole string) (p piece, problem, suggestion string) {
	p.name = whole
	inner := whole[2 : len(whole)-1]
	if file, ok := strings.CutPrefix(inner, "file:"); ok {
		return v.readFile(p, file)
	}
	name, fallback, kind := inner, "", ""
	if i := strings.Index(inner, ":"); i >= 0 {
		name = inner[:i]
		if strings.HasPrefix(inner[i:], ":-") || strings.HasPrefix(inner[i:], ":?") {
			kind, fallback = inner[i:i+2], inner[i+2:]
		} else {
			return p, whole + " is no variable", "write ${NAME}, ${NAME:-default}, ${NAME:?why it is needed} or ${file:/path}; $${ stands for the two characters ${"
		}
	}
	if !isVariable(name) {
		return p, whole + " is no variable", "write ${NAME}, ${NAME:-default}, ${NAME:?why it is needed} or ${file:/path}; $${ stands for the two characters ${"
	}
	var value string
	var set bool
	if param := v.params[name]; param != nil {
		if p, problem, suggestion = param.piece(whole); problem != "" || p.broken {
			return p, problem, suggestion
		}
		if p.text != "" || kind == "" {
			return p, "", ""
		}
		set = true
	} else {
		value, set = v.env(name)
	}
	switch {
	case !utf8.ValidString(value):
		return p, "the variable " + name + " is no valid UTF-8", ""
	case kind == ":-" && value == "":
		p.text = fallback
	case !set && v.declaring[name]:
		return p, fmt.Sprintf("a default is no place for a parameter: %s is the variable of the environment, which is not set", whole),
			"put both together where they are used"
	case kind == ":?" && value == "":
		return p, fmt.Sprintf("the variable %s is not set: %s", name, fallback), "set it in the environment"
	case !set && kind != ":-":
		hint := "set it in the environment, or give a default: ${" + name + ":-…}"
		if v.included {
			hint += "; what a file takes as a parameter it names under parameters"
		}
		return p, "the variable " + name + " is not set", hint + fieldInstead(name)
	default:
		p.text = value
	}
	return p, "", ""
}

func (v *variables) readFile(p piece, name string) (_ piece, problem, suggestion string) {
	p.secret = true
	if name == "" {
		return p, p.name + " names no file", "write ${file:/path}"
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(v.dir, name)
	}
	v.noteRead(name)
	b, err := smallfile.Read(name)
	switch {
	case err != nil:
		return p, fmt.Sprintf("reading %s: %v", p.name, unwrapPath(err)), ""
	case len(b) > maxSecret:
		return p, fmt.Sprintf("reading %s: the file is larger than %d KiB", p.name, maxSecret>>10), ""
	case !utf8.Valid(b):
		return p, fmt.Sprintf("reading %s: it is no valid UTF-8", p.name), ""
	}
	p.text = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	return p, "", ""
}

func isVariable(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// conceal keeps what variables gave out of a message: their names stand in it instead.
func (n *node) conceal(message string) string {
	// What is taken out is marked at first: a name may hold its text, as ${A:-text} does.
	const mark = "\x00"
	for i, p := range n.pieces {
		if p.text == "" || p.open {
			continue
		}
		name := mark + string(rune('\ue000'+i)) + mark
		message = strings.ReplaceAll(message, `"`+p.text+`"`, `"`+name+`"`)
		if p.whole {
			message = strings.ReplaceAll(message, strconv.Quote(p.text), `"`+name+`"`)
			continue
		}
		for _, word := range append([]string{p.text}, strings.FieldsFunc(p.text, notWord)...) {
			if len(word) > 3 || p.secret {
				message = strings.ReplaceAll(message, word, name)
			}
		}
	}
	for i, p := range n.pieces {
		message = strings.ReplaceAll(message, mark+string(rune('\ue000'+i))+mark, p.name)
	}
	return message
}

func notWord(r rune) bool {
	return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r < 0x80
}

// fieldInstead tells whoever meant a field of the record, whose names have small letters.
func fieldInstead(name string) string {
	if name == strings.ToUpper(name) {
		return ""
	}
	return "; a field of the record is " + name + " in an expression and {" + name + "} in a template, without $"
}
