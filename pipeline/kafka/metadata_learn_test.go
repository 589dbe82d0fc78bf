package kafka

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A stale keeps brokers answering about topics as they once did.
type stale struct {
	fake *kfake.Cluster
	mu   sync.Mutex
	old  *kmsg.MetadataResponse
	who  map[int32]int // brokers that lie, and how often
	lies int
}

// freeze keeps the answer of now. It must be the only control of Metadata.
func freeze(t *testing.T, k *kafkatest.Cluster, version int16, topic string) *stale {
	t.Helper()
	old := k.Metadata(t, version, topic)
	s := &stale{fake: k.Fake(), old: old, who: map[int32]int{}}
	s.fake.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		s.fake.KeepControl()
		m := req.(*kmsg.MetadataRequest)
		s.mu.Lock()
		defer s.mu.Unlock()
		if at := s.fake.CurrentNode(); m.Version == version && len(m.Topics) > 0 && s.who[at] > 0 {
			s.who[at]--
			s.lies++
			return s.old, nil, true
		}
		return nil, nil, false
	})
	return s
}

func (s *stale) lie(times int, nodes ...int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.who)
	for _, n := range nodes {
		s.who[n] = times
	}
}

// renew keeps the answer of now instead.
func (s *stale) renew(t *testing.T, k *kafkatest.Cluster, topic string) {
	t.Helper()
	old := k.Metadata(t, 10, topic)
	s.mu.Lock()
	s.old = old
	s.mu.Unlock()
}

func known(t *testing.T, c *Client, topic string) (id TopicID, leader, epoch, partitions int32) {
	t.Helper()
	leader, epoch, id, ok := c.Known(TopicPartition{topic, 0})
	if !ok {
		t.Fatal("the partition is not known any more")
	}
	partitions, err := c.Partitions(context.Background(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return id, leader, epoch, partitions
}

// bubble runs f in virtual time with a cluster and a client, neither of which asks of
// its own accord.
func bubble(t *testing.T, brokers int, f func(t *testing.T, k *kafkatest.Cluster, c *Client), o ...kafkatest.Option) {
	synctest.Test(t, func(t *testing.T) {
		k := kafkatest.StartFake(t, append(o, virtual(brokers)...)...)
		f(t, k, client(t, k.Addrs(), func(c *Config) { c.Dial, c.Refresh = k.Dial, time.Hour }))
	})
}

// virtual are the options of a cluster on a network of its own.
func virtual(brokers int) []kafkatest.Option {
	ports := make([]int, brokers)
	for i := range ports {
		ports[i] = 9092 + i
	}
	return []kafkatest.Option{kafkatest.Virtual(), kafkatest.Brokers(brokers), kafkatest.Fake(kfake.Ports(ports...))}
}

func refresh(t *testing.T, c *Client, topic string) {
	t.Helper()
	if err := c.Refresh(context.Background(), topic); err != nil {
		t.Fatal(err)
	}
}

// One broker that lags behind changes nothing, for as long as it may: not the id, not
// the leader, not the number of partitions.
func TestOneStaleBrokerIsNotBelieved(t *testing.T) {
	bubble(t, 3, func(t *testing.T, k *kafkatest.Cluster, c *Client) {
		topic := k.Topic(t, 1)
		refresh(t, c, topic)
		s := freeze(t, k, 10, topic)
		first, _, _, _ := known(t, c, topic)
		k.Recreate(t, topic, 2)
		refresh(t, c, topic)
		id, _, _, n := known(t, c, topic)
		if id == first || n != 2 {
			t.Fatalf("two brokers told of the new topic, and %x with %d partitions is known", id, n)
		}
		for range 3 { // so that the epoch is above that of the old topic
			if err := k.Fake().MoveTopicPartition(topic, 0, 1); err != nil {
				t.Fatal(err)
			}
			if err := k.Fake().MoveTopicPartition(topic, 0, 2); err != nil {
				t.Fatal(err)
			}
		}
		refresh(t, c, topic)
		_, leader, epoch, _ := known(t, c, topic)
		s.lie(1000, 0)
		for range 50 {
			refresh(t, c, topic)
			time.Sleep(3 * time.Second)
			if i, l, e, m := known(t, c, topic); i != id || l != leader || e != epoch || m != n {
				t.Fatalf("id %x, leader %d, epoch %d, %d partitions; they were %x, %d, %d, %d", i, l, e, m, id, leader, epoch, n)
			}
		}
		// Nor of two, whom the third contradicts, however long.
		s.lie(1000, 0, 1)
		for range 150 {
			refresh(t, c, topic)
			time.Sleep(3 * time.Second)
			if i, l, _, _ := known(t, c, topic); i != id || l != leader {
				t.Fatalf("it went back to %x, which it had left for %x", i, id)
			}
		}
		// All of them are believed, but not at once.
		s.lie(1000, 0, 1, 2)
		for i := range 10 {
			refresh(t, c, topic)
			time.Sleep(3 * time.Second)
			if now, _, _, _ := known(t, c, topic); i < 2 && now != id || i == 9 && now != first {
				t.Fatalf("at look %d %x is known; all say %x, and %x was known", i, now, first, id)
			}
		}
		if s.lies < 12 {
			t.Fatalf("asked the stale ones %d times only", s.lies)
		}
	})
}

// Answers in between of which each knows another moment of one topic: the leader goes
// forward only.
func TestLeadersDoNotGoBack(t *testing.T) {
	for name, version := range map[string]int16{"with topic ids": 10, "without": 7} {
		t.Run(name, func(t *testing.T) {
			var o []kafkatest.Option
			if version == 7 {
				o = append(o, kafkatest.Fake(kfake.MaxVersions(kversion.V2_4_0())))
			}
			bubble(t, 3, func(t *testing.T, k *kafkatest.Cluster, c *Client) {
				topic := k.Topic(t, 1)
				refresh(t, c, topic)
				s := freeze(t, k, version, topic)
				_, was, _, _ := known(t, c, topic)
				to := (was + 1) % 3
				if err := k.Fake().MoveTopicPartition(topic, 0, to); err != nil {
					t.Fatal(err)
				}
				refresh(t, c, topic)
				s.lie(1000, was)
				for range 30 {
					c.Invalidate(TopicPartition{topic, 0})
					leader, _, err := c.Leader(context.Background(), TopicPartition{topic, 0})
					if err != nil || leader != to {
						t.Fatalf("leader %d, %v; it is %d, and was %d once", leader, err, to, was)
					}
					time.Sleep(time.Second)
				}
				if s.lies == 0 {
					t.Fatal("the stale one was not asked")
				}
			}, o...)
		})
	}
}

// A topic that is gone, or another one, is noticed within seconds all the same, on a
// cluster of one broker too, and on one that tells no ids.
func TestTopicThatIsReallyAnotherIsBelieved(t *testing.T) {
	old := kafkatest.Fake(kfake.MaxVersions(kversion.V2_4_0()))
	for name, on := range map[string]struct {
		brokers int
		o       []kafkatest.Option
	}{
		"three brokers":         {3, nil},
		"one broker":            {1, nil},
		"three brokers, no ids": {3, []kafkatest.Option{old}},
		"one broker, no ids":    {1, []kafkatest.Option{old}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, on.brokers, func(t *testing.T, k *kafkatest.Cluster, c *Client) {
				topic := k.Topic(t, 3)
				refresh(t, c, topic)
				if _, err := k.Admin(t).DeleteTopics(context.Background(), topic); err != nil {
					t.Fatal(err)
				}
				tp := TopicPartition{topic, 0}
				for range 3 {
					refresh(t, c, topic)
					time.Sleep(time.Second)
				}
				if _, _, _, ok := c.Known(tp); ok {
					t.Fatal("the topic is gone and still known")
				}
				k.CreateTopic(t, topic, 2)
				refresh(t, c, topic)
				if _, _, _, n := known(t, c, topic); n != 2 {
					t.Fatalf("%d partitions", n)
				}
				k.Recreate(t, topic, 1)
				for range 3 {
					refresh(t, c, topic)
					time.Sleep(time.Second)
				}
				if _, _, _, n := known(t, c, topic); n != 1 {
					t.Fatalf("%d partitions", n)
				}
			}, on.o...)
		})
	}
}

// A broker that does not know a topic yet wipes nothing, once.
func TestTopicThatOneBrokerDoesNotKnow(t *testing.T) {
	for name, n := range map[string]int{"one broker": 1, "three brokers": 3} {
		t.Run(name, func(t *testing.T) {
			bubble(t, n, func(t *testing.T, k *kafkatest.Cluster, c *Client) {
				topic := k.Name(t)
				s := freeze(t, k, 10, topic) // UNKNOWN_TOPIC_OR_PARTITION
				k.CreateTopic(t, topic, 1)
				refresh(t, c, topic)
				s.lie(1, 0)
				for range 20 {
					refresh(t, c, topic)
					if _, _, _, ok := c.Known(TopicPartition{topic, 0}); !ok {
						t.Fatal("the topic is not known any more")
					}
					time.Sleep(time.Second)
				}
				if s.lies != 1 {
					t.Fatalf("asked the stale one %d times", s.lies)
				}
			})
		})
	}
}

// A broker whose connection broke once is asked for its opinion all the same.
func TestBrokerThatFailedIsAskedToo(t *testing.T) {
	bubble(t, 2, func(t *testing.T, k *kafkatest.Cluster, c *Client) {
		topic := k.Topic(t, 1)
		refresh(t, c, topic)
		was, _, _, _ := known(t, c, topic)
		c.mu.Lock()
		c.nodes[1].failed.Store(true)
		c.mu.Unlock()
		k.Recreate(t, topic, 1)
		for range 3 {
			refresh(t, c, topic)
			time.Sleep(time.Second)
		}
		if id, _, _, _ := known(t, c, topic); id == was {
			t.Fatal("both brokers say that it is another topic, and it is not known")
		}
	})
}

// Where all others stay silent one is believed, later.
func TestOneBrokerIsBelievedWhenAllOthersAreSilent(t *testing.T) {
	bubble(t, 3, func(t *testing.T, k *kafkatest.Cluster, c *Client) {
		topic := k.Topic(t, 1)
		refresh(t, c, topic)
		was, _, _, _ := known(t, c, topic)
		k.Recreate(t, topic, 1)
		k.Fake().ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
			k.Fake().KeepControl()
			return nil, errors.New("cut off"), k.Fake().CurrentNode() > 0
		})
		began := time.Now()
		for {
			refresh(t, c, topic)
			if id, _, _, _ := known(t, c, topic); id != was {
				break
			}
			if _, sure := c.Identity(topic); sure {
				t.Fatal("nobody doubts that it is the old topic")
			}
			if time.Since(began) > time.Minute {
				t.Fatal("the only broker has said for a minute that it is another topic")
			}
			time.Sleep(time.Second)
		}
		if time.Since(began) < agreeFor {
			t.Fatalf("one broker was believed after %v", time.Since(began))
		}
	})
}

// What AgreeOn says does not depend on whom it asks first.
func TestSettleIsNotTalkedOutOfItByOneBroker(t *testing.T) {
	bubble(t, 3, func(t *testing.T, k *kafkatest.Cluster, c *Client) {
		topic := k.Topic(t, 1)
		s := freeze(t, k, 10, topic)
		for try := range int32(12) {
			s.lie(0)
			c.Forget(topic)
			refresh(t, c, topic)
			was, _, _, _ := known(t, c, topic)
			old, err := c.ask(context.Background(), 0, []string{topic})
			if err != nil || old.topics[topic].id != was {
				t.Fatal(err)
			}
			s.renew(t, k, topic)
			k.Recreate(t, topic, 1)
			s.lie(1000, try%3)
			err = c.AgreeOn(context.Background(), topic)
			if id, sure := c.Identity(topic); err == nil && id == was || sure && id == was {
				t.Fatalf("two of three brokers say that it is another topic; settled: %v, sure: %v", err, sure)
			}
			s.lie(0)
			if err := c.AgreeOn(context.Background(), topic); err != nil {
				t.Fatal(err)
			}
			if id, _ := c.Identity(topic); id == was {
				t.Fatal("all say that it is another topic")
			}
		}
	})
}

// Two of three brokers are late while a client begins: whatever it hears first, it is
// sure of nothing wrong, and knows what is right once they have heard.
func TestMostBrokersAreLateAtTheBeginning(t *testing.T) {
	bubble(t, 3, func(t *testing.T, k *kafkatest.Cluster, c *Client) {
		topic := k.Topic(t, 1)
		s := freeze(t, k, 10, topic)
		k.Recreate(t, topic, 1)
		refresh(t, c, topic)
		right, _, _, _ := known(t, c, topic)
		for try := range 12 {
			c.Forget(topic)
			s.lie(1000, 0, 1)
			refresh(t, c, topic)
			first, _, _, _ := known(t, c, topic)
			for range 8 {
				time.Sleep(time.Second)
				refresh(t, c, topic)
				if id, sure := c.Identity(topic); sure && id != right && first == right {
					t.Fatalf("try %d: it was right, and is talked out of it", try)
				}
			}
			s.lie(0)
			if err := c.AgreeOn(context.Background(), topic); err != nil {
				t.Fatal(err)
			}
			if id, _ := c.Identity(topic); id != right {
				t.Fatalf("try %d: all brokers say %x, and %x is known", try, right, id)
			}
		}
	})
}

// One broker that says what is known settles nothing before the others have been silent
// for a while, however often it is asked.
func TestSettleWaitsForASecondBroker(t *testing.T) {
	bubble(t, 2, func(t *testing.T, k *kafkatest.Cluster, c *Client) {
		topic := k.Topic(t, 1)
		refresh(t, c, topic)
		k.Fake().ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
			k.Fake().KeepControl()
			return nil, errors.New("cut off"), k.Fake().CurrentNode() > 0
		})
		began := time.Now()
		for c.AgreeOn(context.Background(), topic) != nil {
			if time.Since(began) > time.Minute {
				t.Fatal("the only broker that answers has agreed for a minute")
			}
		}
		if time.Since(began) < agreeFor {
			t.Fatalf("one broker was believed after %v", time.Since(began))
		}
	})
}
