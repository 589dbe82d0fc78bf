package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

// This file holds what run, replay and test have in common: making pipelines of loaded
// files, and probing what they need.

// pingLimit bounds the probes at start-up. They and the rest of a start stay below 15 s.
const pingLimit = 13 * time.Second

// An assembled pipeline has its components, and does not run yet.
type assembled struct {
	file    *config.Pipeline
	options engine.Options
	err     error   // what it needs of its environment and does not get, with its place; it cannot start
	more    []error // what else it does not get

	budget *engine.Budget // that it was built with
	rates  *calls.Shared  // of all pipelines of the process
	kept   *catalog.Kept  // what of it was there before; nil: nothing
}

// standIns are used in place of what the file says. The zero value stands in for
// nothing.
type standIns struct {
	source pipeline.Source
	// sink is asked for each sink, and for catalog.DeadLetterName when the file has one.
	sink func(name, kind string) (pipeline.Sink, error)
	// deadLetterTime replaces the clock in dead letters.
	deadLetterTime func(*pipeline.Record) time.Time
	stdout         io.Writer
	// change is given the options of each pipeline before anything is made of them.
	change func(*engine.Options)
	// kept are components of a pipeline that runs.
	kept *catalog.Kept
}

// assemble builds the components of a file. What was built is closed again when
// something cannot be.
func assemble(p *config.Pipeline, events *event.Emitter, budget *engine.Budget, shared *calls.Shared, in standIns) (*assembled, error) {
	o, err := catalog.Build(p, catalog.Env{Budget: budget, Shared: shared, Events: events, Stdout: in.stdout, Source: in.source, Sink: in.sink, Kept: in.kept})
	if err != nil {
		code := exitUsage
		var env *pipeline.EnvironmentError
		if errors.As(err, &env) {
			code = exitEnvironment
		}
		return nil, &exitError{code, err}
	}
	o.DeadLetterTime = in.deadLetterTime
	if in.change != nil {
		in.change(&o)
	}
	return &assembled{file: p, options: o, budget: budget, rates: shared, kept: in.kept}, nil
}

// canStart says whether nothing of the environment is missing.
func (a *assembled) canStart() bool { return a.err == nil }

// until gives the pipeline as far as a step: one sink, of the name of the step, takes what
// leaves it.
func until(p *config.Pipeline, flag, step string) (*config.Pipeline, error) {
	i := slices.IndexFunc(p.Stages, func(s config.Stage) bool { return s.Name == step })
	if i < 0 {
		var names []string
		for _, s := range p.Stages {
			names = append(names, s.Name)
		}
		return nil, usagef("--%s %s: the pipeline has no such step; it has %s", flag, step, strings.Join(names, ", "))
	}
	short := *p
	short.Stages = p.Stages[:i+1]
	sink := p.Sinks[0]
	sink.Name, sink.When = step, nil
	short.Sinks = []config.Sink{sink}
	return &short, nil
}

// discard closes components that no pipeline has taken over.
func (a *assembled) discard() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = withinSecond(func() error { return catalog.Close(ctx, a.kept.Without(a.options)) }) // nothing was written
}

// discardAll is discard for all at once: those that hang take the same second.
func discardAll(all []*assembled) {
	var closing sync.WaitGroup
	for _, a := range all {
		closing.Go(a.discard)
	}
	closing.Wait()
}

// managed makes the pipeline; one that cannot start becomes a neverStarted.
func (a *assembled) managed(events *event.Emitter) (*managedPipeline, error) {
	if a.err != nil {
		return &managedPipeline{name: a.file.Name, runner: &neverStarted{a.file.Name, a.err}, events: events.Pipeline(a.file.Name), locate: error.Error}, nil
	}
	runner, err := engine.New(a.options)
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("%s: %w", a.file.File, err)}
	}
	_, reports := a.options.Source.(pipeline.Reporter)
	m := &managedPipeline{name: a.file.Name, runner: runner, events: a.options.Events, reports: reports}
	m.goesOnAs(a)
	m.locate = func(err error) string { return m.runs.Load().locate(err) }
	return m, nil
}

// goesOnAs notes what the pipeline is made of now.
func (m *managedPipeline) goesOnAs(a *assembled) {
	m.runs.Store(a)
	m.hidesKeys.Store(a.options.DeadLetter.RedactsKey)
}

// locate puts a place before an error of Run: that of the sink that could not be opened, that of the source when the environment
// refused it, else the file.
func (a *assembled) locate(err error) string {
	var open *engine.OpenError
	if errors.As(err, &open) {
		return a.placeOfSink(open.Sink) + ": " + err.Error()
	}
	var env *pipeline.EnvironmentError
	if errors.As(err, &env) {
		return a.file.Place("source."+a.file.Source.Kind.Name) + ": " + err.Error()
	}
	return a.file.File + ": " + err.Error()
}

// placeOfSink gives where a sink stands in the file, by its name.
func (a *assembled) placeOfSink(name string) string {
	for i, s := range a.file.Sinks {
		if s.Name == name {
			return a.file.Place(fmt.Sprintf("sinks[%d].%s", i, s.Kind.Name))
		}
	}
	if d := a.file.DeadLetter; d != nil && name == catalog.DeadLetterName {
		return a.file.Place("dead_letter." + d.Kind.Name)
	}
	return a.file.File
}

// pingAll pings all components of the pipelines that can start, at once. It gives an error
// or nil for each of all, with its place. Of one pipeline it is the first in the order of the
// file, and the others are kept in more.
func pingAll(ctx context.Context, all []*assembled) []error {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, a := range all {
		if errs[i] = a.err; a.err == nil {
			wg.Go(func() { errs[i] = catalog.Ping(ctx, a.file, a.kept.Without(a.options)) })
		}
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil && all[i].err == nil {
			missing := once(flatten(err))
			errs[i], all[i].more = &exitError{exitEnvironment, missing[0]}, missing[1:]
		}
	}
	return errs
}

// once gives the errors of probes but for those that say the same of another place: what does not answer is often one server,
// which several components ask.
func once(all []error) []error {
	said := map[string]bool{}
	return slices.DeleteFunc(all, func(err error) bool {
		cause := err
		if behind := errors.Unwrap(err); behind != nil { // the place, and what stands there
			cause = behind
		}
		known := said[cause.Error()]
		said[cause.Error()] = true
		return known
	})
}

// newEvents makes the emitter of a process. w is standard error, or what stands before
// it; changes are to its options.
func newEvents(g *globals, w io.Writer, l config.Log, changes ...func(*event.Options)) (*event.Emitter, error) {
	lowest, err := zerolog.ParseLevel(l.Level)
	if err != nil {
		return nil, usagef("log level %s: %w", l.Level, err)
	}
	file, _ := g.err.(*os.File)
	console, color := event.ConsoleFor(l.Format, file)
	o := event.Options{Log: lowest, EventsOff: !l.Events, Console: console, Color: color, Priorities: event.InJournal(file)}
	for _, change := range changes {
		change(&o)
	}
	return event.New(w, o), nil
}
