package kafkatest

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Settings are those of an embedded broker. The zero value works.
type Settings struct {
	Brokers int              // 0: 1
	Port    int              // of the first broker, the others follow; 0: any free one
	Topics  map[string]int32 // partitions by name
	Dir     string           // keeps topics, records and groups there; "": in memory
}

// A Broker is kfake embedded in a program.
type Broker struct{ fake *kfake.Cluster }

// Embedded starts a broker on 127.0.0.1 with the given topics. The caller closes it.
func Embedded(s Settings) (*Broker, error) {
	n := max(s.Brokers, 1)
	opts := []kfake.Opt{kfake.NumBrokers(n)}
	if s.Port > 0 {
		ports := make([]int, n)
		for i := range ports {
			ports[i] = s.Port + i
		}
		opts = append(opts, kfake.Ports(ports...))
	}
	if s.Dir != "" {
		opts = append(opts, kfake.DataDir(s.Dir))
	}
	fake, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("starting the embedded broker: %w", err)
	}
	b := &Broker{fake: fake}
	for name, partitions := range s.Topics {
		if err := b.CreateTopic(name, partitions); err != nil {
			b.Close()
			return nil, err
		}
	}
	return b, nil
}

// Addrs are the brokers' addresses, host:port.
func (b *Broker) Addrs() []string { return b.fake.ListenAddrs() }

// CreateTopic makes a topic; one that is already there, from Dir, stays as it is.
func (b *Broker) CreateTopic(name string, partitions int32) error {
	if b.fake.TopicInfo(name) != nil {
		return nil
	}
	if err := b.fake.CreateTopic(name, partitions, nil); err != nil {
		return fmt.Errorf("creating topic %s in the embedded broker: %w", name, err)
	}
	return nil
}

// Close stops the broker; connections to it end.
func (b *Broker) Close() { b.fake.Close() }
