package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
)

// This file is one reload from the files to pipelines with other steps and sinks.

// A reloadOf is one pipeline of a reload.
type reloadOf struct {
	member *managedPipeline
	now    *assembled // that runs
	next   *assembled
	change change // once the pipeline holds still for it; nil: it does not
}

// A change is what an engine.Change is here.
type change interface {
	Commit() bool
	Cancel()
}

// A replacer is a pipeline whose parts can be replaced while it runs.
type replacer interface {
	Prepare(context.Context, engine.Parts) (*engine.Change, error)
	SetConfigHash(hash string)
}

// tryReload loads the files and goes on with them. changed are the steps and sinks that are others.
func (p *process) tryReload(ctx context.Context, load func() (*config.Set, error), before *configured) (next *configured, changed []string, err error) {
	set, err := p.loadInTime(ctx, load)
	if err != nil {
		return nil, nil, err
	}
	differences, err := set.Compare(before.set)
	if err != nil {
		return nil, nil, err
	}
	if p.commands.rates == nil {
		return nil, nil, errors.New("no pipeline has started, and a reload starts none: restart the process")
	}
	for name, r := range set.ChangedRates(before.set) {
		if err := p.commands.rates.AddRate(name, r); err != nil { // one that there is stays as it is until all is sure
			return nil, nil, fmt.Errorf("%s: %w", settingPlace(set, "limits.rates."+name), err)
		}
	}
	all, err := p.buildInTime(ctx, set, before, differences)
	defer func() {
		if err != nil {
			discard(all)
		}
	}()
	if err == nil {
		err = probe(ctx, all)
	}
	if err == nil {
		err = p.holdStill(ctx, all)
	}
	if err != nil && ctx.Err() != nil { // what was given up for that says less
		err = notNow("the process is stopping")
	}
	if err != nil {
		return nil, nil, err
	}
	stopped, err := p.commit(all)
	if err != nil {
		return nil, nil, err
	}
	return p.applied(set, before, all, stopped), changedParts(set, differences, stopped), nil
}

// commit has all pipelines go on with what is new. Those that have been told to stop meanwhile end with what they had: stopped has them. When it is all of them
// nothing of the new files runs, which is the error.
func (p *process) commit(all []*reloadOf) (stopped []*reloadOf, err error) {
	for _, r := range all {
		r.member.goesOnAs(r.next) // first: no record of the new parts is shown as the old file has it
		if !r.change.Commit() {
			r.member.goesOnAs(r.now)
			stopped = append(stopped, r)
		}
	}
	if len(stopped) > 0 && len(stopped) == len(all) {
		return nil, fmt.Errorf("%s: %w", all[0].next.file.File, engine.ErrStopping)
	}
	for _, r := range stopped {
		r.member.events.Log().Warn().Msg("the pipeline stops: it ends with the steps and sinks that it had, and the new ones are not used")
	}
	return stopped, nil
}

// loadInTime loads the files, if that does not hang.
func (p *process) loadInTime(ctx context.Context, load func() (*config.Set, error)) (set *config.Set, err error) {
	var loaded *config.Set
	if _, err := p.config.late.wait(ctx, func() (err error) { loaded, err = load(); return err }, func() {}); err != nil {
		return nil, err
	}
	return loaded, nil
}

// buildInTime builds what is new, if reading its files does not hang.
func (p *process) buildInTime(ctx context.Context, set *config.Set, before *configured, differences []config.Difference) ([]*reloadOf, error) {
	built := make(chan []*reloadOf, 1)
	late, err := p.config.late.wait(ctx, func() error {
		all, err := p.build(set, before, differences)
		built <- all
		return err
	}, func() { discard(<-built) })
	if late {
		return nil, err
	}
	return <-built, err
}

// discard closes what was built and is not used: nothing of what a pipeline was prepared for, which is its own.
func discard(all []*reloadOf) {
	for _, r := range all {
		if r.change == nil {
			r.next.discard()
		}
	}
}

// build builds what is new of all pipelines in which something is.
func (p *process) build(set *config.Set, before *configured, differences []config.Difference) (all []*reloadOf, err error) {
	for i, file := range set.Pipelines {
		d := &differences[i]
		k := slices.IndexFunc(p.pipelines, func(m *managedPipeline) bool { return m.name == file.Name })
		m := p.pipelines[k]
		now := m.runs.Load()
		over := now == nil || m.hasEnded() || m.drained.Load() // what it refers to does not matter to it any more
		if d.IsNone() && (over || !slices.ContainsFunc(file.Stages, func(s config.Stage) bool { return s.Kind.Refers })) {
			continue
		}
		if now == nil {
			return all, fmt.Errorf("%s: the pipeline %s has not started, and a reload does not start it: restart the process", file.File, file.Name)
		}
		if m.hasEnded() {
			return all, fmt.Errorf("%s: the pipeline %s has ended, and a reload does not start it again: restart the process, or leave what its file says of it as it was", file.File, file.Name)
		}
		if err := p.goesOn(m.name); err != nil {
			return all, err
		}
		a, err := assemble(file, p.events, now.budget, now.rates, standIns{source: now.options.Source, kept: kept(file, d, now)})
		if err != nil {
			return all, err
		}
		all = append(all, &reloadOf{member: m, now: now, next: a})
	}
	return all, nil
}

// kept gives the components that a pipeline goes on with.
func kept(file *config.Pipeline, d *config.Difference, now *assembled) *catalog.Kept {
	k := &catalog.Kept{Source: now.options.Source, Steps: map[string]engine.Step{}, Sinks: map[string]pipeline.Sink{}}
	for i, s := range file.Stages {
		if d.Stages[i] && !s.Kind.Refers {
			at := slices.IndexFunc(now.options.Steps, func(o engine.Step) bool { return o.Name == s.Name })
			k.Steps[s.Name] = now.options.Steps[at]
		}
	}
	for i, s := range file.Sinks {
		if d.Sinks[i] {
			at := slices.IndexFunc(now.options.Sinks, func(o engine.Output) bool { return o.Name == s.Name })
			k.Sinks[s.Name] = now.options.Sinks[at].Sink
		}
	}
	if d.DeadLetter && file.DeadLetter != nil {
		k.Sinks[catalog.DeadLetterName] = now.options.DeadLetter.Sink
	}
	return k
}

// probe asks what is new whether it would work.
func probe(ctx context.Context, all []*reloadOf) error {
	var built []*assembled
	for _, r := range all {
		built = append(built, r.next)
	}
	probed := pingAll(ctx, built)
	errs := slices.DeleteFunc(probed, func(err error) bool { return err == nil })
	for _, a := range built {
		errs = append(errs, a.more...)
	}
	return errors.Join(errs...)
}

// holdStill brings all pipelines to rest, at once. When one does not come to rest, or cannot open what is new, all go on as they were. The
// error says why, and nothing of pipelines that were not waited for any more because of that.
func (p *process) holdStill(ctx context.Context, all []*reloadOf) error {
	ctx, cancel := context.WithTimeout(ctx, p.drain)
	defer cancel()
	errs := make([]error, len(all))
	var (
		wait   sync.WaitGroup
		failed atomic.Bool
	)
	for i, r := range all {
		wait.Go(func() {
			err := r.prepare(ctx)
			if err == nil || isOfEnd(err) && failed.Load() {
				return
			}
			errs[i] = errors.New(r.next.locate(err))
			failed.Store(true)
			cancel() // the others need not wait
		})
	}
	wait.Wait()
	if !failed.Load() {
		return nil
	}
	for _, r := range all {
		if r.change != nil {
			r.change.Cancel()
		}
	}
	return errors.Join(errs...)
}

// startLook is how often a reload looks whether a pipeline runs that is starting.
const startLook = 50 * time.Millisecond

// prepare brings the pipeline to rest, once it runs.
func (r *reloadOf) prepare(ctx context.Context) error {
	runner, ok := r.member.runner.(replacer)
	if !ok {
		return fmt.Errorf("the pipeline %s cannot be changed while it runs: restart the process", r.member.name)
	}
	o := r.next.options
	for {
		prepared, err := runner.Prepare(ctx, engine.Parts{Steps: o.Steps, Sinks: o.Sinks, DeadLetter: o.DeadLetter, ConfigHash: o.ConfigHash})
		if err == nil {
			r.change = prepared
		}
		if !errors.Is(err, engine.ErrNotRunning) {
			return err
		}
		select {
		case <-time.After(startLook):
		case <-ctx.Done():
			return err
		}
	}
}

// isOfEnd says whether an error may be one of a ctx that has ended.
func isOfEnd(err error) bool {
	var late *engine.NotAtRestError
	return errors.As(err, &late) || errors.Is(err, engine.ErrNotRunning) || errors.Is(err, context.Canceled)
}

// applied notes what runs now, and applies what belongs to the process. Of stopped nothing of the set runs.
func (p *process) applied(set *config.Set, before *configured, all, stopped []*reloadOf) *configured {
	next := &configured{set: set, all: slices.Clone(before.all), applied: time.Now(), accepted: true}
	ends := map[string]bool{}
	for _, r := range stopped {
		ends[r.member.name] = true
	}
	for _, r := range all {
		if !ends[r.member.name] {
			next.all[slices.Index(next.all, r.now)] = r.next
		}
	}
	tuneMemory(set)
	rates := set.ChangedRates(before.set)
	for _, name := range slices.Sorted(maps.Keys(rates)) {
		if _, _, err := p.commands.rates.SetRate(name, rates[name].Rate, rates[name].Burst); err != nil {
			p.events.Log().Warn().Err(err).Msg("setting a rate that was loaded again")
		}
	}
	if to := set.Process.Log.Level; to != before.set.Process.Log.Level {
		if level, err := zerolog.ParseLevel(to); err == nil {
			p.commands.level.load(p.events, level)
		}
	}
	for _, file := range set.Pipelines {
		for _, m := range p.pipelines {
			if r, ok := m.runner.(replacer); ok && m.name == file.Name && !ends[m.name] {
				r.SetConfigHash(file.Hash)
			}
		}
	}
	return next
}

// changedParts names the steps and sinks that are others, or gone, in the order of the files. Where there are several pipelines, each is
// behind the name of its own. Those of pipelines that have stopped have not changed.
func changedParts(set *config.Set, differences []config.Difference, stopped []*reloadOf) (names []string) {
	for i, p := range set.Pipelines {
		if slices.ContainsFunc(stopped, func(r *reloadOf) bool { return r.member.name == p.Name }) {
			continue
		}
		add := func(name string) {
			if len(set.Pipelines) > 1 {
				name = p.Name + "/" + name
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		d := differences[i]
		for k, s := range p.Stages {
			if !d.Stages[k] {
				add(s.Name)
			}
		}
		for k, s := range p.Sinks {
			if !d.Sinks[k] || !d.Whens[k] {
				add(s.Name)
			}
		}
		if !d.DeadLetter {
			add(catalog.DeadLetterName)
		}
		for _, gone := range d.Gone {
			add(gone)
		}
	}
	return names
}
