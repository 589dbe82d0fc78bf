package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/redact"
)

// DeadLetterName is the name under which the dead letter sink stands in logs.
const DeadLetterName = "dead_letter"

// An Env is what Build takes from the process. The zero value works.
type Env struct {
	Budget *engine.Budget // shared by the pipelines of the process
	Shared *calls.Shared  // by the pipelines of the process. nil: this one has its rates for itself
	Events *event.Emitter // of the process; Build stamps the pipeline
	Stdout io.Writer      // nil: os.Stdout

	// Source stands in for the file's, which is then not built.
	Source pipeline.Source
	// Sink makes what stands in for each sink, the dead letters' included (its name is
	// DeadLetterName). nil: the file's own.
	Sink func(name, kind string) (pipeline.Sink, error)
	// Kept has components of a pipeline that runs, which the new one goes on with. They are not built, and not closed when Build
	// fails.
	Kept *Kept
}

// sinkLanes is how many lanes at once a sink's client is made for. More of them wait
// for a connection.
const sinkLanes = 64

// Build makes the components of a checked file, and the options of its pipeline. It
// connects to nothing. When it fails, everything made so far has been closed; the error
// begins with file:line:column.
func Build(p *config.Pipeline, env Env) (engine.Options, error) {
	b := builder{p: p, env: env}
	if b.env.Stdout == nil {
		b.env.Stdout = os.Stdout
	}
	if b.env.Shared == nil {
		b.env.Shared = calls.NewShared(p.Limits.Rates)
	}
	o, err := b.options()
	if err != nil {
		return engine.Options{}, errors.Join(err, Close(context.Background(), env.Kept.Without(o)))
	}
	return o, nil
}

type builder struct {
	p   *config.Pipeline
	env Env
	src pipeline.Source
}

func (b *builder) options() (engine.Options, error) {
	p := b.p
	o := engine.Options{
		Name: p.Name, Order: p.Order.Keep, Budget: b.env.Budget,
		Drain: p.Limits.Drain, StatsEvery: p.Log.StatsEvery, PartitionStatsEvery: p.Log.PartitionsEvery,
		ConfigHash: p.Hash,
	}
	if b.env.Events != nil {
		o.Events = b.env.Events.Pipeline(p.Name)
	}
	if p.Order.Key != nil {
		o.Key = p.Order.Key.Bytes
	}
	var err error
	if o.Source, err = b.source(); err != nil {
		return o, err
	}
	b.src = o.Source
	for i := range p.Stages {
		step, err := b.step(fmt.Sprintf("stages[%d]", i), &p.Stages[i])
		o.Steps = append(o.Steps, step) // to be closed, whatever err says
		if err != nil {
			return o, err
		}
	}
	for i := range p.Sinks {
		s := &p.Sinks[i]
		out, err := b.output(fmt.Sprintf("sinks[%d]", i), s.Name, s.Component, s.OutputSettings, false)
		if err != nil {
			return o, err
		}
		if s.When != nil {
			out.When = s.When.Condition
		}
		o.Sinks = append(o.Sinks, out)
	}
	if d := p.DeadLetter; d != nil {
		out, err := b.output("dead_letter", DeadLetterName, d.Component, d.OutputSettings, true)
		o.DeadLetter = engine.DeadLetter{
			Name: out.Name, Kind: out.Kind, Sink: out.Sink, MaxRecords: out.MaxRecords, MaxBytes: out.MaxBytes,
			Linger: out.Linger, Timeout: out.Timeout, Retry: out.Retry,
		}
		if s := d.Budget; s != nil {
			o.DeadLetter.Budget = engine.RejectionBudget{Rejected: s.Rejected, Of: s.Of}
			if s.Then == "pause" {
				o.DeadLetter.Budget.Pause = s.Pause
			}
		}
		if err == nil && d.Redact != nil {
			err = b.redactLetters(&o.DeadLetter, *d.Redact)
		}
		return o, err
	}
	return o, nil
}

func (b *builder) component(path, name string, c config.Component, env calls.Env, dead bool) (any, error) {
	env.Shared = b.env.Shared
	made, err := c.Kind.Build(c.Settings, config.Env{
		Pipeline: b.p.Name, Name: name, Dir: b.p.Dir, Workers: env.Workers, DeadLetter: dead,
		Source: b.src, SourceSettings: b.p.Source.Settings,
		Drain: int64(b.p.Limits.Drain), Stdout: b.env.Stdout,
		Calls: env,
	})
	if err != nil {
		return nil, b.p.Unmade(path+"."+c.Kind.Name, c, name, err)
	}
	return made, nil
}

func (b *builder) source() (pipeline.Source, error) {
	if b.env.Source != nil {
		return b.env.Source, nil
	}
	made, err := b.component("source", b.p.Source.Kind.Name, b.p.Source, calls.Env{}, false)
	if err != nil {
		return nil, err
	}
	src, ok := made.(pipeline.Source)
	if !ok {
		return nil, fmt.Errorf("making the source %s: %T is no source", b.p.Source.Kind.Name, made)
	}
	return src, nil
}

func (b *builder) step(path string, s *config.Stage) (engine.Step, error) {
	step := engine.Step{
		Name: s.Name, Kind: s.Kind.Name, Workers: s.Workers, OnError: s.OnError,
	}
	if s.Kind.Waits {
		step.Wait = &engine.Wait{
			Window: s.Window, Timeout: s.Timeout, Deadline: s.Deadline, MaxWait: s.MaxWait, Serial: s.Serial,
			Retry: engine.Retry{Attempts: s.Retry.Attempts, Backoff: s.Retry.Backoff, MaxBackoff: s.Retry.MaxBackoff},
		}
	}
	step.MostWorkers, step.MostWhy = s.MostWorkers()
	if kept, ok := b.env.Kept.step(s.Name); ok {
		step.Stage, step.Splitter = kept.Stage, kept.Splitter
		return step, nil
	}
	env := calls.Env{Shared: b.env.Shared, Settings: s.Calls, Workers: s.Workers}
	made, err := b.component(path, s.Name, s.Component, env, false)
	if err != nil {
		return step, err
	}
	switch c := made.(type) {
	case pipeline.Splitter:
		step.Splitter = c
	case pipeline.Admitter:
		step.Stage = c
	case pipeline.Stage:
		step.Stage = c
		if !s.Kind.Waits || s.Kind.Computes {
			break
		}
		limited, err := calls.Limited(c, s.Name, env)
		if err != nil {
			return step, fmt.Errorf("%s: making the stage %s: %w", b.p.Place(path+"."+s.Kind.Name), s.Name, err)
		}
		step.Stage = limited
	default:
		return step, fmt.Errorf("making the stage %s: %T is no stage", s.Name, made)
	}
	return step, nil
}

func (b *builder) output(path, name string, c config.Component, s config.OutputSettings, dead bool) (engine.Output, error) {
	out := engine.Output{
		Name: name, Kind: c.Kind.Name, MaxRecords: s.Batch.Records, MaxBytes: s.Batch.Bytes, Linger: s.Batch.Linger, Timeout: s.Timeout,
		Retry: engine.Retry{Attempts: s.Retry.Attempts, Backoff: s.Retry.Backoff, MaxBackoff: s.Retry.MaxBackoff},
	}
	if sink := b.env.Kept.sink(name); sink != nil {
		out.Sink = sink
		return out, nil
	}
	if b.env.Sink != nil {
		sink, err := b.env.Sink(name, c.Kind.Name)
		out.Sink = sink
		return out, err
	}
	made, err := b.component(path, name, c, calls.Env{Settings: calls.Settings{Limit: s.Limit}, Workers: sinkLanes}, dead)
	if err != nil {
		return out, err
	}
	sink, ok := made.(pipeline.Sink)
	if !ok {
		return out, fmt.Errorf("making the sink %s: %T is no sink", name, made)
	}
	out.Sink = sink
	return out, nil
}

// redactLetters has dead letters redacted.
func (b *builder) redactLetters(d *engine.DeadLetter, s redact.Settings) error {
	r, err := redact.New(s)
	if err != nil {
		return fmt.Errorf("%s: redacting dead letters: %w", b.p.Place("dead_letter.redact"), err)
	}
	d.Redact, d.RedactsKey = r.Letter, r.RedactsKey()
	return nil
}

// Close closes the components of options that no pipeline has taken over.
func Close(ctx context.Context, o engine.Options) error {
	var errs []error
	for _, s := range o.Steps {
		for _, c := range []any{s.Stage, s.Splitter} {
			if closer, ok := c.(io.Closer); ok {
				errs = append(errs, closer.Close())
			}
		}
	}
	sinks := []pipeline.Sink{o.DeadLetter.Sink}
	for _, s := range o.Sinks {
		sinks = append(sinks, s.Sink)
	}
	for _, s := range sinks {
		if s != nil {
			errs = append(errs, s.Close(ctx))
		}
	}
	if o.Source != nil {
		errs = append(errs, o.Source.Close(ctx))
	}
	return errors.Join(errs...)
}
