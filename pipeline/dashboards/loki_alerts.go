package dashboards

import (
	"slices"
	"strings"
	"time"
)

// LokiRules gives the alerts for Loki's ruler. They are about the service `penstock`; a ruler has no
// variables, so another name is put in its place when the file is exported.
func LokiRules() []RuleGroup {
	alerts := slices.Concat(lokiSilence(), lokiDelay(), lokiFailures(), lokiChanges())
	for i := range alerts {
		alerts[i].Expr = ruled(alerts[i].Expr)
	}
	return []RuleGroup{{Store: Loki, Name: "penstock", Interval: time.Minute, Alerts: alerts}}
}

// ruled makes a panel's query one of a ruler, which fills in nothing.
func ruled(expr string) string {
	return strings.NewReplacer(`service_name=~"$service"`, `service_name="`+DefaultService+`"`, ` | pipeline=~"$pipeline"`, "").Replace(expr)
}

// DefaultService is the service_name of a log, and the label of its stream, unless it is set.
const DefaultService = "penstock"

func counted(event, rng string, by ...string) string {
	return ask{event: event, over: count, rng: rng, by: by}.logql()
}

func lokiDelay() []Alert {
	lag := partition("lag", recent, "sum", "pipeline")
	before := lag
	before.over, before.rng = first, "15m"
	age := partition("lag_age_ms", recent, "max", "pipeline")
	return []Alert{
		{
			Name: "PenstockLagGrowing", Severity: Page, For: 15 * time.Minute,
			Expr:    age.logql() + " > 300000\nand\n" + lag.logql() + "\n>\n" + before.logql(),
			Summary: "Pipeline {{ $labels.pipeline }} is more than five minutes behind, and falls further behind.",
			Runbook: "The page on the source says whether all partitions are behind or one; that on steps, which step is the limit.",
		},
		{
			Name: "PenstockCommitStuck", Severity: Page, For: 5 * time.Minute,
			Expr:    partition("commit_age_ms", recent, "max", partitionBy...).logql() + " > 60000\nand\n" + partition("uncommitted", recent, "max", partitionBy...).logql() + " > 0",
			Summary: "Pipeline {{ $labels.pipeline }} has not committed partition {{ $labels.partition }} of {{ $labels.topic }} for a minute.",
			Runbook: "Commits are made every second. `penstock why` says whether a record holds the partition, or the commit itself fails (commit.failed).",
		},
		{
			Name: "PenstockBackpressure", Severity: Ticket, For: 30 * time.Minute,
			Expr:    limits("5m") + " > 0.5",
			Summary: "Step {{ $labels.bottleneck_step }} of pipeline {{ $labels.pipeline }} is the limit, for half an hour.",
			Runbook: "It keeps up only as long as the topic is not fuller than now. Give the step more workers, or make what it calls faster.",
		},
	}
}

// limits gives, by step, in what share of its intervals a copy was full because of it: that of the copy in which
// it is the largest. A number of intervals would be another share for each log.stats_every and number of copies.
func limits(rng string) string {
	all := counted("pipeline.stats", rng, "pipeline", instance)
	full := ask{event: "pipeline.stats", over: count, rng: rng, where: []string{"backpressure", "high"}, has: []string{"bottleneck_step"},
		by: []string{"pipeline", "bottleneck_step", instance}}
	return "max by (pipeline, bottleneck_step) (" + full.logql() + "\n/ on (pipeline, " + instance + ") group_left ()\n" + all + ")"
}

func lokiFailures() []Alert {
	// A range shorter than the ten minutes of the alerts: one failed attempt of a pipeline that reads next to nothing is
	// forgotten before they are over.
	errors, in := total("pipeline.stats", "errors", "5m", "pipeline"), total("pipeline.stats", "records_in", "5m", "pipeline")
	open := present("step.stats", "circuits_open", recent, "pipeline", "step")
	open.fold = "max" // copies leave the same hosts alone
	paused := ask{event: "pipeline.stats", over: count, rng: recent, where: []string{"state", "paused"}, by: []string{"pipeline"}}
	// While nothing is read, behind a host that is down, there are failures and no records to divide by: that is more than any share.
	failing := "(" + errors.logql() + "\n/\n" + in.logql() + ")"
	without := "\nor\n(" + errors.logql() + " > 0\nand\n" + in.logql() + " == 0)"
	return []Alert{
		{
			Name: "PenstockErrorsHigh", Severity: Ticket, For: 10 * time.Minute,
			Expr:    failing + " > 0.05" + without,
			Summary: "Pipeline {{ $labels.pipeline }} has more than one failed attempt for each twenty records.",
			Runbook: "The page on errors says which step and what kind. Attempts that are tried again and succeed count too.",
		},
		{
			Name: "PenstockErrorsVeryHigh", Severity: Page, For: 10 * time.Minute,
			Expr:    failing + " > 0.5" + without,
			Summary: "Pipeline {{ $labels.pipeline }} has more than half as many failed attempts as records.",
			Runbook: "Most likely somebody who is called is down. The page on errors says who.",
		},
		{
			Name: "PenstockRejected", Severity: Ticket,
			Expr:    total("pipeline.stats", "rejected", "10m", "pipeline").logql() + " > 0",
			Summary: "Pipeline {{ $labels.pipeline }} has rejected {{ $value }} records within ten minutes.",
			Runbook: "They stand in its dead letters, with the reason. Mend what is wrong, and replay them.",
		},
		{
			Name: "PenstockPaused", Severity: Page,
			Expr:    counted("pipeline.paused", "10m", "pipeline") + "\nor\n" + paused.logql(), // a pause may be longer than that
			Summary: "Pipeline {{ $labels.pipeline }} pauses: too many of its records are rejected, or somebody has paused it.",
			Runbook: "`paused_by` in pipeline.stats says which. By command: it goes on when it is resumed. By dead_letter_budget: more of the last records were rejected than its file allows. This is an outage, and not a bad record: look at what rejects them before the pause ends.",
		},
		{
			Name: "PenstockBreakerOpen", Severity: Page, For: 5 * time.Minute,
			Expr:    open.logql() + " > 0",
			Summary: "Step {{ $labels.step }} of pipeline {{ $labels.pipeline }} leaves {{ $value }} hosts alone, since they fail.",
			Runbook: "circuit.changed names the host. Records wait for it; none is lost.",
		},
		{
			Name: "PenstockOffsetsMissing", Severity: Page,
			Expr:    counted("source.gap", "10m", "pipeline", "topic", "reason"),
			Summary: "Offsets of {{ $labels.topic }} do not exist any more: {{ $labels.reason }}.",
			Runbook: "The topic's retention was faster than the pipeline, or the topic was made anew; a file that is followed was cut or deleted before it was read. The line source.gap has the offsets.",
		},
		{
			Name: "PenstockPanic", Severity: Ticket,
			Expr:    counted("panic.recovered", "10m", "pipeline", "step"),
			Summary: "Step {{ $labels.step }} of pipeline {{ $labels.pipeline }} has panicked.",
			Runbook: "A bug in a stage or sink. The record was rejected, and the others go on.",
		},
	}
}

func lokiChanges() []Alert {
	lost := ask{event: "log.suppressed", field: "count", over: sum, rng: "10m", by: []string{"reason"}}
	full, failed := lost, lost
	full.where, failed.where = []string{"reason", "queue_full"}, []string{"reason", "write_failed"}
	return []Alert{
		{
			Name: "PenstockRebalances", Severity: Ticket,
			// In one rebalance many copies may lose partitions: its generations are counted, and not their lines.
			Expr:    "count by (pipeline, consumer_group) (" + counted("source.revoked", "10m", "pipeline", "consumer_group", "generation") + ") > 3",
			Summary: "Partitions of group {{ $labels.consumer_group }} were revoked {{ $value }} times within ten minutes.",
			Runbook: "Members come and go: look for restarts, and for sessions that time out.",
		},
		{
			Name: "PenstockConfigRejected", Severity: Ticket,
			Expr:    counted("config.rejected", "10m", "trigger"),
			Summary: "A configuration with errors was refused.",
			Runbook: "The line config.rejected has the first error and its place. `penstock check FILE` has all of them.",
		},
		{
			Name: "PenstockLogLost", Severity: Ticket,
			Expr:    full.logql() + " > 0\nor\n" + failed.logql() + " > 0",
			Summary: "{{ $value }} lines of the log were not written: {{ $labels.reason }}.",
			Runbook: "Whoever reads the log is too slow, or its disk is full. Dashboards on the log have holes; the pipeline goes on.",
		},
	}
}
