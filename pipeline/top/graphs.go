package top

import (
	"math"
	"time"
)

// A Graph is how a figure was over time.
type Graph struct {
	Name   string
	Values []float64 // the oldest first; NaN: not known
	Now    string    // the latest, for people
	Most   string    // the largest
}

// graphSpan is how far back graphs go at most.
const graphSpan = 10 * time.Minute

// spanFor gives how far back the graphs go of figures that began so long ago.
func spanFor(d time.Duration) time.Duration {
	for _, one := range []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute} {
		if d <= one {
			return one
		}
	}
	return graphSpan
}

// Graphs gives the figures of a pipeline, and of one of its steps or sinks, before the moment, in so many values each, and how
// far back they go: ten minutes at most.
func (s *Store) Graphs(of ViewOf, pipelineName, step string, columns int) (all []Graph, back time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if columns < 1 || len(s.frames) == 0 {
		return nil, 0
	}
	index, live := s.frameAt(of.At)
	until := s.frames[index]
	back = spanFor(until.Sub(s.frames[0]))
	g := grid{until: until, last: s.lastOf(index), each: back / time.Duration(columns), n: columns}
	g.each = max(g.each, time.Millisecond)
	var (
		in, out, failed, lag, inflight = g.line(), g.line(), g.line(), g.line(), g.line()
		p99                            = g.line()
		stepIn, busy, fill, stepP99    = g.line(), g.line(), g.line(), g.line()
	)
	lagWords := short
	shown := 0
	for _, one := range s.instances {
		if _, there := one.at(g.last, g.last, live); !there {
			continue
		}
		if shown++; of.Instance >= 0 && shown-1 != of.Instance {
			continue
		}
		for _, p := range one.pipelines {
			if p.name != pipelineName {
				continue
			}
			if _, v := p.stats.last(g.last); v != nil && v.Lag.Unit == "bytes" {
				lagWords = size
			}
			walk(&g, &p.stats, func(v *Pipeline) int64 { return v.IntervalMs }, []reading[Pipeline]{
				{in, add, func(v *Pipeline) float64 { return v.Rate.In }},
				{out, add, func(v *Pipeline) float64 { return v.Rate.Out }},
				{failed, add, func(v *Pipeline) float64 { return v.Rate.Errors }},
				{lag, add, func(v *Pipeline) float64 { return orGap(v.Lag.Sum) }},
				{inflight, add, func(v *Pipeline) float64 { return float64(v.InFlight) }},
				{p99, most, func(v *Pipeline) float64 { return v.E2E.P99 }},
			})
			for _, t := range p.steps {
				if t.name != step {
					continue
				}
				walk(&g, &t.series, nil, []reading[Step]{
					{stepIn, add, func(v *Step) float64 { return v.Rate.In }},
					{busy, most, func(v *Step) float64 { return v.Shares.Busy }},
					{fill, most, func(v *Step) float64 { return v.Queue.Fill }},
					{stepP99, most, func(v *Step) float64 { return v.Latency.P99 }},
				})
			}
		}
	}
	all = []Graph{
		graph("in", in, perSec), graph("out", out, perSec), graph("errors", failed, perSec), graph("lag", lag, lagWords),
		graph("in flight", inflight, short), graph("e2e p99", p99, span),
	}
	if step != "" {
		all = append(all, graph(step+" in", stepIn, perSec), graph(step+" busy", busy, percent), graph(step+" queue", fill, percent),
			graph(step+" p99", stepP99, span))
	}
	return all, back
}

func orGap(n int64) float64 {
	if n < 0 {
		return math.NaN()
	}
	return float64(n)
}

// A grid is where values go: so many places up to a moment.
type grid struct {
	until time.Time
	last  time.Time // what comes in the lines of the same interval is of it too
	each  time.Duration
	n     int
}

func (g *grid) line() []float64 {
	values := make([]float64, g.n)
	for i := range values {
		values[i] = math.NaN()
	}
	return values
}

// place gives which place a moment is in; below 0: before the first.
func (g *grid) place(t time.Time) int {
	ago := g.until.Sub(t)
	if ago < 0 {
		return g.n - 1
	}
	return g.n - 1 - int(ago/g.each)
}

// A reading puts one figure of values into a line, with what is there of other instances.
type reading[T any] struct {
	into []float64
	with func(a, b float64) float64
	of   func(*T) float64
}

func add(a, b float64) float64 { return sum(a, b) }

// walk puts the values of a series into lines: the most of those that share a place, so that a peak is seen. An interval that is longer than a place
// fills all of its places.
func walk[T any](g *grid, s *series[T], interval func(*T) int64, readings []reading[T]) {
	own := make([][]float64, len(readings))
	for i := range own {
		own[i] = g.line()
	}
	from := s.until(g.until.Add(-time.Duration(g.n+1) * g.each))
	for k := from; k < s.until(g.last); k++ {
		v, last := s.values[k], g.place(s.at[k])
		first := last
		if interval != nil {
			first = g.place(s.at[k].Add(-time.Duration(interval(v))*time.Millisecond + time.Millisecond))
		} else if k > 0 && s.at[k].Sub(s.at[k-1]) < 2*time.Minute {
			first = g.place(s.at[k-1]) + 1
		}
		for at := max(min(first, last), 0); at <= last && at < g.n; at++ {
			for i := range readings {
				own[i][at] = most(own[i][at], readings[i].of(v))
			}
		}
	}
	for i := range readings {
		for at, f := range own[i] {
			readings[i].into[at] = readings[i].with(readings[i].into[at], f)
		}
	}
}

func graph(name string, values []float64, words func(float64) string) Graph {
	now, top := math.NaN(), math.NaN()
	for _, f := range values {
		if !math.IsNaN(f) {
			now = f
		}
		top = most(top, f)
	}
	return Graph{name, values, words(now), words(top)}
}
