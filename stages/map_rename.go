package stages

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// removeOrder gives paths in an order in which removing one does not move what another leads to:
// the deepest first, and of elements those behind before those in front of them. The empty path may
// stand in it alone.
func removeOrder(paths []jsontext.Path) []jsontext.Path {
	var ordered []jsontext.Path
	for _, p := range paths {
		if !slices.ContainsFunc(ordered, func(o jsontext.Path) bool { return slices.Equal(o, p) }) { // an element goes once
			ordered = append(ordered, p)
		}
	}
	slices.SortStableFunc(ordered, func(a, b jsontext.Path) int {
		if c := cmp.Compare(len(b), len(a)); c != 0 {
			return c
		}
		one, two := a[len(a)-1], b[len(b)-1]
		switch {
		case one.Kind != jsontext.Indexed || two.Kind != jsontext.Indexed:
			return 0
		case one.Index < 0 && two.Index < 0:
			return cmp.Compare(one.Index, two.Index)
		}
		return cmp.Compare(two.Index, one.Index)
	})
	return ordered
}

// renames are what a map renames.
type renames struct {
	one    []rename        // from one place to one
	remove []jsontext.Path // the from of one, in the order of removeOrder
	many   []renameEach    // within each of many values, the deepest first
}

type rename struct{ from, to jsontext.Path }

// A renameEach renames within each value that a path leads to.
type renameEach struct {
	within jsontext.Path
	list   []rename
	remove []jsontext.Path
}

func newRenames(p mapPaths) (all renames) {
	for i, from := range p.from {
		head, tail := cutMany(from)
		if head == nil {
			all.one = append(all.one, rename{from, p.to[i]})
			all.remove = append(all.remove, from)
			continue
		}
		at := slices.IndexFunc(all.many, func(e renameEach) bool { return slices.Equal(e.within, head) })
		if at < 0 {
			at = len(all.many)
			all.many = append(all.many, renameEach{within: head})
		}
		e := &all.many[at]
		e.list = append(e.list, rename{tail, p.to[i][len(head):]})
		e.remove = append(e.remove, tail)
	}
	all.remove = removeOrder(all.remove)
	for i := range all.many {
		all.many[i].remove = removeOrder(all.many[i].remove)
	}
	slices.SortStableFunc(all.many, func(a, b renameEach) int { return cmp.Compare(len(b.within), len(a.within)) })
	return all
}

// in renames in a record.
func (all *renames) in(rec *pipeline.Record) error {
	for i := range all.many {
		if err := all.many[i].in(rec); err != nil {
			return err
		}
	}
	if len(all.one) == 0 {
		return nil
	}
	var few [8][]byte
	texts := few[:0]
	for _, r := range all.one {
		text, err := rec.At(r.from)
		if err != nil {
			return err
		}
		texts = append(texts, text)
	}
	// A field that is not there is removed too: that finds out when the value is no object.
	for _, path := range all.remove {
		if err := rec.RemoveAt(path); err != nil {
			return err
		}
	}
	for i, r := range all.one {
		if texts[i] == nil {
			continue
		}
		if err := rec.SetRawAt(r.to, texts[i]); err != nil {
			return err
		}
	}
	return nil
}

// in renames in a record, in one go for each field at its top.
func (e *renameEach) in(rec *pipeline.Record) error {
	if err := rec.CheckObject(); err != nil {
		return err
	}
	edit := func(name string, text []byte) error {
		out, err := jsontext.Replace(nil, text, e.within[1:], e.edit)
		if err != nil || bytes.Equal(out, text) {
			return err
		}
		return rec.SetRaw(name, out)
	}
	if first := e.within[0]; first.Kind == jsontext.Named {
		text, err := rec.Field(first.Name)
		if err != nil || text == nil {
			return err
		}
		return edit(first.Name, text)
	}
	var failed error
	err := rec.Fields(func(name string, text []byte) bool {
		failed = edit(name, text)
		return failed == nil
	})
	return cmp.Or(err, failed)
}

// edit appends value to dst with everything in it renamed.
func (e *renameEach) edit(dst, value []byte) ([]byte, error) {
	var few [8][]byte
	texts, found := few[:0], false
	for _, r := range e.list {
		text := jsontext.Find(value, r.from)
		texts, found = append(texts, text), found || text != nil
	}
	if !found {
		return append(dst, value...), nil
	}
	for _, path := range e.remove {
		if len(path) == 0 { // the value itself moves into itself: items[*] to items[*].item
			value = []byte("null")
			continue
		}
		value = jsontext.Remove(nil, value, path)
	}
	for i, r := range e.list {
		if texts[i] == nil {
			continue
		}
		var err error
		if value, err = jsontext.Set(nil, value, r.to, texts[i]); err != nil {
			from, to := slices.Concat(e.within, r.from), slices.Concat(e.within, r.to)
			var in *jsontext.NoPathError
			if errors.As(err, &in) {
				err = &jsontext.NoPathError{Path: slices.Concat(e.within, in.Path), Why: in.Why}
			}
			return dst, pipeline.Reject(pipeline.ReasonNoPath, fmt.Errorf("renaming %s to %s: %w", from, to, err))
		}
	}
	return append(dst, value...), nil
}
