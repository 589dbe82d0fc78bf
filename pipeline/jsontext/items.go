package jsontext

// bracket is what the value begins with within which the step leads.
func (s *Step) bracket() byte {
	if s.Kind == Named || s.Kind == EveryMember {
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
