package dashboards

import (
	"strings"
	"time"
)

// PrometheusRules gives the recording rules and alerts for Prometheus. They hold for every job that has
// penstock's metrics, whatever it is called.
func PrometheusRules() []RuleGroup {
	groups := []RuleGroup{
		{Name: "penstock.figures", Interval: 30 * time.Second, Records: promRecords()},
		{Name: "penstock.processes", Interval: 30 * time.Second, Alerts: promProcessAlerts()},
		{Name: "penstock.progress", Interval: 30 * time.Second, Records: promLagRecords(), Alerts: promProgressAlerts()},
		{Name: "penstock.errors", Interval: 30 * time.Second, Records: promErrorRecords(), Alerts: promErrorAlerts()},
	}
	for i := range groups {
		g := &groups[i]
		g.Store = Prometheus
		for r := range g.Records {
			g.Records[r].Expr = strings.Join(strings.Fields(g.Records[r].Expr), " ")
		}
		for a := range g.Alerts {
			g.Alerts[a].Expr = strings.Join(strings.Fields(g.Alerts[a].Expr), " ")
		}
	}
	return groups
}

// promRecords are kept for long ranges. Replicas are together in them, as in all recorded figures.
func promRecords() []Record {
	return []Record{
		{Name: "job_pipeline:penstock_pipeline_records_in:rate5m", Expr: `sum by (job, pipeline) (rate(penstock_pipeline_records_in_total[5m]))`},
		{Name: "job_pipeline:penstock_pipeline_records_out:rate5m", Expr: `sum by (job, pipeline) (rate(penstock_pipeline_records_out_total[5m]))`},
		{Name: "job_pipeline:penstock_pipeline_duration_seconds:p99_rate5m", Expr: promRuled(promQuantile(0.99, "penstock_pipeline_duration_seconds", "job, pipeline"))},
		{Name: "job_pipeline_step:penstock_step_busy:ratio_rate5m", Expr: promRuled(promShareOfTime("busy", "job, pipeline, step"))},
		{Name: "job_pipeline_step:penstock_step_blocked:ratio_rate5m", Expr: promRuled(promShareOfTime("blocked", "job, pipeline, step"))},
	}
}

// promLagRecords are what the alerts on progress need of the past.
func promLagRecords() []Record {
	return []Record{
		{Name: "job_pipeline:penstock_pipeline_lag_records:sum", Expr: `sum by (job, pipeline) (penstock_pipeline_lag_records)`},
		{Name: "job_pipeline:penstock_partition_lag_seconds:max", Expr: `max by (job, pipeline) (penstock_partition_lag_seconds)`},
	}
}

// promErrorRecords are what the alerts on errors share.
func promErrorRecords() []Record {
	return []Record{{Name: "job_pipeline:penstock_pipeline_errors:ratio_rate5m", Expr: promShare(
		`sum by (job, pipeline) (rate(penstock_pipeline_errors_total[5m]))`, `sum by (job, pipeline) (rate(penstock_pipeline_records_in_total[5m]))`)}}
}

// promRuled makes the expression of a rule of one of a page: over every pipeline, and over five minutes.
func promRuled(expr string) string {
	return strings.NewReplacer("{}", "", "[]", "[5m]").Replace(expr)
}

func promProcessAlerts() []Alert {
	return []Alert{
		{
			Name: "PenstockSilent", For: 5 * time.Minute, Severity: Page,
			Expr:    `absent(penstock_build_info)`,
			Summary: "No penstock process is scraped at all.",
			Runbook: "Nothing has answered for five minutes. Either no process runs, or Prometheus finds none: look at its targets, then at `admin:` in the pipeline file.",
		},
		{
			Name: "PenstockDown", For: 2 * time.Minute, Severity: Page,
			// What a process was asked for, and with which exit code it ended, no metric can say: it is gone by then. What can be
			// known is in which state it was scraped last. Of what ends between two scrapes a label of the target has to say that it may.
			Expr:    `up{runs!="once"} == 0 and on (job, instance) last_over_time(penstock_pipeline_state{state!~"draining|stopped"}[1h]) == 1`,
			Summary: "{{ $labels.instance }} no longer answers, and was at work when it did.",
			Runbook: "It answered within the last hour and cannot be scraped now. Has the process ended? The last lines of its log say why, and the exit code whether it was the file (2), the environment (3) or the run (1). Was it stopped on purpose, or has it done what it had to do? Then silence the alert for this instance; a target of such runs gets the label runs: once.",
		},
		{
			Name: "PenstockPipelineFailed", For: time.Minute, Severity: Page,
			Expr:    `penstock_pipeline_state{state="failed"} == 1`,
			Summary: "Pipeline {{ $labels.pipeline }} on {{ $labels.instance }} has failed.",
			Runbook: "It does nothing until its process is started again; other pipelines of the process go on. `penstock status` has the error.",
		},
		{
			Name: "PenstockPipelinePaused", Severity: Page,
			Expr:    `max_over_time(penstock_pipeline_state{state="paused"}[10m]) == 1`,
			Summary: "Pipeline {{ $labels.pipeline }} on {{ $labels.instance }} pauses: too many of its records are rejected, or somebody has paused it.",
			Runbook: "`paused_by` of `penstock status FILE --json` says which. By `command`: it goes on when it is resumed. By `dead_letter_budget`: the budget of `dead_letter:` is used up, which is an outage and no single bad record. `penstock dead-letter ls FILE --by reason` says what fails. It goes on by itself after the pause, and pauses again while it fails.",
		},
		{
			Name: "PenstockCrashLoop", Severity: Page,
			Expr:    `changes(process_start_time_seconds[15m]) > 3 and on (job, instance) penstock_build_info`,
			Summary: "{{ $labels.instance }} has been started again {{ $value }} times in 15 minutes.",
			Runbook: "Read how it ended: the last line of each run, process.stopped, has the reason and the exit code.",
		},
		{
			Name: "PenstockLogLost", Severity: Ticket,
			Expr:    `increase(penstock_log_lines_dropped_total[10m]) > 0`,
			Summary: "{{ $labels.instance }} drops log lines.",
			Runbook: "What reads the log is too slow, and records do not wait for it. Dashboards on the log are short of these lines; metrics are not. Give the collector more room or raise the intervals under `log:`.",
		},
	}
}

// promUnlessPaused leaves out pipelines that pause: what is under way is held on purpose, and an
// alert of its own says so. It goes on being old for a while after the pause.
const promUnlessPaused = `unless on (job, instance, pipeline) max_over_time(penstock_pipeline_state{state="paused"}[10m]) == 1`

func promProgressAlerts() []Alert {
	return []Alert{
		{
			Name: "PenstockSourceDisconnected", For: 5 * time.Minute, Severity: Page,
			Expr: `penstock_source_connected == 0
				unless on (job, instance, pipeline) penstock_pipeline_state{state=~"stopped|failed"} == 1`,
			Summary: "Pipeline {{ $labels.pipeline }} on {{ $labels.instance }} has no connection to its source.",
			Runbook: "Look at the brokers, then at names, ports and passwords: `penstock check --connect FILE` tries them.",
		},
		{
			Name: "PenstockStalled", For: 5 * time.Minute, Severity: Page,
			Expr: `penstock_pipeline_inflight_records > 0
				and on (job, instance, pipeline) rate(penstock_pipeline_records_out_total[5m]) + rate(penstock_pipeline_records_filtered_total[5m]) + rate(penstock_pipeline_records_rejected_total[5m]) == 0 ` + promUnlessPaused,
			Summary: "Pipeline {{ $labels.pipeline }} on {{ $labels.instance }} has {{ $value }} records under way and finishes none.",
			Runbook: "Ask `penstock why`: it names the record, the step or sink, the host, the attempt and what it waits for.",
		},
		{
			Name: "PenstockRecordHeld", For: 2 * time.Minute, Severity: Page,
			Expr:    `penstock_pipeline_oldest_inflight_seconds > 300 ` + promUnlessPaused,
			Summary: "A record of pipeline {{ $labels.pipeline }} on {{ $labels.instance }} has been under way for {{ $value | humanizeDuration }}.",
			Runbook: "The rest may go on, but for what comes behind it in its partition. `penstock why` names the record, the step or sink, the host, the attempt and what it waits for.",
		},
		{
			Name: "PenstockLagGrowing", For: 15 * time.Minute, Severity: Page,
			Expr: `job_pipeline:penstock_partition_lag_seconds:max > 300
				and on (job, pipeline) deriv(job_pipeline:penstock_pipeline_lag_records:sum[15m]) > 0`,
			Summary: "Pipeline {{ $labels.pipeline }} is {{ $value | humanizeDuration }} behind, and the distance grows.",
			Runbook: "More comes in than is done. The page of steps shows the bottleneck: the step that is busy while the one before it is blocked. Replicas help up to the number of partitions, and not where a sink or a server is the limit.",
		},
		{
			Name: "PenstockCommitStuck", For: 5 * time.Minute, Severity: Page,
			Expr:    `penstock_pipeline_commit_age_seconds > 120 ` + promUnlessPaused,
			Summary: "Pipeline {{ $labels.pipeline }} on {{ $labels.instance }} has not committed a record for {{ $value | humanizeDuration }}.",
			Runbook: "What is not committed is done again after a restart. `penstock why` says whether one slow record holds it up or the commit itself fails; for the latter look for commit.failed in the log.",
		},
		{
			Name: "PenstockRebalances", Severity: Ticket,
			Expr:    `max by (job, pipeline) (changes(penstock_source_generation[10m])) > 3`,
			Summary: "The partitions of {{ $labels.pipeline }} were given out {{ $value }} times in ten minutes.",
			Runbook: "Members come and go: a roll-out, processes that are killed for their memory, an autoscaler that is too eager, or a network that loses heartbeats. Each time everybody stops.",
		},
		{
			Name: "PenstockBackpressure", For: 30 * time.Minute, Severity: Ticket,
			Expr: `penstock_pipeline_backpressure{level="high"} == 1`,
			Summary: `Pipeline {{ $labels.pipeline }} on {{ $labels.instance }} has been full for half an hour` +
				`{{ with printf "penstock_pipeline_bottleneck{pipeline='%s',instance='%s'} == 1" $labels.pipeline $labels.instance | query }}, and {{ . | first | label "step" }} is the bottleneck{{ end }}.`,
			Runbook: "No fault while the lag does not grow. Else the bottleneck needs more workers, a faster other side, or more replicas.",
		},
	}
}

// promShareOfErrors is the recorded share of failed attempts, and infinite where there are some and no records: the
// recorded one has no answer there, and behind a host that is down nothing may be read for as long as it is.
const promShareOfErrors = `(job_pipeline:penstock_pipeline_errors:ratio_rate5m or
	(sum by (job, pipeline) (rate(penstock_pipeline_errors_total[5m])) > 0) / (sum by (job, pipeline) (rate(penstock_pipeline_records_in_total[5m])) == 0))`

// promErrorsSummary says what the share is.
const promErrorsSummary = `{{ $labels.pipeline }} has {{ if gt $value 1e9 }}failed attempts and reads nothing{{ else }}{{ $value | humanizePercentage }} as many failed attempts as records{{ end }}.`

func promErrorAlerts() []Alert {
	return []Alert{
		{
			Name: "PenstockErrorsHigh", For: 10 * time.Minute, Severity: Ticket,
			Expr:    promShareOfErrors + ` > 0.05`,
			Summary: promErrorsSummary,
			Runbook: "Failed attempts are tried again: look at the page of errors for the type and the step, and whether records are rejected too.",
		},
		{
			Name: "PenstockErrorsVeryHigh", For: 10 * time.Minute, Severity: Page,
			Expr:    promShareOfErrors + ` > 0.5`,
			Summary: promErrorsSummary,
			Runbook: "An outage of somebody who is asked or written to. `penstock why` names the host. Records that are rejected meanwhile are dead letters: replay them when it is over.",
		},
		{
			Name: "PenstockRejected", Severity: Ticket,
			// Of a process that is new, all that it has rejected counts: increase does not see what was before the first scrape.
			Expr: `sum by (job, pipeline) ((penstock_pipeline_records_rejected_total unless penstock_pipeline_records_rejected_total offset 10m)
				or increase(penstock_pipeline_records_rejected_total[10m])) > 0`,
			Summary: "{{ $value | humanize }} records of {{ $labels.pipeline }} were rejected in ten minutes.",
			Runbook: "They are given up and the rest goes on. `penstock dead-letter ls FILE --by reason` says why, `show` has a record whole, `replay` gives it another chance.",
		},
		{
			Name: "PenstockBreakerOpen", For: 5 * time.Minute, Severity: Page,
			Expr:    `penstock_step_circuits_open > 0`,
			Summary: "Step {{ $labels.step }} of {{ $labels.pipeline }} does not ask {{ $value }} hosts, which do not answer.",
			Runbook: "circuit.changed in the log names the host and the error. Records wait until it answers again, or are rejected where the file says so.",
		},
	}
}
