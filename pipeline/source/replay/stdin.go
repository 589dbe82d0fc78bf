package replay

import (
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Stdin are the settings of standard input as a source of its own: what other programs write to it is
// mostly bare values, so that is what stands for nothing here.
type Stdin struct {
	As  string     `yaml:"as" enum:"value|fixture" doc:"value: each line is a value as it stands; fixture: a fixture line a record"`
	Key *expr.Expr `yaml:"key" doc:"expression that gives the key of a record, with as: value"`
}

// StdinDefaults gives the settings of standard input before a file is read.
func StdinDefaults() Stdin { return Stdin{As: "value"} }

// Validate implements the check of settings.
func (s *Stdin) Validate() error {
	r := s.Replay()
	return r.Validate()
}

// Replay gives the settings of the replay that reads standard input so.
func (s *Stdin) Replay() Settings {
	as := s.As
	if as == "" {
		as = StdinDefaults().As
	}
	return Settings{Files: []settings.Path{standardInput}, As: as, Key: s.Key}
}
