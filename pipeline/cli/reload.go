package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/metrics"
)

// This file loads the files of a running process again.
//
// What it guarantees. All pipelines of the process change together, or none does and what runs goes on. One reload is under way at a
// time. Each ends with one event: config.applied or config.rejected.
//
// How. The files are loaded and checked like at the start, and compared with those that run. What is new is built and probed beside them.
// Then all pipelines with a difference are brought to rest and hold still (engine.Pipeline.Prepare); when all are, all go on with the
// new parts. A component whose settings are the same is kept.

// A configuration is what a process runs, and how it comes to another one.
type configuration struct {
	files sourceFiles // that it is loaded from; the zero value: it is not loaded again

	busy    sync.Mutex // held by the reload that is under way
	asked   chan string
	current atomic.Pointer[configured]
}

// A configured is what a process has loaded, and has made of it.
type configured struct {
	set      *config.Set
	all      []*assembled // of the pipelines that have started; they are as many as those of set when nothing has failed
	applied  time.Time
	accepted bool // what was loaded last is this
}

// begin notes what the process starts with.
func (c *configuration) begin(set *config.Set) {
	c.asked = make(chan string, 1)
	c.current.Store(&configured{set: set, applied: time.Now(), accepted: true})
}

// runs notes what was made of it.
func (c *configuration) runs(all []*assembled) {
	now := *c.now()
	now.all = all
	c.current.Store(&now)
}

func (c *configuration) now() *configured { return c.current.Load() }

// figures is what metrics say of it.
func (c *configuration) figures() metrics.Config {
	now := c.now()
	return metrics.Config{Hash: now.set.Hash, Accepted: now.accepted, Applied: now.applied}
}

// ask asks for a reload, behind the one that is under way. One that is waited for already is enough.
func (c *configuration) ask(trigger string) {
	select {
	case c.asked <- trigger:
	default:
	}
}

// notLoadedAgain is said where a command has made its pipelines otherwise than of files alone.
const notLoadedAgain = "this process does not load its files again: restart it"

// reloadWhenAsked does the reloads that signals, and changes of files, ask for, until ctx ends.
func (p *process) reloadWhenAsked(ctx context.Context) {
	if p.config.files.flags.watch {
		go p.config.watchFiles(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case trigger := <-p.config.asked:
			of, leave, err := p.commands.enter()
			if err != nil {
				return // the process stops
			}
			p.config.busy.Lock()
			load := p.config.files.load
			if trigger == triggerWatch {
				set, err := p.config.files.loadStill(of)
				load = func() (*config.Set, error) { return set, err }
			}
			_, _, _ = p.reloadOnce(of, load, trigger, "") // the event says it
			p.config.busy.Unlock()
			leave()
		}
	}
}

// reload loads the files of the process again and goes on with what they say. It gives the hashes of what ran before and runs now. It
// blocks until that is so; trigger and by say who asks, in the event. On an error everything is as it was.
func (p *process) reload(ctx context.Context, trigger, by string) (was, is string, err error) {
	if p.config.files.g == nil {
		return "", "", never(notLoadedAgain)
	}
	if !p.config.busy.TryLock() {
		return "", "", notNow("another reload is under way: ask again when it is done")
	}
	defer p.config.busy.Unlock()
	return p.reloadOnce(ctx, p.config.files.load, trigger, by)
}

// reloadOnce is reload by whoever is the only one.
func (p *process) reloadOnce(ctx context.Context, load func() (*config.Set, error), trigger, by string) (was, is string, err error) {
	before := p.config.now()
	was = before.set.Hash
	p.supervisor.reloading()
	next, changed, err := p.tryReload(ctx, load, before)
	if err != nil {
		kept := *before
		kept.accepted = false
		p.config.current.Store(&kept)
		if !p.commands.silent() {
			p.reloadRejected(err, trigger, by)
		}
		p.supervisor.notReloaded(firstLine(err))
		return was, was, err
	}
	p.config.current.Store(next)
	is = next.set.Hash
	if !p.commands.silent() {
		logProblems(p.events, next.set.Warnings)
		p.events.Emit(event.ConfigApplied{
			ConfigHash: is, ConfigHashPrev: was, Trigger: trigger, ChangedSteps: strings.Join(changed, ","), AskedBy: by,
		}, appliedWords(was, is, changed))
	}
	p.supervisor.reloaded(is)
	return was, is, nil
}

func appliedWords(was, is string, changed []string) string {
	switch {
	case len(changed) > 0:
		return "configuration applied: " + was + " -> " + is + ", changed: " + strings.Join(changed, ", ")
	case was == is:
		return "configuration applied: nothing has changed in it"
	}
	return "configuration applied: " + was + " -> " + is + ", no step and no sink has changed"
}

// reloadRejected says why what was loaded is not applied.
func (p *process) reloadRejected(err error, trigger, by string) {
	ev := event.ConfigRejected{Trigger: trigger, ErrorCount: 1, ErrorFirst: firstLine(err), AskedBy: by}
	var invalid *config.InvalidError
	if errors.As(err, &invalid) {
		logProblems(p.events, invalid.Problems)
		if errs := invalid.Problems.Errors(); len(errs) > 0 {
			ev.ErrorCount, ev.ErrorFirst = int64(len(errs)), errs[0].String()
		}
	} else {
		all := flatten(err)
		ev.ErrorCount = int64(len(all))
		for _, e := range all {
			p.events.Log().Error().Msg("not reloaded: " + e.Error())
		}
	}
	p.events.Emit(ev, "")
}

func firstLine(err error) string {
	var invalid *config.InvalidError
	if errors.As(err, &invalid) {
		if errs := invalid.Problems.Errors(); len(errs) > 0 {
			return errs[0].String()
		}
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// A reloadOf is one pipeline of a reload.
type reloadOf struct {
	member *managedPipeline
	now    *assembled // that runs
	next   *assembled
	change *engine.Change // once the pipeline holds still for it
}

// A replacer is a pipeline whose parts can be replaced while it runs.
type replacer interface {
	Prepare(context.Context, engine.Parts) (*engine.Change, error)
	SetConfigHash(hash string)
}

// tryReload loads the files and goes on with them. changed are the steps and sinks that are others.
func (p *process) tryReload(ctx context.Context, load func() (*config.Set, error), before *configured) (next *configured, changed []string, err error) {
	set, err := load()
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
	all, err := p.build(set, before, differences)
	defer func() {
		for _, r := range all {
			if err != nil && r.change == nil {
				r.next.discard()
			}
		}
	}()
	if err == nil {
		err = probe(ctx, all)
	}
	if err == nil {
		err = p.holdStill(ctx, all)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, r := range all {
		r.member.goesOnAs(r.next) // first: no record of the new parts is shown as the old file has it
		r.change.Commit()
	}
	return p.applied(set, before, all), changedParts(set, differences), nil
}

// build builds what is new of all pipelines in which something is.
func (p *process) build(set *config.Set, before *configured, differences []config.Difference) (all []*reloadOf, err error) {
	for i, file := range set.Pipelines {
		d := &differences[i]
		k := slices.IndexFunc(p.pipelines, func(m *managedPipeline) bool { return m.name == file.Name })
		m := p.pipelines[k]
		now := m.runs.Load()
		over := now == nil || m.hasEnded() // what it refers to does not matter to it any more
		if d.IsNone() && (over || !slices.ContainsFunc(file.Stages, func(s config.Stage) bool { return s.Kind.Refers })) {
			continue
		}
		if now == nil {
			return all, fmt.Errorf("%s: the pipeline %s has not started, and a reload does not start it: restart the process", file.File, file.Name)
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
func (r *reloadOf) prepare(ctx context.Context) (err error) {
	runner, ok := r.member.runner.(replacer)
	if !ok {
		return fmt.Errorf("the pipeline %s cannot be changed while it runs: restart the process", r.member.name)
	}
	o := r.next.options
	for {
		r.change, err = runner.Prepare(ctx, engine.Parts{Steps: o.Steps, Sinks: o.Sinks, DeadLetter: o.DeadLetter, ConfigHash: o.ConfigHash})
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

// applied notes what runs now, and applies what belongs to the process.
func (p *process) applied(set *config.Set, before *configured, all []*reloadOf) *configured {
	next := &configured{set: set, all: slices.Clone(before.all), applied: time.Now(), accepted: true}
	for _, r := range all {
		next.all[slices.Index(next.all, r.now)] = r.next
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
			if r, ok := m.runner.(replacer); ok && m.name == file.Name {
				r.SetConfigHash(file.Hash)
			}
		}
	}
	return next
}

// changedParts names the steps and sinks that are others, or gone, in the order of the files. Where there are several pipelines, each is
// behind the name of its own.
func changedParts(set *config.Set, differences []config.Difference) (names []string) {
	for i, p := range set.Pipelines {
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
