package top

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// The form of a view for paper.

// mostListed is how many partitions, and how many kinds of errors, the table has of a pipeline.
const mostListed = 20

// WriteTable writes a view as tables for people, one after the other. It is the same for the same view.
func WriteTable(w io.Writer, v *View) error {
	out := bufio.NewWriter(w)
	if len(v.Pipelines) == 0 {
		fmt.Fprintf(out, "no figures of a pipeline: %s\n", clean(v.Source))
	}
	for i := range v.Pipelines {
		if i > 0 {
			fmt.Fprintln(out)
		}
		writePipeline(out, v, &v.Pipelines[i])
	}
	for _, in := range v.Instances {
		if in.Stale != "" {
			fmt.Fprintf(out, "%s: %s\n", clean(in.ID), clean(in.Stale))
		}
		if in.State == "silent" {
			fmt.Fprintf(out, "%s: nothing more since %s\n", clean(in.ID), in.Seen.UTC().Format(time.RFC3339))
		}
		if in.State == "stopped" {
			fmt.Fprintf(out, "%s: ended (%s), exit code %d\n", clean(in.ID), clean(in.Reason), in.ExitCode)
		}
	}
	if v.Problem != "" {
		fmt.Fprintf(out, "! %s\n", clean(v.Problem))
	}
	if v.LeftOut > 0 {
		fmt.Fprintf(out, "! %s\n", v.leftOut())
	}
	return out.Flush()
}

func writePipeline(out io.Writer, v *View, p *Pipeline) {
	d := drawing{v: v, p: p, l: &Looking{}}
	up := ""
	if !p.Started.IsZero() {
		up = ", for " + long(p.At.Sub(p.Started))
	}
	instances := ""
	if p.Of > 1 {
		instances = fmt.Sprintf(", %d instances: counts are added up, times and percentiles are the worst", p.Of)
	}
	of := ""
	if p.Mean {
		of = " in the mean of the run"
	}
	fmt.Fprintf(out, "%s: %s%s, config %s%s, at %s, %s\n", clean(p.Name), clean(d.states()), up, clean(short12(p.ConfigHash)), instances, p.At.UTC().Format(time.RFC3339), clean(v.Source))
	fmt.Fprintf(out, "in %d (%s%s), out %d (%s), filtered %d, rejected %d, created %d, abandoned %d, in flight %d, errors %d, retries %d\n",
		p.In, perSec(p.Rate.In), of, p.Out, perSec(p.Rate.Out), p.Filtered, p.Rejected, p.Created, p.Abandoned, p.InFlight, p.Counts.Errors, p.Retries)
	pressure := clean(p.Backpressure)
	if p.Bottleneck != "" {
		pressure += " at " + clean(p.Bottleneck)
	}
	if pressure == "" {
		pressure = unknown
	}
	fmt.Fprintf(out, "end to end p50 %s, p95 %s, p99 %s; lag %s, %s old; oldest in flight %s; commit age %s; back pressure %s\n", span(p.E2E.P50), span(p.E2E.P95),
		span(p.E2E.P99), plainOr(p.Lag.Sum)+unitOf(p.Lag.Unit), spanOf(p.Lag.AgeMs), spanOf(p.OldestMs), spanOf(p.CommitAgeMs), pressure)
	if p.PausedLanes > 0 || p.Skipped > 0 {
		fmt.Fprintf(out, "paused lanes %d, keys that are skipped %d\n", p.PausedLanes, p.Skipped)
	}
	for _, text := range append([]string{p.Error, p.Away}, p.Notes...) {
		if text != "" {
			fmt.Fprintf(out, "! %s\n", clean(text))
		}
	}
	writeSteps(out, p)
	writePartitions(out, p)
	writeErrors(out, p)
}

func writeSteps(out io.Writer, p *Pipeline) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "STEP\tKIND\tIN\tIN/S\tOUT\tOUT/S\tFILTERED\tREJECTED\tERRORS\tRETRIES\tIN FLIGHT\tQUEUE\tFILL\tWORKERS\tBUSY\tIDLE\tBLOCKED\tP50\tP95\tP99\tOLDEST\t")
	for i := range p.Steps {
		s := &p.Steps[i]
		queue := unknown
		if s.Queue.Len >= 0 {
			queue = fmt.Sprintf("%d/%d", s.Queue.Len, s.Queue.Cap)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", clean(s.Name), clean(s.Kind), s.In, short(s.Rate.In),
			s.Out, short(s.Rate.Out), s.Filtered, s.Rejected, s.Errors, s.Retries, s.InFlight, queue, percent(s.Queue.Fill), plainOr(s.Workers),
			percent(s.Shares.Busy), percent(s.Shares.Idle), percent(s.Shares.Blocked), span(s.Latency.P50), span(s.Latency.P95), span(s.Latency.P99), spanOf(s.OldestMs))
	}
	_ = t.Flush() // into a buffer, whose Flush has the error
}

func writePartitions(out io.Writer, p *Pipeline) {
	if len(p.Partitions) == 0 {
		return
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "PARTITION\tLAG\tAGE\tCOMMITTED\tEND\tCOMMIT AGE\tPAUSED\tINSTANCE\t")
	for _, f := range p.Partitions[:min(mostListed, len(p.Partitions))] {
		paused := unknown
		if f.Paused {
			paused = "paused"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", clean(place(f.Topic, f.Partition)), plainOr(f.Lag)+unitOf(f.LagUnit), spanOf(f.AgeMs), plainOr(f.Committed), plainOr(f.End),
			spanOf(f.CommitAgeMs), paused, clean(f.Instance))
	}
	_ = t.Flush()
	if left := len(p.Partitions) - mostListed; left > 0 {
		fmt.Fprintf(out, "and %s that are less behind\n", one(left, "partition"))
	}
}

func writeErrors(out io.Writer, p *Pipeline) {
	for _, e := range p.Errors[:min(mostListed, len(p.Errors))] {
		at := ""
		if e.Topic != "" {
			at = fmt.Sprintf("%s@%d: ", clean(place(e.Topic, e.Partition)), e.Offset)
		}
		fmt.Fprintf(out, "%s: %d %s (%s): %s%s\n", clean(e.Step), e.Total, clean(e.Type), perSec(e.Rate), at, clean(e.Sample))
	}
	if left := len(p.Errors) - mostListed; left > 0 {
		fmt.Fprintf(out, "and %s of errors that are fewer\n", one(left, "kind"))
	}
}

// plainOr writes a number that is -1 when it is not known.
func plainOr(n int64) string {
	if n < 0 {
		return unknown
	}
	return strconv.FormatInt(n, 10)
}

// unitOf is what stands behind a number of a unit; "" behind one of records.
func unitOf(unit string) string {
	if unit == "" {
		return ""
	}
	return " " + clean(unit)
}

// clean makes a text of others harmless, in one line.
func clean(text string) string {
	var b strings.Builder
	for part := range clusters(strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(text)) {
		b.WriteString(part)
	}
	return b.String()
}
