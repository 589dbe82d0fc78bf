package dashboards

func lokiSinks() Dashboard {
	by := []string{"pipeline", "sink"}
	of := func(field string) ask { return total("sink.stats", field, whole, by...) }
	return Dashboard{
		Name:        "sinks",
		Title:       "penstock: sinks",
		Description: "What the sinks have taken, how long a write takes, and what is refused. The dead letters are a sink too.",
		Rows: []Row{
			{Title: "All sinks", Panels: []Panel{{
				Title: "Over the time range", Kind: Table, Unit: Text, Width: 24,
				Description: "What went into each sink. What came in is what was stored, filtered, rejected or abandoned, and what is still being written.",
				Queries: []Query{
					of("records_in").named("In"), of("records_out").named("Out"), of("filtered").named("Filtered"), of("rejected").named("Rejected"),
					of("abandoned").named("Abandoned"), of("errors").named("Errors"), of("retries").named("Retries"), of("batches").named("Writes"),
				},
			}}},
			{Title: "Traffic", Panels: sinkTraffic(by)},
			{Title: "Writes", Panels: sinkWrites(by)},
			{Title: "Stalled", Panels: []Panel{
				{
					Title: "Stalls", Kind: Lines, Unit: Count, Width: 8,
					Description: "How often a write made no progress, and how often it went on.",
					Queries: []Query{
						ask{event: "sink.stalled", over: count, rng: interval, by: by}.named("{{pipeline}} {{sink}} stalled"),
						ask{event: "sink.recovered", over: count, rng: interval, by: by}.named("{{pipeline}} {{sink}} went on"),
					},
				},
				{
					Title: "What stalled", Kind: Log, Width: 16,
					Description: "Each line names the record, the attempt and the last error.",
					Queries:     []Query{logLines(words{"pipeline", "message", "error_type"}, "sink.stalled", "sink.recovered")},
				},
			}},
		},
	}
}

func sinkTraffic(by []string) []Panel {
	return []Panel{
		{
			Title: "Records taken", Kind: Lines, Unit: PerSecond,
			Description: "Records that are stored, by sink.",
			Queries:     []Query{perSecond("sink.stats", "records_out", by...).to(by...)},
		},
		{
			Title: "In the sink", Kind: Lines, Unit: Count,
			Description: "Records that wait for a write or are written now.",
			Queries:     []Query{present("sink.stats", "inflight", interval, by...).to(by...)},
		},
		{
			Title: "Errors and retries", Kind: Lines, Unit: Count,
			Description: "Writes that failed. A sink tries again without an end, unless the records are at fault.",
			Queries: []Query{
				total("sink.stats", "errors", interval, by...).named("{{pipeline}} {{sink}} errors"),
				total("sink.stats", "retries", interval, by...).named("{{pipeline}} {{sink}} retries"),
			},
		},
		{
			Title: "Refused", Kind: Lines, Unit: Count,
			Description: "Records that a sink refused for good: they stand in the dead letters.",
			Queries:     []Query{total("sink.stats", "rejected", interval, by...).to(by...)},
		},
	}
}

func sinkWrites(by []string) []Panel {
	return []Panel{
		{
			Title: "Time of a write", Kind: Lines, Unit: Milliseconds, Width: 8,
			Description: "How long writes took: percentiles of each interval, and of several copies the worst.",
			Queries: []Query{
				highest("sink.stats", "write_p50_ms", by...).named("{{pipeline}} {{sink}} p50"),
				highest("sink.stats", "write_p99_ms", by...).named("{{pipeline}} {{sink}} p99"),
			},
		},
		{
			Title: "Records of a write", Kind: Lines, Unit: Count, Width: 8,
			Description: "Writes of many records are cheap. When they have few and the sink is busy, let it wait a little longer for more.",
			Queries: []Query{
				highest("sink.stats", "batch_records_p50", by...).named("{{pipeline}} {{sink}} median"),
				highest("sink.stats", "batch_records_max", by...).named("{{pipeline}} {{sink}} most"),
			},
		},
		{
			Title: "Writes", Kind: Lines, Unit: PerSecond, Width: 8,
			Description: "By sink.",
			Queries:     []Query{perSecond("sink.stats", "batches", by...).to(by...)},
		},
	}
}
