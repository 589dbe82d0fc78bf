package stages

import (
	"slices"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A keepNode is one step of the paths that a map keeps.
type keepNode struct {
	step  jsontext.Step
	whole bool // a path ends here
	next  []*keepNode
}

func newKeep(paths []jsontext.Path) *keepNode {
	root := new(keepNode)
	for _, path := range paths {
		n := root
		for _, step := range path {
			n = n.below(step)
		}
		n.whole = true
	}
	return root
}

// below gives the node behind a step, made when it is not there.
func (n *keepNode) below(step jsontext.Step) *keepNode {
	for _, m := range n.next {
		if m.step == step {
			return m
		}
	}
	m := &keepNode{step: step}
	n.next = append(n.next, m)
	return m
}

// only leaves what is kept. It writes the object anew, in its own order: removing the others one
// by one would cost the square of their number.
func (n *keepNode) only(rec *pipeline.Record) error {
	if err := rec.CheckObject(); err != nil {
		return err
	}
	w := keeper{out: append(make([]byte, 0, 64), '{')}
	root := [...]*keepNode{n}
	err := rec.Fields(func(name string, text []byte) bool {
		var few [4]*keepNode
		if whole, below := named(few[:0], root[:], name); whole || len(below) > 0 {
			before := w.comma('{')
			w.out = append(jsontext.AppendName(w.out, name), ':')
			w.value(text, whole, below, before)
		}
		return true
	})
	if err != nil {
		return err
	}
	rec.SetValue(append(w.out, '}'))
	return nil
}

// named gives the nodes behind the member of that name, and says whether it is kept whole.
func named(into, nodes []*keepNode, name string) (whole bool, below []*keepNode) {
	for _, n := range nodes {
		for _, m := range n.next {
			if m.step.Kind == jsontext.EveryMember || m.step.Kind == jsontext.Named && m.step.Name == name {
				into, whole = append(into, m), whole || m.whole
			}
		}
	}
	return whole, into
}

// A keeper writes what is kept.
type keeper struct{ out []byte }

// comma parts what comes next from what stands before it, if anything does behind the opening
// bracket. It gives the length of what there was.
func (w *keeper) comma(opening byte) (before int) {
	before = len(w.out)
	if w.out[before-1] != opening {
		w.out = append(w.out, ',')
	}
	return before
}

// value writes a value as far as it is kept. One that is no object or array, where the nodes lead
// deeper, is not what they lead to: then everything behind before goes, its name too.
func (w *keeper) value(value []byte, whole bool, nodes []*keepNode, before int) {
	switch {
	case whole:
		w.out = append(w.out, value...)
	case value[0] == '{' && leads(nodes, jsontext.Named, jsontext.EveryMember):
		w.object(value, nodes)
	case value[0] == '[' && leads(nodes, jsontext.Indexed, jsontext.EveryElement):
		w.array(value, nodes)
	default:
		w.out = w.out[:before]
	}
}

// leads says whether one of the nodes goes on with a step of one of the kinds.
func leads(nodes []*keepNode, kinds ...jsontext.StepKind) bool {
	for _, n := range nodes {
		for _, m := range n.next {
			if slices.Contains(kinds, m.step.Kind) {
				return true
			}
		}
	}
	return false
}

func (w *keeper) object(text []byte, nodes []*keepNode) {
	w.out = append(w.out, '{')
	every := leads(nodes, jsontext.EveryMember)
	var seen []string // of a name that stands twice the first counts
	jsontext.Members(text, func(name, value []byte) bool {
		is := jsontext.Unquote(name)
		var few [4]*keepNode
		whole, below := named(few[:0], nodes, is)
		if !whole && len(below) == 0 || slices.Contains(seen, is) {
			return true
		}
		if !every { // else it is kept as one of all
			seen = append(seen, is)
		}
		before := w.comma('{')
		w.out = append(append(w.out, name...), ':')
		w.value(value, whole, below, before)
		return true
	})
	w.out = append(w.out, '}')
}

func (w *keeper) array(text []byte, nodes []*keepNode) {
	length, i := 0, 0
	jsontext.Elements(text, func([]byte) bool { length++; return true })
	w.out = append(w.out, '[')
	jsontext.Elements(text, func(element []byte) bool {
		var few [4]*keepNode
		whole, below := false, few[:0]
		for _, n := range nodes {
			for _, m := range n.next {
				if m.step.Kind == jsontext.EveryElement || m.step.Kind == jsontext.Indexed && (m.step.Index == i || m.step.Index == i-length) {
					below, whole = append(below, m), whole || m.whole
				}
			}
		}
		i++
		if len(below) > 0 {
			w.value(element, whole, below, w.comma('['))
		}
		return true
	})
	w.out = append(w.out, ']')
}
