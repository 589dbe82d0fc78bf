package redact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// This file redacts fields, wherever they stand below their path, every one of a name that stands
// twice. It rather takes too much: a path goes through arrays by itself where it goes on with a
// name, and [*] takes a value that is no array for its only element. A null stays null, which tells
// nothing. Every byte that it is not about stays as it came.

// A pathNode is what a path has led to. What stands there goes when it is a leaf.
type pathNode struct {
	next    map[jsontext.Step]*pathNode
	leaf    bool
	array   bool      // it goes on with elements
	through *pathNode // the node for elements of an array on the way that the path does not name; nil: there is none
}

// behind gives the node behind a step, made when it is not there.
func (n *pathNode) behind(step jsontext.Step) *pathNode {
	if m := n.next[step]; m != nil {
		return m
	}
	if n.next == nil {
		n.next = map[jsontext.Step]*pathNode{}
	}
	m := new(pathNode)
	n.next[step] = m
	if !step.InObject() {
		n.array = true
		return m
	}
	if n.through == nil {
		n.through = &pathNode{next: map[jsontext.Step]*pathNode{}}
		n.through.through = n.through
	}
	n.through.next[step] = m
	return m
}

var (
	errNotUTF8 = pipeline.Reject(pipeline.ReasonInvalidJSON, errors.New("redacting: the value is not valid UTF-8"))
	errTooDeep = pipeline.Reject(pipeline.ReasonInvalidJSON, fmt.Errorf("redacting: the value is nested deeper than %d where a path may lead on", deepest))
	errTooMuch = pipeline.Reject(pipeline.ReasonTooLarge, fmt.Errorf("redacting: what is put in place would make the value more than %d MiB longer", maxGrowth>>20))
)

// Fields redacts the fields of a record's value. A tombstone has none. Errors are permanent: with
// fields to redact, a value that is no JSON, or no UTF-8, or too deep, is refused with invalid_json,
// and one that is neither an object nor an array with not_object.
func (r *Redactor) Fields(rec *pipeline.Record) error { return r.fields(rec, nil) }

// fields is Fields, which tells note of each text that is taken out, as JSON. A null tells nothing.
func (r *Redactor) fields(rec *pipeline.Record, note func(text []byte)) error {
	if r.root == nil || rec.Tombstone() {
		return nil
	}
	if err := rec.CheckJSON(); err != nil {
		return err
	}
	v := rec.Value()
	if !utf8.Valid(v) {
		return errNotUTF8
	}
	from := jsontext.Space(v, 0)
	if v[from] != '{' && v[from] != '[' {
		return rec.CheckObject() // which is an error
	}
	w := redaction{r: r, text: v, note: note}
	_, stays, err := w.value(from, []*pathNode{r.root}, 0)
	switch {
	case err != nil:
		return err
	case !stays: // [*] has taken the value for the only element
		rec.SetValue([]byte("[]"))
	case w.out != nil:
		rec.SetValue(append(w.out, v[w.copied:]...))
	}
	return nil
}

// A redaction edits one value in one go. Every byte that it is not about stays as it came.
type redaction struct {
	r      *Redactor
	text   []byte
	out    []byte // nil: nothing has changed
	copied int    // how much of the text is in out, or left out of it

	note func(text []byte) // hears of what is taken out; nil: nobody does
}

const (
	deepest   = 1000     // bounds the recursion
	maxGrowth = 16 << 20 // bytes by which a value may get longer
)

// copy copies the text up to an index.
func (w *redaction) copy(to int) {
	if w.out == nil {
		w.out = make([]byte, 0, len(w.text)+64)
	}
	w.out = append(w.out, w.text[w.copied:to]...)
	w.copied = to
}

// value edits the value that begins at from, to which paths have led as far as the nodes say. It
// gives where the value ends, and says whether anything of it stays.
func (w *redaction) value(from int, nodes []*pathNode, depth int) (end int, stays bool, err error) {
	first := w.text[from]
	if first != '[' {
		for i := 0; i < len(nodes); i++ { // it may be the only element of an array that is left out
			if n := nodes[i].next[jsontext.Step{Kind: jsontext.EveryElement}]; n != nil {
				nodes = append(nodes[:len(nodes):len(nodes)], n)
			}
		}
	}
	switch {
	case slices.ContainsFunc(nodes, func(n *pathNode) bool { return n.leaf }):
		end = jsontext.End(w.text, from)
		if w.note != nil && first != 'n' {
			w.note(w.text[from:end])
		}
		if w.r.s.How == HowRemove {
			return end, false, nil
		}
		if first != 'n' {
			w.copy(from)
			w.out = append(w.out, w.replace(w.text[from:end])...)
			if w.copied = end; len(w.out) > end+maxGrowth {
				return end, true, errTooMuch
			}
		}
		return end, true, nil
	case len(nodes) == 0, first != '{' && first != '[':
		return jsontext.End(w.text, from), true, nil
	case depth > deepest:
		return from, true, errTooDeep
	}
	end, err = w.items(from, nodes, depth)
	return end, true, err
}

// items edits the object or array that begins at the index. What goes takes one comma with it, as
// jsontext.Remove has it.
func (w *redaction) items(at int, nodes []*pathNode, depth int) (end int, err error) {
	var elements arrayNodes
	object := w.text[at] == '{'
	if !object {
		elements = w.arrayNodes(at, nodes)
	}
	kept, dropped := -1, false // kept: the end of the last item that stays
	i := jsontext.Space(w.text, at+1)
	for w.text[i] != '}' && w.text[i] != ']' {
		if dropped && kept < 0 {
			w.copied = i // all items before it went: it comes first now
		}
		begin := i
		var below []*pathNode
		if object {
			name := jsontext.End(w.text, i)
			below = memberNodes(nodes, jsontext.Unquote(w.text[i:name]))
			i = jsontext.Space(w.text, jsontext.Space(w.text, name)+1) // behind the colon
		} else {
			below = elements.next()
		}
		stays := false
		if i, stays, err = w.value(i, below, depth+1); err != nil {
			return i, err
		}
		switch {
		case stays:
			kept = i
		case dropped && kept < 0: // nothing stays between it and the one that went before it
			w.copied = i
		default:
			upTo := kept
			if kept < 0 {
				upTo = begin
			}
			w.copy(max(w.copied, upTo))
			w.copied, dropped = i, true
		}
		if i = jsontext.Space(w.text, i); w.text[i] == ',' {
			i = jsontext.Space(w.text, i+1)
		}
	}
	return i + 1, nil
}

// memberNodes gives the nodes that lead to the member of that name.
func memberNodes(nodes []*pathNode, name string) (below []*pathNode) {
	for _, n := range nodes {
		for _, m := range [...]*pathNode{n.next[jsontext.Step{Name: name}], n.next[jsontext.Step{Kind: jsontext.EveryMember}]} {
			if m != nil {
				below = append(below, m)
			}
		}
	}
	return below
}

// arrayNodes are the nodes that lead to the elements of an array, one after the other.
type arrayNodes struct {
	through   []*pathNode // to each of them
	nodes     []*pathNode // to some
	i, length int
}

func (w *redaction) arrayNodes(at int, nodes []*pathNode) (a arrayNodes) {
	for _, n := range nodes {
		if n.through != nil {
			a.through = append(a.through, n.through)
		}
		if n.array {
			a.nodes = nodes
		}
	}
	if a.nodes != nil {
		jsontext.Elements(w.text[at:], func([]byte) bool { a.length++; return true })
	}
	return a
}

// next gives those of the next element.
func (a *arrayNodes) next() []*pathNode {
	if a.nodes == nil {
		return a.through
	}
	below := elementNodes(a.through[:len(a.through):len(a.through)], a.nodes, a.i, a.length)
	a.i++
	return below
}

// elementNodes appends the nodes that lead to element i of an array of that length by a step.
func elementNodes(into, nodes []*pathNode, i, length int) []*pathNode {
	for _, n := range nodes {
		for _, step := range [...]jsontext.Step{{Kind: jsontext.EveryElement}, {Kind: jsontext.Indexed, Index: i}, {Kind: jsontext.Indexed, Index: i - length}} {
			if m := n.next[step]; m != nil {
				into = append(into, m)
			}
		}
	}
	return into
}

// replace gives what stands in place of a value. Of a string the characters are hashed, whatever
// escapes it is written with; of anything else the text without white space.
func (w *redaction) replace(value []byte) []byte {
	if w.r.s.How == HowMask {
		return w.r.mask
	}
	is := []byte(plain(value))
	if value[0] == '{' || value[0] == '[' {
		var compact bytes.Buffer
		_ = json.Compact(&compact, value) // an error when it is too deep: then it stays as it is
		if compact.Len() > 0 {
			is = compact.Bytes()
		}
	}
	return jsontext.AppendString(nil, string(w.r.hash(is)))
}

// plain gives the characters of a string, and the text of anything else.
func plain(text []byte) string {
	if text[0] == '"' {
		return jsontext.Unquote(text)
	}
	return string(text)
}
