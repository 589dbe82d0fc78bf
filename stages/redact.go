package stages

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
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
	How     How                   `yaml:"how" enum:"mask|hash|remove" doc:"mask: put the mask in place; hash: a keyed hash, equal for equal values; remove: leave it out"`
	Mask    string                `yaml:"mask" doc:"text that a mask puts in place"`
	Secret  settings.Secret       `yaml:"secret" doc:"key of the hash, at least 16 bytes"`
}

// DefaultRedact gives the settings of a Redact before a file is read.
func DefaultRedact() RedactSettings { return RedactSettings{How: HowMask, Mask: "***"} }

// Validate implements the check of settings.
func (s *RedactSettings) Validate() error {
	var p problems
	if len(s.Fields) == 0 && len(s.Headers) == 0 && !s.Key {
		p.errs = append(p.errs, errors.New("a redact does nothing: write at least one of fields, headers, key"))
	}
	for i, f := range s.Fields {
		if _, err := f.Strict(); err != nil {
			p.add(listed("fields", i), "%w", err)
		}
	}
	switch s.How {
	case HowMask, HowRemove:
		if s.Secret != "" {
			p.add("secret", "only how: hash needs a secret")
		}
	case HowHash:
		if len(s.Secret.Reveal()) < 16 {
			p.add("secret", "a hash needs a secret of at least 16 bytes: what has few possible values can be found by trying them")
		}
	default:
		p.add("how", "%q is none: write mask, hash or remove", string(s.How))
	}
	return p.err()
}

// A Redact takes values out of records: fields wherever they stand below their path, every one of a
// name that stands twice, headers and the key. It rather takes too much: a path goes through arrays
// by itself where it goes on with a name, and [*] takes a value that is no array for its only
// element. A null stays null, which tells nothing. It fails closed: with fields to redact, a value that is no JSON, or
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
	errTooDeep = pipeline.Reject(pipeline.ReasonInvalidJSON, errors.New("redacting: the value is nested too deep"))
)

func (r *Redact) fields(rec *pipeline.Record) error {
	if err := rec.CheckJSON(); err != nil {
		return err
	}
	v := rec.Value()
	if !utf8.Valid(v) {
		return errNotUTF8
	}
	text := bytes.TrimSpace(v)
	if text[0] != '{' && text[0] != '[' {
		return rec.CheckObject() // which is an error
	}
	w := redaction{r: r, out: make([]byte, 0, len(v)+64)}
	if _, err := w.value(text, []*redactNode{r.root}, 0); err != nil {
		return err
	}
	if w.changed {
		rec.SetValue(w.out)
	}
	return nil
}

// A redaction writes one value anew.
type redaction struct {
	r       *Redact
	out     []byte
	changed bool
}

// deepest bounds the recursion.
const deepest = 1000

// value writes text, to which paths have led as far as the nodes say. It says whether anything of it
// stays.
func (w *redaction) value(text []byte, nodes []*redactNode, depth int) (stays bool, err error) {
	if text[0] != '[' {
		for i := 0; i < len(nodes); i++ { // it may be the only element of an array that is left out
			if n := nodes[i].next[jsontext.Step{Kind: jsontext.EveryElement}]; n != nil {
				nodes = append(nodes[:len(nodes):len(nodes)], n)
			}
		}
	}
	switch {
	case slices.ContainsFunc(nodes, func(n *redactNode) bool { return n.leaf }):
		w.changed = true
		if w.r.s.How == HowRemove {
			return false, nil
		}
		if text[0] != 'n' {
			text = w.replace(text)
		}
		w.out = append(w.out, text...)
	case len(nodes) == 0:
		w.out = append(w.out, text...)
	case depth > deepest:
		return true, errTooDeep
	case text[0] == '{':
		return true, w.object(text, nodes, depth)
	case text[0] == '[':
		return true, w.array(text, nodes, depth)
	default:
		w.out = append(w.out, text...)
	}
	return true, nil
}

func (w *redaction) object(text []byte, nodes []*redactNode, depth int) (err error) {
	w.out = append(w.out, '{')
	jsontext.Members(text, func(name, value []byte) bool {
		var below []*redactNode
		is := jsontext.Unquote(name)
		for _, n := range nodes {
			for _, m := range [...]*redactNode{n.next[jsontext.Step{Name: is}], n.next[jsontext.Step{Kind: jsontext.EveryMember}]} {
				if m != nil {
					below = append(below, m)
				}
			}
		}
		before := len(w.out)
		w.out = appendField(w.out, name, nil)
		var stays bool
		if stays, err = w.value(value, below, depth+1); !stays {
			w.out = w.out[:before]
		}
		return err == nil
	})
	w.out = append(w.out, '}')
	return err
}

func (w *redaction) array(text []byte, nodes []*redactNode, depth int) (err error) {
	var through []*redactNode // the nodes of every element
	named := false
	for _, n := range nodes {
		if n.through != nil {
			through = append(through, n.through)
		}
		named = named || n.array
	}
	length, i := 0, 0
	if named {
		jsontext.Elements(text, func([]byte) bool { length++; return true })
	}
	begin := len(w.out) + 1
	w.out = append(w.out, '[')
	jsontext.Elements(text, func(e []byte) bool {
		below := through
		if named {
			below = elementNodes(through[:len(through):len(through)], nodes, i, length)
		}
		i++
		before := len(w.out)
		if before > begin {
			w.out = append(w.out, ',')
		}
		var stays bool
		if stays, err = w.value(e, below, depth+1); !stays {
			w.out = w.out[:before]
		}
		return err == nil
	})
	w.out = append(w.out, ']')
	return err
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
