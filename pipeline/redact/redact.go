// SPDX-License-Identifier: Apache-2.0

// Package redact takes values out of records and of dead letters: fields, headers and the key.
package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// How says what a Redactor puts in place of a value.
type How string

// The ways to redact.
const (
	HowMask   How = "mask"   // the same text for everything
	HowHash   How = "hash"   // HMAC-SHA-256 under a secret, in hexadecimal: equal values stay equal
	HowRemove How = "remove" // nothing
)

// Settings are the settings of a Redactor.
type Settings struct {
	Fields  []settings.FieldPath  `yaml:"fields" strict:"true" doc:"fields to redact; unlike elsewhere arrays are gone through by themselves, so that people.phone reaches people[*].phone too; upper and lower case count"`
	Headers []settings.HeaderName `yaml:"headers" doc:"headers to redact, in upper or lower case"`
	Key     bool                  `yaml:"key" doc:"redact the record's key too"`
	How     How                   `yaml:"how" enum:"mask|hash|remove" doc:"mask: put the mask in place; hash: a keyed hash, equal for equal values: a text by its characters, so that 1 and \"1\" are equal, anything else as it is written but for white space, so that 1 and 1.0 are not, nor objects whose members stand in another order; remove: leave it out; null stays null with mask and hash"`
	Mask    string                `yaml:"mask" doc:"text that a mask puts in place"`
	Secret  settings.Secret       `yaml:"secret" doc:"key of the hash, at least 16 bytes"`
}

// Defaults gives the settings of a Redactor before a file is read.
func Defaults() Settings { return Settings{How: HowMask, Mask: "***"} }

// Validate implements the check of settings.
func (s *Settings) Validate() error {
	var p settings.Problems
	if len(s.Fields) == 0 && len(s.Headers) == 0 && !s.Key {
		p.Join(errors.New("a redact does nothing: write at least one of fields, headers, key"))
	}
	for i, f := range s.Fields {
		if _, err := f.Strict(); err != nil {
			p.Add(fmt.Sprintf("fields[%d]", i), "%w", err)
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

// SetDefaults gives settings that stand within others what Defaults gives.
func (s *Settings) SetDefaults() { *s = Defaults() }

// A Redactor takes values out. It may be used by several goroutines at a time.
type Redactor struct {
	s       Settings
	root    *pathNode // nil: no fields
	mask    []byte    // as JSON text
	headers []string  // in lower case
}

// New makes a Redactor.
func New(s Settings) (*Redactor, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	r := &Redactor{s: s, mask: jsontext.AppendString(nil, s.Mask)}
	for _, path := range s.Fields {
		if r.root == nil {
			r.root = new(pathNode)
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

// RedactsKey says whether the key is redacted, too.
func (r *Redactor) RedactsKey() bool { return r.s.Key }

// Key gives what stands in place of a key. One that is not there stays so.
func (r *Redactor) Key(key []byte) []byte {
	if !r.s.Key || key == nil {
		return key
	}
	return r.bytes(key)
}

// Redacts says whether one of the headers is to be redacted.
func (r *Redactor) Redacts(headers []pipeline.Header) bool {
	return len(r.headers) > 0 && slices.ContainsFunc(headers, r.redactsHeader)
}

// Headers gives the headers with those redacted that are to be, in a slice of its own. A value that
// is null stays so.
func (r *Redactor) Headers(headers []pipeline.Header) []pipeline.Header {
	out := make([]pipeline.Header, 0, len(headers))
	for _, h := range headers {
		if r.redactsHeader(h) {
			if r.s.How == HowRemove {
				continue
			}
			if h.Value != nil {
				h.Value = r.bytes(h.Value)
			}
		}
		out = append(out, h)
	}
	return out
}

func (r *Redactor) redactsHeader(h pipeline.Header) bool {
	return slices.Contains(r.headers, strings.ToLower(h.Name))
}

// bytes gives what stands in place of a key or a header's value.
func (r *Redactor) bytes(b []byte) []byte {
	switch r.s.How {
	case HowRemove:
		return nil
	case HowHash:
		return r.hash(b)
	}
	return []byte(r.s.Mask)
}

func (r *Redactor) hash(b []byte) []byte {
	mac := hmac.New(sha256.New, []byte(r.s.Secret.Reveal()))
	mac.Write(b)
	return hex.AppendEncode(nil, mac.Sum(nil))
}
