package cli

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/fixture"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// maxTried bounds how often two records are compared to find out which wanted one means which.
const maxTried = 5_000_000

// pairs gives for each wanted record the one that it is about, by its index, or -1. One with a
// position is about the record of that position, of several the next. One without is about
// a record that fits: that at its own place, the next after the one before, or any, and as
// many fit as can. What then fits nothing is paired in order, so that what differs can be shown.
func pairs(want []*fixture.Partial, got []pipeline.Record, by comparison) []int {
	p := pairing{want: want, got: got, by: by, of: make([]int, len(want)), taken: make([]int, len(got))}
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
	tried int
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

// fits says whether a record is as wanted; false too when too much has been tried.
func (p *pairing) fits(w, g int) bool {
	p.tried++
	if p.want[w].Given.Payload && !p.by.meaning && !bytes.Equal(p.want[w].Record.Value(), p.got[g].Value()) {
		return false
	}
	return p.tried <= maxTried && len(diffRecord(p.want[w], &p.got[g], p.by)) == 0
}

func (p *pairing) byFit(loose, free []int) {
	next := 0
	for i, w := range loose {
		if i < len(free) && p.taken[free[i]] < 0 && p.fits(w, free[i]) {
			p.pair(w, free[i])
			next = i + 1
			continue
		}
		for j := range free {
			k := (next + j) % len(free)
			if p.taken[free[k]] < 0 && p.fits(w, free[k]) {
				p.pair(w, free[k])
				next = k + 1
				break
			}
		}
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
	for _, g := range free {
		if seen[g] || !p.fits(w, g) {
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

// sameMeaning compares two JSON texts whatever their white space, the order of their members
// and the way in which numbers and texts are written: 1, 1.0 and 10e-1 are equal. Of members of
// one name the first counts. Texts that are no JSON are equal byte for byte.
func sameMeaning(a, b []byte) bool {
	if !jsontext.Valid(a) || !jsontext.Valid(b) {
		return bytes.Equal(a, b) && (a == nil) == (b == nil)
	}
	return sameValue(bytes.TrimSpace(a), bytes.TrimSpace(b))
}

func sameValue(a, b []byte) bool {
	switch {
	case a[0] == '{' && b[0] == '{':
		x, y := membersOf(a), membersOf(b)
		for name, v := range x {
			if w, there := y[name]; !there || !sameValue(v, w) {
				return false
			}
		}
		return len(x) == len(y)
	case a[0] == '[' && b[0] == '[':
		var x, y [][]byte
		jsontext.Elements(a, func(e []byte) bool { x = append(x, e); return true })
		jsontext.Elements(b, func(e []byte) bool { y = append(y, e); return true })
		return slices.EqualFunc(x, y, sameValue)
	case a[0] == '"' && b[0] == '"':
		return jsontext.Unquote(a) == jsontext.Unquote(b)
	case isDigit(a) && isDigit(b):
		return decimal(a) == decimal(b)
	}
	return bytes.Equal(a, b)
}

func membersOf(object []byte) map[string][]byte {
	members := map[string][]byte{}
	jsontext.Members(object, func(quoted, value []byte) bool {
		name := jsontext.Unquote(quoted)
		if _, twice := members[name]; !twice {
			members[name] = value
		}
		return true
	})
	return members
}

func isDigit(text []byte) bool { return text[0] == '-' || text[0] >= '0' && text[0] <= '9' }

// An exact number is digits times ten to the power of exponent, without zeros at either end of the
// digits, so that equal numbers are equal.
type exact struct {
	negative bool
	digits   string
	exponent int64
}

// decimal reads a JSON number exactly. An exponent that is beyond int64 stays text in digits.
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
