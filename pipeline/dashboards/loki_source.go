package dashboards

import "slices"

func lokiSource() Dashboard {
	return Dashboard{
		Name:        "source",
		Title:       "penstock: Kafka source",
		Description: "How far each partition is behind, whether its offsets are committed, and what the consumer group and the brokers do.",
		Rows: []Row{
			{Title: "Lag", Panels: sourceLag()},
			{Title: "Commits", Panels: sourceCommits()},
			{Title: "Group and brokers", Panels: sourceGroup()},
			{Title: "Partitions", Panels: []Panel{sourceTable()}},
		},
	}
}

// partitionBy are the labels of a partition: several pipelines may read one topic.
var partitionBy = []string{"pipeline", "topic", "partition"}

// partition is the newest value of a figure of each partition: one value, whoever owned it then. What each
// copy says of all its partitions together cannot be added up, since one that has gone said it a moment ago, too.
func partition(field, rng, fold string, by ...string) ask {
	a := ask{event: "source.partition.stats", field: field, over: last, rng: rng, fold: fold, by: by}
	for _, key := range []string{"topic", "partition"} {
		if !slices.Contains(by, key) {
			a.each = append(a.each, key)
		}
	}
	return a
}

func sourceLag() []Panel {
	return []Panel{
		{
			Title: "Lag of topics", Kind: Lines, Unit: Count, Width: 8,
			Description: "Records that are not committed, all partitions of a topic together: of each its newest figure.",
			Queries:     []Query{partition("lag", recent, "sum", "pipeline", "topic").to("pipeline", "topic")},
		},
		{
			Title: "Lag of partitions", Kind: Lines, Unit: Count, Width: 8,
			Description: "A partition far above the others hangs, or too many records have its keys. `penstock why` says what it waits for.",
			Queries:     []Query{partition("lag", recent, "max", partitionBy...).to(partitionBy...)},
		},
		{
			Title: "Lag in time", Kind: Lines, Unit: Milliseconds, Width: 8,
			Description: "How old the oldest record is that is not committed. This is what users feel: ten thousand records may be a second or a day.",
			Queries:     []Query{partition("lag_age_ms", recent, "max", partitionBy...).to(partitionBy...)},
		},
	}
}

func sourceCommits() []Panel {
	return []Panel{
		{
			Title: "Since the last commit", Kind: Lines, Unit: Milliseconds, Width: 8,
			Description: "How long ago each partition was committed last. It rises also while there is nothing to commit, so look at what is not committed beside it.",
			Queries:     []Query{partition("commit_age_ms", recent, "max", partitionBy...).to(partitionBy...)},
		},
		{
			Title: "Not committed", Kind: Lines, Unit: Count, Width: 8,
			Description: "Records read whose offsets are not committed. After a crash these are read again.",
			Queries:     []Query{partition("uncommitted", recent, "max", partitionBy...).to(partitionBy...)},
		},
		{
			Title: "Commits that failed", Kind: Lines, Unit: Count, Width: 8,
			Description: "By kind of error. They are tried again; nothing is lost while the group keeps the partition.",
			Queries: []Query{
				ask{event: "commit.failed", over: count, rng: interval, by: []string{"pipeline", "error_type"}}.to("pipeline", "error_type"),
				ask{event: "transaction.aborted", over: count, rng: interval, by: []string{"pipeline", "error_type"}}.named("{{pipeline}} transaction: {{error_type}}"),
			},
		},
	}
}

func sourceGroup() []Panel {
	return []Panel{
		{
			Title: "Rebalances", Kind: Lines, Unit: Count,
			Description: "How often partitions came and went. More than one or two at a deployment mean that members lose their session, or are restarted.",
			Queries: []Query{
				ask{event: "source.assigned", over: count, rng: interval, by: []string{"pipeline", "consumer_group"}}.named("{{pipeline}} assigned"),
				ask{event: "source.revoked", over: count, rng: interval, by: []string{"pipeline", "consumer_group"}}.named("{{pipeline}} revoked"),
			},
		},
		{
			Title: "In flight when revoked", Kind: Lines, Unit: Count,
			Description: "drained found their outcome in time. Returned and abandoned are read again by the next owner.",
			Queries: []Query{
				total("source.revoked", "drained", interval, "pipeline").named("{{pipeline}} drained"),
				total("source.revoked", "returned", interval, "pipeline").named("{{pipeline}} returned"),
				total("source.revoked", "abandoned", interval, "pipeline").named("{{pipeline}} abandoned"),
			},
		},
		{
			Title: "Brokers that do not answer", Kind: Lines, Unit: Count,
			Description: "How often a broker did not answer, by kind of error. Until it answers again each kind counts once.",
			Queries:     []Query{ask{event: "source.disconnected", over: count, rng: interval, by: []string{"pipeline", "broker", "error_type"}}.to("pipeline", "broker", "error_type")},
		},
		{
			Title: "Gaps and corrupt batches", Kind: Lines, Unit: Count,
			Description: "Offsets that should be there and are not, and batches that cannot be read. Each is data that may be lost: look at the line.",
			Queries: []Query{
				ask{event: "source.gap", over: count, rng: interval, by: []string{"pipeline", "topic", "reason"}}.named("{{pipeline}} gap in {{topic}}: {{reason}}"),
				ask{event: "source.corrupt", over: count, rng: interval, by: []string{"pipeline", "topic", "reason"}}.named("{{pipeline}} corrupt batch in {{topic}}: {{reason}}"),
			},
		},
	}
}

func sourceTable() Panel {
	by := partitionBy
	return Panel{
		Title: "Partitions now", Kind: Table, Unit: Text, Width: 24,
		Description: "The newest figures of each partition.",
		Queries: []Query{
			partition("offset_committed", recent, "max", by...).named("Committed"),
			partition("offset_fetched", recent, "max", by...).named("Fetched"),
			partition("offset_hwm", recent, "max", by...).named("End of the topic"),
			partition("lag", recent, "max", by...).named("Lag"),
			partition("uncommitted", recent, "max", by...).named("Not committed"),
			partition("commit_age_ms", recent, "max", by...).named("Since a commit, ms"),
			partition("generation", recent, "max", by...).named("Generation"),
		},
	}
}
