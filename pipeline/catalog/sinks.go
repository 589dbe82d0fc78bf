package catalog

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/settings"
	kafkasource "github.com/penstockio/penstock/pipeline/source/kafka"
	"github.com/penstockio/penstock/pipeline/source/replay"
	"github.com/penstockio/penstock/sinks"
	filesink "github.com/penstockio/penstock/sinks/file"
	httpsink "github.com/penstockio/penstock/sinks/http"
	kafkasink "github.com/penstockio/penstock/sinks/kafka"
	redissink "github.com/penstockio/penstock/sinks/redis"
	sqlsink "github.com/penstockio/penstock/sinks/sql"
)

// fixtureIfDead gives the form of a sink's lines. Dead letters are fixture lines unless the file
// says otherwise: the headers say why a record was rejected.
func fixtureIfDead(as string, env config.Env) string {
	if as == "" && env.DeadLetter {
		return "fixture"
	}
	return as
}

// checkFile refuses a file that another sink, or the source, has too.
func checkFile(given any, p *config.Pipeline) error {
	s := given.(*filesink.Settings)
	if strings.ContainsAny(s.Path.String(), "{}") {
		return nil
	}
	same := func(what string) error {
		return &settings.FieldError{Field: "path", Err: fmt.Errorf("%s has the same file", what)}
	}
	if in, ok := p.Source.Settings.(*replay.Settings); ok {
		for _, f := range in.Files {
			if string(f) == filepath.Clean(s.Path.String()) {
				return same("the source")
			}
		}
	}
	if p.DeadLetter != nil && p.DeadLetter.Settings == given {
		for _, other := range p.Sinks {
			if writesTo(other.Component, s.Path.String()) {
				return same("the sink " + other.Name)
			}
		}
	}
	for _, other := range p.Sinks {
		if other.Settings == given {
			break
		}
		if writesTo(other.Component, s.Path.String()) {
			return same("the sink " + other.Name)
		}
	}
	return nil
}

func writesTo(c config.Component, path string) bool {
	f, ok := c.Settings.(*filesink.Settings)
	return ok && filepath.Clean(f.Path.String()) == filepath.Clean(path)
}

// sinkKinds is the part of the table with the sinks.
//
// Reason for its size: it is a table, with an entry for each kind.
func sinkKinds() config.Kinds {
	return config.Kinds{
		{
			Section: config.SinkSection, Name: "kafka",
			Doc: "writes to topics, idempotently, with acks of all replicas in sync",
			Example: `kafka:
  topic: late-flights
  key: origin
  brokers: [127.0.0.1:9092]`,
			Settings: settingsOf(kafkasink.Defaults),
			// The sink splits a write by output partition, and all replicas have to answer for
			// each part: with 1,000 records a copy has a quarter less throughput.
			BatchRecords: 5000,
			Transactions: true,
			Guarantee:    "on all replicas in sync; what this process sends again is stored once; order of each lane kept within an output partition",
			Check: func(settings any, p *config.Pipeline) error {
				_, kafka := p.Source.Settings.(*kafkasource.Settings)
				if len(settings.(*kafkasink.Settings).Brokers) > 0 || kafka || p.Source.Kind == nil {
					return nil
				}
				return errors.New("the source is not Kafka, so the sink needs brokers of its own: brokers: [127.0.0.1:9092]")
			},
			Channels: func(settings any, p *config.Pipeline) []config.Channel {
				return topicsWritten(settings.(*kafkasink.Settings), p)
			},
			Build: build(func(s kafkasink.Settings, env config.Env) (*kafkasink.Sink, error) {
				s.DeadLetters = env.DeadLetter
				return kafkasink.New(s, env.Source)
			}),
		},
		{
			Section: config.SinkSection, Name: "stdout",
			Doc:       "writes one line a record to standard output",
			Example:   "stdout: {as: value}",
			Settings:  settingsOf(zero[sinks.StdoutSettings]),
			Guarantee: "once the reader of the pipe has the line; order of each lane kept",
			Build: build(func(s sinks.StdoutSettings, env config.Env) (*sinks.Stdout, error) {
				s.As = fixtureIfDead(s.As, env)
				return sinks.NewStdout(s, env.Stdout, env.Name)
			}),
		},
		{
			Section: config.SinkSection, Name: "file",
			Doc:       "appends one line a record to files, whose names may depend on the record",
			Example:   `file: {path: "out/severe-{origin}.jsonl"}`,
			Settings:  settingsOf(filesink.Defaults),
			Guarantee: "on disk (fsync) before an offset passes, never a torn line; order of each lane kept within a file",
			Check:     checkFile,
			Build: build(func(s filesink.Settings, env config.Env) (*filesink.Sink, error) {
				s.As = fixtureIfDead(s.As, env)
				return filesink.New(s)
			}),
		},
		{
			Section: config.SinkSection, Name: "http", Calls: true,
			Doc: "sends records to a webhook, several in a request, each request under a key of its positions",
			Example: `http:
  url: http://127.0.0.1:8080/late
  format: ndjson`,
			Settings: settingsOf(httpsink.Defaults),
			Fill:     func(settings any, _ *config.Pipeline) { settings.(*httpsink.Settings).Fill() },
			Warn: func(settings any, _ *config.Pipeline) []config.Warning {
				s := settings.(*httpsink.Settings)
				return append(warnFixedHeaders(s), warnSecretParts(s.SecretHeaders, "a request of the sink holds several records: call with the log-in of each in the http stage, under headers")...)
			},
			Guarantee: "the server has said so; a request that is sent again carries the same Idempotency-Key; order of each lane kept",
			Build: build(func(s httpsink.Settings, env config.Env) (*httpsink.Sink, error) {
				s.As = fixtureIfDead(s.As, env)
				return httpsink.New(s, env.Pipeline+"/"+env.Name, env.Calls)
			}),
		},
		{
			Section: config.SinkSection, Name: "sql", Calls: true,
			Doc: "stores records as rows of a table of PostgreSQL, MySQL, MariaDB or SQLite, those of a write with one statement; a row that the database refuses rejects its record alone",
			Example: `sql:
  driver: sqlite
  path: flights.db
  table: late_flights
  columns: {id: id, origin: origin, late: delay >= 15, seen: meta.time}
  mode: upsert
  key: [id]`,
			Settings: settingsOf(sqlsink.Defaults),
			// A statement is a way to the server and back and a commit there.
			BatchRecords: 5000,
			Guarantee: "committed in the database; of upsert and ignore what is sent again changes nothing, of insert it may be stored twice when an answer was lost; " +
				"order of each lane kept within a key; a server that was frozen may carry out an old write later, which newer guards against",
			Build: build(func(s sqlsink.Settings, env config.Env) (*sqlsink.Sink, error) {
				return sqlsink.New(s, env.Calls)
			}),
		},
		{
			Section: config.SinkSection, Name: "redis", Calls: true, Hints: hintsOfRedisSink, Foreign: foreignRedisSink,
			Doc: "stores records in Redis or Valkey: as values, hashes, entries of streams, or messages on channels; those of a write in one transaction",
			Example: `redis:
  address: 127.0.0.1:6379
  command: set
  key: "user:{id}"
  ttl: 24h`,
			Settings: settingsOf(redissink.Defaults),
			Guarantee: "carried out by the server, which may lose what its own settings do not have it save; of set and hset what is sent again changes nothing, of xadd with id: position it is there once, " +
				"else it may be there twice when an answer was lost; of publish only for those who listen; order of each lane kept within a key",
			Check: checkRedisSink,
			Build: build(func(s redissink.Settings, env config.Env) (*redissink.Sink, error) {
				if s.Command != "hset" && s.Value.IsZero() && len(s.Fields) == 0 {
					s.As = fixtureIfDead(s.As, env)
				}
				return redissink.New(s, env.Calls)
			}),
		},
		websocketKind(),
	}
}
