package catalog

import (
	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
)

// Kept are the components of a pipeline that runs which it goes on with when its file is loaded again. A nil *Kept has none.
type Kept struct {
	Source pipeline.Source
	Steps  map[string]engine.Step   // by name
	Sinks  map[string]pipeline.Sink // by name; that of the dead letters is DeadLetterName
}

func (k *Kept) step(name string) (engine.Step, bool) {
	if k == nil {
		return engine.Step{}, false
	}
	s, ok := k.Steps[name]
	return s, ok
}

func (k *Kept) sink(name string) pipeline.Sink {
	if k == nil {
		return nil
	}
	return k.Sinks[name]
}

// Without gives options without the components that are kept: what is left is to be probed, and closed when it is not needed.
func (k *Kept) Without(o engine.Options) engine.Options {
	if k == nil {
		return o
	}
	o.Source = nil
	steps, sinks := o.Steps, o.Sinks
	o.Steps, o.Sinks = make([]engine.Step, len(steps)), make([]engine.Output, len(sinks)) // as many: their places in the file go by index
	for i, s := range steps {
		if _, kept := k.step(s.Name); kept {
			s.Stage, s.Splitter = nil, nil
		}
		o.Steps[i] = s
	}
	for i, s := range sinks {
		if k.sink(s.Name) != nil {
			s.Sink = nil
		}
		o.Sinks[i] = s
	}
	if k.sink(DeadLetterName) != nil {
		o.DeadLetter.Sink = nil
	}
	return o
}
