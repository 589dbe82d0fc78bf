// SPDX-License-Identifier: Apache-2.0

// Package webpage makes a tree of the bytes of a web page and takes values out of it by CSS
// selectors, within bounds of time and memory whatever the page holds.
package webpage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"
)

// Bounds of one page. They are far from what people write, and near enough for a page that is made
// to do harm to stay cheap.
const (
	// MaxNodes is the most elements, texts and attributes of a page, about 60 MB of memory.
	MaxNodes = 500_000
	// MaxTime is the longest that making the tree, and taking values out of it, may take each.
	MaxTime = 5 * time.Second
)

// ErrTooLarge is the error of a page that would take more than the bounds allow. Errors that are it
// say which.
var ErrTooLarge = errors.New("the page is too large")

// ErrType is the error of what is no web page.
var ErrType = errors.New("the answer is no web page")

func tooLarge(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrTooLarge, fmt.Sprintf(format, args...))
}

// A Page is a page as a tree. Several goroutines may use one.
type Page struct {
	root *html.Node
	base *url.URL // what the addresses in it are relative to
}

// Parse makes a page of what came from the address at, with the Content-Type that it came with. It
// reads HTML and XHTML in whatever encoding they say or show; plain text becomes a page that is all
// text. The error is one that is ErrTooLarge or ErrType, or that of ctx.
func Parse(ctx context.Context, body []byte, contentType string, at *url.URL) (*Page, error) {
	plain, err := isPlain(body, contentType)
	if err != nil {
		return nil, err
	}
	text, err := decode(body, contentType)
	if err != nil {
		return nil, err
	}
	c := newClock(ctx)
	if plain {
		return plainPage(text, at), nil
	}
	n, err := weigh(text)
	if err != nil {
		return nil, err
	}
	if n > MaxNodes {
		return nil, tooLarge("it has more than %d elements, texts and attributes", MaxNodes)
	}
	root, err := html.ParseWithOptions(&clockedReader{text, c}, html.ParseOptionEnableScripting(false))
	if err != nil {
		if c.err != nil {
			return nil, c.err
		}
		return nil, tooLarge("its elements are nested too deep") // the parser has no other error
	}
	return &Page{root: root, base: baseOf(root, at)}, nil
}

// IsOther says whether an answer cannot be a page, by its Content-Type.
func IsOther(contentType string) bool {
	_, err := isPlain(nil, contentType)
	return err != nil
}

// isPlain says whether an answer is text without tags. The type that a server says counts, and when
// it says none, how the body begins.
func isPlain(body []byte, contentType string) (plain bool, err error) {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil { // servers get the parameters wrong in many ways
		t, _, _ = strings.Cut(contentType, ";")
		t = strings.ToLower(strings.TrimSpace(t))
	}
	switch t {
	case "text/html", "application/xhtml+xml", "application/xml", "text/xml":
	case "text/plain":
		plain = true
	case "":
		if head := body[:min(len(body), 512)]; bytes.IndexByte(head, 0) >= 0 && !isUTF16(head) || bytes.HasPrefix(head, []byte("%PDF-")) {
			return false, fmt.Errorf("%w: it says no type, and begins like no text", ErrType)
		}
	default:
		return false, fmt.Errorf("%w: its type is %s", ErrType, shown(t))
	}
	return plain, nil
}

func isUTF16(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff"))
}

// shown is a media type in a message.
func shown(t string) string {
	if len(t) > 60 || strings.ContainsFunc(t, func(r rune) bool { return r < '!' || r > '~' }) {
		return "none that is known"
	}
	return t
}

// decode gives the text of a body in UTF-8. The encoding is that of the byte order mark, else of the
// header, else of the page itself, else UTF-8 when that fits, else windows-1252, as in browsers.
func decode(body []byte, contentType string) ([]byte, error) {
	e, name, certain := charset.DetermineEncoding(body, contentType)
	if name == "utf-8" || !certain && name == "windows-1252" && utf8.Valid(body) {
		body = bytes.TrimPrefix(body, []byte("\ufeff"))
		if utf8.Valid(body) {
			return body, nil
		}
		return bytes.ToValidUTF8(body, []byte("\ufffd")), nil
	}
	text, err := e.NewDecoder().Bytes(body)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not in the encoding that it says", ErrType)
	}
	return bytes.ToValidUTF8(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("\ufffd")), nil
}

// plainPage makes the page of a text: its body is one pre, as browsers show it.
func plainPage(text []byte, at *url.URL) *Page {
	root := &html.Node{Type: html.DocumentNode}
	parent := root
	for _, a := range []atom.Atom{atom.Html, atom.Body, atom.Pre} {
		n := &html.Node{Type: html.ElementNode, DataAtom: a, Data: a.String()}
		parent.AppendChild(n)
		parent = n
	}
	parent.AppendChild(&html.Node{Type: html.TextNode, Data: string(text)})
	return &Page{root: root, base: at}
}

// baseOf gives what addresses are relative to: the first base element that has an address.
func baseOf(root *html.Node, at *url.URL) *url.URL {
	for n := range root.Descendants() {
		if n.DataAtom != atom.Base || n.Namespace != "" {
			continue
		}
		if href, ok := attribute(n, "href"); ok {
			if u, err := at.Parse(strings.TrimSpace(href)); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
				return u
			}
			return at
		}
	}
	return at
}

func attribute(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name && a.Namespace == "" {
			return a.Val, true
		}
	}
	return "", false
}

// A clock ends work that takes too long.
type clock struct {
	ctx   context.Context
	end   time.Time
	calls int
	err   error // that ended it
}

func newClock(ctx context.Context) *clock { return &clock{ctx: ctx, end: time.Now().Add(MaxTime)} }

// over says whether the time is up. It looks at the time with each call.
func (c *clock) over() bool {
	switch {
	case c.err != nil:
	case c.ctx.Err() != nil:
		c.err = c.ctx.Err()
	case time.Now().After(c.end):
		c.err = tooLarge("it takes longer than %v", MaxTime)
	}
	return c.err != nil
}

// tick is over for work of small parts: it looks at the time now and then.
func (c *clock) tick() bool {
	c.calls++
	return c.err != nil || c.calls%64 == 0 && c.over()
}

// A clockedReader hands out a text until the time is up: the parser knows no other way to end early.
type clockedReader struct {
	text  []byte
	clock *clock
}

func (r *clockedReader) Read(p []byte) (int, error) {
	if r.clock.over() {
		return 0, r.clock.err
	}
	if len(r.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 4096)], r.text)
	r.text = r.text[n:]
	return n, nil
}
