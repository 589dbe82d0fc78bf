package jsontext

import (
	"encoding/binary"
	"math/bits"
)

// bracket is what the value begins with within which the step leads.
func (s *Step) bracket() byte {
	if s.InObject() {
		return '{'
	}
	return '['
}

// items goes through the members of an object or the elements of an array.
type items struct {
	text    []byte
	object  bool
	escapes bool // the name of the item at hand is written with escapes
	n       int  // items so far
	begin   int  // of the item at hand: its name, or its value in an array; behind the last one the closing bracket
	name    int  // the end of its name
	from    int  // its value
	end     int  // behind its value, 0: not known yet; before the first item behind the opening bracket
}

func itemsOf(text []byte, at int) items {
	return items{text: text, object: text[at] == '{', end: at + 1}
}

// next goes to the next item and finds its end.
func (it *items) next() bool {
	if !it.step() {
		return false
	}
	it.end = End(it.text, it.from)
	return true
}

// step goes to the next item. Where it ends is found when that is needed: who goes into an item
// need not go over it first. Behind the last item, end is that of the last one.
func (it *items) step() bool {
	if it.end == 0 {
		it.end = End(it.text, it.from)
	}
	text, i := it.text, it.end
	if text[i] <= ' ' {
		i = Space(text, i)
	}
	switch text[i] {
	case '}', ']':
		it.begin = i
		return false
	case ',':
		if i++; text[i] <= ' ' {
			i = Space(text, i)
		}
	}
	it.begin = i
	if it.object {
		for i++; ordinary[text[i]]; {
			i++
		}
		if it.escapes = text[i] == '\\'; it.escapes {
			i, _ = validString(text, i)
		} else {
			i++
		}
		it.name = i
		if text[i] <= ' ' {
			i = Space(text, i)
		}
		if i++; text[i] <= ' ' { // behind the colon
			i = Space(text, i)
		}
	}
	it.from, it.end = i, 0
	it.n++
	return true
}

// index gives the number of the element to which an Indexed step leads, from 0; a negative one
// when there are too few. It is asked before the first item.
func (it *items) index(s *Step) int {
	if s.Kind != Indexed || s.Index >= 0 {
		return s.Index
	}
	all := *it
	for all.step() {
	}
	return s.Index + all.n
}

// is says whether the step leads to the item at hand; index is what index gave for it.
func (it *items) is(s *Step, index int) bool {
	switch s.Kind {
	case Named:
		if it.escapes {
			return Unquote(it.text[it.begin:it.name]) == s.Name
		}
		return string(it.text[it.begin+1:it.name-1]) == s.Name
	case Indexed:
		return it.n-1 == index
	}
	return true
}

// member gives where the value of the first member of that name begins in the object that begins
// at i, -1: it has none.
func member(text []byte, i int, name string) int {
	for i++; ; {
		_, from, is := key(text, i, name)
		if is || from < 0 {
			return from
		}
		if text[from] == '"' { // as End has it, without the call
			i, _ = validString(text, from+1)
		} else {
			i = End(text, from)
		}
	}
}

// key gives where the next member begins and its value, behind the opening brace of an object or
// the value of the member before, where i is, and says whether its name is that one. from is -1
// when there is none: the closing brace is at begin. It does what items do, for members alone, in
// half of the time: most paths are of names (BenchmarkEditAtDepth).
func key(text []byte, i int, name string) (begin, from int, is bool) {
	if text[i] <= ' ' {
		i = Space(text, i)
	}
	if text[i] == ',' {
		if i++; text[i] <= ' ' {
			i = Space(text, i)
		}
	} else if text[i] == '}' {
		return i, -1, false
	}
	begin = i
	for i++; ; {
		if i+8 > len(text) {
			if !ordinary[text[i]] {
				break
			}
			i++
		} else if m := special(binary.LittleEndian.Uint64(text[i:])); m != 0 {
			i += bits.TrailingZeros64(m) >> 3
			break
		} else {
			i += 8
		}
	}
	if text[i] == '"' {
		is = i-begin-1 == len(name) && string(text[begin+1:i]) == name
		i++
	} else {
		i, _ = validString(text, i)
		is = Unquote(text[begin:i]) == name
	}
	if text[i] != ':' {
		i = Space(text, i)
	}
	if i++; text[i] <= ' ' {
		i = Space(text, i)
	}
	return begin, i, is
}
