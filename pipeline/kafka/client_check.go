package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// A CheckError says what at start-up does not work, and what to do.
type CheckError struct {
	Subject string // "broker kafka-1:9092", "topic flights", "group late-flights"
	Err     error
}

func (e *CheckError) Error() string { return "checking Kafka: " + e.Subject + ": " + e.Err.Error() }
func (e *CheckError) Unwrap() error { return e.Err }

const (
	checkTimeout = 12 * time.Second
	newTopicWait = 2 * time.Second // for topics that were made a moment ago
	leaderWait   = 9 * time.Second // for leaders to be chosen in place of those that are down
)

// Check finds out whether the cluster can be reached with our credentials, whether
// all its brokers take the requests that are sent, and whether it has these topics,
// with rights to them and leaders that can be reached. It takes at most 12 s. The error is a
// *CheckError, or several joined.
func (c *Client) Check(ctx context.Context, topics ...string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	topicsUntil := time.Now().Add(newTopicWait)
	for {
		err := c.refresh(ctx, topics...)
		if err != nil {
			return c.clusterError(err)
		}
		if errs := c.checkTopics(ctx, topics); len(errs) > 0 {
			if time.Now().Before(topicsUntil) && Temporary(errs[0]) && sleep(ctx, 100*time.Millisecond) {
				continue
			}
			return joinErrors(errs)
		}
		err = c.checkBrokers(ctx, topics)
		if err == nil || !Temporary(err) || !sleep(ctx, 200*time.Millisecond) || time.Until(topicsUntil) < newTopicWait-leaderWait {
			return err
		}
	}
}

// CheckGroup finds out whether we may use a group. The error is a *CheckError.
func (c *Client) CheckGroup(ctx context.Context, group string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for {
		_, err := c.Coordinator(ctx, group)
		if err == nil {
			return nil
		}
		if !Temporary(err) || !sleep(ctx, 100*time.Millisecond) {
			var code Error
			if errors.As(err, &code) {
				err = code
			}
			return &CheckError{"group " + group, err}
		}
	}
}

// clusterError makes one error of what the brokers said one by one: refused
// credentials come before all else.
func (c *Client) clusterError(err error) error {
	var several *severalErrors
	list := []error{err}
	if errors.As(err, &several) {
		list = several.errs
	}
	var best *BrokerError
	for _, err := range list {
		var b *BrokerError
		if errors.As(err, &b) && (best == nil || rank(b) > rank(best)) {
			best = b
		}
	}
	if best == nil {
		return &CheckError{"brokers " + strings.Join(c.config.Brokers, ","), err}
	}
	subject := "broker " + best.Address
	if len(list) > 1 {
		subject += fmt.Sprintf(" (and %d others)", len(list)-1)
	}
	err = best.Err
	if isBroken(err) && c.config.SASL == nil && !c.config.encrypted() {
		err = &explained{"the broker closed the connection: does it expect tls or sasl on this port?", err}
	}
	return &CheckError{subject, err}
}

func rank(b *BrokerError) int {
	switch b.ErrorType() {
	case "authentication":
		return 3
	case "tls":
		return 2
	case UnsupportedVersion.ErrorType():
		return 4
	case "timeout":
		return 0
	}
	return 1
}

func (c *Client) checkTopics(ctx context.Context, topics []string) (errs []error) {
	var all []string
	for _, name := range topics {
		c.mu.Lock()
		t := c.meta.topics[name]
		c.mu.Unlock()
		switch {
		case t == nil || errors.Is(t.err, UnknownTopicOrPartition):
			if all == nil {
				all, _ = c.Topics(ctx)
			}
			errs = append(errs, &CheckError{"topic " + name, unknownTopic(name, all)})
		case t.err != nil:
			errs = append(errs, &CheckError{"topic " + name, t.err})
		}
	}
	return errs
}

// Topics lists the names of the topics that we may see, in order.
func (c *Client) Topics(ctx context.Context) ([]string, error) {
	x := c.metadataRequest(nil)
	if err := c.do(ctx, x); err != nil {
		return nil, fmt.Errorf("listing the topics: %w", err)
	}
	m, err := parseMetadata(x.answer, x.flexible)
	if err != nil {
		return nil, fmt.Errorf("listing the topics: %w", err)
	}
	return slices.Sorted(maps.Keys(m.topics)), nil
}

func unknownTopic(name string, all []string) error {
	best, distance := "", len(name)/3+1
	for _, other := range all {
		if strings.HasPrefix(other, "__") {
			continue
		}
		if d := editDistance(strings.ToLower(name), strings.ToLower(other)); d <= distance {
			best, distance = other, d-1
		}
	}
	hint := "create it first"
	if best != "" {
		hint = fmt.Sprintf("did you mean %q?", best)
	}
	return &explained{"the topic does not exist, or the user may not see it; " + hint, UnknownTopicOrPartition}
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// checkBrokers asks every broker of the cluster something: the address that a cluster
// advertises may be wrong although the named one is right, and it must take the
// requests that are sent. One that cannot be reached and leads no partition of the
// topics is passed over: it may be down.
func (c *Client) checkBrokers(ctx context.Context, topics []string) error {
	leads := map[int32]TopicPartition{}
	c.mu.Lock()
	for _, name := range topics {
		for i := range c.meta.topics[name].partitions {
			tp := TopicPartition{name, int32(i)}
			p, err := c.meta.partition(tp)
			if err != nil {
				c.mu.Unlock()
				return &CheckError{"partition " + tp.String(), err}
			}
			leads[p.leader] = tp
		}
	}
	ids := slices.Collect(maps.Keys(c.nodes))
	for id := range leads {
		if c.nodes[id] == nil {
			ids = append(ids, id)
		}
	}
	c.mu.Unlock()
	slices.Sort(ids)
	errs := make([]error, len(ids))
	var asked sync.WaitGroup
	for i, id := range ids {
		asked.Go(func() { errs[i] = c.checkBroker(ctx, id) })
	}
	asked.Wait()
	for i, err := range errs {
		var b *BrokerError
		tp, leader := leads[ids[i]]
		subject := fmt.Sprintf("broker %d", ids[i])
		switch {
		case err == nil, Temporary(err) && !leader:
			continue
		case errors.As(err, &b) && !Temporary(err):
			return &CheckError{subject + " at " + b.Address, b.Err}
		case !leader:
			return &CheckError{subject, err}
		}
		address := "?"
		if b != nil {
			address, err = b.Address, b
		}
		return &CheckError{subject, &explained{
			fmt.Sprintf("%v (the cluster names %s as leader of %s: check the broker's advertised.listeners)", err, address, tp), err}}
	}
	return nil
}

// checkBroker asks a broker, and looks through the versions that it takes.
func (c *Client) checkBroker(ctx context.Context, id int32) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout/2)
	defer cancel()
	x := &exchange{key: protocol.ApiVersions, broker: id, clientID: c.config.ClientID, body: func(*writer) {}}
	if err := c.do(ctx, x); err != nil {
		return err
	}
	c.mu.Lock()
	n := c.nodes[id]
	c.mu.Unlock()
	if n == nil {
		return nil // forgotten a moment ago
	}
	if err := n.ranges.Load().all(); err != nil {
		return &BrokerError{n.address, err}
	}
	return nil
}
