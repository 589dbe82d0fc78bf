package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

type nodeKind uint8

const (
	scalarNode nodeKind = iota
	mappingNode
	sequenceNode
	brokenNode // a mistake in it has been reported; what follows from it is not
)

// A node is one value of a file, with its place. Aliases and merge keys have been
// followed and variables put in.
type node struct {
	kind      nodeKind
	src       *source
	line, col int
	style     scalarStyle
	tag       string // as it stands in the file, "!active"; "" for none
	anchor    bool   // it carries an anchor of its own
	flow      bool   // it stands within { } or [ ]
	null      bool   // nothing, ~ or null
	text      string // of a scalar, variables put in
	raw       string // of a scalar, as YAML gives it
	pieces    []piece
	origin    string  // "": the file; else --set or the variable that it comes from
	implied   bool    // a mapping that --set has made for what it sets within
	quoted    bool    // the parameter that it is as a whole is a text in quotes
	base      string  // folder for a file name, when that is not the file's own
	used      string  // of what a parameter gives as a whole: where that is used, for messages
	keys      []*node // of a mapping, beside items
	items     []*node
	dropped   *node // of a mapping: a mapping of what does not count, as its key is none or stands twice
}

type scalarStyle uint8

const (
	plainStyle scalarStyle = iota
	quotedStyle
	literalStyle
	foldedStyle
)

// get gives the value of a key, or nil.
func (n *node) get(key string) *node {
	for i, k := range n.keys {
		if k.text == key {
			return n.items[i]
		}
	}
	return nil
}

// indexOf gives the place of a key, -1 when it is not there.
func (n *node) indexOf(key string) int {
	return slices.IndexFunc(n.keys, func(k *node) bool { return k.text == key })
}

// key gives the node of a key, or nil.
func (n *node) key(key string) *node {
	for _, k := range n.keys {
		if k.text == key {
			return k
		}
	}
	return nil
}

// describe says what n is, for messages about its type.
func (n *node) describe() string {
	switch n.kind {
	case mappingNode:
		return "a mapping"
	case sequenceNode:
		return "a list"
	}
	switch {
	case n.null:
		return "nothing"
	case n.style != plainStyle && len(n.pieces) == 0:
		return "a text"
	case isBool(n.text):
		return "true or false"
	case isNumber(n.text):
		return "a number"
	}
	return "a text"
}

func isBool(s string) bool { return s == "true" || s == "false" }

func isNumber(s string) bool {
	digits := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case (c == '-' || c == '+') && i == 0, c == '.', c == '_':
		default:
			return false
		}
	}
	return digits > 0
}

// place gives line and column of the byte at offset of a scalar's raw text, as near
// as the way in which it is written allows.
func (n *node) place(offset int) (line, col int) {
	if n.kind != scalarNode || offset < 0 || offset > len(n.raw) || len(n.pieces) > 0 {
		return n.line, n.col
	}
	before := n.raw[:offset]
	switch n.style {
	case literalStyle:
		return n.placeLiteral(before)
	case foldedStyle:
		return n.placeFolded(offset, n.line+1, 1)
	}
	rest := n.src.line(n.line)
	rest = rest[byteIndex(rest, n.col):]
	skip := 0
	if n.style == quotedStyle {
		skip = 1
	}
	if len(rest) < skip || !strings.HasPrefix(rest[skip:], before) {
		return n.placeFolded(offset, n.line, n.col+skip)
	}
	return n.line, n.col + skip + utf8.RuneCountInString(before)
}

// placeFolded finds a place in a text of several lines that YAML folds, from a place on. Folding
// changes only what is blank: all else stands in both in the same order. A text with escapes has
// its beginning for a place.
func (n *node) placeFolded(offset, line, col int) (int, int) {
	blank := func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' }
	want := []rune(strings.Map(func(r rune) rune {
		if blank(r) {
			return -1
		}
		return r
	}, n.raw[:offset]))
	if next := strings.TrimLeftFunc(n.raw[offset:], blank); next != "" {
		r, _ := utf8.DecodeRuneInString(next)
		want = append(want, r)
	}
	seen := 0
	for at := line; at <= len(n.src.lines) && seen < len(want); at++ {
		for i, r := range []rune(withoutEnd(n.src.line(at))) {
			if at == line && i < col-1 || blank(r) {
				continue
			}
			if r != want[seen] {
				return n.line, n.col
			}
			if seen++; seen == len(want) {
				if offset >= len(strings.TrimRightFunc(n.raw, blank)) { // behind the last
					return at, i + 2
				}
				return at, i + 1
			}
		}
	}
	return n.line, n.col
}

func (n *node) placeLiteral(before string) (line, col int) {
	nth := strings.Count(before, "\n")
	raw := strings.Split(n.raw, "\n")[nth]
	inLine := before[strings.LastIndexByte(before, '\n')+1:]
	text := n.src.line(n.line + 1 + nth)
	if !strings.HasSuffix(text, raw) {
		return n.line, n.col
	}
	return n.line + 1 + nth, 1 + utf8.RuneCountInString(text[:len(text)-len(raw)]) + utf8.RuneCountInString(inLine)
}

// width is how many characters of its line a scalar takes, at least 1.
func (n *node) width() int {
	if n.kind != scalarNode {
		return 1
	}
	rest := n.src.line(n.line)
	rest = rest[byteIndex(rest, n.col):]
	switch n.style {
	case plainStyle:
		if n.tag != "" {
			return max(1, utf8.RuneCountInString(strings.TrimRight(rest, " \t\r,]}")))
		}
		first, _, _ := strings.Cut(n.raw, "\n")
		if strings.HasPrefix(rest, first) {
			return max(1, utf8.RuneCountInString(first))
		}
	case quotedStyle:
		if len(rest) > len(n.raw)+1 && strings.HasPrefix(rest[1:], n.raw) {
			return utf8.RuneCountInString(n.raw) + 2
		}
	}
	return 1
}

// problem makes a problem at n.
func (n *node) problem(sev Severity, text, suggestion string) Problem {
	p := n.src.problem(sev, n.line, n.col, n.width(), text, suggestion)
	var given []string
	for _, one := range n.pieces {
		if v := one.given; v != nil && v.src != nil && v.line > 0 {
			given = append(given, fmt.Sprintf("%s is given at %s:%d:%d", one.name, v.src.name, v.line, v.col))
		}
	}
	if n.used != "" {
		given = append(given, n.used)
	}
	p.Notes = append(given, p.Notes...)
	return p
}

// eachScalar calls f for n, or for each scalar among the values within it.
func (n *node) eachScalar(f func(*node)) {
	if n.kind == scalarNode {
		f(n)
	}
	for _, item := range n.items {
		item.eachScalar(f)
	}
}

// copy gives a node of its own, with all within it.
func (n *node) copy() *node {
	c := *n
	c.keys, c.items = nil, nil
	for i, item := range n.items {
		c.items = append(c.items, item.copy())
		if n.kind == mappingNode {
			key := *n.keys[i]
			c.keys = append(c.keys, &key)
		}
	}
	return &c
}

// secret says whether something in a scalar must not be shown.
func (n *node) secret() bool {
	return slices.ContainsFunc(n.pieces, func(p piece) bool { return p.secret })
}

// hidden says whether something in a scalar does not stand in a file, so that messages name the
// variable in place of it.
func (n *node) hidden() bool {
	return slices.ContainsFunc(n.pieces, func(p piece) bool { return !p.open })
}

// written is a scalar as it may stand in the pipeline file: parameters put in, variables by name.
func (n *node) written() string {
	pairs := []string{"$${", "$${"} // which is no variable
	for _, p := range n.pieces {
		if p.given != nil {
			pairs = append(pairs, p.name, p.written)
		}
	}
	return strings.NewReplacer(pairs...).Replace(n.raw)
}

// folder is what a file name in n is relative to: the folder of the file in which it is written.
func (n *node) folder(otherwise string) string {
	switch {
	case n.base != "":
		return n.base
	case n.src != nil && n.src.dir != "":
		return n.src.dir
	}
	return otherwise
}

// standsAt names the place of n in a message about other.
func (n *node) standsAt(other *node) string {
	if n.src == nil || n.src.name == other.src.name {
		return fmt.Sprintf("line %d", n.line)
	}
	return fmt.Sprintf("%s:%d", n.src.name, n.line)
}

// given gives the value of the parameter that n is as a whole, or nil.
func (n *node) given() *node {
	if len(n.pieces) == 1 && n.pieces[0].name == n.raw {
		return n.pieces[0].given
	}
	return nil
}

// source gives the node in which what n holds is written: n, or the value of the parameter that it
// is as a whole.
func (n *node) source() *node {
	for n.given() != nil {
		n = n.given()
	}
	return n
}

// usedAt notes where a parameter is used, of its value and all within it.
func (n *node) usedAt(place string) {
	n.used = place
	for _, item := range n.items {
		item.usedAt(place)
	}
}
