package top

import (
	"fmt"
	"strings"
)

// The lines above the steps: what is looked at, what flows, what there was, and what is wrong.

// stateStyle says how a state looks. The word itself stands beside it.
func stateStyle(state string) (sign string, st style) {
	switch state {
	case "running":
		return "●", good
	case "stopped":
		return "○", faint
	case "failed", "stale", "silent":
		return "●", bad
	}
	return "●", fair
}

// leastDated is how wide a screen is at least that has the time beside the state.
const leastDated = 30

// title is the first line: what is looked at.
func (d *drawing) title() {
	end := d.s.Width - 1
	if when := d.when(); 2*widthOf(when) <= d.s.Width && d.s.Width >= leastDated {
		end -= widthOf(when) + 1
		d.s.put(end+1, d.y, d.s.Width, accent, when)
	}
	name := d.p.Name
	if n := len(d.v.Pipelines); n > 1 {
		name = fmt.Sprintf("%s %d/%d", cut(d.p.Name, max(d.s.Width/3, 8)), min(max(d.l.Pipeline, 0), n-1)+1, n)
	}
	x := d.s.put(1, d.y, end, strong, cut(name, max(d.s.Width/2, 12))) + 2
	sign, st := stateStyle(d.p.State)
	if d.stale() {
		sign, st = stateStyle("stale")
	}
	up := ""
	if !d.p.Started.IsZero() {
		up = long(d.p.At.Sub(d.p.Started))
	}
	label := "up"
	if d.p.Mean {
		label = "ran"
	}
	source := d.v.Source
	if d.v.Ended && d.v.Live && d.l.FromLog {
		source += ", at its end"
	}
	x = d.items(x, end, []item{{"", sign + " " + d.states(), st}, {"", d.who(), plain}, {label, up, plain}})
	d.items(x, end, []item{{"cfg", short12(d.p.ConfigHash), plain}, {"", d.version(), plain}, {"src", source, plain}})
	d.y++
}

func short12(hash string) string {
	if len(hash) > 12 {
		return cut(hash, 12)
	}
	return hash
}

// states says in which state the pipeline is; of several instances that differ, how many are.
func (d *drawing) states() string {
	if d.stale() {
		return "stale, was " + d.p.State
	}
	if len(d.p.States) < 2 {
		if d.p.State == "paused" && d.p.PausedBy != "" {
			return "paused by " + strings.ReplaceAll(d.p.PausedBy, "_", " ")
		}
		return d.p.State
	}
	var all []string
	for _, name := range []string{"failed", "paused", "draining", "starting", "running", "silent", "stopped"} {
		if n := d.p.States[name]; n > 0 {
			all = append(all, fmt.Sprintf("%d %s", n, name))
		}
	}
	return strings.Join(all, ", ")
}

// stale says whether none of the instances answers any more.
func (d *drawing) stale() bool {
	for _, in := range d.v.Instances {
		if in.Stale == "" {
			return false
		}
	}
	return d.v.Live
}

func (d *drawing) version() string {
	for _, in := range d.v.Instances {
		if in.Version != "" {
			return in.Version
		}
	}
	return ""
}

// who says which instances the figures are of.
func (d *drawing) who() string {
	n := len(d.v.Instances)
	switch {
	case n < 2:
		return ""
	case d.v.Shown >= 0:
		return fmt.Sprintf("instance %d/%d %s", d.v.Shown+1, n, cut(d.v.Instances[d.v.Shown].ID, 30))
	}
	return fmt.Sprintf("%d instances", n)
}

// when says of which moment the figures are, when that is not now.
func (d *drawing) when() string {
	at := d.v.At.UTC().Format("15:04:05Z")
	switch {
	case d.l.Frozen:
		return "frozen at " + at
	case !d.v.Live:
		return fmt.Sprintf("%s  %d of %d", d.v.At.UTC().Format("01-02 15:04:05Z"), d.v.Frame, d.v.Frames)
	}
	return at
}

// rates is the second line: what flows now.
func (d *drawing) rates() {
	p := d.p
	lag := ""
	if p.Lag.Sum >= 0 {
		lag = p.Lag.text()
		if p.Lag.AgeMs >= 0 {
			lag += " (" + spanOf(p.Lag.AgeMs) + ")"
		}
	}
	failed := item{"errors", percent(p.Rate.errorRatio()), plain}
	if p.Rate.Errors > 0 {
		failed.style = fair
	}
	pressure := item{"back pressure", p.Backpressure, plain}
	if p.Backpressure == "high" || p.Backpressure == "low" {
		pressure.text, pressure.style = strings.ToUpper(p.Backpressure), fair
		if p.Backpressure == "high" {
			pressure.style = bad
		}
	}
	rates := "in"
	if p.Mean {
		rates = "mean in"
	}
	p99 := "e2e p99"
	if p.Of > 1 {
		p99 = "worst p99"
	}
	x := d.items(1, d.s.Width, []item{
		{rates, perSec(p.Rate.In), strong}, {"out", perSec(p.Rate.Out), strong}, {"lag", lag, plain},
		{p99, span(p.E2E.P99), plain}, pressure,
	})
	if p.Bottleneck != "" && pressure.text != "" { // where there is no room, the table of steps marks it
		if where := "▸ " + cut(p.Bottleneck, 24); x-1+widthOf(where) <= d.s.Width {
			x = d.s.put(x-1, d.y, d.s.Width, pressure.style, where) + 2
		}
	}
	d.items(x, d.s.Width, []item{failed, {"p50", span(p.E2E.P50), plain}, {"rejected", perSec(p.Rate.Rejected), plain}})
	d.y++
}

// totals is the third line: what there was since the start.
func (d *drawing) totals() {
	p := d.p
	rejected := item{"rejected", whole(p.Rejected), plain}
	if p.Rejected > 0 {
		rejected.style = fair
	}
	x := d.items(1, d.s.Width, []item{
		{"total in", whole(p.In), plain}, {"out", whole(p.Out), plain}, {"filtered", whole(p.Filtered), plain}, rejected,
		{"in flight", whole(p.InFlight), plain},
	})
	var more []item
	if p.PausedLanes > 0 {
		more = append(more, item{"paused lanes", whole(p.PausedLanes), fair})
	}
	if p.Skipped > 0 {
		more = append(more, item{"skipped keys", whole(p.Skipped), fair})
	}
	if p.Abandoned > 0 {
		more = append(more, item{"abandoned", whole(p.Abandoned), plain})
	}
	if p.Created > 0 {
		more = append(more, item{"created", whole(p.Created), plain})
	}
	d.items(x, d.s.Width, append(more, item{"errors", whole(p.Counts.Errors), plain}, item{"oldest", spanOf(p.OldestMs), plain}, item{"commit age", spanOf(p.CommitAgeMs), plain},
		item{"retries", whole(p.Retries), plain}))
	d.y++
}

// away says that the source is not connected, and why, where that is known.
func (p *Pipeline) away() string {
	if p.Away == notConnected {
		return notConnected
	}
	return notConnected + ": " + p.Away
}

// leftOut says how much found no room.
func (v *View) leftOut() string {
	return whole(int64(v.LeftOut)) + " figures found no room and are left out"
}

// mostAlerts is how many lines of what is wrong there are at most.
const mostAlerts = 3

// alerts says what is wrong, if something is.
func (d *drawing) alerts() {
	var all []string
	for _, in := range d.v.Instances {
		switch {
		case in.Stale != "" && d.v.Live:
			all = append(all, fmt.Sprintf("%s: the figures are of %s: %s", in.ID, in.Seen.UTC().Format("15:04:05Z"), in.Stale))
		case in.State == "silent":
			all = append(all, fmt.Sprintf("%s: nothing more since %s", in.ID, in.Seen.UTC().Format("15:04:05Z")))
		case in.State == "stopped" && in.ExitCode > 0:
			all = append(all, fmt.Sprintf("%s: ended with exit code %d: %s", in.ID, in.ExitCode, in.Reason))
		}
	}
	if d.p.Error != "" {
		all = append(all, d.p.Error)
	}
	if d.p.Away != "" {
		all = append(all, d.p.away())
	}
	all = append(all, d.p.Notes...)
	if d.v.Problem != "" {
		all = append(all, d.v.Problem)
	}
	if d.v.LeftOut > 0 {
		all = append(all, d.v.leftOut())
	}
	var lines []string
	for _, text := range all {
		parts := folded("! "+text, d.s.Width-2)
		if len(parts) > 2 {
			parts = []string{parts[0], cut(strings.Join(parts[1:], " "), d.s.Width-3)}
		}
		lines = append(lines, parts...)
	}
	for i, line := range lines {
		if i == mostAlerts-1 && len(lines) > mostAlerts {
			line = cut(line, d.s.Width-12) + " and more"
		}
		d.s.put(1, d.y, d.s.Width, bad, cut(line, d.s.Width-2))
		if d.y++; i == mostAlerts-1 {
			return
		}
	}
}
