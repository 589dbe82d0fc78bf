package kafka

import (
	"context"
	"time"
)

// A TopicState is what the cluster says of a topic.
type TopicState struct {
	Partitions int32
	Internal   bool  // Kafka's own, to which nobody else may write
	Err        error // an Error; nil: the topic is there
}

// LookUp asks for topics by name, all in one request, and gives their states in the
// order of the names. It is for names that come out of records: those that are there
// are remembered as if Leader had asked for them, and nothing is remembered of the
// others, which would be asked for again with every later request. A name that was
// made a moment ago may be unknown to the broker that is asked. The error is that of
// ctx, or a *BrokerError.
func (c *Client) LookUp(ctx context.Context, names []string) ([]TopicState, error) {
	if len(names) == 0 {
		return nil, nil
	}
	m, err := c.ask(ctx, -1, names)
	if err != nil {
		return nil, err
	}
	states := make([]TopicState, len(names))
	var there []string
	for i, name := range names {
		t := m.topics[name]
		switch {
		case t == nil:
			states[i].Err = UnknownTopicOrPartition
			continue
		case t.err != nil:
			states[i].Err = t.err
			continue
		case len(t.partitions) == 0:
			states[i].Err = LeaderNotAvailable
			continue
		}
		states[i] = TopicState{Partitions: int32(len(t.partitions)), Internal: t.internal}
		there = append(there, name)
	}
	now := time.Now()
	c.mu.Lock()
	for _, name := range there {
		c.meta.wanted[name] = now
	}
	if c.meta.at.IsZero() {
		c.meta.at = now // nothing older is known
	}
	c.mu.Unlock()
	c.learn(m, there)
	return states, nil
}

// Forget ends that topics are asked for with every look at the cluster. One that is
// used again is asked for again.
func (c *Client) Forget(topics ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range topics {
		delete(c.meta.wanted, name)
		delete(c.meta.topics, name)
		delete(c.meta.rounds, name)
	}
}

// missedFor is how long a topic that is not there is asked for behind the last one who
// wanted it.
const missedFor = time.Minute

// prune forgets topics that are not there and that nobody has asked for lately: names
// come out of records, and each would make every later request longer and, because not
// all is well with it, every later look slower. The caller holds c.mu.
func (m *metadata) prune(now time.Time) {
	for name, asked := range m.wanted {
		if now.Sub(asked) < missedFor {
			continue
		}
		if t := m.topics[name]; t == nil || t.err != nil {
			delete(m.wanted, name)
			delete(m.topics, name)
			delete(m.rounds, name)
		}
	}
}
