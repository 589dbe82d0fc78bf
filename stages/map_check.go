package stages

import (
	"errors"
	"fmt"
	"slices"

	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// This file finds what is wrong with the settings of a map: paths that lead to nothing, and
// settings that contradict one another.

// mapPaths are the paths of a map's settings, taken apart.
type mapPaths struct{ set, remove, from, to, keep []jsontext.Path }

// paths takes them apart; what is wrong is nil.
func (s *MapSettings) paths() (p mapPaths, wrong problems) {
	read := func(into *[]jsontext.Path, path settings.FieldPath, field string) {
		steps, err := path.Within()
		if path == "" {
			err = errors.New("a path is empty")
		}
		if err != nil {
			wrong.Add(field, "%w", err)
		}
		*into = append(*into, steps)
	}
	for _, f := range s.Set {
		read(&p.set, f.Name, keyed("set", f.Name))
	}
	for i, path := range s.Remove {
		read(&p.remove, path, listed("remove", i))
	}
	for _, f := range s.Rename {
		read(&p.from, f.Name, keyed("rename", f.Name))
		read(&p.to, f.Value, keyed("rename", f.Name))
	}
	for i, path := range s.Keep {
		read(&p.keep, path, listed("keep", i))
	}
	return p, wrong
}

func keyed(setting string, key settings.FieldPath) string { return setting + "." + string(key) }

func listed(setting string, i int) string { return fmt.Sprintf("%s[%d]", setting, i) }

// Validate implements the check of settings.
func (s *MapSettings) Validate() error {
	p, wrong := s.paths()
	c := mapCheck{s: s, mapPaths: p, problems: wrong}
	if !s.doesSomething() {
		c.Join(errors.New("a map does nothing: write at least one of " +
			"value, set, remove, rename, keep, key, time, set_headers, remove_headers, tombstone"))
	}
	c.sets()
	c.removes()
	c.renames()
	c.keeps()
	c.others()
	return c.Err()
}

func (s *MapSettings) doesSomething() bool {
	return s.Value != nil || len(s.Set) > 0 || len(s.Remove) > 0 || len(s.Rename) > 0 || s.Keep != nil ||
		s.Key != nil || s.Time != nil || len(s.SetHeaders) > 0 || len(s.RemoveHeaders) > 0 || s.Tombstone != nil
}

// A mapCheck finds contradictions.
type mapCheck struct {
	s *MapSettings
	mapPaths
	problems
}

func (c *mapCheck) sets() {
	for i, path := range c.set {
		for j, later := range c.set[i+1:] {
			switch field := keyed("set", c.s.Set[i+1+j].Name); {
			case later != nil && slices.Equal(later, path):
				c.Add(field, "field %q is set twice", path)
			case covers(later, path):
				c.Add(field, "field %q is set behind %q, in place of it: write it first", later, path)
			case covers(path, later) && !c.s.Set[i].Value.MayHold(later[len(path)]):
				c.Add(field, "field %q is set within %q, which is set to something that has no fields or elements: set one of them", later, path)
			}
		}
		for j, removed := range c.remove {
			if covers(removed, path) {
				c.Add(listed("remove", j), "field %q is set and removed: set comes first, so it would never be there", path)
			}
		}
	}
}

func (c *mapCheck) removes() {
	for j := range c.remove {
		for i := range j {
			if mayBeSame(c.remove[i], c.remove[j]) {
				c.Add(listed("remove", j), "%q and %q may be the same element, or not: remove one of them in a map of its own", c.remove[i], c.remove[j])
			}
		}
	}
}

func (c *mapCheck) renames() {
	for j, from := range c.from {
		to := c.to[j]
		if from == nil || to == nil {
			continue
		}
		c.setAndRenamed(j)
		for _, removed := range c.remove {
			if covers(removed, from) && !takesElement(removed) {
				c.wrongRename(j, "field %q is renamed and removed: remove comes first, so it would never be there", from)
				break
			}
		}
		head, _ := cutMany(from)
		switch here := len(to) >= len(head) && slices.Equal(to[:len(head)], head) && !to[len(head):].Many(); {
		case here:
		case head == nil:
			c.wrongRename(j, "%q is one field, and %q many places: write the new path without [*] and *", from, to)
		default:
			c.wrongRename(j, "%q is many fields, and each is renamed where it stands: the new path begins with %q too, and has no [*] or * behind that", from, head)
		}
		for i := range j {
			if c.from[i] != nil && c.to[i] != nil {
				c.twoRenames(i, j)
			}
		}
	}
}

// setAndRenamed finds what is set where the rename j puts its field: rename comes behind set.
func (c *mapCheck) setAndRenamed(j int) {
	for _, set := range c.set {
		if to := c.to[j]; covers(to, set) && !slices.ContainsFunc(c.from, func(from jsontext.Path) bool { return mayOverlap(from, set) }) {
			c.wrongRename(j, "field %q is set, and %q renamed to %q: rename comes later and takes its place: leave one of them out, or set it to an expression with ?? and remove the other", set, c.from[j], to)
			return
		}
	}
}

func (c *mapCheck) wrongRename(i int, format string, args ...any) {
	c.Add(keyed("rename", c.s.Rename[i].Name), format, args...)
}

// twoRenames finds what is wrong with the rename j beside the rename i before it.
func (c *mapCheck) twoRenames(i, j int) {
	switch a, b := c.from[i], c.from[j]; {
	case slices.Equal(a, b):
		c.wrongRename(j, "field %q is renamed twice", a)
	case covers(a, b), covers(b, a):
		c.wrongRename(j, "fields %q and %q are renamed, and one is within the other: rename one of them in a map of its own", a, b)
	case mayBeSame(a, b):
		c.wrongRename(j, "%q and %q may be the same element, or not: rename one of them in a map of its own", a, b)
	}
	switch a, b := c.to[i], c.to[j]; {
	case slices.Equal(a, b):
		c.wrongRename(j, "two fields are renamed to %q", a)
	case covers(a, b), covers(b, a):
		c.wrongRename(j, "fields are renamed to %q and to %q, and one is within the other", a, b)
	}
}

func (c *mapCheck) keeps() {
	if c.s.Keep != nil && len(c.s.Keep) == 0 {
		c.Add("keep", "it keeps no field: name one, or write value: '{}' in place of it where the object is to be empty")
	}
	c.setAndNotKept()
	for j, path := range c.keep {
		c.keptAndRemoved(j)
		for i, whole := range c.keep {
			if covers(whole, path) && !slices.Equal(whole, path) {
				c.Add(listed("keep", j), "%q is kept with the whole of %q: leave one of them out", path, c.keep[i])
				break
			}
		}
	}
}

// setAndNotKept finds what is set, and is neither kept nor renamed: keep would take it away.
func (c *mapCheck) setAndNotKept() {
	if len(c.keep) == 0 || slices.ContainsFunc(c.keep, func(path jsontext.Path) bool { return path == nil }) {
		return
	}
	for i, set := range c.set {
		with := func(path jsontext.Path) bool { return mayOverlap(path, set) }
		if set != nil && !takesElement(set) && !slices.ContainsFunc(c.keep, with) && !slices.ContainsFunc(c.from, with) {
			c.Add(keyed("set", c.s.Set[i].Name), "field %q is set and not kept: keep comes later, so it would never be there: add it to keep", set)
		}
	}
}

// keptAndRemoved finds what is removed of what the path j keeps, unless something may be renamed to it.
func (c *mapCheck) keptAndRemoved(j int) {
	path := c.keep[j]
	if slices.ContainsFunc(c.to, func(to jsontext.Path) bool { return mayOverlap(to, path) }) {
		return
	}
	for _, removed := range c.remove {
		if covers(removed, path) && !takesElement(removed) {
			c.Add(listed("keep", j), "field %q is kept and removed: remove comes first, so it would never be there", path)
			return
		}
	}
}

// mayOverlap says whether what a and b lead to may be the same, or one within the other.
func mayOverlap(a, b jsontext.Path) bool {
	for i := range min(len(a), len(b)) {
		if !mayMeet(a[i], b[i]) {
			return false
		}
	}
	return true
}

// takesElement says whether what path leads to is an element by its number: when it is gone, another
// one has it.
func takesElement(path jsontext.Path) bool {
	return slices.ContainsFunc(path, func(s jsontext.Step) bool { return s.Kind == jsontext.Indexed })
}

func (c *mapCheck) others() {
	for i, h := range c.s.SetHeaders {
		if slices.Contains(c.s.RemoveHeaders, settings.HeaderOrAll{Name: h.Name}) {
			c.Add("remove_headers", "header %q is set and removed: leave one of them out", string(h.Name))
		}
		for _, before := range c.s.SetHeaders[:i] {
			if before.Name == h.Name {
				c.Add("set_headers", "header %q is set twice", string(h.Name))
			}
		}
	}
	if c.s.Time != nil {
		if err := c.s.Time.CheckTime(); err != nil {
			c.Add("time", "%w", err)
		}
	}
}

// cutMany cuts a path behind its last step that leads to many.
func cutMany(path jsontext.Path) (head, tail jsontext.Path) {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i].Many() {
			return path[:i+1], path[i+1:]
		}
	}
	return nil, path
}

// covers says whether all that path leads to is something that whole leads to, or is within it.
func covers(whole, path jsontext.Path) bool {
	if len(whole) > len(path) || whole == nil {
		return false
	}
	for i, s := range whole {
		if s != path[i] && !(s.Kind == jsontext.EveryMember && path[i].Kind == jsontext.Named) &&
			!(s.Kind == jsontext.EveryElement && path[i].Kind == jsontext.Indexed) {
			return false
		}
	}
	return true
}

// mayBeSame says whether a and b may lead to one element and are not the same path: counted from the
// beginning and from the end, or of arrays that may be the same. To remove both would then remove
// another element too, which has moved into its place.
func mayBeSame(a, b jsontext.Path) bool {
	last := len(a) - 1
	if a == nil || len(a) != len(b) || a[last].Kind != jsontext.Indexed || b[last].Kind != jsontext.Indexed || slices.Equal(a, b) {
		return false
	}
	for i := range a {
		if !mayMeet(a[i], b[i]) {
			return false
		}
	}
	return true
}

// mayMeet says whether two steps may lead from one value to one value.
func mayMeet(a, b jsontext.Step) bool {
	switch {
	case a.Kind == jsontext.Named && b.Kind == jsontext.Named:
		return a == b
	case a.Kind == jsontext.Indexed && b.Kind == jsontext.Indexed:
		return a == b || (a.Index < 0) != (b.Index < 0)
	}
	return a.InObject() == b.InObject()
}
