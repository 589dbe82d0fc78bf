package webpage

import (
	"bytes"
	"hash/maphash"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// MaxAttributes is the most attributes of one tag.
const MaxAttributes = 1_000

// A scale finds out how many nodes and attributes a page may become, without making them.
//
// A page of two megabytes can become a hundred million nodes: an element that formats, like <b>,
// and is not closed within the block that it stands in is made anew in each block that follows, with
// its attributes and all others of its kind. So each tag counts as many times as there may be such
// elements, with what each weighs. One is known to be closed only when its end tag follows where it
// should; what is doubtful counts as not closed, so that the page cannot make the parser see more than
// was counted.
//
// Within svg and math the parser takes for tags what is text elsewhere, and the other way about.
// Where both could be and it makes a difference to where tags begin, there is a doubt, and what
// follows is weighed as the worst that it can be.
type scale struct {
	nodes    int
	open     []openTag
	have     map[uint64]int    // how many of a name are open
	formats  map[uint64]format // elements that format and may not be closed, by tag and attributes
	again    int               // what is made anew at most: elements and attributes
	heaviest int               // of the elements that format: itself and its attributes
	foreign  int               // svg and math that may not be closed
	inside   int               // open elements within them that may hold HTML
	mixed    bool              // one of those holds elements: where svg and math end is not known
	attrs    int               // of html and body, which are merged
	framed   bool              // there may be a frameset in place of the body
}

type openTag struct {
	name, formats uint64 // formats: its key; 0: it does not format
	foreign       bool   // svg or math
	holds         bool   // HTML within svg or math
}

// A format are elements that format, all alike.
type format struct{ count, weight int }

var seed = maphash.MakeSeed()

var cdata = []byte("<![CDATA[")

// weigh gives the most nodes and attributes that the tree of a text can have, or a number above
// MaxNodes. The error is one that is ErrTooLarge: a tag has too many attributes.
func weigh(text []byte) (int, error) {
	s := scale{have: map[uint64]int{}, formats: map[uint64]format{}}
	z := html.NewTokenizer(bytes.NewReader(text))
	raw := false
	for at := 0; s.nodes <= MaxNodes; {
		typ := z.Next()
		begin := at
		at += len(z.Raw())
		switch typ {
		case html.ErrorToken:
			return s.nodes, nil
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			a := atom.Lookup(name)
			if raw = rawText(a); a == atom.Noscript {
				z.NextIsNotRawText()
			}
			if s.framed && a == atom.Noscript { // its text is one there
				s.doubtful(text[begin:])
				return s.nodes, nil
			}
			s.framed = s.framed || a == atom.Frameset
			if !s.start(name, a, z, more, typ == html.SelfClosingTagToken) {
				return 0, tooLarge("a tag has more than %d attributes", MaxAttributes)
			}
		case html.EndTagToken:
			raw = false
			name, _ := z.TagName()
			s.end(maphash.Bytes(seed, name), atom.Lookup(name))
		case html.TextToken:
			s.nodes += 1 + s.again
			if raw && s.foreign > 0 && tags(z.Raw()) {
				s.doubtful(text[begin:])
				return s.nodes, nil
			}
			raw = false
		default: // a comment, or a doctype, which has two names as attributes
			s.nodes += 3
			if r := z.Raw(); s.foreign > 0 && bytes.HasPrefix(r, cdata) && !bytes.HasSuffix(r, []byte("]]>")) {
				s.doubtful(text[begin:])
				return s.nodes, nil
			}
		}
	}
	return s.nodes, nil
}

// tags says whether a text holds something that may be a tag or a comment, when it is no text.
func tags(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '<')
		if i < 0 || i+1 == len(text) {
			return i >= 0
		}
		if bytes.HasPrefix(text[i:], cdata) {
			if end := bytes.Index(text[i:], []byte("]]>")); end >= 0 { // with or without it, what follows is the same
				text = text[i+end+3:]
				continue
			}
		}
		text = text[i+1:]
		if c := text[0]; letter(c) || c == '/' || c == '!' || c == '?' {
			return true
		}
	}
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

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

// holdsHTML says whether an element of svg or math may hold HTML.
func holdsHTML(name []byte) bool {
	switch string(name) {
	case "foreignobject", "desc", "title", "mi", "mo", "mn", "ms", "mtext", "annotation-xml":
		return true
	}
	return false
}

// start counts a start tag; false: it has too many attributes.
func (s *scale) start(name []byte, a atom.Atom, z *html.Tokenizer, more, selfClosing bool) bool {
	h := maphash.Bytes(seed, name)
	key := h
	if a != atom.A && formats(a) { // an a ends the one before it, whatever stands in it
		key = maphash.Bytes(seed, z.Raw())
	}
	n := 0
	for ; more; n++ {
		_, _, more = z.TagAttr()
	}
	if n > MaxAttributes {
		return false
	}
	s.nodes += 1 + n + s.again + around(a)
	if a == atom.Html || a == atom.Body {
		s.attrs += n
		s.nodes += s.attrs
	}
	if void(a) {
		return true
	}
	t := openTag{name: h, foreign: a == atom.Svg || a == atom.Math}
	s.mixed = s.mixed || s.inside > 0
	if selfClosing && (t.foreign || a == 0 && s.foreign > 0 && !s.mixed) { // HTML does not know it: an open one does nothing there
		return true
	}
	if t.foreign {
		s.foreign++
	}
	if t.holds = s.foreign > 0 && holdsHTML(name); t.holds {
		s.inside++
	}
	if formats(a) {
		t.formats = key
		s.add(key, a, 1, 1+n)
	}
	s.open = append(s.open, t)
	s.have[h]++
	return true
}

// most is how many equal elements are made anew at most.
func most(a atom.Atom) int {
	if a == atom.A {
		return 1
	}
	return 3
}

// add takes note of n more elements, each of that weight at most.
func (s *scale) add(key uint64, a atom.Atom, n, weight int) {
	f := s.formats[key]
	before := min(f.count, most(a)) * f.weight
	f.count += n
	f.weight = max(f.weight, weight)
	s.again += min(f.count, most(a))*f.weight - before
	s.heaviest = max(s.heaviest, weight)
	if s.formats[key] = f; f.count == 0 {
		delete(s.formats, key)
	}
}

// parted is what the end of an element that formats makes, where others end before it: what stands
// between is parted, and the element made anew in each part with three others.
func (s *scale) parted() int { return 32 * max(min(s.heaviest, s.again), 1) }

func (s *scale) end(name uint64, a atom.Atom) {
	if a == atom.P {
		s.nodes++ // the one that it seems to end may have ended before: then it is an element itself
	}
	if top := len(s.open) - 1; top >= 0 && s.open[top].name == name {
		t := s.open[top]
		s.pop()
		if t.formats != 0 {
			s.add(t.formats, a, -1, 0)
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
		s.nodes += s.parted()
		return
	}
	// The end of svg ends the innermost, but for what HTML in it holds open. Whether svg and math
	// within that end too is not known: an element of HTML may have ended the outer one before.
	foreign := (a == atom.Svg || a == atom.Math) && !s.mixed
	for s.have[name] > 0 {
		if t := s.pop(); foreign && t.name == name {
			s.foreign--
			return
		}
	}
}

func (s *scale) pop() openTag {
	top := len(s.open) - 1
	t := s.open[top]
	s.have[t.name]--
	if t.holds {
		s.inside--
	}
	s.open = s.open[:top]
	return t
}

// longestTag is how long a tag that formats may be where there is a doubt, in bytes.
const longestTag = 4 << 10

// doubtful counts what a text can become at most, wherever its tags begin and end: each < begins
// a tag and a text, and each blank, slash or quotation mark an attribute. Nothing is closed.
func (s *scale) doubtful(text []byte) {
	for i := 0; i < len(text) && s.nodes <= MaxNodes; i++ {
		switch text[i] {
		case ' ', '\t', '\r', '\n', '\f', '/', '"', '\'':
			s.nodes++
			s.attrs++
		case '<':
			s.nodes += 5 + 2*s.again
			s.doubtfulTag(text[i:])
		}
	}
}

// doubtfulTag counts what a tag at the beginning of text does beyond being one.
func (s *scale) doubtfulTag(text []byte) {
	end := bytes.HasPrefix(text[1:], []byte("/"))
	name := text[1:]
	if end {
		name = name[1:]
	}
	n := 0
	for n < len(name) && n < 8 && (letter(name[n]) || '0' <= name[n] && name[n] <= '9') {
		n++
	}
	a := atom.Lookup(bytes.ToLower(name[:n]))
	switch {
	case a == atom.Html || a == atom.Body:
		s.nodes += s.attrs
	case end && formats(a):
		s.nodes += s.parted()
	case end:
		s.nodes += 1 + s.again // of p and br
	case formats(a):
		z := html.NewTokenizer(bytes.NewReader(text[:min(len(text), longestTag)]))
		if z.Next() == html.ErrorToken { // it does not end
			if len(text) > longestTag {
				s.nodes = MaxNodes + 1
			}
			return
		}
		s.nodes += len(z.Raw()) / 16 // for the time that it takes to read it here
		weight := 1
		for _, more := z.TagName(); more; weight++ {
			_, _, more = z.TagAttr()
		}
		key := maphash.Bytes(seed, z.Raw())
		if a == atom.A {
			key = maphash.Bytes(seed, []byte("a"))
		}
		s.add(key, a, 1, weight)
	}
}
