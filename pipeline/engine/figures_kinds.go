package engine

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// What the tables of figures are made with.

func join[S any](parts ...[]Figure[S]) (all []Figure[S]) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// counted are the counts, with their names in the events, in metrics, and what they say there.
var counted = []struct {
	name, metric, help string
	of                 func(*Counts) int64
}{
	{"records_in", "records_in", "Records that came into the %s.", func(c *Counts) int64 { return c.In }},
	{"records_out", "records_out", "Records that left the %s as they should: sent on, or delivered.", func(c *Counts) int64 { return c.Out }},
	{"created", "records_created", "Records that the %s made of others, beyond one for one.", func(c *Counts) int64 { return c.Created }},
	{"filtered", "records_filtered", "Records that the %s filtered.", func(c *Counts) int64 { return c.Filtered }},
	{"rejected", "records_rejected", "Records that the %s rejected.", func(c *Counts) int64 { return c.Rejected }},
	{"abandoned", "records_abandoned", "Records that were given up in the %s, or handed back: they are read again.", func(c *Counts) int64 { return c.Abandoned }},
	{"errors", "errors", "Attempts in the %s that failed, also of records that succeeded later.", func(c *Counts) int64 { return c.Errors }},
	{"retries", "retries", "Attempts in the %s after the first one of a record or a write.", func(c *Counts) int64 { return c.Retries }},
}

// countFigures are those of Counts. level begins the names of their metrics. absent names the counts
// that the event of S has no keys for, and metrics no names.
func countFigures[S any](level string, of func(*S) *Counts, absent ...string) []Figure[S] {
	var all []Figure[S]
	for _, c := range counted {
		total := c.name + "_total"
		f := Figure[S]{Event: total, During: c.name, Admin: total, Value: func(s *S) any { return c.of(of(s)) }}
		f.Metric = counter(level+"_"+c.metric+"_total", fmt.Sprintf(c.help, level))
		if slices.Contains(absent, c.name) {
			f.Event, f.During, f.Metric = "", "", Metric{}
		}
		all = append(all, f)
	}
	return append(all, Figure[S]{
		Event: "inflight", Admin: "inflight", Value: func(s *S) any { return of(s).InFlight },
		Metric: gauge(level+"_inflight_records", fmt.Sprintf("Records in the %s without an outcome.", level)),
	})
}

// rateFigures are the length of an interval and the rates in it.
func rateFigures[S any](of func(*S) *Counts) []Figure[S] {
	return []Figure[S]{
		intervalFigure[S](),
		{Event: "rate_in", over: func(now, was *S, d time.Duration) any { return rate(of(now).In-of(was).In, d) }},
		{Event: "rate_out", over: func(now, was *S, d time.Duration) any { return rate(of(now).Out-of(was).Out, d) }},
	}
}

func intervalFigure[S any]() Figure[S] {
	return Figure[S]{Event: "interval_ms", over: func(_, _ *S, d time.Duration) any { return d.Milliseconds() }}
}

func rate(n int64, d time.Duration) any {
	if d <= 0 {
		return nil
	}
	return float64(n) / d.Seconds()
}

// percentileFigures are the percentiles of the last interval. The answer has them as one object,
// with the number of values. Without values they are not known: 0 would read as a very good one.
func percentileFigures[S any](object string, of func(*S) Latency, p50, p95, p99, most string) []Figure[S] {
	all := []Figure[S]{{Admin: object + ".count", Value: func(s *S) any { return of(s).Count }}}
	for _, p := range []struct {
		event, admin string
		of           func(Latency) float64
	}{
		{p50, ".p50", func(l Latency) float64 { return l.P50 }},
		{p95, ".p95", func(l Latency) float64 { return l.P95 }},
		{p99, ".p99", func(l Latency) float64 { return l.P99 }},
		{most, ".max", func(l Latency) float64 { return l.Max }},
	} {
		all = append(all, Figure[S]{Event: p.event, Admin: object + p.admin, Value: func(s *S) any {
			l := of(s)
			if f := p.of(l); l.Count > 0 && !math.IsNaN(f) && !math.IsInf(f, 0) {
				return f
			}
			return nil
		}})
	}
	return all
}

// shareFigure is the share of an interval that the workers of a step were busy, idle or
// blocked: the three make 1.
func shareFigure(name string, which func(busy, idle, blocked float64) float64) Figure[StepSnapshot] {
	return Figure[StepSnapshot]{Event: name, over: func(now, was *StepSnapshot, _ time.Duration) any {
		// Idle time is the rest, and may be less later than it was: what a worker did is known
		// exactly only when it is done. So a difference below zero counts as zero.
		busy, idle, blocked := max(now.Busy-was.Busy, 0), max(now.Idle-was.Idle, 0), max(now.Blocked-was.Blocked, 0)
		all := float64(busy + idle + blocked)
		if all <= 0 { // nothing measured: it waits for input
			return which(0, 1, 0)
		}
		return which(float64(busy)/all, float64(idle)/all, float64(blocked)/all)
	}}
}

// ofWindow gives a figure of the window: a step that does not wait has none.
func ofWindow(s *StepSnapshot, n int) any {
	if s.WindowCap <= 0 {
		return nil
	}
	return int64(n)
}

// countsBy gives counts, sorted by what they are counted by. nil: nothing is counted.
func countsBy(counts map[string]int64) any {
	if counts == nil {
		return nil
	}
	var all []ErrorCount
	for by, n := range counts {
		all = append(all, ErrorCount{Type: by, Total: n})
	}
	slices.SortFunc(all, func(a, b ErrorCount) int { return cmp.Compare(a.Type, b.Type) })
	return all
}

// ofServer gives a figure of a sink that clients connect to: others have none.
func ofServer(s *SinkSnapshot, n int64) any {
	if !s.Report.Serves {
		return nil
	}
	return n
}

// known gives n, or nil for a number below 0, which stands for not known.
func known(n int64) any {
	if n < 0 {
		return nil
	}
	return n
}

// positive gives n, or nil for 0, where 0 says nothing.
func positive(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// lagUnit is what lag counts, where it is not records.
func lagUnit(inBytes bool) any {
	if inBytes {
		return "bytes"
	}
	return nil
}
