package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// metadata is what we know of the cluster. Client.mu guards it.
type metadata struct {
	topics     map[string]*topicMeta
	wanted     map[string]time.Time // topics that are asked for, and when somebody last named them; see prune
	at         time.Time            // of the last answer
	tried      time.Time            // of the last question
	failures   int                  // refreshes in a row that failed, or left something without a leader
	refreshes  chan struct{}        // one refresh at a time
	refreshing bool                 // a refresh in the background is on its way
	doubts     bool                 // an answer said what is not believed yet
	rounds     map[string]round     // in which several brokers were asked, the last of each topic
}

// old says whether it is time to ask in the background.
func (m *metadata) old(refresh time.Duration) bool { return m.doubts || time.Since(m.at) > refresh }

type topicMeta struct {
	err        error
	id         TopicID
	internal   bool
	partitions []partitionMeta
	formerIDs  []TopicID // ids that the name had before, the last at the end
	doubt      *doubt    // what a broker says and is not believed yet
}

type partitionMeta struct {
	err           error
	leader, epoch int32 // leader -1: none
	newest        int32 // the newest epoch that was ever heard of
	doubtful      bool
}

func (m *metadata) init() {
	m.topics, m.wanted = map[string]*topicMeta{}, map[string]time.Time{}
	m.rounds = map[string]round{}
	m.refreshes = make(chan struct{}, 1)
}

// A round is one of questions to several brokers.
type round struct {
	began            time.Time
	answered, listed int       // brokers
	silent           time.Time // since when no second one has answered
}

// Leader gives the broker that leads a partition and the leader's epoch (-1 when
// unknown). It asks the cluster when it does not know or Invalidate has been called,
// at most every 20 to 200 ms; the error is an Error, a *BrokerError, or that of ctx.
func (c *Client) Leader(ctx context.Context, tp TopicPartition) (broker, epoch int32, err error) {
	for try := 0; ; try++ {
		c.mu.Lock()
		p, err := c.meta.partition(tp)
		if p != nil && c.meta.old(c.config.Refresh) {
			c.refreshInBackground()
		}
		c.mu.Unlock()
		if p != nil && err == nil && (!p.doubtful || try > 0) {
			return p.leader, p.epoch, nil
		}
		if try > 0 {
			return -1, -1, err
		}
		if err := c.refresh(ctx, tp.Topic); err != nil {
			return -1, -1, err
		}
	}
}

// partition looks a partition up: nil when nothing is known of it.
func (m *metadata) partition(tp TopicPartition) (*partitionMeta, error) {
	t := m.topics[tp.Topic]
	switch {
	case t == nil:
		return nil, UnknownTopicOrPartition
	case t.err != nil:
		return nil, t.err
	case int(tp.Partition) >= len(t.partitions) || tp.Partition < 0:
		return nil, UnknownTopicOrPartition
	}
	p := &t.partitions[tp.Partition]
	if p.leader < 0 {
		err := p.err
		if err == nil {
			err = LeaderNotAvailable
		}
		return nil, err
	}
	copied := *p
	return &copied, nil
}

// Known is Leader without asking: ok is false when nothing is known for certain. id is
// the topic's.
func (c *Client) Known(tp TopicPartition) (broker, epoch int32, id TopicID, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.meta.partition(tp)
	if err != nil || p.doubtful {
		return -1, -1, TopicID{}, false
	}
	if c.meta.old(c.config.Refresh) {
		c.refreshInBackground()
	}
	return p.leader, p.epoch, c.meta.topics[tp.Topic].id, true
}

// Invalidate makes the next Leader of these partitions ask the cluster. Call it on
// the codes for which a leader may have moved, and when the leader cannot be reached.
func (c *Client) Invalidate(tps ...TopicPartition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, tp := range tps {
		if t := c.meta.topics[tp.Topic]; t != nil && int(tp.Partition) < len(t.partitions) && tp.Partition >= 0 {
			t.partitions[tp.Partition].doubtful = true
		}
	}
}

// Partitions gives the number of partitions of a topic, from the last answer.
func (c *Client) Partitions(ctx context.Context, topic string) (int32, error) {
	t, err := c.topic(ctx, topic)
	return int32(len(t.partitions)), err
}

// TopicID gives the id of a topic, from the last answer.
func (c *Client) TopicID(ctx context.Context, topic string) (TopicID, error) {
	t, err := c.topic(ctx, topic)
	return t.id, err
}

// Refresh asks the cluster for the given topics, and all known before, now.
func (c *Client) Refresh(ctx context.Context, topics ...string) error {
	return c.refresh(ctx, topics...)
}

func (c *Client) topic(ctx context.Context, topic string) (topicMeta, error) {
	for try := 0; ; try++ {
		c.mu.Lock()
		t := c.meta.topics[topic]
		if t != nil && t.err == nil {
			copied := *t
			c.mu.Unlock()
			return copied, nil
		}
		c.mu.Unlock()
		if try > 0 {
			if t == nil {
				return topicMeta{}, UnknownTopicOrPartition
			}
			return topicMeta{}, t.err
		}
		if err := c.refresh(ctx, topic); err != nil {
			return topicMeta{}, err
		}
	}
}

// slowRefresh bounds a refresh that nobody waits for, on a slow link.
const slowRefresh = time.Minute

// refreshInBackground starts a refresh in the background unless one runs. The caller holds
// c.mu.
func (c *Client) refreshInBackground() {
	if c.meta.refreshing || c.closed || time.Since(c.meta.tried) < time.Second {
		return
	}
	c.meta.refreshing = true
	c.calls.Add(1)
	go func() {
		defer c.calls.Done()
		ctx, cancel := context.WithTimeout(c.ctx, slowRefresh)
		defer cancel()
		_ = c.refresh(ctx) // what is cached stays good; the next look-up tries again
		c.mu.Lock()
		c.meta.refreshing = false
		c.mu.Unlock()
	}()
}

// refresh asks for all topics ever wanted and these. Callers that come while another
// asks share its answer when it covers their topics.
func (c *Client) refresh(ctx context.Context, topics ...string) error {
	asked := time.Now()
	c.mu.Lock()
	fresh := true
	for _, t := range topics {
		if _, ok := c.meta.wanted[t]; !ok {
			fresh = false
		}
		c.meta.wanted[t] = asked
	}
	c.meta.prune(asked)
	c.mu.Unlock()
	if err := c.takeRefresh(ctx); err != nil {
		return err
	}
	defer func() { <-c.meta.refreshes }()
	c.mu.Lock()
	if fresh && c.meta.at.After(asked) {
		c.mu.Unlock()
		return nil
	}
	pause := min(20*time.Millisecond<<min(c.meta.failures, 4), 200*time.Millisecond) - time.Since(c.meta.tried)
	names := slices.Sorted(maps.Keys(c.meta.wanted))
	c.mu.Unlock()
	if fresh && !sleep(ctx, pause) {
		return fmt.Errorf("waiting for the cluster's metadata: %w", ctx.Err())
	}
	err := c.askMetadata(ctx, names, false)
	c.mu.Lock()
	c.meta.tried = time.Now()
	if err == nil {
		c.meta.at = c.meta.tried
	}
	if err == nil && c.meta.hasAllLeaders() {
		c.meta.failures = 0
	} else {
		c.meta.failures++
	}
	c.mu.Unlock()
	return err
}

// takeRefresh waits until nobody else asks for metadata: one asks at a time. The caller receives
// from refreshes when it is done.
func (c *Client) takeRefresh(ctx context.Context) error {
	select {
	case c.meta.refreshes <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the cluster's metadata: %w", ctx.Err())
	case <-c.ctx.Done():
		return ErrClosed
	}
}

// hasAllLeaders says whether every topic and partition has a leader.
func (m *metadata) hasAllLeaders() bool {
	for _, t := range m.topics {
		if t.err != nil {
			return false
		}
		for i := range t.partitions {
			if t.partitions[i].leader < 0 {
				return false
			}
		}
	}
	return true
}

// sleep waits for d, and says false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ask sends a Metadata request to a broker, -1 for any.
func (c *Client) ask(ctx context.Context, broker int32, names []string) (*metadataAnswer, error) {
	x := c.metadataRequest(names)
	x.broker = broker
	if err := c.do(ctx, x); err != nil {
		return nil, fmt.Errorf("asking for the cluster's metadata: %w", err)
	}
	m, err := parseMetadata(x.answer, x.flexible)
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's metadata: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setNodes(m.brokers)
	m.from = broker
	for id, n := range c.nodes {
		if n == x.from {
			m.from = id
		}
	}
	return m, nil
}

// mostOthers is how many brokers are asked at once about what another said.
const mostOthers = 4
