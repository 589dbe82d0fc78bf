package dashboards

import "strings"

// prometheusSteps is the page of what happens between source and sinks.
func prometheusSteps() Dashboard {
	return Dashboard{
		Name:        "steps",
		Title:       "Penstock on Prometheus: steps",
		Description: "Which step is the slow one, and whether it computes, waits for somebody, or is held back.",
		Variables: []Variable{
			{Name: "step", Label: "Step", Values: `label_values(penstock_step_records_in_total{job=~"$job",pipeline=~"$pipeline"}, step)`},
		},
		Rows: []Row{
			{Title: "Every step", Panels: promStepsTable()},
			{Title: "Where the time goes", Panels: promStepsShares()},
			{Title: "Traffic", Panels: promStepsTraffic()},
			{Title: "Calls", Panels: promStepsCalls()},
			{Title: "Queues", Panels: promStepsQueues()},
			{Title: "Limits", Panels: promStepsLimits()},
			{Title: "Caches", Panels: promStepsCaches()},
		},
	}
}

// promSteps is a query for the steps that the reader has chosen.
func promSteps(name, expr string) Query { return Query{Name: name, Expr: promStepsOnly(expr)} }

// promStepsOnly adds the choice of steps to the selectors of an expression.
func promStepsOnly(expr string) string { return strings.ReplaceAll(expr, "{}", `{,step=~"$step"}`) }

func promAllSteps(all []Query) []Query {
	for i := range all {
		all[i].Expr = promStepsOnly(all[i].Expr)
	}
	return all
}

func promStepsTable() []Panel {
	return []Panel{{
		Title: "Steps since the start", Kind: Table, Unit: Text,
		Description: "Exact counts of the processes that run now.",
		Queries: promAllSteps(promColumns(
			"In", `sum by (pipeline, step, kind) (penstock_step_records_in_total{})`,
			"Created", `sum by (pipeline, step, kind) (penstock_step_records_created_total{})`,
			"Out", `sum by (pipeline, step, kind) (penstock_step_records_out_total{})`,
			"Filtered", `sum by (pipeline, step, kind) (penstock_step_records_filtered_total{})`,
			"Rejected", `sum by (pipeline, step, kind) (penstock_step_records_rejected_total{})`,
			"Abandoned", `sum by (pipeline, step, kind) (penstock_step_records_abandoned_total{})`,
			"Under way", `sum by (pipeline, step, kind) (penstock_step_inflight_records{})`,
			"Failed attempts", `sum by (pipeline, step, kind) (penstock_step_errors_total{})`,
			"Retries", `sum by (pipeline, step, kind) (penstock_step_retries_total{})`,
			"Workers", `sum by (pipeline, step, kind) (penstock_step_workers{})`,
		)),
	}}
}

func promStepsShares() []Panel {
	panel := func(title, which, says string) Panel {
		return Panel{
			Title: title, Kind: Lines, Unit: Ratio, Max: 1, Description: says,
			Queries: []Query{promSteps("{{step}} ({{pipeline}})", promShareOfTime(which, "pipeline, step"))},
		}
	}
	return []Panel{
		panel("Busy", "busy", "The share of the workers' time in which they work on a record, or have a call under way. "+
			"The step that is busy while the one before it is blocked is the one to give more workers."),
		panel("Blocked", "blocked", "The share of the workers' time in which they are done and cannot hand over: what comes after them is full."),
		panel("Idle", "idle", "The share of the workers' time in which there is nothing to do for them."),
	}
}

// promShareOfTime is the share of the workers' time that they were busy, idle or blocked.
func promShareOfTime(which, by string) string {
	of := func(which string) string {
		return `sum by (` + by + `) (rate(penstock_step_` + which + `_seconds_total{}[]))`
	}
	return promShare(of(which), of("busy")+" + "+of("idle")+" + "+of("blocked"))
}

func promStepsTraffic() []Panel {
	return []Panel{
		{
			Title: "Records in", Kind: Lines, Unit: PerSecond,
			Description: "What each step takes in a second.",
			Queries:     []Query{promSteps("{{step}} ({{pipeline}})", `sum by (pipeline, step) (rate(penstock_step_records_in_total{}[]))`)},
		},
		{
			Title: "Records out", Kind: Lines, Unit: PerSecond,
			Description: "What each step hands over a second.",
			Queries:     []Query{promSteps("{{step}} ({{pipeline}})", `sum by (pipeline, step) (rate(penstock_step_records_out_total{}[]))`)},
		},
		{
			Title: "Filtered and rejected", Kind: Lines, Unit: PerSecond,
			Description: "What goes no further: filtered because the file says so, rejected because something is wrong.",
			Queries: []Query{
				promSteps("{{step}} filtered ({{pipeline}})", `sum by (pipeline, step) (rate(penstock_step_records_filtered_total{}[])) > 0`),
				promSteps("{{step}} rejected ({{pipeline}})", `sum by (pipeline, step) (rate(penstock_step_records_rejected_total{}[])) > 0`),
			},
		},
	}
}

func promStepsCalls() []Panel {
	return []Panel{
		{
			Title: "Time of a call", Kind: Lines, Unit: Seconds,
			Description: "Of steps that wait for somebody: one attempt. Of the others: the time for a record.",
			Queries:     promAllSteps(promQuantiles("penstock_step_duration_seconds", "pipeline, step", "{{step}} pN ({{pipeline}})")),
		},
		{
			Title: "Failed attempts and retries", Kind: Lines, Unit: PerSecond,
			Description: "A retry is an attempt after the first. Many of both and few rejected records: the other side has a bad time, and nothing is lost.",
			Queries: []Query{
				promSteps("{{step}} failed ({{pipeline}})", `sum by (pipeline, step) (rate(penstock_step_errors_total{}[])) > 0`),
				promSteps("{{step}} retries ({{pipeline}})", `sum by (pipeline, step) (rate(penstock_step_retries_total{}[])) > 0`),
			},
		},
		{
			Title: "Oldest under way", Kind: Lines, Unit: Seconds,
			Description: "How long the record that has been worked on for longest has been. `penstock why` names it, its host and its attempt.",
			Queries:     []Query{promSteps("{{step}} ({{pipeline}})", `max by (pipeline, step) (penstock_step_oldest_inflight_seconds{})`)},
		},
	}
}

func promStepsQueues() []Panel {
	return []Panel{
		{
			Title: "Queue", Kind: Lines, Unit: Ratio, Max: 1,
			Description: "How full the queue in front of each step is. The last full one stands before the bottleneck.",
			Queries: []Query{promSteps("{{step}} ({{pipeline}})", promShare(
				`sum by (pipeline, step) (penstock_step_queue_length{})`, `sum by (pipeline, step) (penstock_step_queue_capacity{})`))},
		},
		{
			Title: "Window", Kind: Lines, Unit: Ratio, Max: 1,
			Description: "Of steps that wait: how many of the places for records that were let in and are not released are taken. Full for long: one slow record holds up those behind it.",
			Queries: []Query{promSteps("{{step}} ({{pipeline}})", promShare(
				`sum by (pipeline, step) (penstock_step_window_length{})`, `sum by (pipeline, step) (penstock_step_window_capacity{})`))},
		},
		{
			Title: "Records under way", Kind: Lines, Unit: Count,
			Description: "In the step, and held back in front of it.",
			Queries: []Query{
				promSteps("{{step}} ({{pipeline}})", `sum by (pipeline, step) (penstock_step_inflight_records{})`),
				promSteps("{{step}} held back ({{pipeline}})", `sum by (pipeline, step) (penstock_step_held_back_records{})`),
			},
		},
	}
}

func promStepsLimits() []Panel {
	return []Panel{
		{
			Title: "Held by limits", Kind: Lines, Unit: Count,
			Description: "Records whose call a rate, a host's places, a pause or an open breaker does not let begin.",
			Queries:     []Query{promSteps("{{step}} ({{pipeline}})", `sum by (pipeline, step) (penstock_step_throttled_records{})`)},
		},
		{
			Title: "Time held by limits", Kind: Lines, Unit: Count,
			Description: "Seconds that records waited for limits, a second: how many did at a time, on average.",
			Queries:     []Query{promSteps("{{step}} ({{pipeline}})", `sum by (pipeline, step) (rate(penstock_step_throttle_wait_seconds_total{}[]))`)},
		},
		{
			Title: "Open breakers", Kind: Lines, Unit: Count,
			Description: "Hosts that are not asked because they do not answer.",
			Queries:     []Query{promSteps("{{step}} ({{pipeline}})", `sum by (pipeline, step) (penstock_step_circuits_open{})`)},
		},
	}
}

func promStepsCaches() []Panel {
	return []Panel{
		{
			Title: "Answered from the cache", Kind: Lines, Unit: Ratio, Max: 1,
			Description: "The share of questions whose answer was kept from before.",
			Queries: []Query{promSteps("{{step}} ({{pipeline}})", promShare(
				`sum by (pipeline, step) (rate(penstock_step_cache_hits_total{}[]))`,
				`sum by (pipeline, step) (rate(penstock_step_cache_hits_total{}[])) + sum by (pipeline, step) (rate(penstock_step_cache_misses_total{}[]))`))},
		},
		{
			Title: "Old answers and shared calls", Kind: Lines, Unit: PerSecond,
			Description: "Answers given although they were too old, because there was no new one, and records that shared the call of another one.",
			Queries: []Query{
				promSteps("{{step}} old ({{pipeline}})", `sum by (pipeline, step) (rate(penstock_step_cache_stale_total{}[])) > 0`),
				promSteps("{{step}} shared ({{pipeline}})", `sum by (pipeline, step) (rate(penstock_step_calls_joined_total{}[])) > 0`),
			},
		},
	}
}
