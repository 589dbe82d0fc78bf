package dashboards

func lokiOverview() Dashboard {
	return Dashboard{
		Name:        "overview",
		Title:       "penstock: overview",
		Description: "How much goes through, how long it takes, how far behind it is, and what does not get through. The other pages say why.",
		Rows: []Row{
			{Title: "Now", Panels: overviewTiles()},
			{Title: "Traffic", Panels: overviewTraffic()},
			{Title: "Delay", Panels: overviewDelay()},
			{Title: "Load", Panels: overviewLoad()},
			{Title: "Process", Panels: overviewProcess()},
			{Title: "Said", Panels: []Panel{{
				Title: "Warnings and errors", Kind: Log, Width: 24,
				Description: "All lines of level warn and above. Those that repeat are held back, which log.suppressed counts; figures stay exact.",
				Queries: []Query{{
					Expr: "{service_name=~\"$service\"} |~ `\"level\":\"(warn|error|fatal)\"`" + words{"pipeline", "message"}.logql(),
					JQ:   `within($range) | map(select(.level == "warn" or .level == "error" or .level == "fatal"))` + words{"pipeline", "message"}.jq(),
				}},
			}}},
		},
	}
}

func overviewTiles() []Panel {
	return []Panel{
		{
			Title: "In", Kind: Stat, Unit: PerSecond,
			Description: "Records read, by second, over the last two minutes.",
			Queries:     []Query{ask{event: "pipeline.stats", field: "records_in", over: rate, rng: recent, by: []string{"pipeline"}}.to("pipeline")},
		},
		{
			Title: "Out", Kind: Stat, Unit: PerSecond,
			Description: "Records that all their sinks have, by second, over the last two minutes.",
			Queries:     []Query{ask{event: "pipeline.stats", field: "records_out", over: rate, rng: recent, by: []string{"pipeline"}}.to("pipeline")},
		},
		{
			Title: "Lag", Kind: Stat, Unit: Count,
			Description: "Records in the topics that are not committed. Falls when the pipeline is fast enough; the page on the source has it by partition and in seconds.",
			Queries:     []Query{partition("lag", recent, "sum", "pipeline").to("pipeline")},
			Thresholds:  []Threshold{{10_000, Look}, {100_000, Bad}},
		},
		{
			Title: "Slowest percent (p99)", Kind: Stat, Unit: Milliseconds,
			Description: "From when a record was read to its outcome: 99 of 100 took less, in the worst interval and copy of the last two minutes.",
			Queries:     []Query{ask{event: "pipeline.stats", field: "e2e_p99_ms", over: most, rng: recent, by: []string{"pipeline"}}.to("pipeline")},
		},
		{
			Title: "Errors", Kind: Stat, Unit: Ratio,
			Description: "Failed attempts for each record read, over the page's time range. An attempt that is tried again and succeeds counts here, and loses nothing.",
			Queries: []Query{withName(ratio(total("pipeline.stats", "errors", whole, "pipeline"),
				total("pipeline.stats", "records_in", whole, "pipeline")), "{{pipeline}}")},
			Thresholds: []Threshold{{0.05, Look}, {0.5, Bad}},
		},
		{
			Title: "Rejected", Kind: Stat, Unit: Count,
			Description: "Records that went to the dead letters, over the page's time range. The page on errors says why.",
			Queries:     []Query{total("pipeline.stats", "rejected", whole, "pipeline").to("pipeline")},
			Thresholds:  []Threshold{{1, Look}},
		},
	}
}

func withName(q Query, name string) Query {
	q.Name = name
	return q
}

func overviewTraffic() []Panel {
	return []Panel{
		{
			Title: "Records", Kind: Lines, Unit: PerSecond, Width: 12,
			Description: "What is read and what is delivered. In stays above out while work piles up, or records are filtered.",
			Queries: []Query{
				perSecond("pipeline.stats", "records_in", "pipeline").named("{{pipeline}} in"),
				perSecond("pipeline.stats", "records_out", "pipeline").named("{{pipeline}} out"),
			},
		},
		{
			Title: "Not delivered", Kind: Lines, Unit: Count, Width: 6,
			Description: "Filtered is meant to be; rejected stands in the dead letters; abandoned is read again.",
			Queries: []Query{
				total("pipeline.stats", "filtered", interval, "pipeline").named("{{pipeline}} filtered"),
				total("pipeline.stats", "rejected", interval, "pipeline").named("{{pipeline}} rejected"),
				total("pipeline.stats", "abandoned", interval, "pipeline").named("{{pipeline}} abandoned"),
			},
		},
		{
			Title: "Bytes", Kind: Lines, Unit: BytesPerSec, Width: 6,
			Description: "Of the records that were read, and of those that sinks have stored.",
			Queries: []Query{
				perSecond("pipeline.stats", "bytes_in", "pipeline").named("{{pipeline}} in"),
				perSecond("pipeline.stats", "bytes_out", "pipeline").named("{{pipeline}} out"),
			},
		},
	}
}

func overviewDelay() []Panel {
	return []Panel{
		{
			Title: "From read to outcome", Kind: Lines, Unit: Milliseconds, Width: 12,
			Description: "Percentiles of each interval; of several copies the worst. Percentiles cannot be averaged.",
			Queries: []Query{
				highest("pipeline.stats", "e2e_p50_ms", "pipeline").named("{{pipeline}} p50"),
				highest("pipeline.stats", "e2e_p95_ms", "pipeline").named("{{pipeline}} p95"),
				highest("pipeline.stats", "e2e_p99_ms", "pipeline").named("{{pipeline}} p99"),
				highest("pipeline.stats", "e2e_max_ms", "pipeline").named("{{pipeline}} slowest"),
			},
		},
		{
			Title: "Lag", Kind: Lines, Unit: Count, Width: 6,
			Description: "Records that are not committed, in all partitions together.",
			Queries:     []Query{partition("lag", recent, "sum", "pipeline").to("pipeline")},
		},
		{
			Title: "Oldest", Kind: Lines, Unit: Milliseconds, Width: 6,
			Description: "The record that has been under way longest, and the partition that has waited longest for a commit. A line that only rises is something that hangs.",
			Queries: []Query{
				highest("pipeline.stats", "oldest_inflight_ms", "pipeline").named("{{pipeline}} in flight"),
				highest("pipeline.stats", "commit_age_max_ms", "pipeline").named("{{pipeline}} since a commit"),
			},
		},
	}
}

func overviewLoad() []Panel {
	return []Panel{
		{
			Title: "State", Kind: Lines, Unit: Count, Width: 6,
			Description: "The state of each pipeline. Each copy says it once in an interval, and the picture counts what they say.",
			Queries:     []Query{ask{event: "pipeline.stats", over: count, rng: interval, by: []string{"pipeline", "state"}}.to("pipeline", "state")},
		},
		{
			Title: "Back pressure", Kind: Lines, Unit: Count, Width: 6,
			Description: "Whether the source has to wait for the steps: up to a tenth of an interval is ok, up to half of it low, more is high. The picture counts what the copies say.",
			Queries:     []Query{ask{event: "pipeline.stats", over: count, rng: interval, by: []string{"pipeline", "backpressure"}}.to("pipeline", "backpressure")},
		},
		{
			Title: "Bottleneck", Kind: Bars, Unit: Count, Width: 6,
			Description: "The step that was busy while the one before it was blocked. The picture counts in how many intervals. What helps is more workers for it, or a faster server.",
			Queries: []Query{ask{event: "pipeline.stats", over: count, rng: whole, has: []string{"bottleneck_step"},
				by: []string{"pipeline", "bottleneck_step"}}.to("pipeline", "bottleneck_step")},
		},
		{
			Title: "In flight", Kind: Lines, Unit: Count, Width: 6,
			Description: "Records that were made and have no outcome yet.",
			Queries:     []Query{present("pipeline.stats", "inflight", interval, "pipeline").to("pipeline")},
		},
	}
}

func overviewProcess() []Panel {
	return []Panel{
		{
			Title: "Heap", Kind: Lines, Unit: Bytes,
			Description: "Memory in use, by copy.",
			Queries:     []Query{highest("pipeline.stats", "heap_bytes", instance).to(instance)},
		},
		{
			Title: "Goroutines", Kind: Lines, Unit: Count,
			Description: "By copy. A line that only rises is a leak.",
			Queries:     []Query{highest("pipeline.stats", "goroutines", instance).to(instance)},
		},
		{
			Title: "Starts and ends", Kind: Lines, Unit: Count,
			Description: "Processes that started, and that ended, by reason.",
			Queries: []Query{
				ask{event: "process.started", over: count, rng: interval, by: []string{"service_version"}}.named("started {{service_version}}"),
				ask{event: "process.stopped", over: count, rng: interval, by: []string{"reason"}}.named("stopped: {{reason}}"),
			},
		},
		{
			Title: "Lines of the log not written", Kind: Lines, Unit: Count,
			Description: "repeated is meant to be. queue_full and write_failed are lines that got lost: whoever reads the log is too slow, and the figures of this page have holes.",
			Queries:     []Query{total("log.suppressed", "count", interval, "reason").to("reason")},
		},
	}
}
