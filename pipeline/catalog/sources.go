package catalog

import (
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/settings"
	httpsource "github.com/penstockio/penstock/pipeline/source/http"
	kafkasource "github.com/penstockio/penstock/pipeline/source/kafka"
	"github.com/penstockio/penstock/pipeline/source/replay"
	"github.com/penstockio/penstock/pipeline/source/tail"
)

// checkKafkaSource refuses a rebalance timeout that ends before a revoked partition can be
// drained. The default is not checked: it grows with the drain budget.
func checkKafkaSource(given any, p *config.Pipeline) error {
	s := given.(*kafkasource.Settings)
	const margin = 15 * time.Second
	if least := p.Limits.Drain + margin; s.Rebalance < least && s.Rebalance != kafkasource.Defaults().Rebalance {
		return &settings.FieldError{Field: "rebalance", Err: fmt.Errorf("%v is below the drain budget and 15s, which is %v", s.Rebalance, least)}
	}
	return nil
}

// linesAnew is said of standard input that is read as lines. Fixture lines have the positions that they were recorded with.
const linesAnew = "offsets are those of the lines of standard input, which holds something else in each run"

// sourceKinds is the part of the table with the sources.
//
// Reason for its size: it is a table, with an entry for each kind.
func sourceKinds() config.Kinds {
	return config.Kinds{
		{
			Section: config.SourceSection, Name: "kafka",
			Doc:       "reads topics as a member of a consumer group",
			Example:   "kafka: {brokers: [127.0.0.1:9092], topics: [flights]}",
			Settings:  settingsOf(kafkasource.Defaults),
			Guarantee: "at least once; a commit stores the mark of a partition with the group",
			Fill: func(settings any, p *config.Pipeline) {
				if s := settings.(*kafkasource.Settings); s.Group == "" {
					s.Group = p.Name
				}
			},
			Check: checkKafkaSource,
			Channels: func(settings any, _ *config.Pipeline) []config.Channel {
				return topicsRead(settings.(*kafkasource.Settings))
			},
			Build: build(func(s kafkasource.Settings, env config.Env) (*kafkasource.Source, error) {
				return kafkasource.New(s, kafkasource.Options{Pipeline: env.Pipeline, Drain: time.Duration(env.Drain)})
			}),
		},
		{
			Section: config.SourceSection, Name: "http",
			Doc:       "takes records that are posted to it, and answers when they are durable at the sinks",
			Example:   "http: {listen: 127.0.0.1:8080, path: /orders, key: id, idempotency: {file: keys.jsonl}}",
			Settings:  settingsOf(httpsource.Defaults),
			Guarantee: "a request is answered 200 when its records are delivered, filtered or in the dead letters; nobody can read one again, so a stop finishes what was taken",
			Warn: func(settings any, p *config.Pipeline) []config.Warning {
				return warnLargeBodies(settings.(*httpsource.Settings), p)
			},
			Anew: func(any) string { return "offsets begin at a random number in each run" },
			Build: build(func(s httpsource.Settings, env config.Env) (*httpsource.Source, error) {
				return httpsource.New(s, env.Pipeline)
			}),
		},
		{
			Section: config.SourceSection, Name: "replay",
			Doc:       "reads fixture files or standard input, one after another, and ends",
			Example:   "replay: {files: [flights.jsonl], as: value, key: origin}",
			Settings:  settingsOf(zero[replay.Settings]),
			Guarantee: "finite; every run begins at the first line; what a pipe has given cannot be read again",
			Once: func(settings any) (what, field string) {
				if field := settings.(*replay.Settings).StandardInput(); field != "" {
					return "standard input", field
				}
				return "", ""
			},
			Anew: func(settings any) string {
				if s := settings.(*replay.Settings); s.StandardInput() != "" && s.As == "value" {
					return linesAnew
				}
				return ""
			},
			Build: build(func(s replay.Settings, _ config.Env) (*replay.Source, error) {
				return replay.New(s, replay.Options{})
			}),
		},
		{
			Section: config.SourceSection, Name: "stdin",
			Doc:       "reads standard input, each line as it comes, and ends with it",
			Example:   "stdin: {as: value, key: origin}",
			Settings:  settingsOf(replay.StdinDefaults),
			Guarantee: "finite; what a pipe has given cannot be read again",
			Once:      func(any) (what, field string) { return "standard input", "" },
			Anew: func(settings any) string {
				if settings.(*replay.Stdin).As == "fixture" {
					return ""
				}
				return linesAnew
			},
			Build: build(func(s replay.Stdin, _ config.Env) (*replay.Source, error) {
				return replay.New(s.Replay(), replay.Options{})
			}),
		},
		{
			Section: config.SourceSection, Name: "tail",
			Doc:       "follows files as they grow, are rotated and come anew",
			Example:   "tail: {files: [/var/log/app/*.log], position: app.position}",
			Settings:  settingsOf(tail.Defaults),
			Guarantee: "at least once; a commit stores on disk how far each file was read; what a file loses before it was read is reported",
			Build: build(func(s tail.Settings, env config.Env) (*tail.Source, error) {
				return tail.New(s, tail.Options{Pipeline: env.Pipeline})
			}),
		},
	}
}
