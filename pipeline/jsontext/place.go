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

// Follow makes p where a path leads that leads to one value at the most, as [Path.Many] says; before
// a step that leads to many it stops. Of members of one name it takes the first; with Twice an edit
// is about more than that place, as Set and Remove say. text must be valid.
func (p *Place) Follow(text []byte, path Path) {
	*p = Place{In: -1, Begin: -1, Before: -1, Next: -1}
	p.follow(text, Space(text, 0), path, 0)
}

// follow follows the path from its step done on, into the value that begins at i, and gives where
// that ends. Each object is gone over once.
func (p *Place) follow(text []byte, i int, path Path, done int) (end int) {
	switch {
	case done == len(path) || path[done].Many() || text[i] != path[done].bracket():
		p.Done, p.At, p.End = done, i, End(text, i)
		return p.End
	case path[done].Kind == Indexed:
		return p.element(text, i, path, done)
	}
	name, in, before, found := path[done].Name, i, -1, false
	end = i + 1
	for {
		begin, from, is := key(text, end, name)
		switch {
		case from < 0:
			if !found {
				p.Done, p.At, p.End, p.Tail, p.Empty = done, in, begin+1, end, before < 0
			}
			return begin + 1
		case is && !found:
			found = true
			if end = p.follow(text, from, path, done+1); p.Done == done+1 {
				p.In, p.Begin, p.Before = in, begin, before
			}
			continue
		case found:
			if p.Done == done+1 && p.Next < 0 {
				p.Next = begin
			}
			p.Twice = p.Twice || is
		}
		if text[from] == '"' { // as End has it, without the call
			end, _ = validString(text, from+1)
		} else {
			end = End(text, from)
		}
		before = end
	}
}

// element is follow for an Indexed step into the array that begins at i.
func (p *Place) element(text []byte, i int, path Path, done int) (end int) {
	it, before := itemsOf(text, i), -1
	for index := it.index(&path[done]); it.next(); before = it.end {
		if it.n-1 != index {
			continue
		}
		begin, from := it.begin, it.from
		if p.follow(text, from, path, done+1); p.Done == done+1 {
			p.In, p.Begin, p.Before = i, begin, before
			if it.step() {
				p.Next = it.begin
			}
		}
		return End(text, i)
	}
	p.Done, p.At, p.End = done, i, it.begin+1
	return p.End
}
