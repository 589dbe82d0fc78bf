package cli

import (
	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/engine"
)

// This file is what the endpoint says of the records of a process.

// holdsOf gives what keeps the marks of a pipeline where they are.
func (p *process) holdsOf(name string) []engine.Hold {
	for _, m := range p.pipelines {
		if m.name == name {
			return m.runner.Why()
		}
	}
	return nil
}

// holds gives what keeps the marks of all pipelines where they are.
func (p *process) holds() (all []admin.PipelineHolds) {
	for _, m := range p.pipelines {
		s := m.runner.Snapshot()
		all = append(all, admin.PipelineHolds{
			Pipeline: m.name, State: s.State, Err: s.Err, Disconnected: m.reports && !s.Source.Connected,
			Away: s.Source.Away, AwaySince: s.Source.AwaySince, Holds: m.runner.Why(),
		})
	}
	return all
}

// inFlight gives the records of all pipelines without an outcome.
func (p *process) inFlight() (all []admin.PipelineInFlight) {
	for _, m := range p.pipelines {
		all = append(all, admin.PipelineInFlight{Pipeline: m.name, Records: m.runner.InFlight()})
	}
	return all
}
