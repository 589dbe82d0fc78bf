package jsontext

// A Place says where a path leads in a text, or how far: what an edit of a few bytes needs to
// know. All places are indices into the text.
type Place struct {
	Done    int  // how many steps of the path lead to something; all of them: what it names is there
	At, End int  // the value to which they lead
	Twice   bool // one of them is a name that stands several times in its object

	// Of an item of an object or array, where Done is not 0.
	In     int // the opening bracket of what the item stands in
	Begin  int // where the item begins: its name, or its value in an array
	Before int // behind the item before it; -1: it is the first one
	Next   int // where the item behind it begins; -1: it is the last one

	// Of an object that has no member of the name that comes next.
	Tail  int  // where a member is added: behind its last one
	Empty bool // there is none
}

// Locate follows a path that leads to one value at the most, as [Path.Many] says; before a step
// that leads to many it stops. Of members of one name it takes the first; with Twice an edit is
// about more than that place, as Set and Remove say. text must be valid.
func Locate(text []byte, path Path) Place {
	p := Place{At: Space(text, 0), In: -1, Begin: -1, Before: -1, Next: -1}
	for i := range path {
		step := &path[i]
		if step.Kind > Indexed || text[p.At] != step.bracket() || !p.enter(text, step) {
			break
		}
		p.Done++
	}
	if p.End == 0 {
		p.End = End(text, p.At)
	}
	return p
}

// enter goes from an object or array to the item to which step leads, if it is there.
func (p *Place) enter(text []byte, step *Step) bool {
	it := itemsOf(text, p.At)
	index, before, found := it.index(step), -1, false
	for it.step() {
		switch is := it.is(step, index); {
		case found && p.Next < 0:
			p.Next = it.begin
			if step.Kind == Indexed { // no other element has its number
				return true
			}
			fallthrough
		case found:
			p.Twice = p.Twice || is
		case is:
			found = true
			p.In, p.At, p.Begin, p.Before, p.Next = p.At, it.from, it.begin, before, -1
			it.end = End(text, it.from)
			p.End = it.end
		default:
			it.end = End(text, it.from)
			before = it.end
		}
	}
	if !found {
		p.End, p.Tail, p.Empty = it.begin+1, it.end, it.n == 0
	}
	return found
}
