//go:build real && workload

package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func (r run) String() string {
	s := fmt.Sprintf("%9.0f records/s %7.2f µs CPU a record %5d MiB  %.1f s  CPU %% own %.0f broker %.0f idle %.0f others %.0f",
		r.rate, r.cpu, r.rss>>20, r.seconds, r.shares.own, r.shares.broker, r.shares.idle, r.shares.others)
	if r.ideal > 0 {
		s += fmt.Sprintf("  of ideal %.3f", r.rate/r.ideal)
	}
	if r.p50 > 0 {
		s += fmt.Sprintf("  p50 %v p99 %v", r.p50.Round(10*time.Microsecond), r.p99.Round(10*time.Microsecond))
	}
	return s
}

// What a table says of a run.
func ofSeconds(r run) float64 { return r.seconds }
func ofRate(r run) float64    { return r.rate }
func ofCPU(r run) float64     { return r.cpu }
func ofPeak(r run) float64    { return float64(r.rss >> 20) }
func ofOwn(r run) float64     { return r.shares.own }
func ofBroker(r run) float64  { return r.shares.broker }
func ofIdle(r run) float64    { return r.shares.idle }
func ofOthers(r run) float64  { return r.shares.others }
func ofIdeal(r run) float64   { return r.rate / r.ideal }
func ofP50(r run) float64     { return float64(r.p50) / 1e6 }
func ofP99(r run) float64     { return float64(r.p99) / 1e6 }

func sorted(runs []run, of func(run) float64) (v []float64) {
	for _, r := range runs {
		v = append(v, of(r))
	}
	slices.Sort(v)
	return v
}

func median(runs []run, of func(run) float64) float64 {
	v := sorted(runs, of)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// A target is what a figure has to be.
type target struct {
	limit float64
	least bool // at least; else at most
}

func (g target) met(v float64) bool {
	if g.least {
		return v >= g.limit
	}
	return v <= g.limit
}

func (g target) String() string {
	if g.least {
		return fmt.Sprintf(">= %g", g.limit)
	}
	return fmt.Sprintf("<= %g", g.limit)
}

// verdict puts a figure beside its target, in bold where it misses.
func (g target) verdict(v float64, unit, spread string) string {
	format, end := "%.2f%s", ""
	if unit == "" {
		format = "%.3f%s"
	}
	if !g.met(v) {
		format, end = "**"+format+"**", ": misses"
	}
	return fmt.Sprintf(format+"%s (%v%s%s)", v, unit, spread, g, unit, end)
}

// against is the ratio of our median to the loop's, with the least and the most of the
// single rounds.
func (all results) against(g target, of func(run) float64) string {
	return g.verdict(median(all[ours], of)/median(all[byHand], of), "x", all.spread(ours, of))
}

// spread gives the least and the most of the ratio in single rounds, which says how far
// the noise of the machine reaches.
func (all results) spread(side string, of func(run) float64) string {
	var ratios []float64
	for i := range min(len(all[side]), len(all[byHand])) {
		ratios = append(ratios, of(all[side][i])/of(all[byHand][i]))
	}
	if len(ratios) < 2 {
		return ""
	}
	return fmt.Sprintf(" [%.2f to %.2f]", slices.Min(ratios), slices.Max(ratios))
}

// noise is what the second run of the loop in each round comes to, which would be 1
// without noise.
func (all results) noise(of ...func(run) float64) string {
	if len(all[control]) == 0 {
		return "-"
	}
	var parts []string
	for _, f := range of {
		parts = append(parts, fmt.Sprintf("%.2fx%s", median(all[control], f)/median(all[byHand], f), all.spread(control, f)))
	}
	return strings.Join(parts, ", ")
}

// A table is the columns of one kind of workload, and what stands in them.
type table struct {
	columns string
	cells   func(w row, all results) []string
}

const machine = "% of the CPU of process, broker, nobody, others: ours; loop's"

var (
	copying = table{"Row | penstock: rate, CPU a record, peak, length | loop by hand | CPU | Rate | " + machine + " | Control: CPU, rate",
		func(w row, all results) []string {
			return []string{
				all.usual(ours), all.usual(byHand), all.against(target{w.cpu, false}, ofCPU), all.against(target{w.rate, true}, ofRate),
				all.busy(), all.noise(ofCPU, ofRate),
			}
		}}
	asking = table{"Row | penstock: rate, CPU a record, peak, length | loop by hand | Of the ideal | Loop: of the ideal | CPU | " + machine + " | Control: CPU",
		func(w row, all results) []string {
			return []string{
				all.usual(ours), all.usual(byHand), target{w.ideal, true}.verdict(median(all[ours], ofIdeal), "", ""),
				fmt.Sprintf("%.3f", median(all[byHand], ofIdeal)),
				all.against(target{w.cpu, false}, ofCPU), all.busy(), all.noise(ofCPU),
			}
		}}
	lagging = table{"Row | penstock: p50, p99, CPU a record, peak | loop by hand | p50 | p99 | " + machine + " | Control: p50, p99",
		func(w row, all results) []string {
			return []string{
				all.times(ours), all.times(byHand), all.against(target{w.p50, false}, ofP50), all.against(target{w.p99, false}, ofP99),
				all.busy(), all.noise(ofP50, ofP99),
			}
		}}
)

// usual is what a side of W1 to W3 comes to.
func (all results) usual(side string) string {
	r := all[side]
	return fmt.Sprintf("%.0f/s, %.2f µs, %.0f MiB, %.0f s", median(r, ofRate), median(r, ofCPU), median(r, ofPeak), median(r, ofSeconds))
}

// times is what a side of W4 comes to.
func (all results) times(side string) string {
	r := all[side]
	return fmt.Sprintf("%.2f ms, %.2f ms, %.1f µs, %.0f MiB", median(r, ofP50), median(r, ofP99), median(r, ofCPU), median(r, ofPeak))
}

// busy says who took the machine.
func (all results) busy() string {
	part := func(side string) string {
		r := all[side]
		return fmt.Sprintf("%.0f, %.0f, %.0f, %.0f", median(r, ofOwn), median(r, ofBroker), median(r, ofIdle), median(r, ofOthers))
	}
	return part(ours) + "; " + part(byHand)
}

// tables gives the tables in Markdown. A row without results has failed, and says so.
func tables(chosen []row, all map[string]results) string {
	var b strings.Builder
	head := ""
	for _, w := range chosen {
		kind := copying
		if w.ideal > 0 {
			kind = asking
		} else if w.kind == "w4" {
			kind = lagging
		}
		if kind.columns != head {
			head = kind.columns
			shown := head
			if *baseFlag != "" {
				shown = strings.NewReplacer("loop by hand", "other version", "Loop: ", "Other version: ", "loop's", "the other's").Replace(head)
			}
			fmt.Fprintf(&b, "\n| %s |\n|%s\n", shown, strings.Repeat("---|", strings.Count(head, "|")+1))
		}
		r := all[w.name]
		if len(r[ours]) == 0 || len(r[byHand]) == 0 {
			fmt.Fprintf(&b, "| %s | **failed** |\n", w.name)
			continue
		}
		fmt.Fprintf(&b, "| %s | %s |\n", w.name, strings.Join(kind.cells(w, r), " | "))
	}
	return b.String()
}

// TestWorkloadsTables: medians and not means, ratios to the loop, bold where a target is
// missed, and a row that failed is not left out.
func TestWorkloadsTables(t *testing.T) {
	side := func(scale float64, of ...float64) (runs []run) {
		for _, v := range of {
			runs = append(runs, run{rate: 1000 * v * scale, cpu: v / scale, rss: 64 << 20, seconds: 12, shares: shares{40, 50, 6, 4}})
		}
		return runs
	}
	all := map[string]results{
		"good": {ours: side(2, 1, 2, 9), byHand: side(1, 1, 2, 3)},
		"bad":  {ours: side(0.5, 1, 2, 9), byHand: side(1, 1, 2, 3), control: side(1, 1, 2, 3)},
	}
	got := tables([]row{{name: "good", cpu: 0.5, rate: 2}, {name: "bad", cpu: 0.5, rate: 2}, {name: "gone"}}, all)
	for _, want := range []string{
		"| good | 4000/s, 1.00 µs, 64 MiB, 12 s | 2000/s, 2.00 µs, 64 MiB, 12 s | 0.50x [0.50 to 1.50] (<= 0.5x) | 2.00x [2.00 to 6.00] (>= 2x) | 40, 50, 6, 4; 40, 50, 6, 4 | - |",
		"| **2.00x** [2.00 to 6.00] (<= 0.5x: misses) | **0.50x** [0.50 to 1.50] (>= 2x: misses) |",
		"| 1.00x [1.00 to 1.00], 1.00x [1.00 to 1.00] |",
		"| gone | **failed** |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no\n%s\nin\n%s", want, got)
		}
	}
}
