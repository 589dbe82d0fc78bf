package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
)

// pingGrace is how long a probe may go on after its ctx has ended.
const pingGrace = 500 * time.Millisecond

// A probe is a component that can be asked whether it would work, and where it stands.
type probe struct {
	pinger      pipeline.Pinger
	place, name string
}

// Ping probes all components of a pipeline that can be probed, at once, and gives all
// errors in the order of the file, each with its place. It returns soon after ctx ends.
func Ping(ctx context.Context, p *config.Pipeline, o engine.Options) error {
	probes := probesOf(p, o)
	limit := time.Minute
	if end, ok := ctx.Deadline(); ok {
		limit = time.Until(end)
	}
	answers := make([]chan error, len(probes))
	for i, q := range probes {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- q.pinger.Ping(ctx) }()
	}
	var errs []error
	for i, q := range probes {
		if err := engine.NoAnswer(answer(ctx, answers[i]), limit); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", q.place, q.name, err))
		}
	}
	return errors.Join(errs...)
}

func answer(ctx context.Context, from chan error) error {
	select {
	case err := <-from:
		return err
	case <-ctx.Done():
	}
	grace := time.NewTimer(pingGrace)
	defer grace.Stop()
	select {
	case err := <-from:
		return err
	case <-grace.C:
		return fmt.Errorf("probing: %w", context.DeadlineExceeded)
	}
}

func probesOf(p *config.Pipeline, o engine.Options) []probe {
	var probes []probe
	add := func(c any, path, kind, name string) {
		if pinger, ok := c.(pipeline.Pinger); ok {
			probes = append(probes, probe{pinger, p.Place(path + "." + kind), name})
		}
	}
	add(o.Source, "source", p.Source.Kind.Name, "source "+p.Source.Kind.Name)
	for i, s := range o.Steps {
		var c any = s.Stage
		if s.Stage == nil {
			c = s.Splitter
		}
		add(c, fmt.Sprintf("stages[%d]", i), s.Kind, "step "+s.Name)
	}
	for i, s := range o.Sinks {
		add(s.Sink, fmt.Sprintf("sinks[%d]", i), s.Kind, "sink "+s.Name)
	}
	if o.DeadLetter.Sink != nil {
		add(o.DeadLetter.Sink, "dead_letter", o.DeadLetter.Kind, DeadLetterName)
	}
	return probes
}
