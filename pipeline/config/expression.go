package config

import (
	"encoding"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/expr"
)

// parses says whether v can be read from a text. When YAML made something else of it, only the
// quotes are missing.
func parses(v reflect.Value, text string) bool {
	into, ok := reflect.New(v.Type()).Interface().(encoding.TextUnmarshaler)
	return ok && into.UnmarshalText([]byte(text)) == nil
}

// expression decodes an expression or a template, and finds what YAML has made of one that
// needs quotes and has none.
func (d *decoder) expression(n *node, v reflect.Value, t tags, path string) bool {
	name := label(path)
	quote := "quote it: " + d.inQuotes(n, path)
	switch {
	case n.kind != scalarNode:
		suggestion := ""
		if inline, ok := n.inline(); ok && n.used == "" && utf8.RuneCountInString(inline) <= maxInline && parses(v, inline) {
			suggestion = quote
		}
		return d.errorAt(n, fmt.Sprintf("%s takes %s, not %s", name, wanted(v.Type()), n.describe()), suggestion)
	case n.tag != "" && n.style == plainStyle:
		return d.errorAt(n, fmt.Sprintf("%s is not read as it stands: to YAML, %s is a tag", name, n.tag), quote)
	case n.anchor && n.style == plainStyle && strings.HasPrefix(n.sourceText(), "&"):
		return d.errorAt(n, fmt.Sprintf("%s is not read as it stands: to YAML, a text behind & names an anchor", name), quote)
	case n.null || strings.TrimSpace(n.text) == "":
		return d.emptyExpression(n, v, t, path)
	}
	given, hidden := n.expressionText(v.Type() == templateType)
	d.secrets = append(d.secrets, hidden...)
	text := given
	if t.path && v.Type() == templateType && !filepath.IsAbs(text) {
		text = braces.Replace(n.folder(d.dir)) + string(filepath.Separator) + text
	}
	if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
		var compile *expr.Error
		if errors.As(err, &compile) && text != given {
			moved := *compile
			moved.Column = max(1, moved.Column-(len(text)-len(given)))
			err = &moved
		}
		return d.textError(n, d.hintQuotes(n, err), path, "")
	}
	if t.refusesRaw(v) {
		return d.errorAt(n, name+" takes no raw(…): it keeps the slashes of a part, in the path of a URL that is called", "write the expression alone: {path}")
	}
	d.noteExpression(n, v, t, path, len(text)-len(given))
	e := v.Addr().Interface().(compiled)
	if len(n.pieces) > 0 {
		e.NoteWritten(n.written())
	}
	e.Conceal(func(text string) string { return concealKnown(text, d.known) })
	if d.repeatable {
		e.Repeatable(path)
	}
	d.noteKeys(n, e)
	d.warnComment(n, name)
	return true
}

// emptyExpression reports an expression that is nothing.
func (d *decoder) emptyExpression(n *node, v reflect.Value, t tags, path string) bool {
	name := label(path)
	at := n
	if k := d.keys[path]; k != nil && n.raw == "" {
		at = k
	}
	suggestion := "an expression that begins with # or ! must be quoted: " + name + ": '…'"
	switch {
	case n.null && n.raw != "":
		suggestion = "to YAML, " + n.raw + " is nothing: write nil"
	case v.Type() == templateType:
		suggestion = ""
	case n.style == quotedStyle && t.value:
		suggestion = `an empty text has quotes of its own: ` + name + `: '""'`
	case n.flow:
		suggestion = inFlow
	}
	return d.errorAt(at, fmt.Sprintf("%s is empty: it takes %s", name, wanted(v.Type())), suggestion)
}

// refusesRaw says whether v is a template with {raw(EXPR)} in a setting that is no URL.
func (t tags) refusesRaw(v reflect.Value) bool {
	written, ok := v.Addr().Interface().(*expr.Template)
	return ok && written.Raw() && !t.raw
}

// compiled is what *expr.Expr, *expr.Condition and *expr.Template have.
type compiled interface {
	NoteWritten(raw string)
	Conceal(secrets func(text string) string)
	Repeatable(place string)
	Secrets() []string
}

// leastKey is how long a key is, in bytes, that is worth hiding: what is shorter stands in other
// texts too.
const leastKey = 4

// noteKeys takes the keys of an expression, and the variables that they come from, for secrets.
func (d *decoder) noteKeys(n *node, e compiled) {
	for _, key := range e.Secrets() {
		if len(key) < leastKey {
			continue
		}
		d.secrets = append(d.secrets, key)
		for _, p := range n.pieces {
			if len(p.text) >= leastKey && strings.Contains(key, p.text) {
				d.takePiece(p)
			}
		}
	}
}

const inFlow = "within { } and [ ], a comma or a bracket ends the text: quote the expression if one belongs to it"

var braces = strings.NewReplacer("{", "{{", "}", "}}")

// hintQuotes adds to the error of an expression that ends too early what YAML may have cut off.
func (d *decoder) hintQuotes(n *node, err error) error {
	var compile *expr.Error
	if !errors.As(err, &compile) || n.style != plainStyle || compile.Suggestion != "" || compile.Column <= len(n.text) {
		return err
	}
	hint := ""
	switch _, comment := n.comment(); {
	case comment:
		hint = "YAML ends the text where # follows a space: quote the expression if # belongs to it"
	case n.flow:
		hint = inFlow
	default:
		return err
	}
	return &expr.Error{Column: compile.Column, Message: compile.Message, Suggestion: hint}
}
