package catalog

import (
	"time"

	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/source"
)

func sourceKinds() config.Kinds {
	return config.Kinds{
		{
			Section: config.SourceSection, Name: "kafka",
			Doc:       "reads topics as a member of a consumer group",
			Example:   "kafka: {brokers: [127.0.0.1:9092], topics: [flights]}",
			Settings:  settings(source.DefaultKafka),
			Guarantee: "at least once; a commit stores the mark of a partition with the group",
			Build: build(func(s source.KafkaSettings, env config.Env) (*source.Kafka, error) {
				return source.NewKafka(s, source.KafkaOptions{Pipeline: env.Pipeline, Drain: time.Duration(env.Drain)})
			}),
		},
		{
			Section: config.SourceSection, Name: "replay",
			Doc:       "reads fixture files, one after another, and ends",
			Example:   "replay: {files: [flights.jsonl], as: value, key: origin}",
			Settings:  settings(zero[source.ReplaySettings]),
			Guarantee: "finite; every run begins at the first line",
			Build: build(func(s source.ReplaySettings, _ config.Env) (*source.Replay, error) {
				return source.NewReplay(s, source.ReplayOptions{})
			}),
		},
	}
}
