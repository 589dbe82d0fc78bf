package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/engine"
)

// This file says what each command does to the process.

func (p *process) obey(ctx context.Context, c admin.Command) (admin.Done, error) {
	switch c.Verb {
	case admin.VerbLogLevel:
		return p.setLevel(c)
	case admin.VerbRate:
		return p.setRate(c)
	case admin.VerbReload:
		return p.reloadFor(ctx, c)
	case admin.VerbDrain:
		return p.drainOne(ctx, c)
	}
	to, err := p.controllerOf(c.Pipeline)
	if err != nil {
		return admin.Done{}, err
	}
	switch c.Verb {
	case admin.VerbPause, admin.VerbResume:
		return p.hold(to, c)
	case admin.VerbWorkers:
		return p.setWorkers(to, c)
	case admin.VerbSkip, admin.VerbUnskip:
		return p.skip(to, c)
	}
	return admin.Done{}, never("the command %s cannot be done in this process", c.Verb)
}

// setRate changes a rate of limits.rates, which all pipelines of the process share.
func (p *process) setRate(c admin.Command) (admin.Done, error) {
	if p.commands.rates == nil {
		return admin.Done{}, never("the process has no rates")
	}
	was, is, err := p.commands.rates.SetRate(c.Rate, c.Per, c.Burst)
	var none *calls.NoRateError
	switch {
	case errors.As(err, &none):
		return admin.Done{}, notFound("%w", err)
	case err != nil:
		return admin.Done{}, unfit(err)
	}
	return admin.Done{Was: rateText(was), Is: rateText(is)}, nil
}

func rateText(r calls.RateSettings) string {
	if r.Burst > 1 {
		return fmt.Sprintf("%v, burst %d", r.Rate, r.Burst)
	}
	return r.Rate.String()
}

// reloadFor has the files loaded again. That they cannot be applied is said as of what does not take a command.
func (p *process) reloadFor(ctx context.Context, c admin.Command) (admin.Done, error) {
	was, is, err := p.reload(ctx, "api", c.By)
	if refused := (*admin.RefusedError)(nil); err != nil && !errors.As(err, &refused) {
		err = unfit(errors.New(firstLine(err)))
	}
	return admin.Done{Was: was, Is: is}, err
}

// drainOne ends a pipeline as a signal ends the process. The others go on; when it was the last one the process ends.
func (p *process) drainOne(ctx context.Context, c admin.Command) (admin.Done, error) {
	m, err := p.pipelineOf(c.Pipeline)
	switch {
	case err != nil:
		return admin.Done{}, err
	case m.hasEnded():
		return admin.Done{}, notNow("the pipeline %s has ended", m.name)
	case p.draining.Load():
		return admin.Done{}, notNow("the process is stopping")
	case !m.drained.CompareAndSwap(false, true):
		return admin.Done{}, notNow("the pipeline %s is draining", m.name)
	}
	m.stop()
	// The pipeline keeps to the budget by itself; one that hangs does not.
	abort := time.AfterFunc(p.drain+abortAfter, m.runner.Abort)
	defer abort.Stop()
	late := time.NewTimer(p.drain + abortAfter + forceAfter)
	defer late.Stop()
	select {
	case <-m.finished:
	case <-late.C:
		return admin.Done{}, fmt.Errorf("draining %s: it does not end", m.name)
	case <-ctx.Done():
		if !m.hasEnded() {
			return admin.Done{}, fmt.Errorf("draining %s: the process has ended before", m.name)
		}
	}
	if m.err != nil {
		return admin.Done{}, fmt.Errorf("draining %s: %s", m.name, cause(m.err))
	}
	return admin.Done{Is: "stopped"}, nil
}

// goesOn says why a pipeline begins with no more records, whatever is asked for; nil: it goes on.
func (p *process) goesOn(name string) error {
	m, err := p.pipelineOf(name)
	switch {
	case err != nil:
		return err
	case p.draining.Load():
		return notNow("the process is stopping")
	case m.drained.Load():
		return notNow("the pipeline %s is draining: no record of it begins", name)
	}
	return nil
}

// hasEnded says whether the pipeline has ended, for goroutines beside the one that runs the process.
func (m *managedPipeline) hasEnded() bool {
	select {
	case <-m.finished:
		return true
	default:
		return false
	}
}

// hold pauses and resumes a pipeline, or one lane of it. One at a time, so that of several callers one alone hears that it has changed
// something: what was is asked for before it is changed.
func (p *process) hold(to engine.Controller, c admin.Command) (admin.Done, error) {
	p.commands.holding <- struct{}{} // not for long: a pipeline that hangs is asked for a second
	defer func() { <-p.commands.holding }()
	is, was := pausedState, p.heldState(c)
	if c.Verb == admin.VerbResume {
		is = runningState
	} else if err := p.goesOn(c.Pipeline); err != nil {
		return admin.Done{}, err
	}
	var err error
	switch {
	case c.Verb == admin.VerbPause && c.Lane == "":
		to.Pause()
	case c.Verb == admin.VerbPause:
		err = to.PauseLane(c.Lane)
	case c.Lane == "":
		to.Resume()
	default:
		err = to.ResumeLane(c.Lane)
	}
	if errors.Is(err, engine.ErrNoLane) {
		return admin.Done{}, notFound("there is no lane %q in the pipeline %s%s", c.Lane, c.Pipeline, p.lanesOf(c.Pipeline))
	}
	if err != nil {
		return admin.Done{}, unfit(err)
	}
	return admin.Done{Was: was, Is: is}, nil
}

// What a pipeline or a lane was and is, of pause and resume.
const pausedState, runningState = "paused", "running"

// heldState says whether what a command names is paused by a command; "": that is not known.
func (p *process) heldState(c admin.Command) string {
	m, err := p.pipelineOf(c.Pipeline)
	if err != nil {
		return ""
	}
	s, ok := withinSecond(m.runner.Snapshot)
	switch {
	case !ok:
		return ""
	case c.Lane != "" && slices.Contains(s.PausedLanes, c.Lane), c.Lane == "" && s.PausedBy == "command":
		return pausedState
	case c.Lane == "" && s.PausedBy != "": // which hides whether a command has, too
		return ""
	}
	return runningState
}

// mostNamed is how many names an error lists.
const mostNamed = 20

// lanesOf lists the partitions that a pipeline has, for an error.
func (p *process) lanesOf(name string) string {
	m, err := p.pipelineOf(name)
	if err != nil {
		return ""
	}
	s, _ := withinSecond(m.runner.Snapshot)
	var names []string
	for _, part := range s.Source.Partitions {
		names = append(names, part.Topic+"/"+strconv.Itoa(int(part.Partition)))
	}
	switch n := len(names); {
	case n == 0:
		return ""
	case n > mostNamed:
		return fmt.Sprintf(": there is %s, and %d more", strings.Join(names[:mostNamed], ", "), n-mostNamed)
	}
	return ": there is " + strings.Join(names, ", ")
}

// setWorkers changes how many workers or slots a step has.
func (p *process) setWorkers(to engine.Controller, c admin.Command) (admin.Done, error) {
	m, err := p.pipelineOf(c.Pipeline)
	if err != nil {
		return admin.Done{}, err
	}
	s, _ := withinSecond(m.runner.Snapshot)
	was := ""
	var names []string
	for i := range s.Steps {
		names = append(names, s.Steps[i].Name)
		if s.Steps[i].Name == c.Step {
			was = strconv.Itoa(s.Steps[i].Workers)
		}
	}
	err = to.SetWorkers(c.Step, c.Workers)
	switch {
	case errors.Is(err, engine.ErrNoStep):
		return admin.Done{}, notFound("there is no step %q in the pipeline %s: there is %s", c.Step, c.Pipeline, strings.Join(names, ", "))
	case err != nil:
		return admin.Done{}, unfit(err)
	}
	return admin.Done{Was: was, Is: strconv.Itoa(c.Workers)}, nil
}

// skip has the records of a key rejected, or one record by its position, or ends that.
func (p *process) skip(to engine.Controller, c admin.Command) (admin.Done, error) {
	var err error
	switch {
	case c.Verb == admin.VerbSkip && c.Record != nil:
		err = to.SkipRecord(*c.Record)
	case c.Verb == admin.VerbSkip:
		err = to.Skip(c.Key)
	case c.Record != nil:
		to.UnskipRecord(*c.Record)
	default:
		to.Unskip(c.Key)
	}
	if c.Record != nil && errors.Is(err, engine.ErrNoLane) {
		return admin.Done{}, notFound("there is no lane of the record %s in the pipeline %s%s", c.Record, c.Pipeline, p.lanesOf(c.Pipeline))
	}
	if err != nil {
		return admin.Done{}, unfit(err)
	}
	if c.Verb == admin.VerbUnskip {
		return admin.Done{Is: "not skipped"}, nil
	}
	return admin.Done{Is: "skipped"}, nil
}
