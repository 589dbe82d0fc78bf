package dashboards

func lokiErrors() Dashboard {
	return Dashboard{
		Name:        "errors",
		Title:       "penstock: errors",
		Description: "What fails, where, how often, and an example of each. Counts are exact, although lines that repeat are held back.",
		Rows: []Row{
			{Title: "How much", Panels: errorTotals()},
			{Title: "What", Panels: errorKinds()},
			{Title: "Around it", Panels: errorAround()},
			{Title: "Examples", Panels: []Panel{
				{
					Title: "Errors with an example", Kind: Log, Width: 12,
					Description: "One line for each step, kind of error and interval: how often, and one record that had it.",
					Queries:     []Query{logLines(words{"pipeline", "message"}, "error.stats")},
				},
				{
					Title: "Rejected records", Kind: Log, Width: 12,
					Description: "Where each was read, and why it was given up. Limited: the dead letters have all of them.",
					Queries:     []Query{logLines(words{"pipeline", "message", "error_message"}, "record.rejected", "panic.recovered", "commit.failed", "transaction.aborted")},
				},
			}},
		},
	}
}

func errorTotals() []Panel {
	return []Panel{
		{
			Title: "Error ratio", Kind: Lines, Unit: Ratio, Width: 8,
			Description: "Failed attempts for each record read.",
			Queries: []Query{withName(ratio(total("pipeline.stats", "errors", interval, "pipeline"),
				total("pipeline.stats", "records_in", interval, "pipeline")), "{{pipeline}}")},
			Thresholds: []Threshold{{0.05, Look}, {0.5, Bad}},
		},
		{
			Title: "Rejected ratio", Kind: Lines, Unit: Ratio, Width: 8,
			Description: "Records that went to the dead letters, of those that were read.",
			Queries: []Query{withName(ratio(total("pipeline.stats", "rejected", interval, "pipeline"),
				total("pipeline.stats", "records_in", interval, "pipeline")), "{{pipeline}}")},
			Thresholds: []Threshold{{0.01, Look}},
		},
		{
			Title: "Retries", Kind: Lines, Unit: Count, Width: 8,
			Description: "Attempts that were repeated.",
			Queries:     []Query{total("pipeline.stats", "retries", interval, "pipeline").to("pipeline")},
		},
	}
}

func errorKinds() []Panel {
	by := []string{"pipeline", "step", "error_type"}
	return []Panel{
		{
			Title: "By step and kind", Kind: Bars, Unit: Count, Width: 8,
			Description: "Over the page's time range. docs/reference/reasons.md says what each kind means.",
			Queries:     []Query{total("error.stats", "count", whole, by...).to(by...)},
		},
		{
			Title: "By step and kind, over time", Kind: Lines, Unit: Count, Width: 8, Stacked: true,
			Description: "The same, by interval.",
			Queries:     []Query{total("error.stats", "count", interval, by...).to(by...)},
		},
		{
			Title: "Why records were rejected", Kind: Lines, Unit: Count, Width: 8, Stacked: true,
			Description: "Lines about rejected records, by reason. When there are many this is a sample, since such lines are limited.",
			Queries:     []Query{ask{event: "record.rejected", over: count, rng: interval, by: []string{"pipeline", "reason"}}.to("pipeline", "reason")},
		},
	}
}

func errorAround() []Panel {
	return []Panel{
		{
			Title: "Breakers", Kind: Lines, Unit: Count,
			Description: "Hosts that are left alone since they fail (open), tried (half_open), and called again (closed).",
			Queries:     []Query{ask{event: "circuit.changed", over: count, rng: interval, by: []string{"target", "state"}}.to("target", "state")},
		},
		{
			Title: "Panics", Kind: Lines, Unit: Count,
			Description: "A stage or sink that panicked: a bug. Its record is rejected, the others go on.",
			Queries:     []Query{ask{event: "panic.recovered", over: count, rng: interval, by: []string{"pipeline", "step"}}.to("pipeline", "step")},
			Thresholds:  []Threshold{{1, Bad}},
		},
		{
			Title: "Pauses", Kind: Lines, Unit: Count,
			Description: "How often a pipeline paused since too many records were rejected, and how often it went on. Somebody whom it needs is down, or has a wrong version.",
			Queries: []Query{
				ask{event: "pipeline.paused", over: count, rng: interval, by: []string{"pipeline", "reason"}}.named("{{pipeline}} paused: {{reason}}"),
				ask{event: "pipeline.resumed", over: count, rng: interval, by: []string{"pipeline", "reason"}}.named("{{pipeline}} went on: {{reason}}"),
			},
			Thresholds: []Threshold{{1, Bad}},
		},
		{
			Title: "Configuration refused", Kind: Lines, Unit: Count,
			Description: "Files with errors. The process goes on with what it had, or does not start.",
			Queries:     []Query{ask{event: "config.rejected", over: count, rng: interval, by: []string{"trigger"}}.to("trigger")},
		},
		{
			Title: "Not written to the log", Kind: Lines, Unit: Count, Width: 8,
			Description: "Lines that were held back because they repeat. The counts on this page include them.",
			Queries:     []Query{total("log.suppressed", "count", interval, "suppressed_event", "reason").to("suppressed_event", "reason")},
		},
	}
}
