package kafka

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

func client(t *testing.T, brokers []string, change ...func(*Config)) *Client {
	t.Helper()
	config := Config{Brokers: brokers}
	for _, f := range change {
		f(&config)
	}
	c, err := NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestLeaderFollowsAMoveAtOnce(t *testing.T) {
	k := kafkatest.StartFake(t, kafkatest.Brokers(3))
	topic := k.Topic(t, 1)
	c := client(t, k.Addrs(), func(c *Config) { c.Refresh = time.Hour })
	tp := TopicPartition{topic, 0}
	before, epoch, err := c.Leader(deadline(t), tp)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Fake().MoveTopicPartition(topic, 0, (before+1)%3); err != nil {
		t.Fatal(err)
	}
	if again, _, _ := c.Leader(deadline(t), tp); again != before {
		t.Fatalf("leader %d without a reason to ask again", again)
	}
	c.Invalidate(tp)
	after, epoch2, err := c.Leader(deadline(t), tp)
	if err != nil || after != (before+1)%3 || epoch2 <= epoch {
		t.Fatalf("leader %d epoch %d after the move from %d epoch %d: %v", after, epoch2, before, epoch, err)
	}
	id, err := c.TopicID(deadline(t), topic)
	if err != nil || id == (TopicID{}) {
		t.Fatalf("topic id %x: %v", id, err)
	}
	if n, err := c.Partitions(deadline(t), topic); n != 1 || err != nil {
		t.Fatalf("%d partitions: %v", n, err)
	}
}

func TestMetadataOfAnOlderBroker(t *testing.T) {
	k := kafkatest.StartFake(t, kafkatest.Fake(kfake.MaxVersions(kversion.V2_4_0())))
	topic := k.Topic(t, 3)
	c := client(t, k.Addrs())
	if n, err := c.Partitions(deadline(t), topic); n != 3 || err != nil {
		t.Fatalf("%d partitions: %v", n, err)
	}
	if id, err := c.TopicID(deadline(t), topic); err != nil || id != (TopicID{}) {
		t.Fatalf("topic id %x: %v", id, err)
	}
}

func TestUnknownBrokerIsAnError(t *testing.T) {
	k := kafkatest.Start(t)
	c := client(t, k.Addrs())
	err := c.do(deadline(t), &exchange{key: protocol.ApiVersions, broker: 4711, body: func(*writer) {}})
	if !errors.Is(err, errNoSuchBroker) || !Temporary(err) {
		t.Fatal(err)
	}
}

func TestCoordinatorIsKeptUntilDropped(t *testing.T) {
	k := kafkatest.StartFake(t, kafkatest.Brokers(3))
	c := client(t, k.Addrs())
	asked := 0
	k.Fake().ControlKey(int16(kmsg.FindCoordinator), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.Fake().KeepControl()
		asked++
		return nil, nil, false
	})
	for range 3 {
		if _, err := c.Coordinator(deadline(t), "g"); err != nil {
			t.Fatal(err)
		}
	}
	c.DropCoordinator("g")
	if _, err := c.Coordinator(deadline(t), "g"); err != nil {
		t.Fatal(err)
	}
	if asked != 2 {
		t.Fatalf("asked %d times", asked)
	}
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	k := kafkatest.Start(t)
	topic := k.Topic(t, 1)
	before := goleak.IgnoreCurrent()
	c, err := NewClient(Config{Brokers: k.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(deadline(t), topic); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Leader(deadline(t), TopicPartition{topic, 0}); err != nil {
		t.Fatalf("what is known stays known: %v", err)
	}
	if err := c.Refresh(deadline(t)); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if !k.Real() { // the fake broker's side of the connections lives in this process
		return
	}
	goleak.VerifyNone(t, before)
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	secure := kafkatest.StartFake(t, kafkatest.Fake(kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "alice", "top secret"), kfake.Superuser("PLAIN", "alice", "top secret")))
	open := kafkatest.StartFake(t, kafkatest.Fake(kfake.SeedTopics(1, "flights")))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	_ = l.Close()
	for _, tc := range []struct {
		name    string
		brokers []string
		tls     *TLS
		sasl    *SASL
		topic   string
		want    string
		kind    string
	}{
		{name: "wrong password", brokers: secure.Addrs(), sasl: &SASL{Mechanism: "plain", Username: "alice", Password: "guessed"}, want: "check sasl.username"},
		{name: "wrong password scram", brokers: secure.Addrs(), sasl: &SASL{Mechanism: "scram-sha-256", Username: "alice", Password: "guessed"}, want: "check sasl.username"},
		{name: "no credentials", brokers: secure.Addrs(), want: "does it expect tls or sasl"},
		{name: "unknown topic", brokers: open.Addrs(), topic: "flihgts", want: `did you mean "flights"?`, kind: "kafka_unknown_topic_or_partition"},
		{name: "dead broker", brokers: []string{dead}, want: "connection refused", kind: "network"},
		{name: "tls to plaintext", brokers: open.Addrs(), tls: &TLS{Insecure: true}, want: "broker"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := client(t, tc.brokers, func(c *Config) {
				if err := c.Secure(tc.tls, tc.sasl); err != nil {
					t.Fatal(err)
				}
			})
			err := c.Check(deadline(t), "flights", "flights")
			if tc.topic != "" {
				err = c.Check(deadline(t), tc.topic)
			}
			t.Log(err)
			var check *CheckError
			if !errors.As(err, &check) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("want %q", tc.want)
			}
			if strings.Contains(err.Error(), "top secret") || strings.Contains(err.Error(), "guessed") {
				t.Fatal("tells the password")
			}
		})
	}
}
