package cli

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/fixture"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// maxTried bounds the search that moves wanted records to other ones.
const maxTried = 5_000_000

// pairs gives for each wanted record the one that it is about, by its index, or -1. One with a
// position is about the record of that position, of several the next. One without is about
// a record that fits: that at its own place, the next after the one before, or any, and as
// many fit as can. What then fits nothing is paired in order, so that what differs can be shown.
func pairs(want []*fixture.Partial, got []pipeline.Record, by comparison) []int {
	p := pairing{want: want, got: got, by: by, of: make([]int, len(want)), taken: make([]int, len(got)), forms: map[string]*byForm{}}
	for i := range p.of {
		p.of[i] = -1
	}
	for i := range p.taken {
		p.taken[i] = -1
	}
	p.byPosition()
	var free []int // records that no position has taken
	for g, w := range p.taken {
		if w < 0 {
			free = append(free, g)
		}
	}
	var loose []int
	for w := range want {
		if !want[w].Given.Position() {
			loose = append(loose, w)
		}
	}
	p.byFit(loose, free)
	p.rest(loose, free)
	return p.of
}

type pairing struct {
	want  []*fixture.Partial
	got   []pipeline.Record
	by    comparison
	of    []int // got by want
	taken []int // want by got
	forms map[string]*byForm
	tried int
}

// byForm is all that came, in the terms of one form of a wanted line: what fits such a line has the
// same text as the line.
type byForm struct {
	texts []string         // by record; "": not one that is free
	with  map[string][]int // records by text
	next  map[string]int   // of those, the first that may not be taken
}

func (p *pairing) pair(w, g int) { p.of[w], p.taken[g] = g, w }

func (p *pairing) byPosition() {
	left := map[pipeline.Position][]int{}
	for g := range p.got {
		left[p.got[g].Position] = append(left[p.got[g].Position], g)
	}
	for w := range p.want {
		if !p.want[w].Given.Position() {
			continue
		}
		at := p.want[w].Record.Position
		if some := left[at]; len(some) > 0 {
			p.pair(w, some[0])
			left[at] = some[1:]
		}
	}
}

// inTermsOf gives what is free, by the form of w.
func (p *pairing) inTermsOf(w *fixture.Partial, free []int) *byForm {
	names := chosenNames(w)
	form := fmt.Sprintf("%+v %q", w.Given, names)
	l := p.forms[form]
	if l == nil {
		l = &byForm{texts: make([]string, len(p.got)), with: map[string][]int{}, next: map[string]int{}}
		for _, g := range free {
			text := p.by.text(w.Given, names, &p.got[g])
			l.texts[g] = text
			l.with[text] = append(l.with[text], g)
		}
		p.forms[form] = l
	}
	return l
}

func (p *pairing) byFit(loose, free []int) {
	for i, w := range loose {
		l := p.inTermsOf(p.want[w], free)
		text := p.by.text(p.want[w].Given, chosenNames(p.want[w]), &p.want[w].Record)
		if i < len(free) && p.taken[free[i]] < 0 && l.texts[free[i]] == text { // at its own place
			p.pair(w, free[i])
			continue
		}
		fit, n := l.with[text], l.next[text]
		for n < len(fit) && p.taken[fit[n]] >= 0 {
			n++
		}
		if l.next[text] = n; n < len(fit) {
			p.pair(w, fit[n])
		}
	}
	if len(p.forms) < 2 {
		return // of one form all that fit are alike
	}
	// A wanted record that says little may have taken the only one that another fits: then it
	// gives it back, if it fits a further one.
	for _, w := range loose {
		if p.of[w] < 0 {
			p.settle(w, free, make([]bool, len(p.got)))
		}
	}
}

// settle finds a record for w, moving others where that is needed.
func (p *pairing) settle(w int, free []int, seen []bool) bool {
	text := p.by.text(p.want[w].Given, chosenNames(p.want[w]), &p.want[w].Record)
	for _, g := range p.inTermsOf(p.want[w], free).with[text] {
		if p.tried++; seen[g] || p.tried > maxTried {
			continue
		}
		seen[g] = true
		if p.taken[g] < 0 || p.settle(p.taken[g], free, seen) {
			p.pair(w, g)
			return true
		}
	}
	return false
}

func (p *pairing) rest(loose, free []int) {
	free = slices.DeleteFunc(slices.Clone(free), func(g int) bool { return p.taken[g] >= 0 })
	for _, w := range loose {
		if p.of[w] < 0 && len(free) > 0 {
			p.pair(w, free[0])
			free = free[1:]
		}
	}
}

// text puts what is given of a record into a text: those of two records are equal when the
// records are, in the sense of the comparison.
func (by comparison) text(given fixture.Given, chosen []string, rec *pipeline.Record) string {
	b := []byte{'.'}
	put := func(v []byte) {
		if v == nil {
			b = append(b, '-')
			return
		}
		b = append(strconv.AppendInt(b, int64(len(v)), 10), ':')
		b = append(b, v...)
	}
	if given.Topic {
		put([]byte(rec.Topic))
	}
	if given.Partition {
		b = append(strconv.AppendInt(b, int64(rec.Partition), 10), ';')
	}
	if given.Offset {
		b = append(strconv.AppendInt(b, rec.Offset, 10), ';')
	}
	if given.Time {
		b = append(strconv.AppendInt(b, rec.Time, 10), ';')
	}
	if given.Key {
		put(rec.Key())
	}
	switch {
	case given.Chosen:
		for _, name := range chosen {
			put(fixture.LastHeader(rec, name))
		}
	case given.Headers:
		for _, h := range rec.Headers() {
			put([]byte(h.Name))
			put(h.Value)
		}
	}
	switch v := rec.Value(); {
	case given.Payload && by.meaning && jsontext.Valid(v):
		b = appendMeaning(append(b, '='), bytes.TrimSpace(v), appendNumber)
	case given.Payload:
		put(v)
	}
	return string(b)
}

// sameJSON compares two JSON texts whatever their white space, the order of their members and the
// escapes in them; numbers by their digits. Of members of one name the first counts. Texts that are
// no JSON are equal byte for byte.
func sameJSON(a, b []byte) bool { return same(a, b, appendDigits) }

// sameMeaning is sameJSON for which 1, 1.0 and 10e-1 are equal too.
func sameMeaning(a, b []byte) bool { return same(a, b, appendNumber) }

func same(a, b []byte, number func(dst, text []byte) []byte) bool {
	if !jsontext.Valid(a) || !jsontext.Valid(b) {
		return bytes.Equal(a, b) && (a == nil) == (b == nil)
	}
	return bytes.Equal(appendMeaning(nil, bytes.TrimSpace(a), number), appendMeaning(nil, bytes.TrimSpace(b), number))
}

// appendDigits appends a number as it is written.
func appendDigits(dst, text []byte) []byte { return append(dst, text...) }

// appendNumber appends a text that is the same for equal numbers.
func appendNumber(dst, text []byte) []byte {
	n := decimal(text)
	return fmt.Appendf(dst, "%t %s %d", n.negative, n.digits, n.exponent)
}

// appendMeaning appends a text that is the same for JSON texts of one meaning, with numbers as
// number appends them.
func appendMeaning(dst, text []byte, number func(dst, text []byte) []byte) []byte {
	switch {
	case text[0] == '{':
		members, names := objectOf(text)
		slices.Sort(names)
		dst = append(dst, '{')
		for _, name := range names {
			dst = append(jsontext.AppendString(dst, name), ':')
			dst = append(appendMeaning(dst, members[name], number), ',')
		}
		return append(dst, '}')
	case text[0] == '[':
		dst = append(dst, '[')
		jsontext.Elements(text, func(e []byte) bool { dst = append(appendMeaning(dst, e, number), ','); return true })
		return append(dst, ']')
	case text[0] == '"':
		return jsontext.AppendString(dst, jsontext.Unquote(text))
	case text[0] == '-' || text[0] >= '0' && text[0] <= '9':
		return number(dst, text)
	}
	return append(dst, text...)
}

// An exact number is digits times ten to the power of exponent, without zeros at either end of the
// digits, so that equal numbers are equal.
type exact struct {
	negative bool
	digits   string
	exponent int64
}

// decimal reads a JSON number exactly. An exponent that is beyond 32 bits stays text in digits.
func decimal(text []byte) exact {
	var n exact
	s, negative := strings.CutPrefix(string(text), "-")
	mantissa, power := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, power = s[:i], s[i+1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	n.exponent = -int64(len(fraction))
	if short := strings.TrimRight(digits, "0"); short != digits {
		n.exponent += int64(len(digits) - len(short))
		digits = short
	}
	if digits == "" {
		return exact{} // zero, of either sign
	}
	if power != "" {
		e, err := strconv.ParseInt(power, 10, 32)
		if err != nil {
			return exact{negative, string(text), 0}
		}
		n.exponent += e
	}
	n.negative, n.digits = negative, digits
	return n
}
