package kafkasink

import (
	"context"
	"fmt"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
)

// Ping implements pipeline.Pinger: brokers, credentials, the topic if it is a fixed
// one, that it is not one of Kafka's own, and that it has the partitions that the
// partitioner needs.
func (k *Sink) Ping(ctx context.Context) error {
	var topics []string
	if k.settings.Topic.Static() {
		topics = []string{k.settings.Topic.String()}
	}
	err := k.client.Check(ctx, topics...)
	if err == nil {
		err = k.pingInternal(ctx, topics)
	}
	if err == nil {
		err = k.pingSource(ctx)
	}
	if err != nil {
		return &pipeline.EnvironmentError{Err: err}
	}
	return nil
}

func (k *Sink) pingInternal(ctx context.Context, topics []string) error {
	states, err := k.client.LookUp(ctx, topics)
	for i, s := range states {
		if s.Internal {
			return fmt.Errorf("writing to topic %s: it is one of Kafka's own, which takes no records of others; choose another", topics[i])
		}
	}
	return err
}

// pingSource checks that a fixed topic has a partition for each of those of the
// source, when records keep theirs.
func (k *Sink) pingSource(ctx context.Context) error {
	from, ok := k.source.(interface{ KafkaTopics() []string })
	if !ok || k.settings.Partitioner != "source" || !k.settings.Topic.Static() {
		return nil
	}
	c := k.client
	if len(k.settings.Brokers) > 0 {
		var err error
		if c, err = kafka.NewClient(k.source.KafkaConfig()); err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
	}
	name := k.settings.Topic.String()
	have, err := k.client.Partitions(ctx, name)
	for _, topic := range from.KafkaTopics() {
		if err != nil {
			break
		}
		var n int32
		if n, err = c.Partitions(ctx, topic); n > have {
			err = fmt.Errorf("topic %s has %d partitions, and topic %s, whose records keep theirs, has %d; add partitions, or use the partitioner murmur2", name, have, topic, n)
		}
	}
	return err
}
