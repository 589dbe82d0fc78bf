package sinks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// Reasons of rejections that only this sink gives.
const (
	reasonNoTopic       = "unknown_topic"
	reasonTopicName     = "invalid_topic"
	reasonTooManyTopics = "too_many_topics"
)

const (
	maxTopics     = 1000        // distinct ones of a template
	topicsRefresh = time.Minute // how often partition counts are asked for
	unknownFor    = 5 * time.Second
	topicTries    = 3
)

// topic gives a record's topic and how many partitions it has.
func (k *Kafka) topic(ctx context.Context, rec *pipeline.Record) (string, int32, error) {
	fixed := k.settings.Topic.Static()
	name := ""
	if fixed {
		name = k.settings.Topic.String()
	} else {
		var err error
		if name, err = k.settings.Topic.Path(rec); err != nil {
			return "", 0, fmt.Errorf("making the topic's name: %w", err)
		}
	}
	k.mu.Lock()
	n, known := k.topics[name]
	full := len(k.topics) >= maxTopics
	missing := time.Since(k.unknown[name]) < unknownFor
	k.mu.Unlock()
	switch {
	case known:
		return name, n, nil
	case fixed:
		n, err := k.client.Partitions(ctx, name)
		if err == nil && n == 0 {
			err = errNoPartitions
		}
		if err != nil {
			return "", 0, fmt.Errorf("looking topic %s up: %w", name, err)
		}
		k.learn(name, n)
		return name, n, nil
	case full:
		return "", 0, pipeline.Reject(reasonTooManyTopics, fmt.Errorf("making the topic's name: more than %d different topics; the template takes too much from the record", maxTopics))
	case missing:
		return "", 0, errUnknownTopic
	}
	if err := topicName(name); err != nil {
		return "", 0, pipeline.Reject(reasonTopicName, errors.New("making the topic's name: "+nameRule))
	}
	n, err := k.lookUp(ctx, name)
	return name, n, err
}

var errUnknownTopic = pipeline.Reject(reasonNoTopic, errors.New("looking the record's topic up: there is no topic of this name, and none is created"))

var errNoPartitions = errors.New("it has no partitions yet")

// lookUp asks for a topic that a record names, a few times: brokers learn of a new
// topic one after another.
func (k *Kafka) lookUp(ctx context.Context, name string) (int32, error) {
	for try := 0; ; try++ {
		n, err := k.client.Partitions(ctx, name)
		if err == nil && n == 0 {
			err = errNoPartitions
		}
		if err == nil {
			k.learn(name, n)
			return n, nil
		}
		if !isUnknownTopic(err) {
			return 0, fmt.Errorf("looking the record's topic up: %w", err)
		}
		if try == topicTries-1 {
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Errorf("looking the record's topic up: %w", ctx.Err())
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.unknown) >= maxTopics {
		clear(k.unknown)
	}
	k.unknown[name] = time.Now()
	return 0, errUnknownTopic
}

func (k *Kafka) learn(name string, n int32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if had, ok := k.topics[name]; ok && had != n {
		k.log.Log().Warn().Str("topic", name).Int32("partitions", n).Int32("partitions_before", had).
			Msg("the topic has another number of partitions: keys go to other partitions from now on")
	}
	k.topics[name] = n
}

// refresh asks for the partition counts again, in the background and seldom.
func (k *Kafka) refresh() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.refreshed) < topicsRefresh || k.ctx.Err() != nil {
		return
	}
	k.refreshed = time.Now()
	names := slices.Collect(maps.Keys(k.topics))
	k.work.Go(func() {
		ctx, cancel := context.WithTimeout(k.ctx, topicsRefresh/2)
		defer cancel()
		if k.client.Refresh(ctx, names...) != nil {
			return // what is known stays good
		}
		for _, name := range names {
			if n, err := k.client.Partitions(ctx, name); err == nil && n > 0 {
				k.learn(name, n)
			}
		}
	})
}

const nameRule = "the name of a topic has 1 to 249 letters, digits, dots, underscores and dashes, and is not just one or two dots"

func topicName(name string) error {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-'
	}
	if name == "" || len(name) > 249 || name == "." || name == ".." || strings.ContainsFunc(name, func(r rune) bool { return !legal(r) }) {
		return fmt.Errorf("%q is no topic: %s", name, nameRule)
	}
	return nil
}
