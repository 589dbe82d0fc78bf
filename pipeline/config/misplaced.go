package config

import (
	"reflect"
	"strings"
	"unicode/utf8"
)

// This file finds secrets that stand in the wrong shape: auth: {bearer: TOKEN} in place of
// auth: {bearer: {token: TOKEN}}. A line that is quoted hides them all the same.

// noteMisplaced takes for secrets what stands where settings of type t hold some, whatever it is. What
// stands below a setting that is a secret is one, as is what stands in place of settings with secrets
// among them, and what nothing knows within these. nested says that t is not the whole of a
// component's settings, in which a key that nothing knows is rather something else.
func (d *decoder) noteMisplaced(n *node, t reflect.Type, nested bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n == nil || !hidesSecrets(t, 0) {
		return
	}
	if n.kind == brokenNode {
		d.hideBroken(n, t)
		return
	}
	if t == secretType {
		d.takeAll(n)
		return
	}
	elem, ordered := isOrdered(t)
	if !ordered && (t.Kind() == reflect.Slice || t.Kind() == reflect.Map) {
		elem = t.Elem()
	}
	switch {
	case n.kind == sequenceNode:
		if elem != nil && t.Kind() == reflect.Slice && !ordered {
			t = elem
		}
		for _, item := range n.items {
			d.noteMisplaced(item, t, nested)
		}
	case n.kind == scalarNode:
		d.noteScalar(n, t)
	case elem != nil && t.Kind() == reflect.Slice && !ordered:
		d.noteMisplaced(n, elem, nested)
	case elem != nil:
		for i, key := range n.keys {
			d.noteMisplaced(n.items[i], elem, nested)
			if n.items[i].nothing() && strings.ContainsAny(key.text, " :") { // {"Authorization: Bearer TOKEN"}
				d.takeOne(key)
			}
		}
	default:
		d.noteMembers(n, t, nested)
	}
	d.noteMisplaced(n.dropped, t, nested)
}

// noteMembers is noteMisplaced for a mapping in place of a struct.
func (d *decoder) noteMembers(n *node, t reflect.Type, nested bool) {
	shape, isItem := itemShapes[t]
	var fields []field
	switch {
	case !isItem:
		fields = fieldsOf(t)
	case shape.common != nil:
		fields = fieldsOf(shape.common)
	}
	for i, key := range n.keys {
		item := n.items[i]
		if f := findField(fields, key.text); f != nil {
			d.noteMisplaced(item, f.typ, t != reflect.TypeFor[Pipeline]())
			if at := strings.IndexByte(item.raw, '?'); f.tags.query && item.kind == scalarNode && at >= 0 {
				line, col := item.place(at + 1)
				item.src.hideAt(line, col, utf8.RuneCountInString(item.raw[at+1:]))
			}
			continue
		}
		if isItem {
			if k := d.kinds.Find(shape.section, nearestName(key.text, d.kinds.Names(shape.section))); k != nil {
				d.noteMisplaced(item, reflect.TypeOf(k.Settings()), false)
			}
			continue
		}
		if !nested {
			d.unknownValue(key, item, fields)
			continue
		}
		d.hideAll(item)
		if item.nothing() && nearest(key.text, fieldNames(fields)) == "" { // {TOKEN}
			d.takeOne(key)
		}
	}
}

// nearestName gives the name itself, where there is it, else the one that was likely meant.
func nearestName(name string, known []string) string {
	if contains(known, name) {
		return name
	}
	return nearest(name, known)
}

// noteScalar is noteMisplaced for a text in place of settings of type t. The name of one of them is no
// secret: it was likely meant to be on.
func (d *decoder) noteScalar(n *node, t reflect.Type) {
	if holdsSecrets(t) {
		d.takeAll(n)
		return
	}
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if _, isItem := itemShapes[t]; isItem || t.Kind() != reflect.Struct || shortField(t) != nil {
		return
	}
	if findField(fieldsOf(t), n.text) == nil && !(t == reflect.TypeFor[Admin]() && isEndpoint(n.raw)) {
		d.hideAll(n)
	}
}

// takeAll takes each scalar within n for a secret, and a key that stands alone as a template does:
// {TOKEN}.
func (d *decoder) takeAll(n *node) {
	d.takeOne(n)
	for i, item := range n.items {
		d.takeAll(item)
		if n.kind == mappingNode {
			n.keys[i].hide()
			if item.nothing() {
				d.takeOne(n.keys[i])
			}
		}
	}
	if n.dropped != nil {
		d.takeAll(n.dropped)
	}
}

func (d *decoder) takeOne(n *node) {
	if n.kind == brokenNode {
		n.hideRest()
	}
	if n.kind != scalarNode {
		return
	}
	n.hide()
	d.takeSecret(n)
	if n.null || n.isName() || isBool(n.raw) {
		return
	}
	for _, text := range []string{n.text, n.raw} {
		if len(text) >= leastKey { // of a shorter one the place is enough
			d.takeText(text)
		}
	}
}

// hideAll hides each scalar within n in lines that are quoted; messages do not quote them.
func (d *decoder) hideAll(n *node) {
	if n.kind == brokenNode {
		n.hideRest()
	}
	if n.kind == scalarNode {
		n.hide()
		if !n.null && !n.isName() && !isBool(n.raw) {
			for line := range strings.SplitSeq(n.raw, "\n") {
				if line = strings.TrimSpace(line); len(line) >= leastKey {
					d.hidden = append(d.hidden, line)
				}
			}
		}
	}
	for _, item := range n.items {
		d.hideAll(item)
	}
	if n.dropped != nil {
		d.hideAll(n.dropped)
	}
}

// nothing says whether n is left out, as what stands behind a key that stands alone.
func (n *node) nothing() bool {
	return n.kind == scalarNode && n.null && n.raw == "" && n.tag == "" && !n.anchor
}

// isName says whether n is a variable as a whole: its name may be shown.
func (n *node) isName() bool { return len(n.pieces) == 1 && n.pieces[0].name == n.raw }

// A span is a part of a line, in characters from 1.
type span struct{ col, width int }

// hide notes the place of a scalar, which lines that are quoted do not show.
func (n *node) hide() {
	if n.src == nil || n.line < 1 || n.nothing() || n.isName() {
		return
	}
	width := n.width()
	if n.anchor || n.tag != "" { // which may be the beginning of the secret
		width = max(width, utf8.RuneCountInString(strings.TrimRight(n.sourceText(), "]} \t")))
	}
	n.src.hideAt(n.line, n.col, width)
}

// hideRest hides the line from n on, which YAML could not read, unless a variable stands there.
func (n *node) hideRest() {
	if n.src == nil || n.line < 1 {
		return
	}
	line := n.src.line(n.line)
	if rest := line[byteIndex(line, n.col):]; !strings.HasPrefix(rest, "${") {
		n.src.hideAt(n.line, n.col, utf8.RuneCountInString(rest))
	}
}

func (s *source) hideAt(line, col, width int) {
	if s.hidden == nil {
		s.hidden = map[int][]span{}
	}
	s.hidden[line] = append(s.hidden[line], span{col, width})
}

// hideSpans puts stars in place of what the line hides.
func (p *Problem) hideSpans() {
	if p.src == nil || len(p.src.hidden[p.Line]) == 0 {
		return
	}
	runes := []rune(p.Source)
	for _, s := range p.src.hidden[p.Line] {
		for i := max(0, s.col-1-p.from); i < min(len(runes), s.col-1-p.from+s.width); i++ {
			runes[i] = '*'
		}
	}
	p.Source = string(runes)
}

// hidesSecrets says whether a value of type t is a secret or holds one at any depth.
func hidesSecrets(t reflect.Type, depth int) bool {
	for t != secretType {
		if elem, ok := isOrdered(t); ok {
			t = elem
		} else if t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			t = t.Elem()
		} else {
			break
		}
	}
	if _, isItem := itemShapes[t]; isItem || t == secretType {
		return true
	}
	if t.Kind() != reflect.Struct || isText(t) || depth > 8 {
		return false
	}
	for _, f := range fieldsOf(t) {
		if hidesSecrets(f.typ, depth+1) {
			return true
		}
	}
	return false
}
