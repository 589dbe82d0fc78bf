// SPDX-License-Identifier: Apache-2.0

// Package kafkasink writes records to topics of a Kafka cluster.
package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/connect"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/pipeline/tracing"
)

// Settings are the settings of a Kafka sink.
type Settings struct {
	Topic       expr.Template `yaml:"topic" required:"true" doc:"topic to write to; it must exist. A record that names one which is not there after about a second of asking is rejected (unknown_topic), and so is one that names a topic to which this user may not write and this process never did (topic_denied); a fixed topic is waited for"`
	Key         *expr.Expr    `yaml:"key" doc:"expression that gives the key; without it the record's own key is kept, and that of a dead letter from which it cannot be made. A dead letter that gets another has the record's in penstock-key"`
	Partitioner string        `yaml:"partitioner" enum:"murmur2|source" doc:"murmur2: by the key, as Java's clients do, and in runs of 1,000 records where there is none; source: the partition that the record came from"`
	Compression string        `yaml:"compression" enum:"lz4|none|gzip|snappy|zstd" doc:"codec of the batches"`
	Brokers     []string      `yaml:"brokers" commas:"true" doc:"addresses, host:port (without a port, 9092), when the cluster is not the source's"`
	TLS         *connect.TLS  `yaml:"tls" doc:"encrypt the connections; with brokers"`
	SASL        *connect.SASL `yaml:"sasl" doc:"credentials; with brokers"`

	// DeadLetters says that what is written are dead letters.
	DeadLetters bool `yaml:"-"`
}

// Defaults gives the settings of a Kafka sink before a file is read.
func Defaults() Settings {
	return Settings{Partitioner: "murmur2", Compression: "lz4"}
}

// Validate checks what can be known without connecting. It joins several errors.
func (s *Settings) Validate() error {
	var errs []error
	bad := func(field string, err error) { errs = append(errs, &settings.FieldError{Field: field, Err: err}) }
	if name := s.Topic.String(); s.Topic.Static() {
		if err := topicName(name); err != nil {
			bad("topic", err)
		}
	}
	if s.Partitioner != "murmur2" && s.Partitioner != "source" {
		bad("partitioner", fmt.Errorf("%q is none: write murmur2 or source", s.Partitioner))
	}
	if _, err := recordbatch.ParseCodec(s.Compression); err != nil {
		bad("compression", err)
	}
	if len(s.Brokers) == 0 && s.TLS != nil {
		bad("tls", errors.New("it goes with brokers; without them the source's connection is used"))
	}
	if len(s.Brokers) == 0 && s.SASL != nil {
		bad("sasl", errors.New("it goes with brokers; without them the source's connection is used"))
	}
	s.connection().Check(bad)
	return errors.Join(errs...)
}

// A Source is a source whose connection a Kafka sink may share. If it also has the
// method KafkaTopics() []string, the partitioner source is checked at start-up.
type Source interface {
	KafkaConfig() kafka.Config
}

// A Sink writes records to topics, idempotently and with acks of all replicas in sync:
// a stored record survives the loss of a broker, and one that is sent again because
// the answer was lost is stored once.
//
// Headers and time of a record are kept, and its key unless the settings give
// another; a tombstone stays null. The order within each output partition is that of
// the writes. Topics are never created. A fixed topic that was deleted, or may not be
// written to any more, is waited for. A record that names a topic, through a template,
// is rejected when that does not exist (unknown_topic), may not be written to by us and
// never was by this process (topic_denied), or is one of Kafka's own (invalid_topic). A
// record that the topic does not take is rejected with too_large, invalid_record or
// invalid_timestamp.
type Sink struct {
	settings Settings
	client   *kafka.Client
	producer *kafka.Producer
	source   Source // nil: the source is another
	host     string // the brokers that the settings name
	log      *event.Emitter
	account  func(bytes int64) // nil: nobody counts
	work     sync.WaitGroup
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc

	mu        sync.Mutex
	topics    map[string]*topicState
	missing   map[string]missingTopic // what records named and cannot be written to
	tries     map[string]int          // looks at names that were not found yet
	refreshed time.Time
	spare     []*batch
	spared    int64 // bytes of spare
}

// New makes a Kafka sink. Without brokers in the settings it goes to the cluster
// of src, which must then be a Source. It connects with Ping or the first Write.
func New(s Settings, src pipeline.Source) (*Sink, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	k := &Sink{settings: s, topics: map[string]*topicState{}, missing: map[string]missingTopic{}, tries: map[string]int{}, refreshed: time.Now()}
	config, err := s.KafkaConfig(src, k.warnFiles)
	if err != nil {
		return nil, err
	}
	c, err := kafka.NewClient(config)
	if err != nil {
		return nil, err
	}
	codec, err := recordbatch.ParseCodec(s.Compression)
	if err != nil {
		return nil, err
	}
	k.client = c
	k.producer = kafka.NewProducer(c, kafka.ProducerConfig{Codec: codec, FailMissing: !s.Topic.Static(), Account: k.countBytes})
	k.source, _ = src.(Source)
	k.host = strings.Join(config.Brokers, ",")
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k, nil
}

// KafkaConfig says how the cluster is reached: that of brokers, or else that of src, which must then
// be a Source. warn is told, from any goroutine, that files of tls or sasl have become unusable.
func (s *Settings) KafkaConfig(src pipeline.Source, warn func(error)) (kafka.Config, error) {
	if len(s.Brokers) == 0 {
		if from, ok := src.(Source); ok {
			return from.KafkaConfig(), nil
		}
		return kafka.Config{}, &settings.FieldError{Field: "brokers", Err: errors.New("the source is not Kafka, so the sink needs addresses of its own, like 127.0.0.1:9092")}
	}
	return s.connection().Config(warn)
}

func (s *Settings) connection() connect.Settings {
	return connect.Settings{Brokers: s.Brokers, TLS: s.TLS, SASL: s.SASL}
}

var _ pipeline.Hosted = (*Sink)(nil)

// Host implements pipeline.Hosted: the brokers that the settings name.
func (k *Sink) Host() string { return k.host }

// Attach implements pipeline.Attacher.
func (k *Sink) Attach(e *event.Emitter) { k.log = e }

// Account implements pipeline.Accounter. The producer has the sink's own function from the
// beginning: it holds nothing before the first Write, which comes later.
func (k *Sink) Account(add func(bytes int64)) { k.account = add }

func (k *Sink) countBytes(bytes int64) {
	if k.account != nil && bytes != 0 {
		k.account(bytes)
	}
}

// warnFiles tells that files of tls or sasl have become unusable, from any goroutine.
func (k *Sink) warnFiles(err error) {
	k.log.Log().Warn().Err(err).Msg("a file is not used as it is now")
}

// Write implements pipeline.Sink.
func (k *Sink) Write(ctx context.Context, recs []*pipeline.Record) error {
	b := k.takeBatch()
	defer k.putBatch(b)
	b.tracing = tracing.Of(ctx)
	if !k.settings.Topic.Static() {
		k.nameTopics(ctx, recs, b)
		defer k.releaseTopics(b)
	}
	k.gather(ctx, recs, b)
	k.weigh(b)
	k.refresh()
	err := k.producer.Produce(ctx, b.msgs)
	var lost *kafka.ProduceError
	switch {
	case errors.As(err, &lost):
		k.written(b, lost.Failed)
		handled := map[*topicState]bool{}
		for _, f := range lost.Failed {
			i := b.at[f.Index]
			b.failed = append(b.failed, pipeline.Failure{Index: i, Err: k.classify(f.Err, b, i, handled)})
		}
	case err != nil:
		return err
	default:
		k.written(b, nil)
	}
	if len(b.failed) == 0 {
		return nil
	}
	slices.SortFunc(b.failed, func(x, y pipeline.Failure) int { return x.Index - y.Index })
	return &pipeline.WriteError{Failed: b.failed}
}

// classify gives the error that tells the engine what to do about one of the producer's with
// record i. handled are the topics that this Write has dealt with.
func (k *Sink) classify(err error, b *batch, i int, handled map[*topicState]bool) error {
	var refused *kafka.RefusedError
	switch {
	case errors.As(err, &refused):
		return pipeline.Reject(refused.Reason, err)
	case errors.Is(err, kafka.UnsupportedCompression):
		return pipeline.Fatal(fmt.Errorf("%w; choose another compression", err))
	case len(b.named) > 0:
		return k.topicFailed(&b.named[i], err, handled)
	}
	return err
}

// Close implements pipeline.Sink.
func (k *Sink) Close(context.Context) error {
	k.mu.Lock()
	k.cancel()
	k.countBytes(-k.spared)
	k.spare, k.spared = nil, 0
	k.mu.Unlock()
	k.producer.Close()
	k.work.Wait()
	return k.client.Close()
}
