package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A switchboard is a network in which names may be given to other hosts, and hosts go
// away as the powerless do: nobody closes a connection, and none comes about.
type switchboard struct {
	dial DialFunc

	mu    sync.Mutex
	names map[string][]string // host to hosts
	holes map[string]bool     // host:port
}

func (s *switchboard) lookup(_ context.Context, host string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to := s.names[host]; to != nil {
		return to, nil
	}
	return []string{host}, nil
}

func (s *switchboard) name(host string, to ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[host] = to
}

func (s *switchboard) hole(addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range addresses {
		s.holes[a] = true
	}
}

func (s *switchboard) isHole(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holes[address]
}

func (s *switchboard) open(ctx context.Context, network, address string) (net.Conn, error) {
	if s.isHole(address) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	conn, err := s.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	nothing, other := net.Pipe()
	return &switched{Conn: conn, board: s, address: address, nothing: nothing, other: other}, nil
}

type switched struct {
	net.Conn
	board          *switchboard
	address        string
	nothing, other net.Conn
}

func (c *switched) Read(p []byte) (int, error) {
	if c.board.isHole(c.address) {
		return c.nothing.Read(p)
	}
	return c.Conn.Read(p)
}

func (c *switched) Write(p []byte) (int, error) {
	if c.board.isHole(c.address) {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *switched) SetDeadline(t time.Time) error {
	_ = c.nothing.SetDeadline(t)
	return c.Conn.SetDeadline(t)
}

func (c *switched) Close() error {
	_ = c.nothing.Close()
	return c.Conn.Close()
}

func newSwitchboard(dial DialFunc) *switchboard {
	return &switchboard{dial: dial, names: map[string][]string{}, holes: map[string]bool{}}
}

// Of the brokers that the configuration names, and of those that the cluster listed,
// all but one are gone in silence: the one is reached in the time that is promised.
func TestLookUpReachesTheOneThatLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := kafkatest.StartFake(t, virtual(1)...)
		topic := k.Topic(t, 1)
		board := newSwitchboard(k.Dial)
		var seeds []string
		for i := range 4 {
			seeds = append(seeds, fmt.Sprintf("127.0.0.1:%d", 7000+i))
		}
		board.hole(seeds...)
		seeds = append(seeds, k.Addrs()[0])
		c := client(t, seeds, func(c *Config) { c.Dial = board.open })
		c.mu.Lock()
		for i := range 20 {
			board.hole(fmt.Sprintf("127.0.0.1:%d", 8000+i))
			c.setNode(int32(100+i), "127.0.0.1", int32(8000+i))
		}
		c.mu.Unlock()
		begin := time.Now()
		refresh(t, c, topic)
		if took, most := time.Since(begin), time.Duration(len(seeds))*time.Second; took > most {
			t.Errorf("the first look-up took %v, which is more than %v", took, most)
		}
		begin = time.Now()
		refresh(t, c, topic)
		if took := time.Since(begin); took > hedge+200*time.Millisecond { // of one that was not tried yet, and the pause between look-ups
			t.Errorf("the next look-up took %v", took)
		}
	})
}

// All brokers are replaced behind one name, and the old ones vanish.
func TestEveryBrokerIsReplacedBehindTheName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := kafkatest.StartFake(t, virtual(3)...)
		topic := k.Topic(t, 1)
		board := newSwitchboard(k.Dial)
		// The network has one host, so the name stands for a port of it.
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			host, _, _ := net.SplitHostPort(address)
			if host == "brokers.test" {
				to, _ := board.lookup(ctx, host)
				return board.open(ctx, network, to[0])
			}
			return board.open(ctx, network, address)
		}
		board.name("brokers.test", "127.0.0.1:9092")
		c := client(t, []string{"brokers.test:9092"}, func(c *Config) { c.Dial = dial })
		p := NewProducer(c, ProducerConfig{})
		defer p.Close()
		if err := p.Produce(context.Background(), numbered(topic, 0, 0, 10)); err != nil {
			t.Fatal(err)
		}
		fake := k.Fake()
		for i := range int32(2) {
			if _, _, err := fake.AddNode(10+i, int(9200+i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := fake.MoveTopicPartition(topic, 0, 10); err != nil {
			t.Fatal(err)
		}
		for _, a := range []string{"localhost", "127.0.0.1"} {
			board.hole(a+":9092", a+":9093", a+":9094")
		}
		for i := range int32(3) {
			if err := fake.RemoveNode(i); err != nil {
				t.Fatal(err)
			}
		}
		board.name("brokers.test", "127.0.0.1:9201")
		begin := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := p.Produce(ctx, numbered(topic, 0, 10, 10)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("the brokers that are new were found after %v", took)
		}
		time.Sleep(forgetAfter)
		refresh(t, c, topic)
		time.Sleep(forgetAfter)
		refresh(t, c, topic)
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.nodes) != 2 || c.nodes[10] == nil || c.nodes[11] == nil {
			t.Errorf("kept %v", c.nodes)
		}
	})
}

// One stale answer that leaves a broker out ends no connection to it.
func TestBrokerThatIsMissingOnceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, []string{"127.0.0.1:9092"})
		all := []brokerAddress{{0, "127.0.0.1", 9092}, {1, "127.0.0.1", 9093}}
		hear := func(list []brokerAddress) *node {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.setNodes(list)
			return c.nodes[1]
		}
		n := hear(all)
		for range 10 {
			if hear(all[:1]) != n {
				t.Fatal("forgotten at once")
			}
			time.Sleep(forgetAfter - time.Second)
			if hear(all) != n {
				t.Fatal("made anew")
			}
		}
		hear(all[:1])
		time.Sleep(forgetAfter)
		if hear(all[:1]) != nil || !n.closed {
			t.Fatal("kept for ever")
		}
	})
}

// Each address of a name gets its turn, and the name is looked up each time.
func TestNameOfSeveralAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		hosts := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}
		live := "10.0.0.3:9092"
		dial := dialEach(func(ctx context.Context, _, address string) (net.Conn, error) {
			switch address {
			case live:
				a, b := net.Pipe()
				_ = b.Close()
				return a, nil
			case "10.0.0.9:9092":
				return nil, errors.New("refused")
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}, func(context.Context, string) ([]string, error) {
			asked++
			return hosts, nil
		})
		try := func(want time.Duration) {
			t.Helper()
			ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
			defer cancel()
			begin := time.Now()
			conn, err := dial(ctx, "tcp", "brokers.test:9092")
			if err != nil || time.Since(begin) != want {
				t.Fatalf("%v after %v, not %v", err, time.Since(begin), want)
			}
			_ = conn.Close()
		}
		try(2 * eachDelay)
		hosts = []string{"10.0.0.9", "10.0.0.3"}
		try(0)
		hosts, live = []string{"10.0.0.1", "10.0.0.4"}, "10.0.0.4:9092"
		try(eachDelay)
		if asked != 3 {
			t.Errorf("looked up %d times", asked)
		}
	})
}
