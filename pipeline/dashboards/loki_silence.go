package dashboards

import (
	"strings"
	"time"
)

// remembered is how far back the last words of a pipeline are looked for. An alert about them ends with it.
const remembered = "1h"

func lokiSilence() []Alert {
	var done []string // what has found its outcome; a pipeline that filters everything has not stalled
	for _, outcome := range []string{"records_out", "filtered", "rejected"} {
		done = append(done, total("pipeline.stats", outcome, "5m", "pipeline").logql())
	}
	lag := partition("lag", recent, "sum", "pipeline")
	flight := present("pipeline.stats", "inflight", recent, "pipeline")
	return []Alert{
		{
			Name: "PenstockSilent", Severity: Page, For: time.Minute,
			Expr:    "max by (pipeline) (" + lastWords() + ") == 0\nunless on (pipeline)\n(" + atWork() + ")",
			Summary: "Pipeline {{ $labels.pipeline }} writes no figures any more, and its last ones were not those of an end.",
			Runbook: "Its process was killed, hangs, or its log does not arrive. Look whether the process runs, then at whoever ships the log. An hour after the last figures the alert ends, since Loki is not asked about more.",
		},
		{
			Name: "PenstockFailed", Severity: Page, For: 2 * time.Minute,
			Expr: "(" + ended("failed|environment|drain_timeout", "failed|environment|drain_timeout") + ")\nunless on (pipeline)\n(" +
				ended("completed|signal", "completed|stopping") + "\nor\n" + atWork() + ")",
			Summary: "Pipeline {{ $labels.pipeline }} has failed, and no copy of it runs.",
			Runbook: "process.stopped, or pipeline.stopped where others of its process go on, has the error. Start it again when that is mended. An hour after the end the alert ends too.",
		},
		{
			Name: "PenstockStalled", Severity: Page, For: 5 * time.Minute,
			Expr:    "(" + strings.Join(done, "\n+\n") + ") == 0\nand\n" + lag.logql() + " > 0\nand\n" + flight.logql() + " > 0",
			Summary: "Pipeline {{ $labels.pipeline }} has work and finishes nothing.",
			Runbook: "`penstock why` names the record, the step and the host that each partition waits for; step.stalled and sink.stalled in the log say the same.",
		},
		{
			Name: "PenstockRecordHeld", Severity: Page,
			Expr: ask{event: "pipeline.stats", field: "oldest_inflight_ms", over: last, rng: recent, each: []string{instance}, by: []string{"pipeline"}}.logql() +
				" > 300000",
			Summary: "A record of pipeline {{ $labels.pipeline }} has been under way for more than five minutes.",
			Runbook: "Its partition is not committed beyond it. `penstock why` names it, and what it waits for.",
		},
		{
			Name: "PenstockCrashLoop", Severity: Page,
			Expr:    crashes("15m") + " > 3",
			Summary: "penstock with {{ $labels.config_path }} has crashed {{ $value }} times within 15 minutes.",
			Runbook: "A start counts that did not end with exit code 0 and does not run. process.stopped says why each one ended; a process that was killed leaves no such line: look for the memory limit.",
		},
	}
}

// lastWords gives 1 for a pipeline whose last figures, of any copy, are those of its end, and 0 for others. Each pipeline
// writes them once more when it ends, however that is, but for one that is killed.
func lastWords() string {
	return "last_over_time(" + streams("pipeline.stats") + ` | json pipeline="pipeline", state="state"` +
		" | label_format ended=`{{ if eq .state \"stopped\" }}1{{ else }}0{{ end }}` | unwrap ended | __error__=\"\" [" + remembered + "]) by (pipeline)"
}

// atWork has an answer for pipelines that write figures. How long they may take for the next ones is for log.stats_every
// to say, and the lines have it: two minutes when that is up to a minute, a quarter of an hour when it is up to five, and when it is
// longer all that is remembered.
func atWork() string {
	written := func(which, rng string) string {
		return "sum by (pipeline) (count_over_time(" + streams("pipeline.stats") + ` | json pipeline="pipeline", every="interval_ms"` +
			which + ` | __error__="" [` + rng + "]))"
	}
	return written("", recent) + "\nor\n" + written(" | every > 90000", "15m") + "\nor\n" + written(" | every > 330000", remembered)
}

// ended has an answer for pipelines that have ended with one of these reasons. A process that has several says it of each, and
// the line about the process counts for one that has a single pipeline.
func ended(process, pipeline string) string {
	of := func(event, keys, which, by string) string {
		return "sum by (" + by + ") (count_over_time(" + streams(event) + " | json " + keys + " | " + which + ` | __error__="" [` + remembered + "]))"
	}
	stats := of("pipeline.stats", `pipeline="pipeline", `+instance+`="`+instance+`", state="state"`, `state="stopped"`, "pipeline, "+instance)
	processes := of("process.stopped", instance+`="`+instance+`", reason="reason"`, `reason=~"`+process+`"`, instance)
	pipelines := of("pipeline.stopped", `pipeline="pipeline", reason="reason"`, `reason=~"`+pipeline+`"`, "pipeline")
	return "count by (pipeline) (" + stats + "\nand on (" + instance + ")\n" + processes + ")\nor\n" + pipelines
}

// crashes counts, by file, the starts that did not end well and do not run: of each process the starts, without its ends
// with exit code 0, and without one while it writes. So neither a roll-out nor a job that runs often counts, and a restart does
// where the process keeps its id, as within a pod, and where it does not. None are negative, of which a clean
// end a moment ago would make one.
func crashes(rng string) string {
	starts := counted("process.started", rng, instance)
	ended := ask{event: "process.stopped", over: count, rng: rng, where: []string{"exit_code", "0"}, by: []string{instance}}.logql()
	alive := "count by (" + instance + ") (" + counted("pipeline.stats", recent, instance) + "\nor\n" + counted("process.started", recent, instance) + ")"
	none := "\nor\n" + starts + " * 0"
	return "sum by (config_path) ((" + counted("process.started", rng, "config_path", instance) +
		"\n- on (" + instance + ") group_left ()\n((" + ended + none + ")\n+\n(" + alive + none + "))) > 0)"
}
