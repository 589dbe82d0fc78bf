package dashboards

func lokiSteps() Dashboard {
	return Dashboard{
		Name:        "steps",
		Title:       "penstock: steps",
		Description: "Which step is slow, why, and what holds its calls back. Read from the left: traffic, delay, errors, load.",
		Rows: []Row{
			{Title: "All steps", Panels: []Panel{stepTable()}},
			{Title: "Traffic and delay", Panels: stepTraffic()},
			{Title: "What the workers do", Panels: stepLoad()},
			{Title: "What calls wait for", Panels: stepCalls()},
			{Title: "Stalled", Panels: stepStalled()},
		},
	}
}

func stepTable() Panel {
	by := []string{"pipeline", "step"}
	of := func(field string) ask { return total("step.stats", field, whole, by...) }
	worst := func(field string) ask { return ask{event: "step.stats", field: field, over: most, rng: whole, by: by} }
	return Panel{
		Title: "Over the time range", Kind: Table, Unit: Text, Width: 24,
		Description: "What went through each step. What came in and was made is what went out, was filtered, rejected or abandoned, and what is still in the step. The last three columns are those of the worst interval.",
		Queries: []Query{
			of("records_in").named("In"), of("records_out").named("Out"), of("created").named("Made"), of("filtered").named("Filtered"),
			of("rejected").named("Rejected"), of("errors").named("Errors"), of("retries").named("Retries"),
			worst("lat_p99_ms").named("p99, ms"), worst("busy_ratio").named("Busy"), worst("blocked_ratio").named("Blocked"),
		},
	}
}

func stepTraffic() []Panel {
	return []Panel{
		{
			Title: "Records out", Kind: Lines, Unit: PerSecond,
			Description: "By step.",
			Queries:     []Query{perSecond("step.stats", "records_out", "pipeline", "step").to("pipeline", "step")},
		},
		{
			Title: "Time in the step", Kind: Lines, Unit: Milliseconds,
			Description: "99 of 100 records took less, in the worst copy.",
			Queries:     []Query{highest("step.stats", "lat_p99_ms", "pipeline", "step").to("pipeline", "step")},
		},
		{
			Title: "Errors", Kind: Lines, Unit: Count,
			Description: "Failed attempts, and those of them that were tried again.",
			Queries: []Query{
				total("step.stats", "errors", interval, "pipeline", "step").named("{{pipeline}} {{step}} errors"),
				total("step.stats", "retries", interval, "pipeline", "step").named("{{pipeline}} {{step}} retries"),
			},
		},
		{
			Title: "Rejected", Kind: Lines, Unit: Count,
			Description: "Records that each step gave up, to the dead letters.",
			Queries:     []Query{total("step.stats", "rejected", interval, "pipeline", "step").to("pipeline", "step")},
		},
	}
}

func stepLoad() []Panel {
	return []Panel{
		{
			Title: "Busy", Kind: Lines, Unit: Ratio, Max: 1,
			Description: "Share of the workers' time inside the stage. Near 1: this step is the limit; give it more workers.",
			Queries:     []Query{highest("step.stats", "busy_ratio", "pipeline", "step").to("pipeline", "step")},
			Thresholds:  []Threshold{{0.9, Look}},
		},
		{
			Title: "Blocked", Kind: Lines, Unit: Ratio, Max: 1,
			Description: "Share of the workers' time that is spent waiting to hand over. Near 1: the limit is further down.",
			Queries:     []Query{highest("step.stats", "blocked_ratio", "pipeline", "step").to("pipeline", "step")},
		},
		{
			Title: "Queue in front of the step", Kind: Lines, Unit: Ratio, Max: 1,
			Description: "How full it was at most. A full queue in front of a busy step: that one is too slow.",
			Queries:     []Query{highest("step.stats", "queue_fill_max_ratio", "pipeline", "step").to("pipeline", "step")},
		},
		{
			Title: "Oldest record", Kind: Lines, Unit: Milliseconds,
			Description: "How long the oldest record has been in the step. A line that only rises is a record that hangs.",
			Queries:     []Query{highest("step.stats", "oldest_inflight_ms", "pipeline", "step").to("pipeline", "step")},
		},
	}
}

func stepCalls() []Panel {
	return []Panel{
		{
			Title: "Window", Kind: Lines, Unit: Count, Width: 5,
			Description: "Records that the step has taken and has not passed on in order yet, and how many these may be. When it is full and few calls are at work, one slow answer holds up the others.",
			Queries: []Query{
				present("step.stats", "window_len", interval, "pipeline", "step").to("pipeline", "step"),
				present("step.stats", "window_cap", interval, "pipeline", "step").named("{{pipeline}} {{step}} at most"),
			},
		},
		{
			Title: "Held back", Kind: Lines, Unit: Count, Width: 5,
			Description: "Records whose call may not begin now, because of a rate, a breaker or a full host.",
			Queries:     []Query{present("step.stats", "throttled", interval, "pipeline", "step").to("pipeline", "step")},
		},
		{
			Title: "Time held back", Kind: Lines, Unit: Milliseconds, Width: 5,
			Description: "How long limits held records back in an interval, added up over all records.",
			Queries:     []Query{total("step.stats", "throttle_wait_ms", interval, "pipeline", "step").to("pipeline", "step")},
		},
		{
			Title: "Answers that needed no call", Kind: Lines, Unit: Count, Width: 5,
			Description: "Answers from the cache, those of them that were out of date, and answers of a call that was under way for an equal record.",
			Queries: []Query{
				total("step.stats", "cache_hits", interval, "pipeline", "step").named("{{pipeline}} {{step}} known"),
				total("step.stats", "cache_stale", interval, "pipeline", "step").named("{{pipeline}} {{step}} out of date"),
				total("step.stats", "cache_misses", interval, "pipeline", "step").named("{{pipeline}} {{step}} asked for"),
				total("step.stats", "calls_joined", interval, "pipeline", "step").named("{{pipeline}} {{step}} shared"),
			},
		},
		{
			Title: "Hosts left alone", Kind: Lines, Unit: Count, Width: 4,
			Description: "Hosts whose breaker is open, since they fail.",
			Queries:     []Query{present("step.stats", "circuits_open", interval, "pipeline", "step").to("pipeline", "step")},
			Thresholds:  []Threshold{{1, Bad}},
		},
	}
}

func stepStalled() []Panel {
	return []Panel{
		{
			Title: "Stalls", Kind: Lines, Unit: Count, Width: 8,
			Description: "How often a record made no progress in a step, by what it waited for, and how often it went on.",
			Queries: []Query{
				ask{event: "step.stalled", over: count, rng: interval, by: []string{"pipeline", "step", "cause"}}.named("{{pipeline}} {{step}} stalled: {{cause}}"),
				ask{event: "step.recovered", over: count, rng: interval, by: []string{"pipeline", "step"}}.named("{{pipeline}} {{step}} went on"),
			},
		},
		{
			Title: "Stalls, breakers and queues", Kind: Log, Width: 16,
			Description: "Lines about a record that stalled, a host that is left alone, and a queue that fills.",
			Queries:     []Query{logLines(words{"pipeline", "step", "message", "target", "state", "error_type"}, "step.stalled", "step.recovered", "circuit.changed", "backpressure.changed")},
		},
	}
}
