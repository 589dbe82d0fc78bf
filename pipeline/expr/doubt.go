package expr

import (
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// Doubts gives what is valid in e and hardly means what its writer meant: the prefixes
// and words of other languages, which are fields here.
func (e *Expr) Doubts() []*Error {
	if e.prog == nil {
		return nil
	}
	return e.prog.doubts
}

// Boolean says whether e gives true, false or nil, and can give nothing else.
func (e *Expr) Boolean() bool { return e.prog != nil && e.prog.kinds&^(mBool|mNil) == 0 }

// Alone gives the path of the field that is all there is to e, like passenger.vip, but
// for a not before it.
func (e *Expr) Alone() (path string, ok bool) {
	if e.prog == nil {
		return "", false
	}
	return e.prog.alone, e.prog.alone != ""
}

// Doubts gives what is valid in t and hardly means what its writer meant: the doubts of its
// parts, and the braces of other tools' templates. Of two braces it gives none when the text has
// a part too: its writer knows what they mean here.
func (t *Template) Doubts() []*Error {
	var doubts []*Error
	for _, d := range t.doubts {
		if d.Message != twoBraces || t.Static() {
			doubts = append(doubts, d)
		}
	}
	for _, p := range t.pieces {
		if p.part == nil {
			continue
		}
		for _, d := range p.part.Doubts() {
			doubts = append(doubts, &Error{Column: d.Column + p.offset, Message: d.Message, Suggestion: d.Suggestion})
		}
	}
	return doubts
}

func (c *compiler) doubt(n ast.Node, message, suggestion string) {
	c.doubts = append(c.doubts, &Error{Column: column(c.text, n.Location().From), Message: message, Suggestion: suggestion})
}

// foreignWords are values in other languages and fields in this one.
var foreignWords = map[string]string{
	"null": "nil", "Null": "nil", "NULL": "nil", "None": "nil", "undefined": "nil",
	"True": "true", "TRUE": "true", "False": "false", "FALSE": "false",
}

// dollarNames are fields whose names begin with $ in formats that many records have.
var dollarNames = []string{"$type", "$id", "$ref", "$schema", "$oid", "$date", "$uuid", "$binary", "$timestamp", "$values", "$key", "$numberLong", "$numberDecimal"}

// DollarName says whether a field may well be called so: $type, $oid and others of formats that many
// records have.
func DollarName(name string) bool { return slices.Contains(dollarNames, name) }

// doubtName doubts a name that reads a field. A record that has such a field is read with
// $env["this"], which is not doubted.
func (c *compiler) doubtName(n *ast.IdentifierNode) {
	word, known := foreignWords[n.Value]
	switch {
	case known:
		c.doubt(n, n.Value+" reads a field of that name: the language has no "+n.Value,
			`write `+word+`; a field of this name is $env["`+n.Value+`"]`)
	case n.Value == "this" || n.Value == "$":
		c.doubt(n, n.Value+" reads a field of that name: it does not stand for the record",
			nameAlone(c.text[column(c.text, n.Location().From)-1+len(n.Value):], n.Value))
	case n.Value[0] == '$' && !DollarName(n.Value):
		c.doubt(n, n.Value+" reads a field whose name begins with $",
			`a field is its name alone: `+n.Value[1:]+`; one of this name is $env["`+n.Value+`"]`)
	}
}

var memberName = regexp.MustCompile(`^\s*\??\.\s*([A-Za-z_]\w*)`)

// nameAlone suggests the name that stands behind the prefix of another language.
func nameAlone(rest, prefix string) string {
	own := `; a field of the name ` + prefix + ` is $env["` + prefix + `"]`
	if m := memberName.FindStringSubmatch(rest); m != nil {
		return "a field is its name alone: " + m[1] + own
	}
	return "a field is its name alone, as in delay >= 15, and the whole value is $env" + own
}

var namedPart = regexp.MustCompile(`\{\{?\s*\.?[A-Za-z_$][\w.]*\s*\}`)

// doubtParts doubts an expression that is one text and nothing else, and holds what looks like a
// part of a template: the text is the same for every record.
func (p *program) doubtParts() {
	if p.whole == nil {
		return
	}
	part, write := namedPart.FindString(*p.whole), joined(*p.whole)
	if part == "" || !strings.Contains(write, "write ") || strings.Contains(*p.whole, "${") {
		return // ${NAME} is of whoever reads the text
	}
	p.doubts = append(p.doubts, &Error{Column: 1, Message: "the text holds " + part + " as it stands",
		Suggestion: write + `; for the braces themselves join two texts: '"{" + "` + part[1:] + `"'`})
}

// fieldAlone gives the path of fields that n is made of, but for a not before it.
func fieldAlone(n ast.Node) string {
	if path := alone(n); path != "$env" { // which is the value, and no field
		return path
	}
	return ""
}

// alone is fieldAlone, but of $env too.
func alone(n ast.Node) string {
	switch n := n.(type) {
	case *ast.UnaryNode:
		if n.Operator == "not" || n.Operator == "!" {
			return alone(n.Node)
		}
	case *ast.ChainNode:
		return alone(n.Node)
	case *ast.IdentifierNode:
		return n.Value
	case *ast.MemberNode:
		name, ok := n.Property.(*ast.StringNode)
		if !ok {
			return ""
		}
		switch of := alone(n.Node); {
		case of == "" || of == "meta":
			return ""
		case !fieldName.MatchString(name.Value):
			return of + `["` + name.Value + `"]`
		default:
			return strings.TrimPrefix(of+"."+name.Value, "$env.")
		}
	}
	return ""
}

var fieldName = regexp.MustCompile(`^[A-Za-z_]\w*$`)

var foreignPrefix = regexp.MustCompile(`^(this|\$)?\.`)

var foreignBraces = regexp.MustCompile(`^\{\{-?\s*(\.?[A-Za-z_$][^{}]*?)\s*-?\}\}`)

const twoBraces = "{{ and }} stand for braces: nothing of the record is put in here"

// doubtBraces doubts the two braces at s.at when what follows looks like {{field}}, as other tools
// write it. In a JSON document a quote follows them.
func (s *scanner) doubtBraces() {
	m := foreignBraces.FindStringSubmatch(s.text[s.at:])
	if m == nil || s.at > 0 && s.text[s.at-1] == '{' {
		return
	}
	part := foreignPrefix.ReplaceAllString(m[1], "")
	if _, err := compile(part, mAny); err != nil {
		part = "EXPR"
	}
	s.doubts = append(s.doubts, &Error{Column: s.at + 1,
		Message:    twoBraces,
		Suggestion: "a part has one brace: write {" + part + "}"})
}

// doubtPercent doubts the brace at s.at when a % stands before it: other tools write %{field}.
func (s *scanner) doubtPercent() {
	if s.at > 0 && s.text[s.at-1] == '%' {
		s.doubts = append(s.doubts, &Error{Column: s.at, Message: "the % stays in the text: a part is in braces alone",
			Suggestion: `write {EXPR}; for a % before it, write {"%"}`})
	}
}
