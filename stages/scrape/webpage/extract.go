package webpage

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/html"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A Want is one value that is wanted of a page.
type Want struct {
	Name     string
	Select   Selector // none: the element itself that the value is wanted of
	Attr     string   // attribute to take; "": the text
	HTML     bool     // the HTML within the element, in place of the text
	Absolute bool     // the attribute is an address, which is made absolute, without its fragment
	All      bool     // a list of all; else the first
	Inner    []Want   // an object of these, in place of the text
}

// Limits bound what is taken out of a page.
type Limits struct {
	Bytes int // of the JSON text
	Items int // of a list
}

// Extract gives a JSON object with the values that are wanted, in their order: texts, null for what
// the page does not have, lists for those that want all. It ends with ctx. The error is that of ctx,
// or one that is ErrTooLarge.
func (p *Page) Extract(ctx context.Context, wants []Want, l Limits) ([]byte, error) {
	x := extraction{page: p, limits: l, clock: newClock(ctx)}
	x.object(p.root, wants)
	if x.clock.err != nil {
		return nil, x.clock.err
	}
	return x.out, nil
}

type extraction struct {
	page   *Page
	limits Limits
	clock  *clock // its err ends the extraction
	out    []byte
}

// full says whether there is no more to be done: the time is up, or there is too much.
func (x *extraction) full() bool {
	if x.clock.err == nil && len(x.out) > x.limits.Bytes {
		x.clock.err = tooLarge("what is selected has more than %d bytes", x.limits.Bytes)
	}
	return x.clock.err != nil
}

func (x *extraction) object(n *html.Node, wants []Want) {
	x.out = append(x.out, '{')
	for i := range wants {
		if x.full() {
			return
		}
		if i > 0 {
			x.out = append(x.out, ',')
		}
		x.out = append(jsontext.AppendString(x.out, wants[i].Name), ':')
		x.want(n, &wants[i])
	}
	x.out = append(x.out, '}')
}

func (x *extraction) want(n *html.Node, w *Want) {
	if !w.All {
		found := false
		w.Select.each(n, x.clock, func(e *html.Node) bool {
			found = x.value(e, w)
			return !found
		})
		if !found {
			x.out = append(x.out, "null"...)
		}
		return
	}
	x.out = append(x.out, '[')
	items := 0
	w.Select.each(n, x.clock, func(e *html.Node) bool {
		before := len(x.out)
		if items > 0 {
			x.out = append(x.out, ',')
		}
		if !x.value(e, w) {
			x.out = x.out[:before]
			return !x.full()
		}
		if items++; items > x.limits.Items && x.clock.err == nil {
			x.clock.err = tooLarge("a list has more than %d entries", x.limits.Items)
		}
		return !x.full()
	})
	x.out = append(x.out, ']')
}

// value appends what is wanted of one element; false: it has no such attribute, and nothing is
// appended.
func (x *extraction) value(e *html.Node, w *Want) bool {
	switch {
	case len(w.Inner) > 0:
		x.object(e, w.Inner)
	case w.HTML:
		x.out = jsontext.AppendString(x.out, x.markup(e))
	case w.Attr != "":
		val, ok := attribute(e, w.Attr)
		if ok && w.Absolute {
			val, ok = x.page.absolute(val)
		}
		if !ok {
			return false
		}
		x.out = jsontext.AppendString(x.out, val)
	default:
		x.out = jsontext.AppendString(x.out, x.text(e))
	}
	return true
}

// absolute gives an address without its fragment; false for what leads to no page: another scheme, or
// nothing that can be read.
func (p *Page) absolute(address string) (string, bool) {
	u, err := p.base.Parse(strings.Trim(address, " \t\r\n\f"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", false
	}
	return PageAddress(u), true
}

// PageAddress gives the address of the page that u leads to: without fragment, and without a name and
// password.
func PageAddress(u *url.URL) string {
	page := *u
	page.Fragment, page.RawFragment, page.User = "", "", nil
	return page.String()
}

// A bounded builder stops at a number of bytes.
type bounded struct {
	b    strings.Builder
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	b.b.Write(p[:n])
	if n < len(p) {
		return n, ErrTooLarge
	}
	return n, nil
}

// markup gives the HTML within an element.
func (x *extraction) markup(e *html.Node) string {
	w := bounded{left: x.limits.Bytes + 1}
	for c := e.FirstChild; c != nil && !x.clock.tick(); c = c.NextSibling {
		err := html.Render(&w, c)
		if errors.Is(err, ErrTooLarge) {
			break // which full says
		}
		if err != nil {
			x.clock.err = fmt.Errorf("%w: it has elements that HTML cannot write", ErrType)
			break
		}
	}
	return w.b.String()
}
