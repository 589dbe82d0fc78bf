package dashboards

// prometheusSource is the page of what is read from Kafka: lag, commits, the group.
func prometheusSource() Dashboard {
	return Dashboard{
		Name:        "source",
		Title:       "Penstock on Prometheus: Kafka source",
		Description: "How far behind each partition is, whether it moves, and how the partitions are given out.",
		Rows: []Row{
			{Title: "Now", Panels: promSourceNow()},
			{Title: "Behind", Panels: promSourceLag()},
			{Title: "Progress", Panels: promSourceProgress()},
			{Title: "Group", Panels: promSourceGroup()},
			{Title: "Partitions", Panels: promSourcePartitions()},
		},
	}
}

func promSourceNow() []Panel {
	return []Panel{
		{
			Title: "Connected", Kind: Stat, Unit: Count,
			Description: "How many replicas have a connection to the source, and how many there are.",
			Queries: []Query{
				{Name: "connected", Expr: `sum(penstock_source_connected{})`},
				{Name: "replicas", Expr: `count(penstock_source_connected{})`},
			},
		},
		{
			Title: "Partitions", Kind: Stat, Unit: Count,
			Description: "How many are assigned, all replicas together. Fewer than the topics have means that some have no reader.",
			Queries:     []Query{{Name: "assigned", Expr: `sum(penstock_source_partitions{})`}},
		},
		{
			Title: "Behind", Kind: Stat, Unit: Count, Thresholds: promFrom(100_000, 1_000_000),
			Description: "Records that are not committed.",
			Queries:     []Query{{Name: "records", Expr: `sum(penstock_pipeline_lag_records{})`}},
		},
		{
			Title: "Behind by", Kind: Stat, Unit: Seconds, Thresholds: promFrom(60, 600),
			Description: "The age of the oldest record that is not committed.",
			Queries:     []Query{{Name: "time", Expr: `max(penstock_partition_lag_seconds{})`}},
		},
		{
			Title: "Done in", Kind: Stat, Unit: Seconds,
			Description: "When nothing is left, if it goes on as in the last ten minutes. No figure: it does not get less.",
			Queries: []Query{{Name: "{{pipeline}}", Expr: `sum by (pipeline) (penstock_pipeline_lag_records{})
				/ (-sum by (pipeline) (deriv(penstock_pipeline_lag_records{}[10m])) > 0)`}},
		},
		{
			Title: "Held by transactions", Kind: Stat, Unit: Count,
			Description: "Records of the lag that a producer's open transaction holds back. Nothing here can read them until it ends.",
			Queries:     []Query{{Name: "records", Expr: `sum(penstock_partition_lag_held_records{})`}},
		},
	}
}

func promSourceLag() []Panel {
	return []Panel{
		{
			Title: "Records behind, by partition", Kind: Lines, Unit: Count,
			Description: "One line far above the rest is a partition with a slow record or too many records of one key.",
			Queries:     []Query{{Name: "{{topic}}/{{partition}} ({{pipeline}})", Expr: `sum by (pipeline, topic, partition) (penstock_partition_lag_records{})`}},
		},
		{
			Title: "Time behind, by partition", Kind: Lines, Unit: Seconds,
			Description: "The age of the oldest record that is not committed. A line that rises by a second a second stands still.",
			Queries:     []Query{{Name: "{{topic}}/{{partition}} ({{pipeline}})", Expr: `max by (pipeline, topic, partition) (penstock_partition_lag_seconds{})`}},
		},
	}
}

func promSourceProgress() []Panel {
	return []Panel{
		{
			Title: "Produced and committed", Kind: Lines, Unit: PerSecond,
			Description: "How fast the end of the topic moves, and how fast the commits do. The space between them is the lag's growth.",
			Queries: []Query{
				{Name: "{{topic}} produced ({{pipeline}})", Expr: `sum by (pipeline, topic) (deriv(penstock_partition_high_watermark_offset{}[]))`},
				{Name: "{{topic}} committed ({{pipeline}})", Expr: `sum by (pipeline, topic) (deriv(penstock_partition_committed_offset{}[]))`},
			},
		},
		{
			Title: "Fetched and not committed", Kind: Lines, Unit: Count,
			Description: "What would be read again if the process died now.",
			Queries:     []Query{{Name: "{{topic}}/{{partition}} ({{pipeline}})", Expr: `sum by (pipeline, topic, partition) (penstock_partition_uncommitted_records{})`}},
		},
		{
			Title: "Since the last commit", Kind: Lines, Unit: Seconds,
			Description: "Of a partition without new records it rises, and means nothing.",
			Queries:     []Query{{Name: "{{topic}}/{{partition}} ({{pipeline}})", Expr: `max by (pipeline, topic, partition) (penstock_partition_commit_age_seconds{})`}},
		},
	}
}

func promSourceGroup() []Panel {
	return []Panel{
		{
			Title: "Partitions, by replica", Kind: Lines, Unit: Count, Stacked: true,
			Description: "How the partitions are given out.",
			Queries:     []Query{{Name: "{{instance}} ({{pipeline}})", Expr: `sum by (pipeline, instance) (penstock_source_partitions{})`}},
		},
		{
			Title: "Generation", Kind: Lines, Unit: Count,
			Description: "It rises by one each time that partitions are given out anew. Steps in quick succession are members that come and go.",
			Queries:     []Query{{Name: "{{pipeline}}", Expr: `max by (pipeline) (penstock_source_generation{})`}},
		},
	}
}

func promSourcePartitions() []Panel {
	return []Panel{{
		Title: "Partitions", Kind: Table, Unit: Text,
		Description: "Offsets as they are now.",
		Queries: promColumns(
			"Committed", `max by (pipeline, topic, partition) (penstock_partition_committed_offset{})`,
			"Fetched", `max by (pipeline, topic, partition) (penstock_partition_fetched_offset{})`,
			"End", `max by (pipeline, topic, partition) (penstock_partition_high_watermark_offset{})`,
			"Behind", `sum by (pipeline, topic, partition) (penstock_partition_lag_records{})`,
			"Held", `sum by (pipeline, topic, partition) (penstock_partition_lag_held_records{})`,
			"Behind by (s)", `max by (pipeline, topic, partition) (penstock_partition_lag_seconds{})`,
		),
	}}
}
