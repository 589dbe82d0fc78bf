package top

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// A View is what is to be seen of a moment.
type View struct {
	At        time.Time // of the latest figures in it
	Source    string    // where they come from
	Live      bool      // it is the latest there is
	Problem   string    // why nothing more comes; "": more comes, or all has come
	Ended     bool      // nothing more comes
	Instances []Instance
	Shown     int // which instance the pipelines are of; All: of all of them together
	Pipelines []Pipeline
	Events    []Event // up to the moment
	Frame     int     // which of the moments it is, from 1
	Frames    int     // of how many
	LeftOut   int     // things that found no room
}

// All stands for all instances together.
const All = -1

// ViewOf says what a View is of.
type ViewOf struct {
	At       time.Time // the last interval that has ended by then; zero: the latest there is
	Instance int       // All, or one from 0
	Events   int       // how many at most
}

// frameAt gives which interval a view of that moment is of, and whether it is the latest there is.
func (s *Store) frameAt(at time.Time) (index int, live bool) {
	if at.IsZero() || len(s.frames) == 0 {
		return len(s.frames) - 1, true
	}
	i, found := slices.BinarySearchFunc(s.frames, at, time.Time.Compare)
	if !found {
		i = max(i-1, 0)
	}
	return i, false
}

// lastOf gives the moment up to which everything is of an interval, and nothing of the next: the lines of one follow each other.
func (s *Store) lastOf(index int) time.Time {
	if index+1 < len(s.frames) {
		return s.frames[index+1].Add(-1)
	}
	return s.latest
}

// View puts together what is known of a moment. Nothing of it is changed later.
func (s *Store) View(of ViewOf) *View {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &View{Source: s.source, Problem: s.problem, Ended: s.ended, Shown: All, Frames: len(s.frames), LeftOut: s.left}
	index, live := s.frameAt(of.At)
	v.Frame, v.Live = index+1, live
	until := s.lastOf(index)
	v.At = s.latest
	if !live {
		v.At = s.frames[index]
	}
	now := func(in *instance) time.Time {
		if v.Live {
			return s.nowOf(in)
		}
		return until
	}
	var shown []*instance
	for _, in := range s.instances {
		info, there := in.at(until, now(in), v.Live)
		if !there {
			continue
		}
		v.Instances, shown = append(v.Instances, info), append(shown, in)
	}
	if of.Instance >= 0 && of.Instance < len(shown) {
		v.Shown = of.Instance
		shown = shown[of.Instance : of.Instance+1]
	}
	v.Pipelines = together(shown, until, now)
	n, _ := slices.BinarySearchFunc(s.events, until, func(e Event, t time.Time) int { return cmp.Or(e.At.Compare(t), -1) })
	v.Events = slices.Clone(s.events[max(0, n-of.Events):n])
	return v
}

// at says how an instance was at a moment, and what of that is old by now; there is false when it had not begun.
func (in *instance) at(t, now time.Time, live bool) (info Instance, there bool) {
	info = in.Instance
	_, state := in.state.last(t)
	begun := state != nil
	if state != nil {
		info.State = *state
	}
	for _, p := range in.pipelines {
		at, stats := p.stats.last(t)
		if stats == nil {
			continue
		}
		if begun = true; info.State == "" {
			info.State = "running"
		}
		if !in.ended(t) && silent(now, at, stats.IntervalMs) {
			info.State = "silent"
		}
	}
	switch {
	case in.ended(t):
		info.State = "stopped"
	case !in.Started.IsZero():
		info.UptimeMs = max(now.Sub(in.Started).Milliseconds(), 0)
	}
	if !in.ended(t) {
		info.Reason, info.ExitCode, info.Totals = "", -1, nil
	}
	if in.Stale != "" && live {
		info.State = "stale"
	}
	return info, begun
}

func (in *instance) ended(t time.Time) bool { return !in.endedAt.IsZero() && !in.endedAt.After(t) }

// silent says whether figures of at are so old at t that nothing can be said of now.
func silent(t, at time.Time, intervalMs int64) bool {
	return t.Sub(at) > 3*time.Duration(intervalMs)*time.Millisecond+5*time.Second
}

// together gives the pipelines of instances, those of a name as one. clock tells what time it is for an instance.
func together(all []*instance, t time.Time, clock func(*instance) time.Time) []Pipeline {
	var out []Pipeline
	for _, in := range all {
		for _, p := range in.pipelines {
			now := p.at(in, t, clock(in))
			if now == nil {
				continue
			}
			i := slices.IndexFunc(out, func(o Pipeline) bool { return o.Name == now.Name })
			if i < 0 {
				out = append(out, *now)
				continue
			}
			out[i].join(now)
		}
	}
	for i := range out {
		out[i].settle()
	}
	return out
}

// at gives the pipeline as it was at a moment, which for its instance is the time clock; nil: there was none.
func (p *pipeline) at(in *instance, t, clock time.Time) *Pipeline {
	statsAt, stats := p.stats.last(t)
	over := in.ended(t) || p.ended != nil && !p.endedAt.After(t)
	if stats == nil && !(over && p.ended != nil) {
		return nil
	}
	now := Pipeline{Name: p.name, Rate: noRates(), E2E: noLatency(), Lag: Lag{-1, -1, -1, ""}}
	if stats != nil {
		now = *stats
	}
	interval := now.IntervalMs
	if now.Started.IsZero() {
		now.Started = in.Started
	}
	if p.ended != nil && !p.endedAt.After(t) {
		now.take(p.ended)
	}
	now.Notes, now.Holds = slices.Clip(now.Notes), slices.Clip(p.holds) // what is added to them is not added to what is kept
	p.parts(&now, t, statsAt, interval, over)
	now.HoldsKnown, now.ErrorsKnown = p.holdsKnown, p.errorsKnown
	switch {
	case over:
		now.rest(in, t)
	case silent(clock, statsAt, interval):
		now.State = "silent"
		now.still()
	}
	now.Of, now.States = 1, map[string]int{now.State: 1}
	return &now
}

// parts adds the steps, partitions, errors and notes as they were at a moment. over says that the run has ended by then.
func (p *pipeline) parts(now *Pipeline, t, statsAt time.Time, interval int64, over bool) {
	for _, s := range p.steps {
		at, v := s.last(t)
		// What has had no figures in some intervals is there no more: the file was loaded again.
		if v != nil && statsAt.Sub(at) <= 5*time.Duration(interval)*time.Millisecond+time.Second {
			now.Steps = append(now.Steps, *v)
		}
	}
	for _, s := range p.partitions {
		_, v := s.last(t)
		if v == nil && over { // it was given back at the end
			_, v = s.before(t)
		}
		if v != nil {
			now.Partitions = append(now.Partitions, *v)
			now.Lag.AgeMs = max(now.Lag.AgeMs, v.AgeMs)
		}
	}
	for _, s := range p.errors {
		at, v := s.last(t)
		if v == nil {
			continue
		}
		one := *v
		if statsAt.Sub(at) > time.Duration(interval)*time.Millisecond/2 {
			one.Rate = 0 // none came in the last interval
		}
		now.Errors = append(now.Errors, one)
	}
	for _, s := range p.notes {
		if _, v := s.last(t); v != nil && *v != "" && !over {
			now.Notes = append(now.Notes, *v)
		}
	}
}

// take takes the totals over that a pipeline has ended with: those of its last interval may be missing.
func (p *Pipeline) take(end *Pipeline) {
	failed, retries, created := p.Counts.Errors, p.Retries, p.Created
	p.State, p.Error, p.At, p.Counts = end.State, end.Error, end.At, end.Counts
	p.Counts.Errors, p.Retries = failed, retries
	p.Created = max(p.Created, created) // lines before 1.1 did not say it
	if !math.IsNaN(end.E2E.P99) {
		p.E2E = end.E2E
	}
	if p.Started.IsZero() {
		p.Started = end.At.Add(-time.Duration(end.IntervalMs) * time.Millisecond)
	}
}

// rest makes the rates of a run that has ended the means of it: nothing flows any more.
func (p *Pipeline) rest(in *instance, t time.Time) {
	if p.State != "failed" {
		p.State = "stopped"
	}
	end := p.At
	d := end.Sub(p.Started)
	if p.Started.IsZero() || d <= 0 {
		d = 0
	}
	p.Mean = true
	p.Rate = ratesOf(p.Counts, Counts{}, d)
	p.Backpressure, p.Bottleneck = "", ""
	for i := range p.Steps {
		s := &p.Steps[i]
		s.Rate = ratesOf(s.Counts, Counts{}, d)
	}
	for i := range p.Errors {
		p.Errors[i].Rate = perSecond(p.Errors[i].Total, d.Seconds())
	}
}

// still makes the rates of a pipeline that nothing is heard of nothing.
func (p *Pipeline) still() {
	p.Rate = noRates()
	p.Backpressure, p.Bottleneck = "", ""
	for i := range p.Steps {
		p.Steps[i].Rate = noRates()
		p.Steps[i].Shares = Shares{math.NaN(), math.NaN(), math.NaN()}
	}
}
