package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
)

// checkProgressEvery is how often progress is checked when nobody asks /livez: a standstill
// is measured from the first look at it.
const checkProgressEvery = 10 * time.Second

// serve starts the administration endpoint of the process, when a file asks for one.
// The error has the place of the setting.
func (p *process) serve(set *config.Set) (*admin.Server, error) {
	if set.Process.Admin == nil {
		return nil, nil
	}
	place := set.Pipelines[0].File
	for _, file := range set.Pipelines {
		if at := file.Place("admin.listen"); at != file.File {
			place = at
		}
	}
	watch := admin.NewWatch(0)
	p.checkProgress = func() error { return watch.Check(p.snapshots(), p.holdsOf) }
	live := func() error { return errors.Join(p.failed.error(), p.checkProgress()) }
	b := buildInfo()
	s, err := admin.New(admin.Options{
		Listen: set.Process.Admin.Listen, Live: live, Ready: p.readiness, Snapshots: p.snapshots, Log: p.log.Counts, Metrics: p.metrics(set),
		Holds: p.holds, InFlight: p.inFlight,
		Version: admin.Version{Service: "penstock", Version: b.Version, Revision: b.Revision, Go: b.Go, ConfigHash: set.Hash},
	})
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("%s: %w", place, err)}
	}
	if err := s.Start(); err != nil {
		return nil, &exitError{exitEnvironment, fmt.Errorf("%s: %w", place, err)}
	}
	return s, nil
}

// shutDownPatience is how long a request under way may take at the end: answers are made in
// memory.
const shutDownPatience = 250 * time.Millisecond

// shutDown ends the endpoint; nil: the process has none.
func shutDown(s *admin.Server) {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutDownPatience)
	defer cancel()
	_ = s.Shutdown(ctx) // the process ends
}

func (p *process) snapshots() (all []engine.Snapshot) {
	for _, m := range p.pipelines {
		all = append(all, m.runner.Snapshot())
	}
	return all
}

// readiness is what /readyz answers.
func (p *process) readiness() error {
	switch {
	case p.draining.Load():
		return errors.New("stopping")
	case len(p.failed.all()) > 0:
		return p.failed.error() // at once: watch sees it only at its next look
	case p.ready.Load():
		return nil
	}
	why := p.unready()
	if why == "" {
		why = "starting"
	}
	return errors.New(why)
}
