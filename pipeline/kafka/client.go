package kafka

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/sasl"
)

// Config says how to reach a cluster. The zero value of everything but Brokers
// works.
type Config struct {
	Brokers  []string
	ClientID string
	TLS      *tls.Config
	SASL     sasl.Mechanism
	// Dial replaces the dialer, for tests in virtual time.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Refresh is how often leaders are asked for anew without a reason. 0: 5 minutes.
	Refresh time.Duration
}

// A TopicPartition names one partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// A TopicID is Kafka's unique id of a topic, which a re-created topic does not keep.
type TopicID [16]byte

// A Client is the way to one cluster: connections, leaders and coordinators. It is
// safe for concurrent use and shared by fetcher, producer and group of a process.
type Client struct {
	config Config
	data   *kafkago.Transport // everything but fetches
	fetch  *kafkago.Transport // fetches: quotas mute a connection
}

// do sends x to its broker and waits for the answer. The ctx must have a deadline.
// When ctx ends first, the exchange goes on in the background: a buffer handed to it
// must not be used again.
func (c *Client) do(ctx context.Context, x *exchange) error {
	_, err := c.data.RoundTrip(ctx, kafkago.TCP(c.config.Brokers...), x)
	return err
}

var _ protocol.Message = (*exchange)(nil)
