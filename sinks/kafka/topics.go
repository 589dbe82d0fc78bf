package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
)

// Reasons of rejections that only this sink gives.
const (
	reasonNoTopic       = "unknown_topic"   // the output names a topic that is not there, and none is created
	reasonTopicDenied   = "topic_denied"    // the user may not see the topic that the output names, or not write to it
	reasonTopicName     = "invalid_topic"   // the template of the output makes no name of a topic of it
	reasonTooManyTopics = "too_many_topics" // the template of the output has made too many different topics
)

const (
	maxTopics     = 1000             // most topics of a template in use at once
	topicIdle     = 10 * time.Minute // without use, after which a topic may be forgotten to make room
	topicsRefresh = time.Minute      // how often partition counts are asked for
	missingFor    = 5 * time.Second  // how long what was not there counts as missing

	// topicTries are how often a topic that a record names is asked for before the record
	// is rejected, with pauses from firstPause on that double: about 0.8 s together, in
	// which a topic that was just made is known to all brokers. All names of a Write are
	// asked for together. Tries are counted from one Write to the next: a Write whose timeout is
	// shorter would otherwise never come to the end of them, and keep its lane waiting for ever.
	topicTries = 5
	firstPause = 50 * time.Millisecond
)

// A topicState is what is known of a topic that records go to.
type topicState struct {
	partitions atomic.Int32
	// stored: a record has been stored there, so that rights which are missing later are
	// an outage and no fault of the record.
	stored atomic.Bool

	// guarded by Sink.mu
	used   time.Time // last named by a record
	users  int       // Writes that have it
	denied int       // Writes in a row that were denied before anything was stored
}

// A missingTopic is what a record named and cannot be written to.
type missingTopic struct {
	at  time.Time
	err error
}

// A namedTopic is where a template sends a record.
type namedTopic struct {
	name       string
	topic      *topicState
	partitions int32
	err        error
}

// fixed gives the topic that all records go to, and how many partitions it has.
func (k *Sink) fixed(ctx context.Context) (string, int32, error) {
	name := k.settings.Topic.String()
	k.mu.Lock()
	t := k.topics[name]
	k.mu.Unlock()
	if t != nil {
		return name, t.partitions.Load(), nil
	}
	n, err := k.client.Partitions(ctx, name)
	if err == nil && n == 0 {
		err = errNoPartitions
	}
	if err != nil {
		return "", 0, fmt.Errorf("looking topic %s up: %w", name, err)
	}
	k.learn(name, n)
	return name, n, nil
}

// nameTopics finds the topic of each record. Those that are not known are asked for
// together: one after another, a Write of a thousand would take minutes.
func (k *Sink) nameTopics(ctx context.Context, recs []*pipeline.Record, b *batch) {
	var ask []string
	for _, rec := range recs {
		n := namedTopic{}
		if name, err := k.settings.Topic.Path(rec); err != nil {
			n.err = fmt.Errorf("making the topic's name: %w", err)
		} else {
			n.name = name
			if known := k.findKnown(&n, b); !known && n.err == nil {
				ask = append(ask, name)
			}
		}
		b.named = append(b.named, n)
	}
	if len(ask) == 0 {
		return
	}
	slices.Sort(ask)
	failed := k.lookUp(ctx, slices.Compact(ask))
	for i := range b.named {
		n := &b.named[i]
		if n.topic != nil || n.err != nil {
			continue
		}
		if n.err = failed[n.name]; n.err == nil && !k.findKnown(n, b) && n.err == nil {
			n.err = fmt.Errorf("looking the record's topic up: %w", kafka.UnknownTopicOrPartition) // another Write has forgotten it since
		}
	}
}

// findKnown looks a name up in what is known: a topic, or that it is missing.
func (k *Sink) findKnown(n *namedTopic, b *batch) (known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if t := k.topics[n.name]; t != nil {
		n.topic, n.partitions, t.used = t, t.partitions.Load(), now
		if len(b.using) == 0 || b.using[len(b.using)-1] != t {
			t.users++
			b.using = append(b.using, t)
		}
		return true
	}
	if m, ok := k.missing[n.name]; ok && now.Sub(m.at) < missingFor {
		n.err = m.err
		return false
	}
	if topicName(n.name) != nil {
		n.err = pipeline.Reject(reasonTopicName, errors.New("making the topic's name: "+nameRule))
	}
	return false
}

// releaseTopics notes that a Write uses its topics no more, so that makeRoom may forget them.
func (k *Sink) releaseTopics(b *batch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range b.using {
		t.users--
	}
	clear(b.using)
	b.using = b.using[:0]
}

var (
	errNoPartitions = errors.New("it has no partitions yet")
	errUnknownTopic = pipeline.Reject(reasonNoTopic, errors.New("looking the record's topic up: there is no topic of this name, and none is created"))
	errTopicDenied  = pipeline.Reject(reasonTopicDenied, errors.New("looking the record's topic up: the user may not see or write to a topic of this name, if there is one"))
	errInternal     = pipeline.Reject(reasonTopicName, errors.New("making the topic's name: it is one of Kafka's own topics, which take no records of others"))
	errTooMany      = pipeline.Reject(reasonTooManyTopics, fmt.Errorf("making the topic's name: more than %d different topics in use; the template takes too much from the record", maxTopics))
)

// lookUp asks for topics that records name, all at once and a few times: brokers learn
// of a new topic one after another. It gives an error for each that cannot be written
// to.
func (k *Sink) lookUp(ctx context.Context, names []string) map[string]error {
	failed := map[string]error{}
	all := func(err error) map[string]error {
		for _, name := range names {
			failed[name] = fmt.Errorf("looking the record's topic up: %w", err)
		}
		return failed
	}
	for try, pause := 1, firstPause; ; try, pause = try+1, 2*pause {
		states, err := k.client.LookUp(ctx, names)
		if err != nil {
			return all(err)
		}
		var unknown []string // not known to be there, and not tried often enough
		for i, s := range states {
			name := names[i]
			switch {
			case s.Internal:
				failed[name] = k.noteMissing(name, errInternal)
			case s.Err == nil:
				if k.learn(name, s.Partitions) {
					delete(failed, name)
				} else {
					failed[name] = errTooMany
				}
			case errors.Is(s.Err, kafka.InvalidTopic):
				failed[name] = k.noteMissing(name, pipeline.Reject(reasonTopicName, fmt.Errorf("looking the record's topic up: %w", s.Err)))
			default:
				failed[name] = lookUpError(s.Err)
				if max(try, k.countTry(name)) < topicTries {
					unknown = append(unknown, name)
				} else if k.noteMissing(name, failed[name]) == errUnknownTopic {
					k.producer.TopicDeleted(name)
				}
			}
		}
		if names = unknown; len(names) == 0 {
			return failed
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return all(ctx.Err())
		}
	}
}

// lookUpError is what becomes of a record whose topic is not known to be there.
func lookUpError(err error) error {
	switch {
	case errors.Is(err, kafka.UnknownTopicOrPartition):
		return errUnknownTopic
	case errors.Is(err, kafka.TopicAuthorizationFailed):
		return errTopicDenied
	}
	return fmt.Errorf("looking the record's topic up: %w", err) // there, and not led yet: it is waited for
}

// countTry counts a look at a topic that did not find it, and gives how many there were.
func (k *Sink) countTry(name string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.tries) >= maxTopics && k.tries[name] == 0 {
		clear(k.tries) // costs no more than a few tries that are made again
	}
	k.tries[name]++
	return k.tries[name]
}

// noteMissing remembers for a while that a topic cannot be written to, when err rejects the
// record, and gives err.
func (k *Sink) noteMissing(name string, err error) error {
	if _, permanent := pipeline.IsPermanent(err); !permanent {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if len(k.missing) >= maxTopics {
		maps.DeleteFunc(k.missing, func(_ string, m missingTopic) bool { return now.Sub(m.at) >= missingFor })
	}
	if len(k.missing) >= maxTopics {
		clear(k.missing)
	}
	k.missing[name] = missingTopic{now, err}
	delete(k.tries, name)
	return err
}

// learn notes how many partitions a topic has, and says false when there is no room for
// another topic.
func (k *Sink) learn(name string, n int32) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t := k.topics[name]; t != nil {
		if had := t.partitions.Swap(n); had != n {
			k.log.Log().Warn().Str("topic", name).Int32("partitions", n).Int32("partitions_before", had).
				Msg("the topic has another number of partitions: keys go to other partitions from now on")
		}
		return true
	}
	if len(k.topics) >= maxTopics && !k.makeRoom() {
		return false
	}
	t := &topicState{used: time.Now()}
	t.partitions.Store(n)
	k.topics[name] = t
	delete(k.missing, name)
	delete(k.tries, name)
	return true
}

// makeRoom forgets topics that no record has named for long, and says whether there
// were any. The caller holds k.mu.
func (k *Sink) makeRoom() bool {
	now, some := time.Now(), false
	for name, t := range k.topics {
		if t.users == 0 && now.Sub(t.used) >= topicIdle {
			k.forget(name)
			some = true
		}
	}
	return some
}

// forget drops a topic that nobody uses. The caller holds k.mu.
func (k *Sink) forget(name string) {
	delete(k.topics, name)
	k.client.Forget(name)
	k.producer.Forget(name)
}

// written notes which topics have taken a record.
func (k *Sink) written(b *batch, failed []kafka.MessageError) {
	if len(b.named) == 0 {
		return
	}
	for i, at := range b.at {
		if len(failed) > 0 && failed[0].Index == i {
			failed = failed[1:]
			continue
		}
		if t := b.named[at].topic; !t.stored.Load() {
			t.stored.Store(true)
		}
	}
}

// topicFailed deals with a topic that a record named and that did not take it. One that is missing
// is looked up by the next Write, which rejects the record if it is still missing. One that is
// denied is waited for if this process has ever written to it, else the record is rejected after a
// few Writes. handled are the topics that this Write has dealt with.
func (k *Sink) topicFailed(n *namedTopic, err error, handled map[*topicState]bool) error {
	first := !handled[n.topic]
	switch {
	case errors.Is(err, kafka.InvalidTopic):
		return k.noteMissing(n.name, pipeline.Reject(reasonTopicName, err))
	case errors.Is(err, kafka.UnknownTopicOrPartition):
		if handled[n.topic] = true; first {
			k.mu.Lock()
			if k.topics[n.name] == n.topic {
				delete(k.topics, n.name)
				k.client.Forget(n.name)
			}
			k.mu.Unlock()
		}
	case errors.Is(err, kafka.TopicAuthorizationFailed) && !n.topic.stored.Load():
		k.mu.Lock()
		if handled[n.topic] = true; first {
			n.topic.denied++
		}
		tooOften := n.topic.denied >= topicTries
		if tooOften && k.topics[n.name] == n.topic {
			delete(k.topics, n.name)
		}
		k.mu.Unlock()
		if tooOften {
			return k.noteMissing(n.name, pipeline.Reject(reasonTopicDenied, err))
		}
	}
	return err
}

// refresh asks for the partition counts again, in the background and seldom.
func (k *Sink) refresh() {
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
				k.recount(name, n)
			}
		}
	})
}

// recount notes the partitions of a topic that is still in use.
func (k *Sink) recount(name string, n int32) {
	k.mu.Lock()
	t := k.topics[name]
	k.mu.Unlock()
	if t != nil {
		k.learn(name, n)
	}
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
