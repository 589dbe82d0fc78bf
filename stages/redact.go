package stages

import (
	"context"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/redact"
)

// How says what a Redact puts in place of a value.
type How = redact.How

// The ways to redact.
const (
	HowMask   = redact.HowMask
	HowHash   = redact.HowHash
	HowRemove = redact.HowRemove
)

// RedactSettings are the settings of a Redact.
type RedactSettings = redact.Settings

// DefaultRedact gives the settings of a Redact before a file is read.
func DefaultRedact() RedactSettings { return redact.Defaults() }

// A Redact takes values out of records: fields wherever they stand below their path, headers and
// the key. It fails closed: with fields to redact, a value that is no JSON, or no UTF-8, or too deep,
// is rejected with invalid_json, and one that is neither an object nor an array with not_object.
//
// It cannot reach the dead letters: they hold a record as it came, unless they have settings of their
// own to redact.
type Redact struct{ r *redact.Redactor }

// NewRedact makes a Redact.
func NewRedact(s RedactSettings) (*Redact, error) {
	r, err := redact.New(s)
	if err != nil {
		return nil, err
	}
	return &Redact{r}, nil
}

// Process implements pipeline.Stage.
func (s *Redact) Process(_ context.Context, rec *pipeline.Record) error {
	if err := s.r.Fields(rec); err != nil {
		return err
	}
	if s.r.RedactsKey() && rec.Key() != nil {
		rec.SetKey(s.r.Key(rec.Key()))
	}
	if s.r.Redacts(rec.Headers()) {
		rec.SetHeaders(s.r.Headers(rec.Headers()))
	}
	return nil
}
