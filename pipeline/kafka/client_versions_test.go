package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// capped starts a broker that takes one request up to a version only.
func capped(t *testing.T, key protocol.ApiKey, version int16, o ...kafkatest.Option) *kafkatest.Cluster {
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(key), version)
	return kafkatest.StartFake(t, append(o, kafkatest.Fake(kfake.MaxVersions(v)))...)
}

// Every request of the table, on a broker that takes it up to one version too few.
func TestABrokerThatIsTooOldIsNamedAtTheCheck(t *testing.T) {
	for i := range needs {
		n := &needs[i]
		last := n.versions[len(n.versions)-1]
		if last == 0 {
			continue // there is nothing older
		}
		t.Run(n.key.String(), func(t *testing.T) {
			t.Parallel()
			k := capped(t, n.key, last-1)
			c := client(t, k.Addrs())
			err := c.Check(deadline(t))
			if n.optional && err != nil {
				t.Fatalf("needed at start-up: %v", err)
			}
			if n.key == protocol.OffsetForLeaderEpoch {
				topic := k.Topic(t, 1)
				if _, err := c.EpochEnd(deadline(t), TopicPartition{topic, 0}, -1, 0); !errors.Is(err, ErrNoEpochs) {
					t.Errorf("asked all the same: %v", err)
				}
				return
			}
			if n.optional {
				err = c.CreateTopics(deadline(t), NewTopic{Name: "new"})
			} else if check := (*CheckError)(nil); !errors.As(err, &check) {
				t.Fatalf("checked: %v", err)
			}
			var version *VersionError
			if !errors.As(err, &version) || Temporary(err) {
				t.Fatalf("checked: %v", err)
			}
			for _, want := range []string{n.key.String(), fmt.Sprint("up to version ", last-1, ","), "Kafka " + OldestKafka, k.Addrs()[0]} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v: it does not say %q", err, want)
				}
			}
		})
	}
}

// What the table says of Apache Kafka is what franz-go's knows.
func TestTheOldestKafkaTakesEveryRequest(t *testing.T) {
	for _, n := range needs {
		last := n.versions[len(n.versions)-1]
		first := ""
		for _, name := range kversion.VersionStrings() {
			v := kversion.FromString(name)
			if most, ok := v.LookupMaxKeyVersion(int16(n.key)); ok && most >= last {
				first = strings.TrimPrefix(name, "v") // they come newest first
			}
		}
		if first != n.kafka {
			t.Errorf("%v version %d is in Kafka from %s on, the table says %s", n.key, last, first, n.kafka)
		}
	}
	if err := advertised(kversion.FromString("v" + OldestKafka)).all(); err != nil {
		t.Error(err)
	}
	if err := advertised(kversion.V2_3_0()).all(); err == nil {
		t.Error("an older one does too")
	}
}

func advertised(v *kversion.Versions) ranges {
	r := ranges{}
	v.EachMaxKeyVersion(func(k, most int16) { r[protocol.ApiKey(k)] = [2]int16{0, most} })
	return r
}

// While a cluster is upgraded, one broker takes what another does not. One that is
// too old is named although the others are not.
func TestBrokersOfSeveralReleases(t *testing.T) {
	k := kafkatest.StartFake(t, kafkatest.Brokers(3))
	topic, group := k.Topic(t, 3), k.Group(t)
	fake := k.Fake()
	var mu sync.Mutex
	least := map[int16]int16{}
	lower := func(key protocol.ApiKey, version int16) {
		mu.Lock()
		defer mu.Unlock()
		least[int16(key)] = version
	}
	lower(protocol.Metadata, 9)
	lower(protocol.Produce, 7)
	lower(protocol.OffsetFetch, 6)
	sent := map[string]bool{}
	fake.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		sent[fmt.Sprintf("%d %v %d", fake.CurrentNode(), protocol.ApiKey(req.Key()), req.GetVersion())] = true
		if fake.CurrentNode() != 1 || req.Key() != int16(kmsg.ApiVersions) || req.GetVersion() != 3 { // the referee's is newer
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
		for key, r := range advertised(kversion.Stable()) {
			a := kmsg.NewApiVersionsResponseApiKey()
			a.ApiKey, a.MinVersion, a.MaxVersion = int16(key), r[0], r[1]
			if v, ok := least[a.ApiKey]; ok {
				a.MaxVersion = v
			}
			resp.ApiKeys = append(resp.ApiKeys, a)
		}
		return resp, nil, true
	})
	c := client(t, k.Addrs())
	if err := c.Check(deadline(t), topic); err != nil {
		t.Fatal(err)
	}
	p := NewProducer(c, ProducerConfig{})
	defer p.Close()
	for i := range int32(3) {
		if err := fake.MoveTopicPartition(topic, i, i); err != nil {
			t.Fatal(err)
		}
		if err := p.Produce(deadline(t), numbered(topic, i, 0, 10)); err != nil {
			t.Fatal(err)
		}
		wantNumbers(t, values(t, k, topic, i), 10)
	}
	for i, at := 0, int32(-1); at != 1; i++ { // until a group has its coordinator there
		name := fmt.Sprint(group, i)
		var err error
		if at, err = c.Coordinator(deadline(t), name); err != nil {
			t.Fatal(err)
		}
		if _, err := c.CommittedOffsets(deadline(t), name, []TopicPartition{{topic, 0}}); err != nil && !errors.Is(err, GroupIDNotFound) {
			t.Fatal(err)
		}
	}
	if m, err := c.ask(deadline(t), 1, []string{topic}); err != nil || len(m.topics[topic].partitions) != 3 {
		t.Fatal(m, err)
	}
	mu.Lock()
	for _, want := range []string{"1 Metadata 7", "1 Produce 7", "0 Produce 8", "2 Produce 8", "1 OffsetFetch 6"} {
		if !sent[want] {
			t.Errorf("%q was not sent, but %v", want, sent)
		}
	}
	mu.Unlock()

	lower(protocol.Heartbeat, 2)
	err := client(t, k.Addrs()).Check(deadline(t), topic)
	if err == nil || !strings.Contains(err.Error(), "broker 1 at") || !strings.Contains(err.Error(), "Heartbeat") {
		t.Fatalf("checked: %v", err)
	}
}

// A group and a producer, on the oldest release.
func TestTheOldestKafka(t *testing.T) {
	k := kafkatest.StartFake(t, kafkatest.Fake(kfake.MaxVersions(kversion.V2_4_0())))
	topic := k.Topic(t, 2)
	c := client(t, k.Addrs())
	if err := c.Check(deadline(t), topic); err != nil {
		t.Fatal(err)
	}
	p := NewProducer(c, ProducerConfig{})
	defer p.Close()
	if err := p.Produce(deadline(t), numbered(topic, 0, 0, 10)); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, values(t, k, topic, 0), 10)
	config := quick(k, t, topic)
	f := follow(t, k, config, false)
	f.untilServing(2)
	first := TopicPartition{topic, 0}
	if err := f.Commit(deadline(t), map[TopicPartition]Mark{first: {Offset: 7, Term: f.termOf(first)}}); err != nil {
		t.Fatal(err)
	}
	tps := []TopicPartition{{topic, 0}, {topic, 1}}
	got, err := f.Committed(deadline(t), tps)
	if err != nil || got[tps[0]] != 7 || got[tps[1]] != -1 {
		t.Fatalf("committed %v, %v", got, err)
	}
	lag, err := c.Lag(deadline(t), config.Group, []string{topic}, true)
	if err != nil || lag[0].Lag != 3 {
		t.Fatalf("lag %v, %v", lag, err)
	}
}

// Produce 7, as some brokers that are not Apache Kafka have it, does not name the
// records for which a batch is refused.
func TestRefusalWithoutRecordsIsNarrowedDown(t *testing.T) {
	k := capped(t, protocol.Produce, 7)
	topic := k.Topic(t, 1)
	k.Fake().ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.Fake().KeepControl()
		r := req.(*kmsg.ProduceRequest)
		if r.Version != 7 {
			t.Errorf("Produce version %d", r.Version)
		}
		if strings.Contains(string(r.Topics[0].Partitions[0].Records), "bad") {
			return produceAnswered(req, topic, kerr.InvalidRecord.Code), nil, true
		}
		return nil, nil, false
	})
	p := testProducer(t, k, ProducerConfig{})
	msgs := numbered(topic, 0, 0, 16)
	msgs[5].Value, msgs[11].Value = []byte("bad"), []byte("bad")
	err := p.Produce(soon(t), msgs)
	var failed *ProduceError
	var refused *RefusedError
	if !errors.As(err, &failed) || len(failed.Failed) != 2 || failed.Failed[0].Index != 5 || failed.Failed[1].Index != 11 ||
		!errors.As(err, &refused) || refused.Reason != RefusedInvalid {
		t.Fatalf("producing: %v", err)
	}
	if got := values(t, k, topic, 0); len(got) != 14 {
		t.Fatalf("stored %v", got)
	}
}

// A broker that goes back to a release that is too old ends what uses it, with a
// message, and nothing waits for it.
func TestABrokerThatIsDowngraded(t *testing.T) {
	k := capped(t, protocol.Fetch, 10)
	topic := k.Topic(t, 1)
	c := client(t, k.Addrs())
	leader, _, err := c.Leader(deadline(t), TopicPartition{topic, 0})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Fetch(context.Background(), &FetchRequest{Broker: leader, Partitions: []FetchPartition{{TopicPartition: TopicPartition{topic, 0}}}}, nil, &FetchAnswer{})
	var version *VersionError
	if !errors.As(err, &version) || Temporary(err) {
		t.Fatal(err)
	}
}
