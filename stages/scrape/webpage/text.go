package webpage

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// A writer makes text of a part of a page as a person would read it: white space is one blank, blocks
// and line breaks begin a line, cells are parted by a blank, and what browsers do not show, like
// scripts, is left out. Within pre and textarea, text stays as it is.
type writer struct {
	b     strings.Builder
	limit int
	clock *clock
	gap   gap // what stands between what was written and what comes

	broken bool // what was written ends with a line break of its own
}

type gap uint8

const (
	none gap = iota
	blank
	line
)

// text gives the text of an element.
func (x *extraction) text(e *html.Node) string {
	w := writer{limit: x.limits.Bytes + 1, clock: x.clock}
	w.inner(e, e.DataAtom == atom.Pre || e.DataAtom == atom.Textarea)
	return strings.TrimRight(w.b.String(), "\n")
}

func (w *writer) inner(n *html.Node, pre bool) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if w.clock.tick() || w.b.Len() > w.limit {
			return
		}
		switch c.Type {
		case html.TextNode:
			w.put(c.Data, pre)
		case html.ElementNode:
			w.element(c, pre)
		}
	}
}

func (w *writer) element(n *html.Node, pre bool) {
	kind := kinds[n.DataAtom]
	if n.Namespace != "" {
		kind = inline
	}
	switch kind {
	case hidden:
		return
	case lineBreak:
		w.part(line)
		return
	case block:
		w.part(line)
	case cell:
		w.part(blank)
	}
	w.inner(n, pre || n.DataAtom == atom.Pre || n.DataAtom == atom.Textarea)
	switch kind {
	case block:
		w.part(line)
	case cell:
		w.part(blank)
	}
}

func (w *writer) part(g gap) { w.gap = max(w.gap, g) }

func (w *writer) put(text string, pre bool) {
	if pre {
		if text != "" {
			w.begin()
			w.b.WriteString(text)
			w.broken = strings.HasSuffix(text, "\n")
		}
		return
	}
	for text != "" {
		i := strings.IndexFunc(text, white)
		if i < 0 {
			i = len(text)
		}
		if i > 0 {
			w.begin()
			w.b.WriteString(text[:i])
			text, w.broken = text[i:], false
			continue
		}
		_, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		w.part(blank)
	}
}

// white is what is one blank: a no-break space too, which pages use to make room.
func white(r rune) bool {
	return r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\f' || r == '\u00a0'
}

// begin writes what parts that which was written from what comes. In front there is nothing.
func (w *writer) begin() {
	if w.b.Len() > 0 {
		switch w.gap {
		case blank:
			w.b.WriteByte(' ')
		case line:
			if !w.broken {
				w.b.WriteByte('\n')
			}
		}
	}
	w.gap = none
}

// An elementKind is what an element does to the text around it.
type elementKind uint8

const (
	inline elementKind = iota
	block
	cell
	lineBreak
	hidden
)

var kinds = func() map[atom.Atom]elementKind {
	m := map[atom.Atom]elementKind{atom.Td: cell, atom.Th: cell, atom.Br: lineBreak}
	for _, a := range []atom.Atom{
		atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Body, atom.Caption, atom.Center, atom.Dd, atom.Details, atom.Dialog, atom.Dir,
		atom.Div, atom.Dl, atom.Dt, atom.Fieldset, atom.Figcaption, atom.Figure, atom.Footer, atom.Form, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5,
		atom.H6, atom.Header, atom.Hgroup, atom.Hr, atom.Html, atom.Legend, atom.Li, atom.Listing, atom.Main, atom.Menu, atom.Nav, atom.Ol,
		atom.Optgroup, atom.Option, atom.P, atom.Pre, atom.Section, atom.Summary, atom.Table, atom.Tbody, atom.Tfoot, atom.Thead, atom.Tr, atom.Ul, atom.Xmp,
	} {
		m[a] = block
	}
	for _, a := range []atom.Atom{atom.Head, atom.Iframe, atom.Noembed, atom.Noframes, atom.Script, atom.Style, atom.Template} {
		m[a] = hidden
	}
	return m
}()
