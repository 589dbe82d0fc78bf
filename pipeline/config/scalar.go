package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

// scalarValue decodes one text, number, duration, size, expression and so on.
func (d *decoder) scalarValue(n *node, v reflect.Value, t tags, path string) bool {
	name := label(path)
	if isExpression(v.Type()) {
		if v.Type() != templateType { // which may be a plain text
			n.src.beginsCode(n.line, n.col)
		}
		return d.expression(n, v, t, path)
	}
	if n.kind != scalarNode {
		return d.errorAt(n, fmt.Sprintf("%s takes %s, not %s", name, wanted(v.Type()), n.describe()), "")
	}
	if n.tag != "" && !strings.HasPrefix(n.tag, "!!") {
		if v.Type() == secretType { // which the tag may be the beginning of
			return d.errorAt(n, name+" begins with a YAML tag", "quote the whole text")
		}
		return d.errorAt(n, fmt.Sprintf("%s begins with the YAML tag %s", name, n.tag), "quote the whole text: "+d.inQuotes(n, path))
	}
	if n.null && (n.text == "" || !contains(t.enum, n.text)) {
		return d.errorAt(n, fmt.Sprintf("%s is empty", name), "give "+wanted(v.Type())+", or remove the line")
	}
	if isText(v.Type()) {
		err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.text))
		if path, ok := v.Interface().(settings.FieldPath); ok && err == nil && t.strict {
			_, err = path.Strict()
		}
		if err != nil {
			if isName(err) {
				return d.nameError(n, label(path), err)
			}
			return d.textError(n, err, path, sizeHint(v.Type(), n.text))
		}
		return d.bounds(n, v, t, path)
	}
	var ok bool
	switch v.Type() {
	case durationType:
		ok = d.duration(n, v, name)
	case pathType:
		v.SetString(d.absolute(n))
		if ok = true; t.start {
			d.vars.noteRead(v.String()) // now: with a mistake elsewhere, or in that file, nobody comes to it
		}
	default:
		ok = d.plain(n, v, t, name)
	}
	return ok && d.bounds(n, v, t, path)
}

// wanted is what a value of type t looks like, for messages.
func wanted(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration like 500ms or 10s"
	case t == sizeType:
		return "a size like 256MiB"
	case t == rateType:
		return "a rate like 100/s"
	case t == shareType:
		return "a share like 20%"
	case t == pathType:
		return "a file name"
	case t == templateType:
		return "a text"
	case isExpression(t):
		return "an expression"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Struct:
		return "a text"
	}
	return "a whole number"
}

// shown is the text of a scalar as it may stand in a message.
func (n *node) shown() string {
	if n.hidden() {
		return strconv.Quote(n.raw)
	}
	if utf8.RuneCountInString(n.text) > 40 {
		return "the text given"
	}
	if n.style == plainStyle && (isNumber(n.text) || isBool(n.text)) {
		return n.text
	}
	return strconv.Quote(n.text)
}

var bareNumber = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

func (d *decoder) duration(n *node, v reflect.Value, name string) bool {
	dur, err := time.ParseDuration(strings.TrimSpace(n.text))
	if err != nil {
		suggestion := "write a number with a unit: ns, us, ms, s, m or h, like 500ms or 1m30s"
		if bareNumber.MatchString(n.text) && len(n.pieces) == 0 {
			suggestion = "did you mean " + n.text + likelyUnit(n.text) + "?"
		}
		return d.errorAt(n, fmt.Sprintf("%s takes a duration like 500ms or 10s, not %s", name, n.shown()), suggestion)
	}
	if dur < 0 {
		return d.errorAt(n, name+" is negative", "")
	}
	v.SetInt(int64(dur))
	return true
}

// likelyUnit is what somebody meant who wrote a duration as a number.
func likelyUnit(number string) string {
	if f, err := strconv.ParseFloat(number, 64); err == nil && f >= 100 {
		return "ms"
	}
	return "s"
}

var leadingZero = regexp.MustCompile(`^[-+]?0[0-9]+$`)

// plain decodes the kinds that Go has.
func (d *decoder) plain(n *node, v reflect.Value, t tags, name string) bool {
	wrong := func(suggestion string) bool {
		if v.Type() == secretType {
			return d.errorAt(n, name+" takes a text", "")
		}
		return d.errorAt(n, fmt.Sprintf("%s takes %s, not %s", name, wanted(v.Type()), n.shown()), suggestion)
	}
	// A number in quotes is a text, unless a variable gave it.
	if v.Kind() != reflect.String && (n.quoted || n.style != plainStyle && len(n.pieces) == 0) {
		suggestion := ""
		if isNumber(n.text) || isBool(n.text) {
			suggestion = "remove the quotes"
		}
		return wrong(suggestion)
	}
	text := strings.ReplaceAll(n.text, "_", "")
	if v.Kind() != reflect.String && v.Kind() != reflect.Bool && len(n.pieces) == 0 && leadingZero.MatchString(text) {
		return wrong("other programs read a number that begins with 0 in base 8: write it without")
	}
	switch v.Kind() {
	case reflect.String:
		if len(t.enum) > 0 && !contains(t.enum, n.text) {
			return d.errorAt(n, fmt.Sprintf("%s is one of %s, not %s", name, strings.Join(t.enum, ", "), n.shown()), didYouMeanOnly(n.text, t.enum))
		}
		v.SetString(n.text)
		if v.Type() == secretType {
			d.takeText(n.text)
			if len(n.pieces) != 1 || n.pieces[0].name != n.raw { // a name is none
				d.takeText(n.raw)
			}
			d.takeSecret(n)
		}
	case reflect.Bool:
		if !isBool(n.text) {
			return wrong("write true or false")
		}
		v.SetBool(n.text == "true")
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return wrong("")
		}
		v.SetFloat(f)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return wrong("")
		}
		v.SetUint(u)
	default:
		i, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return wrong("")
		}
		v.SetInt(i)
	}
	return true
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// didYouMeanOnly suggests the nearest name; the message lists them all already.
func didYouMeanOnly(word string, known []string) string {
	if n := nearest(word, known); n != "" {
		return "did you mean " + n + "?"
	}
	return ""
}

func sizeHint(t reflect.Type, text string) string {
	if t == sizeType && bareNumber.MatchString(text) {
		return "did you mean " + text + "MiB?"
	}
	return ""
}

// bounds checks the tags min and max of a number, a duration, a size or a text.
func (d *decoder) bounds(n *node, v reflect.Value, t tags, path string) bool {
	if t.min == "" && t.max == "" {
		return true
	}
	if v.Kind() == reflect.String {
		return d.length(n, utf8.RuneCountInString(v.String()), t, path, "characters")
	}
	have, ok := magnitude(v)
	if !ok {
		return true
	}
	if least, ok := bound(v.Type(), t.min); ok && have < least {
		return d.errorAt(n, fmt.Sprintf("%s is at least %s", label(path), t.min), "")
	}
	if most, ok := bound(v.Type(), t.max); ok && have > most {
		return d.errorAt(n, fmt.Sprintf("%s is at most %s", label(path), t.max), "")
	}
	return true
}

func magnitude(v reflect.Value) (float64, bool) {
	switch {
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanUint():
		return float64(v.Uint()), true
	case v.CanFloat():
		return v.Float(), true
	}
	return 0, false
}

// bound reads a min or max tag as a value of type t.
func bound(t reflect.Type, text string) (float64, bool) {
	if text == "" {
		return 0, false
	}
	switch t {
	case durationType:
		dur, err := time.ParseDuration(text)
		return float64(dur), err == nil
	}
	if isText(t) { // a size, a share
		v := reflect.New(t)
		err := v.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
		have, ok := magnitude(v.Elem())
		return have, ok && err == nil
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}

// textError places the error of a value that reads itself.
func (d *decoder) textError(n *node, err error, path, suggestion string) bool {
	name := label(path)
	var compile *expr.Error
	if !errors.As(err, &compile) {
		return d.errorAt(n, name+": "+n.conceal(err.Error()), suggestion)
	}
	d.report(d.placed(SeverityError, n, name, compile))
	return false
}

// placed makes a problem of an error within the text of n.
func (d *decoder) placed(sev Severity, n *node, name string, compile *expr.Error) Problem {
	p := n.problem(sev, name+": "+n.conceal(compile.Message), n.conceal(compile.Suggestion))
	offset := max(compile.Column-1, 0)
	if offset > 0 && offset <= len(n.raw) {
		p.Line, p.Column = n.place(offset)
		p.Source, p.from = excerpt(n.src.line(p.Line), p.Column)
		if p.Line != n.line || p.Column != n.col {
			p.width = wordWidth(n.raw[offset:])
		}
	} else if w := wordWidth(n.raw); offset == 0 && len(n.pieces) == 0 {
		p.Line, p.Column = n.place(0)
		p.Source, p.from = excerpt(n.src.line(p.Line), p.Column)
		p.width = w
	}
	return p
}

// wordWidth is the length of the name or number at the beginning of s, at least 1.
func wordWidth(s string) int {
	w := 0
	for _, r := range s {
		if r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			break
		}
		w++
	}
	return max(w, 1)
}
