package dashboards

// prometheusErrors is the page of what fails, where and why.
func prometheusErrors() Dashboard {
	return Dashboard{
		Name:        "errors",
		Title:       "Penstock on Prometheus: errors",
		Description: "What fails, of which type and where; what is given up for good, and what is only late.",
		Rows: []Row{
			{Title: "In the page's time range", Panels: promErrorsNow()},
			{Title: "By type", Panels: promErrorsByType()},
			{Title: "Given up", Panels: promErrorsRejected()},
			{Title: "Late", Panels: promErrorsLate()},
		},
	}
}

func promErrorsNow() []Panel {
	return []Panel{
		{
			Title: "Pipelines failed", Kind: Stat, Unit: Count, Width: 4, Thresholds: []Threshold{{From: 1, Level: Bad}},
			Description: "Of one that has failed, `penstock status` says why.",
			Queries:     []Query{{Name: "failed", Expr: `sum(penstock_pipeline_state{,state="failed"})`}},
		},
		{
			Title: "Failed attempts", Kind: Stat, Unit: Count, Width: 4,
			Description: "Every attempt that failed, of steps and sinks, whatever became of its record.",
			Queries:     []Query{{Name: "errors", Expr: `sum(increase(penstock_pipeline_errors_total{}[$__range]))`}},
		},
		{
			Title: "Errors a record", Kind: Stat, Unit: Ratio, Width: 4, Thresholds: promFrom(0.05, 0.5),
			Description: "For each record that came in.",
			Queries: []Query{{Name: "errors", Expr: promShare(
				`sum(increase(penstock_pipeline_errors_total{}[$__range]))`, `sum(increase(penstock_pipeline_records_in_total{}[$__range]))`)}},
		},
		{
			Title: "Rejected", Kind: Stat, Unit: Count, Width: 3, Thresholds: promFrom(1, 1000),
			Description: "Records that were given up.",
			Queries:     []Query{{Name: "rejected", Expr: `sum(increase(penstock_pipeline_records_rejected_total{}[$__range]))`}},
		},
		{
			Title: "Dead letters", Kind: Stat, Unit: Count, Width: 3, Thresholds: promFrom(1, 1000),
			Description: "Rejected records that are kept. `penstock dead-letter ls` lists them by reason and step.",
			Queries:     []Query{{Name: "dead letters", Expr: `sum(increase(penstock_pipeline_dead_letters_total{}[$__range]))`}},
		},
		{
			Title: "Open breakers", Kind: Stat, Unit: Count, Width: 3, Thresholds: []Threshold{{From: 1, Level: Bad}},
			Description: "Hosts that are not asked because they do not answer.",
			Queries:     []Query{{Name: "open", Expr: `sum(penstock_step_circuits_open{})`}},
		},
		{
			Title: "Log lines lost", Kind: Stat, Unit: Count, Width: 3, Thresholds: promFrom(1, 1000),
			Description: "Dropped because nobody takes them off the pipe fast enough. Counts on this page are not affected.",
			Queries:     []Query{{Name: "lines", Expr: `sum(increase(penstock_log_lines_dropped_total{job}[$__range]))`}},
		},
	}
}

func promErrorsByType() []Panel {
	return []Panel{
		{
			Title: "Errors of steps", Kind: Lines, Unit: PerSecond,
			Description: "Failed attempts a second. The first error of a new type shows only in the table: a rate needs two values.",
			Queries:     []Query{{Name: "{{step}} {{error_type}} ({{pipeline}})", Expr: `sum by (pipeline, step, error_type) (rate(penstock_step_errors_by_type_total{}[]))`}},
		},
		{
			Title: "Errors of sinks", Kind: Lines, Unit: PerSecond,
			Description: "Failed writes a second.",
			Queries:     []Query{{Name: "{{sink}} {{error_type}} ({{pipeline}})", Expr: `sum by (pipeline, sink, error_type) (rate(penstock_sink_errors_by_type_total{}[]))`}},
		},
		{
			Title: "Errors of steps since the start", Kind: Table, Unit: Text,
			Description: "`/api/v1/errors` has the last example of each.",
			Queries:     promColumns("Errors", `sum by (pipeline, step, error_type) (penstock_step_errors_by_type_total{})`),
		},
		{
			Title: "Errors of sinks since the start", Kind: Table, Unit: Text,
			Description: "`/api/v1/errors` has the last example of each.",
			Queries:     promColumns("Errors", `sum by (pipeline, sink, error_type) (penstock_sink_errors_by_type_total{})`),
		},
	}
}

func promErrorsRejected() []Panel {
	return []Panel{
		{
			Title: "Rejected by steps", Kind: Lines, Unit: PerSecond,
			Description: "A few at a time are bad records. As many as come in is an outage: mend it, then `penstock dead-letter replay`.",
			Queries:     []Query{{Name: "{{step}} ({{pipeline}})", Expr: `sum by (pipeline, step) (rate(penstock_step_records_rejected_total{}[]))`}},
		},
		{
			Title: "Rejected by sinks", Kind: Lines, Unit: PerSecond,
			Description: "Records that a sink does not take, whatever is tried.",
			Queries:     []Query{{Name: "{{sink}} ({{pipeline}})", Expr: `sum by (pipeline, sink) (rate(penstock_sink_records_rejected_total{}[]))`}},
		},
		{
			Title: "Share of records rejected", Kind: Lines, Unit: Ratio, Max: 1,
			Description: "Of those that came in.",
			Queries: []Query{{Name: "{{pipeline}}", Expr: promShare(
				`sum by (pipeline) (rate(penstock_pipeline_records_rejected_total{}[]))`, `sum by (pipeline) (rate(penstock_pipeline_records_in_total{}[]))`)}},
		},
	}
}

func promErrorsLate() []Panel {
	return []Panel{
		{
			Title: "Retries", Kind: Lines, Unit: PerSecond,
			Description: "Attempts after the first, of steps and sinks.",
			Queries:     []Query{{Name: "{{pipeline}}", Expr: `sum by (pipeline) (rate(penstock_pipeline_retries_total{}[]))`}},
		},
		{
			Title: "Oldest under way", Kind: Lines, Unit: Seconds,
			Description: "A line that rises by a second a second is one record that does not get through. `penstock why` names it.",
			Queries:     []Query{{Name: "{{pipeline}}", Expr: `max by (pipeline) (penstock_pipeline_oldest_inflight_seconds{})`}},
		},
		{
			Title: "Waits for a commit", Kind: Lines, Unit: Seconds,
			Description: "How long the oldest record has not been committed.",
			Queries:     []Query{{Name: "{{pipeline}}", Expr: `max by (pipeline) (penstock_pipeline_commit_age_seconds{})`}},
		},
		{
			Title: "Abandoned", Kind: Lines, Unit: PerSecond,
			Description: "Records under way when their partition went elsewhere or the process had to end. They are read again.",
			Queries:     []Query{{Name: "{{pipeline}}", Expr: `sum by (pipeline) (rate(penstock_pipeline_records_abandoned_total{}[]))`}},
		},
	}
}
