package calls

import (
	"github.com/penstockio/penstock/pipeline/event"
)

// Shared is what the steps and pipelines of a process have in common: the rates by name, and which
// hosts have asked to be left alone. Its zero value has no rates.
type Shared struct {
	rates map[string]RateSettings
}

// NewShared makes it of the entries of limits.rates.
func NewShared(rates map[string]RateSettings) *Shared { return &Shared{rates: rates} }

// An Env is the place of a step that makes calls, or of a sink.
type Env struct {
	Shared   *Shared // nil: one of its own
	Settings Settings
	Workers  int // slots
}

// gates are those of a step, one for each host.
type gates struct {
	env Env
}

func newGates(env Env) (*gates, error) { return &gates{env: env}, nil }

func (g *gates) attach(*event.Emitter) {}
