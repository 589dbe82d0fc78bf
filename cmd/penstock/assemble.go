package main

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
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/event"
)

// This file holds what run, replay and test have in common: making pipelines of loaded
// files, and probing what they need.

// pingLimit bounds the probes at start-up: with the rest of it they stay below 15 s.
const pingLimit = 13 * time.Second

// An assembled pipeline is built and not yet running.
type assembled struct {
	file    *config.Pipeline
	options pipeline.Options
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
}

// assemble builds the components of a file. What was built is closed again when
// something cannot be.
func assemble(p *config.Pipeline, events *event.Emitter, budget *pipeline.Budget, in standIns) (*assembled, error) {
	o, err := catalog.Build(p, catalog.Env{Budget: budget, Events: events, Stdout: in.stdout, Source: in.source, Sink: in.sink})
	if err != nil {
		code := exitUsage
		var env *pipeline.EnvironmentError
		if errors.As(err, &env) {
			code = exitEnvironment
		}
		return nil, &exitError{code, err}
	}
	o.DeadLetterTime = in.deadLetterTime
	return &assembled{p, o}, nil
}

// until cuts a pipeline behind a step: one sink of its name takes what leaves it.
func until(p *config.Pipeline, step string) (*config.Pipeline, error) {
	i := slices.IndexFunc(p.Stages, func(s config.Stage) bool { return s.Name == step })
	if i < 0 {
		var names []string
		for _, s := range p.Stages {
			names = append(names, s.Name)
		}
		return nil, usagef("--until %s: the pipeline has no such step; it has %s", step, strings.Join(names, ", "))
	}
	short := *p
	short.Stages = p.Stages[:i+1]
	sink := p.Sinks[0]
	sink.Name, sink.When = step, nil
	short.Sinks = []config.Sink{sink}
	return &short, nil
}

// discard closes components that no pipeline took.
func (a *assembled) discard() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = within(func() error { return catalog.Close(ctx, a.options) }) // nothing was written
}

// member makes the pipeline.
func (a *assembled) member() (*member, error) {
	runner, err := pipeline.New(a.options)
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("%s: %w", a.file.File, err)}
	}
	_, reports := a.options.Source.(pipeline.Reporter)
	return &member{name: a.file.Name, runner: runner, events: a.options.Events, reports: reports, locate: a.locate}, nil
}

// locate puts a place before an error of Run: that of the source when the environment
// refused it, else the file.
func (a *assembled) locate(err error) string {
	var env *pipeline.EnvironmentError
	if errors.As(err, &env) {
		return a.file.Place("source."+a.file.Source.Kind.Name) + ": " + err.Error()
	}
	return a.file.File + ": " + err.Error()
}

// A probe is a component that can be pinged, and its place in the file.
type probe struct {
	component pipeline.Pinger
	place     string
	err       error
}

// probes gives those of one pipeline, in the order of the file.
func (a *assembled) probes() (all []*probe) {
	add := func(component any, path, kind string) {
		if p, ok := component.(pipeline.Pinger); ok {
			all = append(all, &probe{component: p, place: a.file.Place(path + "." + kind)})
		}
	}
	o := a.options
	add(o.Source, "source", a.file.Source.Kind.Name)
	for i, s := range o.Steps {
		if s.Stage != nil {
			add(s.Stage, fmt.Sprintf("stages[%d]", i), s.Kind)
		} else {
			add(s.Splitter, fmt.Sprintf("stages[%d]", i), s.Kind)
		}
	}
	for i, s := range o.Sinks {
		add(s.Sink, fmt.Sprintf("sinks[%d]", i), s.Kind)
	}
	add(o.DeadLetter.Sink, "dead_letter", o.DeadLetter.Kind)
	return all
}

// pingAll pings all components of all pipelines at once. The error is the first in the
// order of the files, with its place.
func pingAll(ctx context.Context, all []*assembled) error {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	var probes []*probe
	for _, a := range all {
		probes = append(probes, a.probes()...)
	}
	var wg sync.WaitGroup
	for _, p := range probes {
		wg.Go(func() {
			err, ok := answered(ctx, func() error { return p.component.Ping(ctx) })
			if !ok {
				err = fmt.Errorf("probing: no answer within %v", pingLimit)
			}
			p.err = err
		})
	}
	wg.Wait()
	for _, p := range probes {
		if p.err != nil {
			return &exitError{exitEnvironment, fmt.Errorf("%s: %w", p.place, p.err)}
		}
	}
	return nil
}

// answered calls f and gives up on it half a second after ctx has ended.
func answered(ctx context.Context, f func() error) (err error, ok bool) {
	c := make(chan error, 1)
	go func() { c <- f() }()
	select {
	case err = <-c:
		return err, true
	case <-ctx.Done():
	}
	timer := time.NewTimer(500 * time.Millisecond)
	defer timer.Stop()
	select {
	case err = <-c:
		return err, true
	case <-timer.C:
		return nil, false
	}
}

// newEvents makes the emitter of a process. w is standard error, or what stands before
// it.
func newEvents(g *globals, w io.Writer, l config.Log) (*event.Emitter, error) {
	lowest, err := zerolog.ParseLevel(l.Level)
	if err != nil {
		return nil, usagef("log level %s: %w", l.Level, err)
	}
	file, _ := g.err.(*os.File)
	console, color := event.ConsoleFor(l.Format, file)
	return event.New(w, event.Options{Log: lowest, EventsOff: !l.Events, Console: console, Color: color}), nil
}
