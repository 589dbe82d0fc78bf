package webpage

import (
	"bytes"
	"hash/maphash"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// A scale finds out how many nodes a page may become, without making them.
//
// A page of two megabytes can become a hundred million nodes: an element that formats, like <b>,
// and is not closed within the block that it stands in is made anew in each block that follows, with
// all others of its kind. So each tag counts as many times as there may be such elements. One is
// known to be closed only when its end tag follows where it should; what is doubtful counts as not
// closed, so that the page cannot make the parser see more than was counted.
type scale struct {
	nodes   int
	open    []openTag
	have    map[uint64]int // how many of a name are open
	formats map[uint64]int // elements that format and may not be closed, by tag and attributes
	again   int            // how many of them are made anew at most
	foreign int            // svg and math that may not be closed
	attrs   int            // of html and body, which are merged
}

type openTag struct {
	name, formats uint64 // formats: its key; 0: it does not format
	foreign       bool
}

var seed = maphash.MakeSeed()

// weigh gives the most nodes and attributes that the tree of a text can have, or a number above
// MaxNodes.
func weigh(text []byte) int {
	s := scale{have: map[uint64]int{}, formats: map[uint64]int{}}
	z := html.NewTokenizer(bytes.NewReader(text))
	raw := false
	for s.nodes <= MaxNodes {
		switch z.Next() {
		case html.ErrorToken:
			return s.nodes
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			a := atom.Lookup(name)
			if raw = rawText(a); a == atom.Noscript {
				z.NextIsNotRawText()
			}
			s.start(name, a, z, more)
		case html.EndTagToken:
			name, _ := z.TagName()
			s.end(maphash.Bytes(seed, name), atom.Lookup(name))
		case html.TextToken:
			s.nodes += 1 + s.again
			if raw && s.foreign > 0 { // then what looks like text here may be tags
				s.hidden(z.Raw())
			}
			raw = false
		default: // a comment, or a doctype, which has two names as attributes
			s.nodes += 3
			if s.foreign > 0 {
				s.hidden(z.Raw())
			}
		}
	}
	return s.nodes
}

func rawText(a atom.Atom) bool {
	switch a {
	case atom.Iframe, atom.Noembed, atom.Noframes, atom.Plaintext, atom.Script, atom.Style, atom.Textarea, atom.Title, atom.Xmp:
		return true
	}
	return false
}

func formats(a atom.Atom) bool {
	switch a {
	case atom.A, atom.B, atom.Big, atom.Code, atom.Em, atom.Font, atom.I, atom.Nobr, atom.S, atom.Small, atom.Strike, atom.Strong, atom.Tt, atom.U:
		return true
	}
	return false
}

func void(a atom.Atom) bool {
	switch a {
	case atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Keygen, atom.Link, atom.Meta, atom.Param,
		atom.Source, atom.Track, atom.Wbr:
		return true
	}
	return false
}

// around is how many elements the parser may put around one that lacks them.
func around(a atom.Atom) int {
	switch a {
	case atom.Td, atom.Th, atom.Tr, atom.Col:
		return 2
	}
	return 0
}

func (s *scale) start(name []byte, a atom.Atom, z *html.Tokenizer, more bool) {
	h := maphash.Bytes(seed, name)
	key := h
	if a != atom.A && formats(a) { // an a ends the one before it, whatever stands in it
		key = maphash.Bytes(seed, z.Raw())
	}
	n := 0
	for ; more; n++ {
		_, _, more = z.TagAttr()
	}
	s.nodes += 1 + n + s.again + around(a)
	if a == atom.Html || a == atom.Body {
		s.attrs += n
		s.nodes += s.attrs
	}
	if void(a) {
		return
	}
	t := openTag{name: h, foreign: a == atom.Svg || a == atom.Math}
	if t.foreign {
		s.foreign++
	}
	if formats(a) {
		t.formats = key
		s.add(key, a, 1)
	}
	s.open = append(s.open, t)
	s.have[h]++
}

// most is how many equal elements are made anew at most.
func most(a atom.Atom) int {
	if a == atom.A {
		return 1
	}
	return 3
}

func (s *scale) add(key uint64, a atom.Atom, n int) {
	before := min(s.formats[key], most(a))
	s.formats[key] += n
	s.again += min(s.formats[key], most(a)) - before
}

func (s *scale) end(name uint64, a atom.Atom) {
	if top := len(s.open) - 1; top >= 0 && s.open[top].name == name {
		t := s.open[top]
		s.pop()
		if t.formats != 0 {
			s.add(t.formats, a, -1)
		}
		if t.foreign {
			s.foreign--
		}
		return
	}
	if a == atom.P || a == atom.Br {
		s.nodes += 1 + s.again // one that ends nothing is an element
	}
	if formats(a) {
		s.nodes += 32 // what stands between is parted, and the element made anew in each part
		return
	}
	for s.have[name] > 0 {
		s.pop()
	}
}

func (s *scale) pop() {
	top := len(s.open) - 1
	s.have[s.open[top].name]--
	s.open = s.open[:top]
}

// hidden counts the tags in what may be no text.
func (s *scale) hidden(text []byte) {
	for {
		i := bytes.IndexByte(text, '<')
		if i < 0 {
			return
		}
		text = text[i+1:]
		end := 0
		for end < len(text) && end < 8 && ('a' <= text[end]|0x20 && text[end]|0x20 <= 'z') {
			end++
		}
		s.nodes += 1 + s.again
		if a := atom.Lookup(bytes.ToLower(text[:end])); formats(a) {
			rest := text[:min(len(text), 256)]
			if j := bytes.IndexByte(rest, '>'); j >= 0 {
				rest = rest[:j]
			}
			key := maphash.Bytes(seed, rest)
			if a == atom.A {
				key = maphash.Bytes(seed, []byte("a"))
			}
			s.add(key, a, 1)
		}
	}
}
