package stages

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// How says what a Redact puts in place of a value.
type How string

// The ways to redact.
const (
	HowMask   How = "mask"   // the same text for everything
	HowHash   How = "hash"   // HMAC-SHA-256 under a secret, in hexadecimal: equal values stay equal
	HowRemove How = "remove" // nothing
)

// RedactSettings are the settings of a Redact.
type RedactSettings struct {
	Fields  []settings.FieldPath  `yaml:"fields" strict:"true" doc:"fields to redact; unlike elsewhere arrays are gone through by themselves, so that people.phone reaches people[*].phone too; upper and lower case count"`
	Headers []settings.HeaderName `yaml:"headers" doc:"headers to redact, in upper or lower case"`
	Key     bool                  `yaml:"key" doc:"redact the record's key too"`
	How     How                   `yaml:"how" enum:"mask|hash|remove" doc:"mask: put the mask in place; hash: a keyed hash, equal for equal values: a text by its characters, so that 1 and \"1\" are equal, anything else as it is written but for white space, so that 1 and 1.0 are not, nor objects whose members stand in another order; remove: leave it out; null stays null with mask and hash"`
	Mask    string                `yaml:"mask" doc:"text that a mask puts in place"`
	Secret  settings.Secret       `yaml:"secret" doc:"key of the hash, at least 16 bytes"`
}

// DefaultRedact gives the settings of a Redact before a file is read.
func DefaultRedact() RedactSettings { return RedactSettings{How: HowMask, Mask: "***"} }

// Validate implements the check of settings.
func (s *RedactSettings) Validate() error {
	var p problems
	if len(s.Fields) == 0 && len(s.Headers) == 0 && !s.Key {
		p.Join(errors.New("a redact does nothing: write at least one of fields, headers, key"))
	}
	for i, f := range s.Fields {
		if _, err := f.Strict(); err != nil {
			p.Add(listed("fields", i), "%w", err)
		}
	}
	switch s.How {
	case HowMask, HowRemove:
		if s.Secret != "" {
			p.Add("secret", "only how: hash needs a secret")
		}
	case HowHash:
		if len(s.Secret.Reveal()) < 16 {
			p.Add("secret", "a hash needs a secret of at least 16 bytes: what has few possible values can be found by trying them")
		}
	default:
		p.Add("how", "%q is none: write mask, hash or remove", string(s.How))
	}
	return p.Err()
}

// A Redact takes values out of records: fields wherever they stand below their path, every one of a
// name that stands twice, headers and the key. It rather takes too much: a path goes through arrays
// by itself where it goes on with a name, and [*] takes a value that is no array for its only
// element. A null stays null, which tells nothing. Every byte that it is not about stays as it came.
// It fails closed: with fields to redact, a value that is no JSON, or
// no UTF-8, or too deep, is rejected with invalid_json, and one that is neither an
// object nor an array with not_object. Tombstones have no fields.
//
// It cannot reach the dead letters: they hold a record as it came.
type Redact struct {
	s       RedactSettings
	root    *redactNode // nil: no fields
	mask    []byte      // as JSON text
	headers []string    // in lower case
}

// A redactNode is what a path has led to. What stands there goes when it is a leaf.
type redactNode struct {
	next    map[jsontext.Step]*redactNode
	leaf    bool
	array   bool        // it goes on with elements
	through *redactNode // the node for elements of an array on the way that the path does not name; nil: there is none
}

// behind gives the node behind a step, made when it is not there.
func (n *redactNode) behind(step jsontext.Step) *redactNode {
	if m := n.next[step]; m != nil {
		return m
	}
	if n.next == nil {
		n.next = map[jsontext.Step]*redactNode{}
	}
	m := new(redactNode)
	n.next[step] = m
	if !step.InObject() {
		n.array = true
		return m
	}
	if n.through == nil {
		n.through = &redactNode{next: map[jsontext.Step]*redactNode{}}
		n.through.through = n.through
	}
	n.through.next[step] = m
	return m
}

// NewRedact makes a Redact.
func NewRedact(s RedactSettings) (*Redact, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	r := &Redact{s: s, mask: jsontext.AppendString(nil, s.Mask)}
	for _, path := range s.Fields {
		if r.root == nil {
			r.root = new(redactNode)
		}
		steps, err := path.Path()
		if err != nil {
			return nil, err
		}
		n := r.root
		for _, step := range steps {
			n = n.behind(step)
		}
		n.leaf = true
	}
	for _, h := range s.Headers {
		r.headers = append(r.headers, strings.ToLower(string(h)))
	}
	return r, nil
}

// Process implements pipeline.Stage.
func (r *Redact) Process(_ context.Context, rec *pipeline.Record) error {
	if r.root != nil && !rec.Tombstone() {
		if err := r.fields(rec); err != nil {
			return err
		}
	}
	if r.s.Key && rec.Key() != nil {
		rec.SetKey(r.bytes(rec.Key()))
	}
	if len(r.headers) > 0 && slices.ContainsFunc(rec.Headers(), r.redactsHeader) {
		headers := make([]pipeline.Header, 0, len(rec.Headers())) // new ones: the dead letter has those of the record as it came
		for _, h := range rec.Headers() {
			if r.redactsHeader(h) {
				if r.s.How == HowRemove {
					continue
				}
				if h.Value != nil {
					h.Value = r.bytes(h.Value)
				}
			}
			headers = append(headers, h)
		}
		rec.SetHeaders(headers)
	}
	return nil
}

func (r *Redact) redactsHeader(h pipeline.Header) bool {
	return slices.Contains(r.headers, strings.ToLower(h.Name))
}

// bytes gives what stands in place of a key or a header's value.
func (r *Redact) bytes(b []byte) []byte {
	switch r.s.How {
	case HowRemove:
		return nil
	case HowHash:
		return r.hash(b)
	}
	return []byte(r.s.Mask)
}

func (r *Redact) hash(b []byte) []byte {
	mac := hmac.New(sha256.New, []byte(r.s.Secret.Reveal()))
	mac.Write(b)
	return hex.AppendEncode(nil, mac.Sum(nil))
}

var (
	errNotUTF8 = pipeline.Reject(pipeline.ReasonInvalidJSON, errors.New("redacting: the value is not valid UTF-8"))
	errTooDeep = pipeline.Reject(pipeline.ReasonInvalidJSON, fmt.Errorf("redacting: the value is nested deeper than %d where a path may lead on", deepest))
	errTooMuch = pipeline.Reject(pipeline.ReasonTooLarge, fmt.Errorf("redacting: what is put in place would make the value more than %d MiB longer", maxGrowth>>20))
)

func (r *Redact) fields(rec *pipeline.Record) error {
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
	w := redaction{r: r, text: v}
	_, stays, err := w.value(from, []*redactNode{r.root}, 0)
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
	r      *Redact
	text   []byte
	out    []byte // nil: nothing has changed
	copied int    // how much of the text is in out, or left out of it
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
func (w *redaction) value(from int, nodes []*redactNode, depth int) (end int, stays bool, err error) {
	first := w.text[from]
	if first != '[' {
		for i := 0; i < len(nodes); i++ { // it may be the only element of an array that is left out
			if n := nodes[i].next[jsontext.Step{Kind: jsontext.EveryElement}]; n != nil {
				nodes = append(nodes[:len(nodes):len(nodes)], n)
			}
		}
	}
	switch {
	case slices.ContainsFunc(nodes, func(n *redactNode) bool { return n.leaf }):
		end = jsontext.End(w.text, from)
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
func (w *redaction) items(at int, nodes []*redactNode, depth int) (end int, err error) {
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
		var below []*redactNode
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
func memberNodes(nodes []*redactNode, name string) (below []*redactNode) {
	for _, n := range nodes {
		for _, m := range [...]*redactNode{n.next[jsontext.Step{Name: name}], n.next[jsontext.Step{Kind: jsontext.EveryMember}]} {
			if m != nil {
				below = append(below, m)
			}
		}
	}
	return below
}

// arrayNodes are the nodes that lead to the elements of an array, one after the other.
type arrayNodes struct {
	through   []*redactNode // to each of them
	nodes     []*redactNode // to some
	i, length int
}

func (w *redaction) arrayNodes(at int, nodes []*redactNode) (a arrayNodes) {
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
func (a *arrayNodes) next() []*redactNode {
	if a.nodes == nil {
		return a.through
	}
	below := elementNodes(a.through[:len(a.through):len(a.through)], a.nodes, a.i, a.length)
	a.i++
	return below
}

// elementNodes appends the nodes that lead to element i of an array of that length by a step.
func elementNodes(into, nodes []*redactNode, i, length int) []*redactNode {
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
