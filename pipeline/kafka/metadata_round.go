package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Identity gives the id of a topic without asking, and says whether nobody doubts it.
// While sure is false nothing may be read from a position in the topic: fetches go by
// name, and the log may be that of another topic. See AgreeOn.
func (c *Client) Identity(topic string) (id TopicID, sure bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.meta.topics[topic]
	if t == nil {
		return TopicID{}, true
	}
	return t.id, t.doubt == nil
}

// errDisagree says that brokers name different topics. It passes.
var errDisagree error = disagreement{}

type disagreement struct{}

func (disagreement) Error() string   { return "the brokers do not agree which topic it is" }
func (disagreement) Temporary() bool { return true }

// AgreeOn asks several brokers for a topic until their answers agree with what is known. Then
// Identity tells for certain whether the topic is another one of the same name. It gives up after
// about five seconds with an error that passes; nothing may be concluded then. One broker is
// believed when no second has answered for agreeFor, over several calls.
func (c *Client) AgreeOn(ctx context.Context, topic string) error {
	for range 5 {
		asked := time.Now()
		if err := c.survey(ctx, topic, asked); err != nil {
			return err
		}
		c.mu.Lock()
		t, r := c.meta.topics[topic], c.meta.rounds[topic]
		settled := (t == nil || t.doubt == nil) && (r.answered > 1 || r.listed <= 1 || time.Since(r.silent) >= agreeFor)
		c.mu.Unlock()
		if settled {
			return ctx.Err()
		}
		if !sleep(ctx, confirmApart) {
			return ctx.Err()
		}
	}
	return fmt.Errorf("looking up %s: %w", topic, errDisagree)
}

// survey asks several brokers for a topic, unless somebody has done that since asked.
func (c *Client) survey(ctx context.Context, topic string, asked time.Time) error {
	c.mu.Lock()
	c.meta.wanted[topic] = asked
	c.mu.Unlock()
	if err := c.takeRefresh(ctx); err != nil {
		return err
	}
	defer func() { <-c.meta.refreshes }()
	c.mu.Lock()
	done := c.meta.rounds[topic].began.After(asked)
	c.mu.Unlock()
	if done {
		return nil
	}
	return c.askMetadata(ctx, []string{topic}, true)
}

// askMetadata asks a broker for topics, and others for those of which it says what is
// not known, or for all if survey is set.
func (c *Client) askMetadata(ctx context.Context, names []string, survey bool) error {
	began := time.Now()
	m, err := c.ask(ctx, -1, names)
	if err != nil {
		return err
	}
	doubted := c.learn(m, names)
	if survey {
		doubted = names
	}
	if len(doubted) == 0 {
		return nil
	}
	// A silent broker is not waited for long: the next refresh asks it again.
	limited, cancel := context.WithTimeout(ctx, secondOpinion)
	defer cancel()
	var all sync.WaitGroup
	var answered atomic.Int32
	answered.Store(1)
	for _, id := range c.others(m) {
		all.Go(func() {
			if other, err := c.ask(limited, id, doubted); err == nil {
				c.learn(other, doubted)
				answered.Add(1)
			}
		})
	}
	all.Wait()
	c.decide(doubted, round{began: began, answered: int(answered.Load()), listed: len(m.brokers)})
	return nil
}

// others gives brokers that did not give the answer. Those that did not answer when
// they were last asked come last, and are not left out: nobody else may ever ask them.
func (c *Client) others(m *metadataAnswer) (ids []int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var failed []int32
	for _, i := range rand.Perm(len(m.brokers)) {
		id := m.brokers[i].id
		switch n := c.nodes[id]; {
		case n == nil || id == m.from:
		case n.failed.Load():
			failed = append(failed, id)
		default:
			ids = append(ids, id)
		}
	}
	ids = append(ids, failed...)
	return ids[:min(len(ids), mostOthers)]
}

// secondOpinion is how long brokers may take to confirm what another said.
const secondOpinion = 2 * time.Second

// learn takes in an answer about topics, and gives those of which others are needed.
func (c *Client) learn(m *metadataAnswer, names []string) (doubted []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, name := range names {
		heard := m.topics[name]
		if _, ok := c.meta.wanted[name]; heard == nil || !ok { // forgotten while it was asked for
			continue
		}
		t, more := c.meta.topics[name].learn(now, heard, m.from, len(m.brokers) > 1)
		c.meta.topics[name] = t
		if more {
			doubted = append(doubted, name)
		}
	}
	c.meta.noteDoubts()
	return doubted
}

// decide ends the doubts that a round of questions about topics has ended.
func (c *Client) decide(names []string, r round) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, name := range names {
		if t := c.meta.topics[name]; t != nil {
			c.meta.topics[name] = t.decide(now, r.answered, r.listed)
			r.silent = r.began
			if was := c.meta.rounds[name]; was.answered <= 1 && r.began.Sub(was.began) < agreeFor && !was.began.IsZero() {
				r.silent = was.silent
			}
			c.meta.rounds[name] = r
		}
	}
	c.meta.noteDoubts()
}

func (m *metadata) noteDoubts() {
	m.doubts = false
	for _, t := range m.topics {
		m.doubts = m.doubts || t.doubt != nil
	}
}
