package jsontext

import "fmt"

// This file reads and edits what stands at a path of JSON text that is known to be valid. Every
// byte that an edit is not about stays as it is: order, white space, the text of numbers.

// A NoPathError says why nothing can be set at a path. It quotes no value.
type NoPathError struct {
	Path Path   // up to the value that is in the way
	Why  string // "is no object", "is no array", "has no element [3]"
}

func (e *NoPathError) Error() string {
	if len(e.Path) == 0 {
		return "the value " + e.Why
	}
	return e.Path.String() + " " + e.Why
}

// Find gives the value to which path leads, nil when there is none, and the first of several. It
// is without white space around it.
func Find(text []byte, path Path) (found []byte) {
	at := Space(text, 0)
	for i := range path {
		step := &path[i]
		if step.Many() {
			return findFirst(text[at:], path[i:])
		}
		if text[at] != step.bracket() {
			return nil
		}
		if step.Kind == Named {
			if at = member(text, at, step.Name); at < 0 {
				return nil
			}
			continue
		}
		it := itemsOf(text, at)
		for index := it.index(step); ; {
			if !it.step() {
				return nil
			}
			if it.is(step, index) {
				break
			}
		}
		at = it.from
	}
	end := End(text, at)
	return text[at:end:end]
}

// findFirst is Find for a path that may lead to several values.
func findFirst(text []byte, path Path) (found []byte) {
	each(text, path, func(value []byte) bool {
		found = value
		return false
	})
	return found
}

// Each calls yield for every value to which path leads, in the order of the text, until yield
// returns false. The values are without white space around them.
func Each(text []byte, path Path, yield func(value []byte) bool) { each(text, path, yield) }

func each(text []byte, path Path, yield func(value []byte) bool) bool {
	from := Space(text, 0)
	if len(path) == 0 {
		end := End(text, from)
		return yield(text[from:end:end])
	}
	step := &path[0]
	if text[from] != step.bracket() {
		return true
	}
	it := itemsOf(text, from)
	for index := it.index(step); it.next(); {
		if !it.is(step, index) {
			continue
		}
		if !each(it.text[it.from:it.end:it.end], path[1:], yield) {
			return false
		}
		if !step.Many() {
			break
		}
	}
	return true
}

// Set appends text to dst with value in the place to which path leads; with a path that leads to
// many, in each. Objects that are missing on the way are made, where null counts as missing;
// arrays and elements are not. With EveryMember and EveryElement nothing is made: only what is
// there is set. Of members of one name the first takes the value and the others go. value must be
// valid and is copied. An error is a *NoPathError, and dst comes back as it was.
func Set(dst, text []byte, path Path, value []byte) ([]byte, error) {
	from := len(dst)
	out, err := set(dst, text, path, 0, value)
	if err != nil {
		return dst[:from], err
	}
	return out, nil
}

// set sets what path leads to from its step done on, where text stands.
func set(dst, text []byte, path Path, done int, value []byte) ([]byte, error) {
	at := Space(text, 0)
	if done == len(path) {
		return append(append(append(dst, text[:at]...), value...), text[End(text, at):]...), nil
	}
	step := &path[done]
	wrong := func(why string) ([]byte, error) { return dst, &NoPathError{path[:done:done], why} }
	if text[at] == 'n' {
		makes, err := makes(path, done)
		if err != nil || !makes {
			return append(dst, text...), err
		}
		return append(appendMade(append(dst, text[:at]...), path[done:], value), text[End(text, at):]...), nil
	}
	if text[at] != step.bracket() {
		if step.bracket() == '{' {
			return wrong("is no object")
		}
		return wrong("is no array")
	}
	copied, found := 0, false
	var names map[string]bool // of every member so far
	it := itemsOf(text, at)
	index := it.index(step)
	for last := it.end; it.next(); last = it.end {
		switch {
		case !it.is(step, index):
		case found && step.Kind == Named, step.Kind == EveryMember && again(&names, &it): // another one of that name
			dst, copied = append(dst, text[copied:max(copied, last)]...), it.end
		default:
			var err error
			if dst, err = set(append(dst, text[copied:it.from]...), text[it.from:it.end], path, done+1, value); err != nil {
				return dst, err
			}
			copied, found = it.end, true
		}
	}
	if found || step.Many() {
		return append(dst, text[copied:]...), nil
	}
	if step.Kind == Indexed {
		return wrong(fmt.Sprintf("has no element [%d]", step.Index))
	}
	if makes, err := makes(path, done+1); err != nil || !makes {
		return append(dst, text...), err
	}
	dst = append(dst, text[:it.end]...)
	if it.n > 0 {
		dst = append(dst, ',')
	}
	dst = append(AppendName(dst, step.Name), ':')
	return append(appendMade(dst, path[done+1:], value), text[it.end:]...), nil
}

// Replace appends text to dst with what with appends in the place of each value to which path
// leads. Every other byte stays; nothing is made. with is given dst and the value. An error is that
// of with, and dst comes back as it was.
func Replace(dst, text []byte, path Path, with func(dst, value []byte) ([]byte, error)) ([]byte, error) {
	before, at := len(dst), Space(text, 0)
	if len(path) == 0 {
		end := End(text, at)
		out, err := with(append(dst, text[:at]...), text[at:end:end])
		if err != nil {
			return dst[:before], err
		}
		return append(out, text[end:]...), nil
	}
	step := &path[0]
	if text[at] != step.bracket() {
		return append(dst, text...), nil
	}
	copied := 0
	it := itemsOf(text, at)
	for index := it.index(step); it.next(); {
		if !it.is(step, index) {
			continue
		}
		out, err := Replace(append(dst, text[copied:it.from]...), text[it.from:it.end], path[1:], with)
		if err != nil {
			return dst[:before], err
		}
		if dst, copied = out, it.end; !step.Many() {
			break
		}
	}
	return append(dst, text[copied:]...), nil
}

// again says whether a member of the name of the one at hand is among names, which takes it in.
func again(names *map[string]bool, it *items) bool {
	if *names == nil {
		*names = map[string]bool{}
	}
	name := Unquote(it.text[it.begin:it.name])
	if (*names)[name] {
		return true
	}
	(*names)[name] = true
	return false
}

// makes says whether what is missing on the path from its step done on is made.
func makes(path Path, done int) (bool, error) {
	for i := done; i < len(path); i++ {
		switch path[i].Kind {
		case EveryMember, EveryElement:
			return false, nil
		case Indexed:
			return false, &NoPathError{path[:i:i], "is no array"}
		}
	}
	return true, nil
}

// appendMade appends value within an object for each step.
func appendMade(dst []byte, path Path, value []byte) []byte {
	for _, s := range path {
		dst = append(AppendName(append(dst, '{'), s.Name), ':')
	}
	dst = append(dst, value...)
	for range path {
		dst = append(dst, '}')
	}
	return dst
}

// Growth gives by how many bytes Set makes text longer at the most, with a value of size bytes in
// each place to which path leads; below 0: shorter by at least as many. The memory for that is not taken.
func Growth(text []byte, path Path, size int) (n int) {
	last := len(path) - 1
	for last >= 0 && path[last].Kind < EveryMember {
		last--
	}
	tail, made := path[last+1:], 0
	for _, s := range tail {
		made += len(AppendName(nil, s.Name)) + len(`,{:}`)
	}
	each(text, path[:last+1], func(value []byte) bool {
		if old := Find(value, tail); old != nil {
			n += size - len(old)
		} else {
			n += size + made
		}
		return true
	})
	return n
}

// Remove appends text to dst without what path leads to: without every member of that name where
// a name stands several times. What is not there is not removed, which is no error. With the
// empty path it gives dst as it is.
func Remove(dst, text []byte, path Path) []byte {
	if len(path) == 0 {
		return dst
	}
	at, step := Space(text, 0), &path[0]
	if text[at] != step.bracket() {
		return append(dst, text...)
	}
	copied, kept, dropped := 0, -1, false // kept: the end of the last item that stays
	it := itemsOf(text, at)
	for index := it.index(step); it.next(); {
		if dropped && kept < 0 {
			copied = it.begin // all items before it went: it comes first now
		}
		switch {
		case !it.is(step, index):
			kept = it.end
		case len(path) > 1:
			dst = Remove(append(dst, text[copied:it.from]...), text[it.from:it.end], path[1:])
			copied, kept = it.end, it.end
		case dropped && kept < 0: // nothing stays between it and the one that went before it
			copied = it.end
		default:
			end := kept
			if kept < 0 && !dropped {
				end = it.begin
			}
			dst = append(dst, text[copied:max(copied, end)]...)
			copied, dropped = it.end, true
		}
	}
	return append(dst, text[copied:]...)
}
