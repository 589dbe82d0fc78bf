package dashboards

import (
	"fmt"
	"slices"
	"strings"
)

// OnPrometheus gives the dashboards whose figures come from /metrics.
func OnPrometheus() []Dashboard {
	all := []Dashboard{prometheusOverview(), prometheusSource(), prometheusSteps(), prometheusSinks(), prometheusErrors()}
	for i := range all {
		d := &all[i]
		d.Store = Prometheus
		d.Variables = append(promVariables(), d.Variables...)
		d.Annotations = append(d.Annotations, promAnnotations()...)
		for r := range d.Rows {
			for p := range d.Rows[r].Panels {
				for q := range d.Rows[r].Panels[p].Queries {
					query := &d.Rows[r].Panels[p].Queries[q]
					query.Expr = promInFull(query.Expr)
				}
			}
		}
		for a := range d.Annotations {
			d.Annotations[a].Expr = promInFull(d.Annotations[a].Expr)
		}
	}
	return all
}

// promInFull writes out what the queries of this package shorten: {} and the beginning of {, more} stand for
// what the reader of a page has chosen, {job} for it where a metric belongs to no pipeline, and [] for
// the time over which Grafana has a rate computed.
func promInFull(expr string) string {
	const job, pipeline = `job=~"$job"`, `pipeline=~"$pipeline"`
	return strings.NewReplacer(
		"{}", "{"+job+","+pipeline+"}",
		"{,", "{"+job+","+pipeline+",",
		"{job}", "{"+job+"}",
		"[]", "[$__rate_interval]",
	).Replace(strings.Join(strings.Fields(expr), " "))
}

// promVariables are the choices that every page has.
func promVariables() []Variable {
	return []Variable{
		{Name: "job", Label: "Job", Values: `label_values(penstock_build_info, job)`},
		{Name: "pipeline", Label: "Pipeline", Values: `label_values(penstock_pipeline_state{job=~"$job"}, pipeline)`},
	}
}

// promAnnotations are what is marked across every page.
func promAnnotations() []Annotation {
	return []Annotation{
		{Name: "Start", Expr: `penstock_pipeline_start_time_seconds{} > time() - $__interval_ms / 1000`, Text: "{{pipeline}} starts on {{instance}}"},
		{Name: "Rebalance", Expr: `max by (pipeline) (changes(penstock_source_generation{}[$__interval])) > 0`, Text: "the partitions of {{pipeline}} are given out anew"},
	}
}

// promShare is the ratio of two expressions, and has no answer where the second is 0: that nothing happened
// is no good ratio and no bad one.
func promShare(part, whole string) string { return fmt.Sprintf("(%s) / ((%s) > 0)", part, whole) }

// promQuantile is the q-quantile of a histogram, together for all series that have the labels in common. A
// Prometheus that keeps native histograms answers from those, and any other from the classic buckets.
func promQuantile(q float64, histogram, by string) string {
	classic := strings.TrimSuffix(strings.Join([]string{by, "le"}, ", "), ", ")
	classic = strings.TrimPrefix(classic, ", ")
	return fmt.Sprintf("histogram_quantile(%v, sum by (%s) (rate(%s{}[]))) or histogram_quantile(%v, sum by (%s) (rate(%s_bucket{}[])))", q, by, histogram, q, classic, histogram)
}

// promQuantiles are queries for the middle and the slowest of a histogram, for each of what the name says.
func promQuantiles(histogram, by, name string) []Query {
	return []Query{
		{Name: strings.ReplaceAll(name, "pN", "p50"), Expr: promQuantile(0.5, histogram, by)},
		{Name: strings.ReplaceAll(name, "pN", "p99"), Expr: promQuantile(0.99, histogram, by)},
	}
}

// promColumns are the queries of a table: a heading and its expression by turns.
func promColumns(pairs ...string) (all []Query) {
	for pair := range slices.Chunk(pairs, 2) {
		all = append(all, Query{Name: pair[0], Expr: pair[1]})
	}
	return all
}

// promFrom gives thresholds for a figure that is better when it is smaller.
func promFrom(look, bad float64) []Threshold {
	return []Threshold{{From: look, Level: Look}, {From: bad, Level: Bad}}
}

// promOurs keeps of the metrics that every process has those of penstock.
func promOurs(expr string) string { return expr + " and on (job, instance) penstock_build_info{job}" }
