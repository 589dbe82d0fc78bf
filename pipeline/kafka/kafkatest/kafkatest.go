// SPDX-License-Identifier: Apache-2.0

// Package kafkatest gives tests, the demo and `penstock dev` a broker: kfake in
// process on loopback or, for tests, the real Apache Kafka named by
// PENSTOCK_TEST_KAFKA; and an independent client, franz-go, as the referee of what
// is in it.
package kafkatest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Env names the environment variable that holds the real broker's addresses,
// host:port,host:port. `make test-real` sets it.
const Env = "PENSTOCK_TEST_KAFKA"

// patience bounds every wait of the referee, so that a broken test ends.
const patience = 60 * time.Second

// virtualPort is that of a Virtual cluster's first broker.
const virtualPort = 9092

// T is the part of testing.TB that this package needs.
type T interface {
	Helper()
	Name() string
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// A Cluster is a broker, or several, that tests may use. Its methods are safe for
// concurrent use; those that take a T fail the test on any error.
type Cluster struct {
	addrs   []string
	fake    *kfake.Cluster
	network *kfake.VirtualNetwork // nil: the machine's

	once  sync.Once
	admin *kadm.Client
}

// An Option changes how a fake cluster is started. A real one is as it is.
type Option func(*settings)

type settings struct {
	brokers int
	fake    []kfake.Opt
	network *kfake.VirtualNetwork
}

// Brokers is the number of brokers of a fake cluster; 1 by default.
func Brokers(n int) Option { return func(s *settings) { s.brokers = n } }

// Virtual puts a fake cluster on a network within the process, for tests in virtual
// time: start it inside the bubble, and dial with Dial.
func Virtual() Option {
	return func(s *settings) {
		s.network = new(kfake.VirtualNetwork)
		s.fake = append(s.fake, kfake.ListenFn(s.network.Listen))
	}
}

// Fake passes options to kfake.
func Fake(o ...kfake.Opt) Option { return func(s *settings) { s.fake = append(s.fake, o...) } }

// Start gives the cluster that tests run against: kfake, or the real one when the
// environment names it. Topics and groups of a test come from Topic and Group, so
// that tests do not meet. It is closed by the test's cleanup.
func Start(t T, o ...Option) *Cluster {
	t.Helper()
	env := os.Getenv(Env)
	if env == "" {
		return StartFake(t, o...)
	}
	return At(t, strings.Split(env, ",")...)
}

// At gives the cluster at these addresses, which somebody else has started.
func At(t T, addrs ...string) *Cluster {
	c := &Cluster{addrs: addrs}
	t.Cleanup(c.close)
	return c
}

// StartFake gives a kfake cluster, whatever the environment says: for faults that
// only kfake can produce, and for sessions below a real broker's minimum.
func StartFake(t T, o ...Option) *Cluster {
	t.Helper()
	s := settings{brokers: 1}
	for _, f := range o {
		f(&s)
	}
	if s.network != nil { // it gives out no ports by itself
		ports := make([]int, s.brokers)
		for i := range ports {
			ports[i] = virtualPort + i
		}
		s.fake = append(s.fake, kfake.Ports(ports...))
	}
	fake, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(s.brokers), kfake.GroupMinSessionTimeout(50 * time.Millisecond),
	}, s.fake...)...)
	if err != nil {
		t.Fatalf("starting the fake broker: %v", err)
	}
	c := &Cluster{addrs: fake.ListenAddrs(), fake: fake, network: s.network}
	t.Cleanup(c.close)
	return c
}

func (c *Cluster) close() {
	if c.admin != nil {
		c.admin.Close()
	}
	if c.fake != nil {
		c.fake.Close()
	}
}

// Dial connects to a broker of a Virtual cluster; any other is dialled as usual.
func (c *Cluster) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if c.network != nil {
		return c.network.DialContext(ctx, network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// franz makes a client of the referee's.
func (c *Cluster) franz(o ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.addrs...), kgo.Dialer(c.Dial)}, o...)...)
}

// Addrs are the brokers' addresses, host:port.
func (c *Cluster) Addrs() []string { return c.addrs }

// Fake is the kfake cluster, for its faults and moves; nil when the cluster is real.
func (c *Cluster) Fake() *kfake.Cluster { return c.fake }

// Real says whether this is a real Apache Kafka.
func (c *Cluster) Real() bool { return c.fake == nil }

// Name gives a name that no other test has, made from the test's.
func (c *Cluster) Name(t T) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name())
	return fmt.Sprintf("%.100s-%08x", clean, rand.Uint32())
}

// Group gives a group name of the test's own.
func (c *Cluster) Group(t T) string { return c.Name(t) }

// Topic creates a topic of the test's own and gives its name. Configs are name=value.
func (c *Cluster) Topic(t T, partitions int32, configs ...string) string {
	t.Helper()
	name := c.Name(t)
	c.CreateTopic(t, name, partitions, configs...)
	return name
}

// CreateTopic creates a topic and waits until every broker knows it. The test's
// cleanup deletes it.
func (c *Cluster) CreateTopic(t T, name string, partitions int32, configs ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	set := map[string]*string{}
	for _, kv := range configs {
		k, v, _ := strings.Cut(kv, "=")
		set[k] = &v
	}
	adm := c.Admin(t)
	r, err := adm.CreateTopic(ctx, partitions, int16(min(len(c.addrs), 3)), set, name)
	if err == nil {
		err = r.Err
	}
	if err != nil {
		t.Fatalf("creating topic %s: %v", name, err)
	}
	c.waitPartitions(ctx, t, name, partitions)
	if c.Real() {
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, _ = adm.DeleteTopics(ctx, name)
		})
	}
}

// Recreate deletes a topic and creates another one of its name, with another id. It is for a fake
// cluster: a real one deletes a topic in the background, and refuses its name until then.
func (c *Cluster) Recreate(t T, topic string, partitions int32) {
	t.Helper()
	if _, err := c.Admin(t).DeleteTopics(context.Background(), topic); err != nil {
		t.Fatalf("deleting topic %s: %v", topic, err)
	}
	c.CreateTopic(t, topic, partitions)
}

// Metadata gives the answer that the brokers have now to a request for the metadata of a topic, in
// a version: one to give later, when it is stale.
func (c *Cluster) Metadata(t T, version int16, topic string) *kmsg.MetadataResponse {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = version
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, rt)
	answer, err := req.RequestWith(context.Background(), c.Client(t))
	if err != nil {
		t.Fatalf("asking for the metadata of %s: %v", topic, err)
	}
	answer.SetVersion(version)
	return answer
}

// AddPartitions makes the topic have n partitions.
func (c *Cluster) AddPartitions(t T, topic string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := c.Admin(t).UpdatePartitions(ctx, n, topic)
	if err == nil {
		err = r.Error()
	}
	if err != nil {
		t.Fatalf("adding partitions to %s: %v", topic, err)
	}
	c.waitPartitions(ctx, t, topic, int32(n))
}

// waitPartitions asks each broker until it knows n partitions with a leader.
func (c *Cluster) waitPartitions(ctx context.Context, t T, topic string, n int32) {
	t.Helper()
	for _, addr := range c.addrs {
		cl, err := c.franz(kgo.SeedBrokers(addr), kgo.MetadataMinAge(10*time.Millisecond))
		if err != nil {
			t.Fatalf("connecting to %s: %v", addr, err)
		}
		for {
			m, err := kadm.NewClient(cl).Metadata(ctx, topic)
			led := int32(0)
			for _, p := range m.Topics[topic].Partitions {
				if p.Err == nil && p.Leader >= 0 {
					led++
				}
			}
			if err == nil && led == n {
				break
			}
			select {
			case <-ctx.Done():
				t.Fatalf("waiting for topic %s on %s: %d of %d partitions, %v", topic, addr, led, n, err)
			case <-time.After(20 * time.Millisecond):
			}
		}
		cl.Close()
	}
}

// Admin gives the referee's administration client, closed with the cluster.
func (c *Cluster) Admin(t T) *kadm.Client {
	t.Helper()
	c.once.Do(func() {
		cl, err := c.franz(kgo.MetadataMinAge(10 * time.Millisecond))
		if err != nil {
			t.Fatalf("connecting to %v: %v", c.addrs, err)
		}
		c.admin = kadm.NewClient(cl)
	})
	return c.admin
}

// Client gives a franz-go client of the test's own, closed by the test's cleanup.
func (c *Cluster) Client(t T, o ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := c.franz(o...)
	if err != nil {
		t.Fatalf("connecting to %v: %v", c.addrs, err)
	}
	t.Cleanup(cl.Close)
	return cl
}
