package top

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// How the same pipeline of several instances becomes one.

// pressure orders back pressure.
func pressure(level string) int { return slices.Index([]string{"", "ok", "low", "high"}, level) }

// join adds the same pipeline of another instance.
func (p *Pipeline) join(o *Pipeline) {
	switch { // what a run had that has ended does not flow
	case p.Mean && !o.Mean:
		p.Mean = false
		p.still()
	case o.Mean && !p.Mean:
		o.still()
	}
	p.Counts.add(o.Counts)
	p.Rate.add(o.Rate)
	p.E2E.worst(o.E2E)
	p.Lag = Lag{sumKnown(p.Lag.Sum, o.Lag.Sum), max(p.Lag.Max, o.Lag.Max), max(p.Lag.AgeMs, o.Lag.AgeMs), cmp.Or(p.Lag.Unit, o.Lag.Unit)}
	p.InFlightBytes += o.InFlightBytes
	p.CommitAgeMs, p.OldestMs = max(p.CommitAgeMs, o.CommitAgeMs), max(p.OldestMs, o.OldestMs)
	p.IntervalMs = max(p.IntervalMs, o.IntervalMs)
	if pressure(o.Backpressure) > pressure(p.Backpressure) {
		p.Backpressure, p.Bottleneck = o.Backpressure, o.Bottleneck
	}
	p.Bottleneck = cmp.Or(p.Bottleneck, o.Bottleneck)
	if o.At.After(p.At) {
		p.At = o.At
	}
	if p.Started.IsZero() || !o.Started.IsZero() && o.Started.Before(p.Started) {
		p.Started = o.Started
	}
	if p.ConfigHash != o.ConfigHash && o.ConfigHash != "" {
		p.ConfigHash += "," + o.ConfigHash
	}
	p.PausedBy = cmp.Or(p.PausedBy, o.PausedBy)
	p.PausedLanes, p.Skipped = p.PausedLanes+o.PausedLanes, max(p.Skipped, o.Skipped)
	p.Error, p.Away = cmp.Or(p.Error, o.Error), cmp.Or(p.Away, o.Away)
	p.Notes = append(p.Notes, o.Notes...)
	p.Holds, p.HoldsKnown = append(p.Holds, o.Holds...), p.HoldsKnown || o.HoldsKnown
	p.ErrorsKnown = p.ErrorsKnown || o.ErrorsKnown
	p.Partitions = append(p.Partitions, o.Partitions...)
	p.joinSteps(o.Steps)
	p.joinErrors(o.Errors)
	p.Of += o.Of
	for name, n := range o.States {
		p.States[name] += n
	}
}

func (p *Pipeline) joinSteps(all []Step) {
	for _, o := range all {
		i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Name == o.Name && s.Role == o.Role })
		if i < 0 {
			p.Steps = append(p.Steps, o)
			continue
		}
		s := &p.Steps[i]
		s.Shares = s.Shares.with(o.Shares, float64(s.Workers), float64(o.Workers))
		s.Counts.add(o.Counts)
		s.Rate.add(o.Rate)
		s.Latency.worst(o.Latency)
		s.Queue = Queue{sumKnown(s.Queue.Len, o.Queue.Len), sumKnown(s.Queue.Cap, o.Queue.Cap), most(s.Queue.Fill, o.Queue.Fill)}
		s.Workers = sumKnown(s.Workers, o.Workers)
		s.OldestMs = max(s.OldestMs, o.OldestMs)
		s.HeldBack += o.HeldBack
		s.Circuits += o.Circuits
	}
}

// with gives the shares of a and b workers together.
func (s Shares) with(o Shares, a, b float64) Shares {
	switch {
	case math.IsNaN(o.Busy):
		return s
	case math.IsNaN(s.Busy):
		return o
	case a+b <= 0:
		return s
	}
	of := func(x, y float64) float64 { return (x*a + y*b) / (a + b) }
	return Shares{of(s.Busy, o.Busy), of(s.Idle, o.Idle), of(s.Blocked, o.Blocked)}
}

func (p *Pipeline) joinErrors(all []ErrorCount) {
	for _, o := range all {
		i := slices.IndexFunc(p.Errors, func(e ErrorCount) bool { return e.Step == o.Step && e.Type == o.Type })
		if i < 0 {
			p.Errors = append(p.Errors, o)
			continue
		}
		e := &p.Errors[i]
		e.Total += o.Total
		e.Rate = sum(e.Rate, o.Rate)
	}
}

// settle puts what was put together in order, and says in which state it is.
func (p *Pipeline) settle() {
	slices.SortStableFunc(p.Steps, func(a, b Step) int {
		return cmp.Or(cmp.Compare(rank(a.Role), rank(b.Role)), cmp.Compare(a.Index, b.Index))
	})
	slices.SortStableFunc(p.Errors, func(a, b ErrorCount) int {
		return cmp.Or(cmp.Compare(known(b.Rate), known(a.Rate)), cmp.Compare(b.Total, a.Total), strings.Compare(a.Step, b.Step), strings.Compare(a.Type, b.Type))
	})
	p.settlePartitions()
	for _, state := range []string{"failed", "paused", "draining", "starting", "running", "stopped", "silent"} {
		if p.States[state] > 0 {
			p.State = state
			return
		}
	}
}

func known(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return f
}

func rank(r Role) int { return slices.Index([]Role{RoleStep, RoleSink, RoleDeadLetters}, r) }

// settlePartitions sorts them, those that are furthest behind first, and of one that several instances have read it leaves the latest term.
func (p *Pipeline) settlePartitions() {
	type place struct {
		topic     string
		partition int64
	}
	latest := map[place]int{}
	kept := p.Partitions[:0:0]
	for _, one := range p.Partitions {
		at := place{one.Topic, one.Partition}
		if i, twice := latest[at]; twice {
			if cmp.Or(cmp.Compare(one.Generation, kept[i].Generation), cmp.Compare(one.Committed, kept[i].Committed)) > 0 {
				kept[i] = one
			}
			continue
		}
		latest[at] = len(kept)
		kept = append(kept, one)
	}
	slices.SortFunc(kept, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(b.Lag, a.Lag), strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	p.Partitions = kept
}
