package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	checkSettle  = 2 * time.Second // for topics that were made a moment ago
	checkLeaders = 9 * time.Second // for leaders to be chosen in place of those that are down
)

// Check finds out whether the cluster can be reached with our credentials, speaks
// what we need, and has these topics, with rights to them and leaders that can be
// reached. It takes at most 12 s. The error is a *CheckError, or several joined.
func (c *Client) Check(ctx context.Context, topics ...string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := c.checkCluster(ctx); err != nil {
		return err
	}
	settle := time.Now().Add(checkSettle)
	for {
		err := c.refresh(ctx, topics...)
		if err != nil {
			return c.clusterError(err)
		}
		if errs := c.checkTopics(ctx, topics); len(errs) > 0 {
			if time.Now().Before(settle) && Temporary(errs[0]) && sleep(ctx, 100*time.Millisecond) {
				continue
			}
			return joinErrors(errs)
		}
		err = c.checkLeaders(ctx, topics)
		if err == nil || !Temporary(err) || !sleep(ctx, 200*time.Millisecond) || time.Until(settle) < checkSettle-checkLeaders {
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

// needs are the requests that everything here is built on, with the least version.
var needs = []struct {
	key     protocol.ApiKey
	version int16
}{{protocol.Fetch, 11}, {protocol.Produce, 8}, {protocol.ListOffsets, 5}, {protocol.JoinGroup, 5}}

func (c *Client) checkCluster(ctx context.Context) error {
	for _, n := range needs {
		_, most, err := c.versions(ctx, n.key)
		if err != nil {
			return c.clusterError(err)
		}
		c.mu.Lock()
		blind := len(c.meta.ranges) == 1 // a broker that does not tell its versions
		c.mu.Unlock()
		if most < n.version && !blind {
			return &CheckError{"brokers " + strings.Join(c.config.Brokers, ","),
				fmt.Errorf("the cluster speaks request %s up to version %d, version %d is needed: use Kafka 2.4 or later", n.key, most, n.version)}
		}
	}
	return nil
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
	if isBroken(err) && c.config.SASL == nil && c.config.TLS == nil {
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
	x, err := c.metadataRequest(ctx, nil)
	if err != nil {
		return nil, err
	}
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

// checkLeaders asks every broker that leads a partition of the topics something: the
// address that a cluster advertises may be wrong although the named one is right.
func (c *Client) checkLeaders(ctx context.Context, topics []string) error {
	leaders := map[int32]TopicPartition{}
	c.mu.Lock()
	for _, name := range topics {
		for i := range c.meta.topics[name].partitions {
			tp := TopicPartition{name, int32(i)}
			p, err := c.meta.partition(tp)
			if err != nil {
				c.mu.Unlock()
				return &CheckError{"partition " + tp.String(), err}
			}
			leaders[p.leader] = tp
		}
	}
	c.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(leaders)) {
		one, cancel := context.WithTimeout(ctx, requestTimeout/2)
		err := c.do(one, &exchange{
			key: protocol.ApiVersions, version: 0, broker: id, clientID: c.config.ClientID, body: func(*writer) {},
		})
		cancel()
		if err != nil {
			address := "?"
			var b *BrokerError
			if errors.As(err, &b) {
				address, err = b.Address, b
			}
			return &CheckError{fmt.Sprintf("broker %d", id), &explained{
				fmt.Sprintf("%v (the cluster names %s as leader of %s: check the broker's advertised.listeners)", err, address, leaders[id]), err}}
		}
	}
	return nil
}
