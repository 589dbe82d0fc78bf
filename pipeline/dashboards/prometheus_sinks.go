package dashboards

// prometheusSinks is the page of what is written.
func prometheusSinks() Dashboard {
	return Dashboard{
		Name:        "sinks",
		Title:       "Penstock on Prometheus: sinks",
		Description: "How much each sink takes, in what portions, how long a write lasts and what fails. The dead letters' sink is one of them.",
		Rows: []Row{
			{Title: "Every sink", Panels: promSinksTable()},
			{Title: "Traffic", Panels: promSinksTraffic()},
			{Title: "Writes", Panels: promSinksWrites()},
			{Title: "Trouble", Panels: promSinksTrouble()},
		},
	}
}

func promSinksTable() []Panel {
	return []Panel{{
		Title: "Sinks since the start", Kind: Table, Unit: Text,
		Description: "Exact counts of the processes that run now.",
		Queries: promColumns(
			"In", `sum by (pipeline, sink, kind) (penstock_sink_records_in_total{})`,
			"Stored", `sum by (pipeline, sink, kind) (penstock_sink_records_out_total{})`,
			"Rejected", `sum by (pipeline, sink, kind) (penstock_sink_records_rejected_total{})`,
			"Abandoned", `sum by (pipeline, sink, kind) (penstock_sink_records_abandoned_total{})`,
			"Under way", `sum by (pipeline, sink, kind) (penstock_sink_inflight_records{})`,
			"Writes", `sum by (pipeline, sink, kind) (penstock_sink_batches_total{})`,
			"Failed attempts", `sum by (pipeline, sink, kind) (penstock_sink_errors_total{})`,
			"Retries", `sum by (pipeline, sink, kind) (penstock_sink_retries_total{})`,
		),
	}}
}

func promSinksTraffic() []Panel {
	return []Panel{
		{
			Title: "Records stored", Kind: Lines, Unit: PerSecond,
			Description: "Records that are durable where they belong, a second.",
			Queries:     []Query{{Name: "{{sink}} ({{pipeline}})", Expr: `sum by (pipeline, sink) (rate(penstock_sink_records_out_total{}[]))`}},
		},
		{
			Title: "Writes", Kind: Lines, Unit: PerSecond,
			Description: "Each is one request, or one fsync.",
			Queries:     []Query{{Name: "{{sink}} ({{pipeline}})", Expr: `sum by (pipeline, sink) (rate(penstock_sink_batches_total{}[]))`}},
		},
		{
			Title: "Records under way", Kind: Lines, Unit: Count,
			Description: "Handed to the sink and not stored yet. Where it rises and the writes do not, the sink is the bottleneck.",
			Queries:     []Query{{Name: "{{sink}} ({{pipeline}})", Expr: `sum by (pipeline, sink) (penstock_sink_inflight_records{})`}},
		},
	}
}

func promSinksWrites() []Panel {
	return []Panel{
		{
			Title: "Time of a write", Kind: Lines, Unit: Seconds,
			Description: "From when a batch is handed over to when it is durable, with its retries.",
			Queries:     promQuantiles("penstock_sink_write_duration_seconds", "pipeline, sink", "{{sink}} pN ({{pipeline}})"),
		},
		{
			Title: "Records a write", Kind: Lines, Unit: Count,
			Description: "Small ones under load mean that records come one at a time; large ones are cheap and late.",
			Queries:     promQuantiles("penstock_sink_batch_records", "pipeline, sink", "{{sink}} pN ({{pipeline}})"),
		},
	}
}

func promSinksTrouble() []Panel {
	return []Panel{
		{
			Title: "Failed attempts and retries", Kind: Lines, Unit: PerSecond,
			Description: "A write that fails is tried again, and what comes behind it in its lane waits.",
			Queries: []Query{
				{Name: "{{sink}} failed ({{pipeline}})", Expr: `sum by (pipeline, sink) (rate(penstock_sink_errors_total{}[])) > 0`},
				{Name: "{{sink}} retries ({{pipeline}})", Expr: `sum by (pipeline, sink) (rate(penstock_sink_retries_total{}[])) > 0`},
			},
		},
		{
			Title: "Errors by type", Kind: Bars, Unit: Count,
			Description: "Since the start.",
			Queries:     []Query{{Name: "{{sink}} {{error_type}} ({{pipeline}})", Expr: `sum by (pipeline, sink, error_type) (penstock_sink_errors_by_type_total{})`}},
		},
		{
			Title: "Rejected", Kind: Lines, Unit: PerSecond,
			Description: "Records that a sink does not take, whatever is tried.",
			Queries:     []Query{{Name: "{{sink}} ({{pipeline}})", Expr: `sum by (pipeline, sink) (rate(penstock_sink_records_rejected_total{}[]))`}},
		},
	}
}
