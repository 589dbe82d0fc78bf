package top

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"
)

// An Endpoint asks a running process for its figures, and fills a Store with them.
type Endpoint struct {
	store   *Store
	name    string // its address
	get     func(ctx context.Context, path string, into any) error
	version string // of what answers; "": not asked yet
	hash    string
	looks   int

	// Wants says which answers beside the figures are asked for at a look.
	Wants atomic.Uint32
}

// What may be asked for beside the figures.
const (
	WantErrors = 1 << iota
	WantWhy
)

// NewEndpoint makes one that asks with get, which reads the JSON of an answer. name is what people call it: its address.
func NewEndpoint(s *Store, name string, get func(ctx context.Context, path string, into any) error) *Endpoint {
	s.partsOnly = true // of each second there would be thousands
	return &Endpoint{store: s, name: name, get: get}
}

// versionEvery is after how many looks it is asked which file runs: one may have been loaded since.
const versionEvery = 30

// Look asks once. The error says why there is no answer; the store then says of the instance since when its figures are old.
func (e *Endpoint) Look(ctx context.Context, now time.Time) error {
	var all statsAnswer
	err := e.get(ctx, "/api/v1/stats", &all)
	if e.looks++; err == nil && (e.version == "" || e.looks%versionEvery == 0) {
		var v struct {
			Version    string `json:"version"`
			ConfigHash string `json:"config_hash"`
		}
		if err = e.get(ctx, "/version", &v); err == nil {
			e.version, e.hash = v.Version, v.ConfigHash
		}
	}
	if err != nil {
		e.version = "" // another process may answer next
		if ctx.Err() == nil {
			e.store.change(func() { e.store.away(e.name, now, err) })
		}
		return err
	}
	e.store.change(func() { e.take(&all, now) })
	e.Ask(ctx, now)
	return nil
}

// away notes that an instance does not answer. What it said stays.
func (s *Store) away(id string, now time.Time, err error) {
	in := s.run(id, now)
	if in == nil {
		return
	}
	if in.Stale == "" {
		s.event(Event{now, "warn", "endpoint.away", id, "", "does not answer: " + err.Error()})
	}
	in.Stale = err.Error()
}

// Ask asks for what is looked at beside the figures, as Wants says. What is not answered is asked for at the next look.
func (e *Endpoint) Ask(ctx context.Context, now time.Time) {
	wants := e.Wants.Load()
	if wants&WantErrors != 0 {
		var all errorsAnswer
		if e.get(ctx, "/api/v1/errors", &all) == nil {
			e.store.change(func() {
				for _, p := range all.Pipelines {
					e.takeErrors(p.Pipeline, p.Errors, now)
				}
			})
		}
	}
	if wants&WantWhy == 0 {
		return
	}
	var all whyAnswer
	if e.get(ctx, "/api/v1/why", &all) != nil {
		return
	}
	e.store.change(func() {
		for _, w := range all.Pipelines {
			p := e.pipeline(w.Pipeline)
			if p == nil {
				continue
			}
			p.holds, p.holdsKnown = make([]string, 0, len(w.Holds)), true
			for _, h := range w.Holds {
				p.holds = append(p.holds, h.Says)
			}
		}
	})
}

// pipeline gives one that figures are known of; nil: none are.
func (e *Endpoint) pipeline(name string) *pipeline {
	in := e.store.run(e.name, time.Time{})
	if in == nil {
		return nil
	}
	for _, p := range in.pipelines {
		if p.name == name {
			return p
		}
	}
	return nil
}

func (e *Endpoint) takeErrors(name string, all []errorAnswer, now time.Time) {
	p := e.pipeline(name)
	if p == nil {
		return
	}
	p.errorsKnown = true
	for _, f := range all {
		v := &ErrorCount{f.Step, f.Type, f.Total, math.NaN(), f.Message, f.Topic, f.Partition, f.Offset}
		if t := p.errors[errorKey{v.Step, v.Type}]; t != nil {
			if at, was := t.last(now); was != nil {
				v.Rate = perSecond(v.Total-was.Total, now.Sub(at).Seconds())
			}
		}
		e.store.putError(p, now, v)
	}
}

// take takes in an answer.
func (e *Endpoint) take(all *statsAnswer, now time.Time) {
	s := e.store
	in := s.run(e.name, now)
	if in == nil {
		return
	}
	if in.Stale != "" {
		s.event(Event{now, "info", "endpoint.back", e.name, "", "answers again"})
	}
	if restarted(in, all) {
		s.event(Event{now, "warn", "process.started", e.name, "", "the process was started again: totals begin anew"})
		in.pipelines = nil
	}
	in.Stale, in.Version, in.ConfigHash, in.LogDropped = "", e.version, e.hash, all.Log.Dropped
	if !now.Before(in.Seen) {
		in.Seen = now
	}
	in.Started = time.Time{}
	there := map[string]bool{}
	for i := range all.Pipelines {
		a := &all.Pipelines[i]
		p := s.pipelineOf(in, a.Pipeline)
		if p == nil {
			continue
		}
		there[a.Pipeline] = true
		if in.Started.IsZero() || !a.Started.IsZero() && a.Started.Before(in.Started) {
			in.Started = a.Started
		}
		e.takePipeline(p, a, now)
	}
	kept := in.pipelines[:0]
	for _, p := range in.pipelines {
		if there[p.name] {
			kept = append(kept, p)
		}
	}
	clear(in.pipelines[len(kept):])
	in.pipelines = kept
	s.frame(now)
	s.forgetOld(in)
}

// restarted says whether another process answers than before.
func restarted(in *instance, all *statsAnswer) bool {
	for i := range all.Pipelines {
		a := &all.Pipelines[i]
		for _, p := range in.pipelines {
			if p.name != a.Pipeline {
				continue
			}
			if n := p.stats.len(); n > 0 && !p.stats.values[n-1].Started.Equal(a.Started) {
				return true
			}
		}
	}
	return false
}

// notConnected is what is said of a source of which nobody tells why it is not connected.
const notConnected = "the source is not connected"

func (e *Endpoint) takePipeline(p *pipeline, a *pipelineAnswer, now time.Time) {
	s := e.store
	v := &Pipeline{
		Name: a.Pipeline, State: a.State, Error: a.Error, At: now, Started: a.Started, Counts: a.counts(), Rate: noRates(),
		E2E: a.E2E.latency(), Lag: Lag{orUnknown(a.Source.LagSum), orUnknown(a.Source.LagMax), -1, a.Source.LagUnit}, InFlightBytes: a.InFlightBytes,
		CommitAgeMs: a.CommitAgeMs, OldestMs: a.OldestMs, Backpressure: a.Backpressure, Bottleneck: a.Bottleneck, ConfigHash: e.hash,
		PausedBy: a.PausedBy, PausedLanes: a.PausedLanes, Skipped: a.Skipped,
	}
	if a.State == "stopped" || a.State == "failed" { // what it says is of its last interval
		v.Backpressure, v.Bottleneck = "", ""
	}
	v.Away = a.Source.Away
	if v.Away == "" && a.Source.Connected != nil && !*a.Source.Connected && a.State == "running" {
		v.Away = notConnected
	}
	for _, h := range a.Stalled {
		v.Notes = append(v.Notes, h.Says)
	}
	var d time.Duration
	if at, was := p.stats.last(now); was != nil {
		d = now.Sub(at)
		v.Rate = ratesOf(v.Counts, was.Counts, d)
		e.changed(p.name, was, v, now)
	}
	v.IntervalMs = d.Milliseconds()
	s.putStats(p, v)
	before := map[Role]map[string]*Step{RoleStep: {}, RoleSink: {}, RoleDeadLetters: {}}
	for _, t := range p.steps {
		if _, was := t.last(now); was != nil {
			before[t.role][t.name] = was
		}
	}
	e.takeSteps(p, a, now, d, before)
	seen := map[partitionKey]bool{}
	for i := range a.Source.Partitions {
		f := &a.Source.Partitions[i]
		seen[partitionKey{f.Topic, f.Partition}] = true
		s.putPartition(p, now, &Partition{
			Topic: f.Topic, Partition: f.Partition, Committed: orUnknown(f.Committed), End: orUnknown(f.End), Lag: orUnknown(f.Lag), LagUnit: f.LagUnit,
			AgeMs: orUnknown(f.AgeMs), CommitAgeMs: orUnknown(f.CommitAgeMs), Generation: f.Generation, Paused: f.Paused, PausedBy: f.PausedBy, Instance: e.name,
		})
	}
	for key := range p.partitions {
		if !seen[key] {
			delete(p.partitions, key)
		}
	}
}

func (e *Endpoint) takeSteps(p *pipeline, a *pipelineAnswer, now time.Time, d time.Duration, before map[Role]map[string]*Step) {
	for i := range a.Steps {
		f := &a.Steps[i]
		v := &Step{
			Name: f.Name, Kind: f.Kind, Role: RoleStep, Index: f.Index, Counts: f.counts(), Rate: noRates(), Latency: f.Latency.latency(),
			Shares: Shares{math.NaN(), math.NaN(), math.NaN()}, Queue: Queue{f.QueueLen, f.QueueCap, math.NaN()},
			Workers: f.Workers, OldestMs: f.OldestMs, HeldBack: f.HeldBack + f.Throttled, Circuits: f.Circuits,
			spent: Shares{f.BusyMs, f.IdleMs, f.BlockedMs},
		}
		if f.QueueCap > 0 {
			v.Queue.Fill = min(float64(f.QueueLen)/float64(f.QueueCap), 1)
		}
		if was := before[RoleStep][f.Name]; was != nil {
			v.Rate, v.Shares = ratesOf(v.Counts, was.Counts, d), sharesOf(v.spent, was.spent)
		}
		e.store.putStep(p, now, v)
	}
	sink := func(f *sinkAnswer, role Role) {
		v := &Step{
			Name: f.Name, Kind: f.Kind, Role: role, Counts: f.counts(), Rate: noRates(), Latency: f.Write.latency(),
			Shares: Shares{math.NaN(), math.NaN(), math.NaN()}, Queue: Queue{-1, -1, math.NaN()}, Workers: -1, OldestMs: -1,
		}
		if was := before[role][f.Name]; was != nil {
			v.Rate = ratesOf(v.Counts, was.Counts, d)
		}
		e.store.putStep(p, now, v)
	}
	for i := range a.Sinks {
		sink(&a.Sinks[i], RoleSink)
	}
	if a.DeadLetter != nil {
		sink(a.DeadLetter, RoleDeadLetters)
	}
}

// sharesOf gives the shares of the time that workers have spent since was. Idle time is the rest of what is
// known only when work is done, and may fall: then it counts as none.
func sharesOf(now, was Shares) Shares {
	busy, idle, blocked := max(now.Busy-was.Busy, 0), max(now.Idle-was.Idle, 0), max(now.Blocked-was.Blocked, 0)
	all := busy + idle + blocked
	if all <= 0 {
		return Shares{0, 1, 0}
	}
	return Shares{busy / all, idle / all, blocked / all}
}

// changed notes what has become different between two looks, as the endpoint has no events.
func (e *Endpoint) changed(name string, was, now *Pipeline, at time.Time) {
	say := func(level, event, text string) {
		e.store.event(Event{at, level, event, e.name, name, text})
	}
	if was.State != now.State {
		text := fmt.Sprintf("%s, was %s", now.State, was.State)
		if now.Error != "" {
			text += ": " + now.Error
		}
		say("info", "state", text)
	}
	if was.Backpressure != now.Backpressure {
		text := "back pressure " + now.Backpressure + ", was " + was.Backpressure
		if now.Bottleneck != "" {
			text += ": " + now.Bottleneck
		}
		say("info", "backpressure", text)
	}
	if was.Away != now.Away {
		if now.Away == "" {
			say("info", "source.connected", "the source is connected again")
		} else {
			say("warn", "source.disconnected", now.Away)
		}
	}
	if a, b := strings.Join(was.Notes, "\n"), strings.Join(now.Notes, "\n"); (a == "") != (b == "") {
		if b == "" {
			say("info", "recovered", "nothing is stalled any more")
		}
		for _, text := range now.Notes {
			say("error", "stalled", text)
		}
	}
	if n := now.Rejected - was.Rejected; n > 0 {
		say("warn", "rejected", fmt.Sprintf("%d rejected, %d in all", n, now.Rejected))
	}
}
