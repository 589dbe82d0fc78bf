package dashboards

// prometheusOverview is the page that is looked at first.
func prometheusOverview() Dashboard {
	return Dashboard{
		Name:  "overview",
		Title: "Penstock on Prometheus: overview",
		Description: "Is it running, how much, how far behind, how slow, and what fails. " +
			"The other pages say where: source, steps, sinks, errors.",
		Rows: []Row{
			{Title: "Now", Panels: promOverviewNow()},
			{Title: "Traffic", Panels: promOverviewTraffic()},
			{Title: "Time", Panels: promOverviewTime()},
			{Title: "Saturation", Panels: promOverviewSaturation()},
			{Title: "Since the start", Panels: promOverviewTotals()},
			{Title: "Processes", Panels: promOverviewProcesses()},
		},
	}
}

func promOverviewNow() []Panel {
	return []Panel{
		{
			Title: "Pipelines", Kind: Stat, Unit: Count, Width: 3,
			Description: "How many pipelines are in which state. One that has failed stays here until its process is started again.",
			Queries:     []Query{{Name: "{{state}}", Expr: `sum by (state) (penstock_pipeline_state{}) > 0`}},
		},
		{
			Title: "Records a second", Kind: Stat, Unit: PerSecond, Width: 5,
			Description: "Read from the source, and stored by every sink.",
			Queries: []Query{
				{Name: "in", Expr: `sum(rate(penstock_pipeline_records_in_total{}[]))`},
				{Name: "out", Expr: `sum(rate(penstock_pipeline_records_out_total{}[]))`},
			},
		},
		{
			Title: "Behind", Kind: Stat, Unit: Count, Width: 3, Thresholds: promFrom(100_000, 1_000_000),
			Description: "Records of the source that are not committed. What matters is whether it falls, and how old the oldest of them is.",
			Queries:     []Query{{Name: "records", Expr: `sum(penstock_pipeline_lag_records{})`}},
		},
		{
			Title: "Behind by", Kind: Stat, Unit: Seconds, Width: 3, Thresholds: promFrom(60, 600),
			Description: "The age of the oldest record that is not committed.",
			Queries:     []Query{{Name: "time", Expr: `max(penstock_partition_lag_seconds{})`}},
		},
		{
			Title: "Slowest records", Kind: Stat, Unit: Seconds, Width: 3, Thresholds: promFrom(5, 60),
			Description: "99 of 100 records have their outcome within this time, counted from when they were taken in.",
			Queries:     []Query{{Name: "p99", Expr: promQuantile(0.99, "penstock_pipeline_duration_seconds", "")}},
		},
		{
			Title: "Errors a record", Kind: Stat, Unit: Ratio, Width: 3, Thresholds: promFrom(0.05, 0.5),
			Description: "Attempts that failed, for each record that came in. A record that succeeds at the second attempt counts here, and is not lost.",
			Queries: []Query{{Name: "errors", Expr: promShare(
				`sum(rate(penstock_pipeline_errors_total{}[]))`, `sum(rate(penstock_pipeline_records_in_total{}[]))`)}},
		},
		{
			Title: "Rejected", Kind: Stat, Unit: Count, Width: 4, Thresholds: promFrom(1, 1000),
			Description: "Records of the page's time range that a step or a sink gave up. Each is a dead letter, where the file says where they go.",
			Queries: []Query{
				{Name: "rejected", Expr: `sum(increase(penstock_pipeline_records_rejected_total{}[$__range]))`},
				{Name: "dead letters", Expr: `sum(increase(penstock_pipeline_dead_letters_total{}[$__range]))`},
			},
		},
	}
}

func promOverviewTraffic() []Panel {
	return []Panel{
		{
			Title: "Records", Kind: Lines, Unit: PerSecond,
			Description: "In and out a second. They differ by what is filtered, rejected and split, and by what waits.",
			Queries: []Query{
				{Name: "{{pipeline}} in", Expr: `sum by (pipeline) (rate(penstock_pipeline_records_in_total{}[]))`},
				{Name: "{{pipeline}} out", Expr: `sum by (pipeline) (rate(penstock_pipeline_records_out_total{}[]))`},
			},
		},
		{
			Title: "Outcomes", Kind: Lines, Unit: PerSecond, Stacked: true,
			Description: "What becomes of records. Abandoned ones were under way when their partition went elsewhere, and are read again there.",
			Queries: []Query{
				{Name: "delivered", Expr: `sum(rate(penstock_pipeline_records_out_total{}[]))`},
				{Name: "filtered", Expr: `sum(rate(penstock_pipeline_records_filtered_total{}[]))`},
				{Name: "rejected", Expr: `sum(rate(penstock_pipeline_records_rejected_total{}[]))`},
				{Name: "abandoned", Expr: `sum(rate(penstock_pipeline_records_abandoned_total{}[]))`},
			},
		},
		{
			Title: "Bytes", Kind: Lines, Unit: BytesPerSec,
			Description: "Of the records that were read, and of those that sinks have stored.",
			Queries: []Query{
				{Name: "{{pipeline}} in", Expr: `sum by (pipeline) (rate(penstock_pipeline_in_bytes_total{}[]))`},
				{Name: "{{pipeline}} out", Expr: `sum by (pipeline) (rate(penstock_pipeline_out_bytes_total{}[]))`},
			},
		},
	}
}

func promOverviewTime() []Panel {
	return []Panel{
		{
			Title: "Time of a record", Kind: Lines, Unit: Seconds,
			Description: "From when a record was taken in to its outcome, over all replicas.",
			Queries:     promQuantiles("penstock_pipeline_duration_seconds", "pipeline", "{{pipeline}} pN"),
		},
		{
			Title: "Behind", Kind: Lines, Unit: Count,
			Description: "Records that are not committed. A line that rises for long means that more is produced than done.",
			Queries:     []Query{{Name: "{{pipeline}}", Expr: `sum by (pipeline) (penstock_pipeline_lag_records{})`}},
		},
		{
			Title: "Oldest", Kind: Lines, Unit: Seconds,
			Description: "The oldest record that is not committed, the oldest under way, and how long something has waited for a commit. " +
				"When one of them rises by a second a second, one record holds up the rest: `penstock why` names it.",
			Queries: []Query{
				{Name: "{{pipeline}} not committed", Expr: `max by (pipeline) (penstock_partition_lag_seconds{})`},
				{Name: "{{pipeline}} under way", Expr: `max by (pipeline) (penstock_pipeline_oldest_inflight_seconds{})`},
				{Name: "{{pipeline}} commit", Expr: `max by (pipeline) (penstock_pipeline_commit_age_seconds{})`},
			},
		},
	}
}

func promOverviewSaturation() []Panel {
	return []Panel{
		{
			Title: "Records under way", Kind: Lines, Unit: Count,
			Description: "Taken in and without an outcome. A flat line at the limit is a full pipeline, which is no fault in itself.",
			Queries:     []Query{{Name: "{{pipeline}}", Expr: `sum by (pipeline) (penstock_pipeline_inflight_records{})`}},
		},
		{
			Title: "Bytes under way", Kind: Lines, Unit: Bytes,
			Description: "What the pipeline holds of the memory budget.",
			Queries:     []Query{{Name: "{{pipeline}}", Expr: `sum by (pipeline) (penstock_pipeline_inflight_bytes{})`}},
		},
		{
			Title: "Back pressure", Kind: States, Unit: Text,
			Description: "Whether the source has to wait for the rest: hardly (ok), at times (low), most of the time (high).",
			Queries:     []Query{{Name: "{{level}} ({{pipeline}})", Expr: `max by (pipeline, level) (penstock_pipeline_backpressure{} == 1)`}},
		},
		{
			Title: "Bottleneck", Kind: States, Unit: Text,
			Description: "The step or sink that is busy while what stands before it waits. More workers or replicas help there and nowhere else.",
			Queries:     []Query{{Name: "{{step}} ({{pipeline}})", Expr: `max by (pipeline, step) (penstock_pipeline_bottleneck{} == 1)`}},
		},
	}
}

func promOverviewTotals() []Panel {
	return []Panel{{
		Title: "Records since the start", Kind: Table, Unit: Text,
		Description: "Exact counts of the processes that run now. In and created are always delivered, filtered, rejected, abandoned and under way together.",
		Queries: promColumns(
			"In", `sum by (pipeline) (penstock_pipeline_records_in_total{})`,
			"Created", `sum by (pipeline) (penstock_pipeline_records_created_total{})`,
			"Delivered", `sum by (pipeline) (penstock_pipeline_records_out_total{})`,
			"Filtered", `sum by (pipeline) (penstock_pipeline_records_filtered_total{})`,
			"Rejected", `sum by (pipeline) (penstock_pipeline_records_rejected_total{})`,
			"Abandoned", `sum by (pipeline) (penstock_pipeline_records_abandoned_total{})`,
			"Under way", `sum by (pipeline) (penstock_pipeline_inflight_records{})`,
			"Dead letters", `sum by (pipeline) (penstock_pipeline_dead_letters_total{})`,
			"Failed attempts", `sum by (pipeline) (penstock_pipeline_errors_total{})`,
			"Retries", `sum by (pipeline) (penstock_pipeline_retries_total{})`,
		),
	}}
}

func promOverviewProcesses() []Panel {
	return []Panel{
		{
			Title: "Processor", Kind: Lines, Unit: Ratio,
			Description: "100 % is one core.",
			Queries:     []Query{{Name: "{{instance}}", Expr: promOurs(`rate(process_cpu_seconds_total{job}[])`)}},
		},
		{
			Title: "Memory", Kind: Lines, Unit: Bytes,
			Description: "Resident memory of each process.",
			Queries:     []Query{{Name: "{{instance}}", Expr: promOurs(`process_resident_memory_bytes{job}`)}},
		},
		{
			Title: "Log lines", Kind: Lines, Unit: PerSecond,
			Description: "Written, and dropped because nobody takes them off the pipe fast enough. Figures on Loki are short of what is dropped, these are not.",
			Queries: []Query{
				{Name: "{{instance}} written", Expr: `sum by (instance) (rate(penstock_log_lines_written_total{job}[]))`},
				{Name: "{{instance}} dropped", Expr: `sum by (instance) (rate(penstock_log_lines_dropped_total{job}[]))`},
			},
		},
		{
			Title: "Versions", Kind: Table, Unit: Count,
			Description: "What runs. Two lines for long are a roll-out that hangs.",
			Queries:     promColumns("Processes", `count by (version, revision, go_version) (penstock_build_info{job})`),
		},
	}
}
