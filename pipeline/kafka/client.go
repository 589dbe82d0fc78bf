package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/sasl"

	"github.com/penstockio/penstock/pipeline/tlsfiles"
)

// Config says how to reach a cluster. The zero value of everything but Brokers
// works.
type Config struct {
	Brokers  []string // host:port; without a port, 9092
	ClientID string   // "": penstock
	TLS      *tls.Config
	TLSFiles *tlsfiles.Files // in place of TLS: asked for each connection
	SASL     sasl.Mechanism  // its Start is called for each connection
	// Dial replaces the dialer, for tests in virtual time.
	Dial DialFunc
	// Refresh is how often leaders are asked for anew without a reason. 0: 5 minutes.
	Refresh time.Duration
}

// A DialFunc opens a connection.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// A TopicPartition names one partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String gives topic/partition.
func (tp TopicPartition) String() string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }

// A TopicID is Kafka's unique id of a topic, which a re-created topic does not keep.
// It is zero where the broker does not tell.
type TopicID [16]byte

const (
	dialTimeout    = 4 * time.Second
	idleTimeout    = time.Minute
	requestTimeout = 10 * time.Second // of a request whose context has no deadline
	closeTimeout   = 5 * time.Second
)

// A Client is the way to one cluster: connections, leaders and coordinators. It is
// safe for concurrent use and shared by fetcher, producer and group of a process.
type Client struct {
	config Config
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	conns  connSet
	calls  sync.WaitGroup // requests and refreshes that run

	mu     sync.Mutex
	closed bool
	seeds  []*node
	nodes  map[int32]*node
	meta   metadata
	coords map[coordinatorKey]int32
}

// NewClient makes a client. It opens no connection.
func NewClient(config Config) (*Client, error) {
	if len(config.Brokers) == 0 {
		return nil, errors.New("connecting to Kafka: no broker is named; give at least one host:port")
	}
	if config.ClientID == "" {
		config.ClientID = "penstock"
	}
	if config.Refresh <= 0 {
		config.Refresh = 5 * time.Minute
	}
	if config.Dial == nil {
		config.Dial = dialEach((&net.Dialer{Timeout: dialTimeout}).DialContext, net.DefaultResolver.LookupHost)
	}
	c := &Client{config: config, nodes: map[int32]*node{}, coords: map[coordinatorKey]int32{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.conns.init(config.Dial)
	c.meta.init()
	seen := map[string]bool{}
	for _, addr := range config.Brokers {
		addr, err := Address(addr)
		if err != nil {
			c.cancel()
			return nil, fmt.Errorf("connecting to Kafka: %w", err)
		}
		n, err := c.newNode(addr)
		if err != nil {
			c.cancel()
			return nil, err
		}
		n.seed = true
		if !seen[n.address] {
			seen[n.address] = true
			c.seeds = append(c.seeds, n)
		}
	}
	return c, nil
}

// Close ends what is on its way, closes all connections and waits until nothing of
// the client runs any more.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	nodes := append([]*node{}, c.seeds...)
	for _, n := range c.nodes {
		nodes = append(nodes, n)
	}
	c.mu.Unlock()
	c.cancel()
	c.calls.Wait()
	for _, n := range nodes {
		n.close()
	}
	if !c.conns.close(closeTimeout) {
		return errors.New("closing the Kafka client: connections are still in use")
	}
	return nil
}

// begin counts a call in, so that Close waits for it.
func (c *Client) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.calls.Add(1)
	return nil
}

// do sends x to its broker and waits for the answer, as long as the exchange makes progress (see
// progress) and ctx lasts. When it returns, also with an error, nothing uses x or
// a buffer handed to it any more.
func (c *Client) do(ctx context.Context, x *exchange) error { return c.send(ctx, x, false) }

// doFetch is do on the connections for fetches. A broker that holds a client to its
// quota reads nothing more from that connection for a while, and other requests must not wait for
// that.
func (c *Client) doFetch(ctx context.Context, x *exchange) error { return c.send(ctx, x, true) }

func (c *Client) send(ctx context.Context, x *exchange, fetch bool) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.calls.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	if x.broker < 0 {
		return c.sendAny(ctx, x)
	}
	n, err := c.node(ctx, x.broker)
	if err != nil {
		return err
	}
	return c.closedError(n.send(ctx, x, fetch))
}

// joinErrors writes several errors into one line.
func joinErrors(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return &severalErrors{errs}
}

type severalErrors struct{ errs []error }

func (e *severalErrors) Unwrap() []error { return e.errs }
func (e *severalErrors) Error() string {
	text := make([]string, len(e.errs))
	for i, err := range e.errs {
		text[i] = err.Error()
	}
	return strings.Join(text, "; ")
}

// closedError names the true reason for an error after Close.
func (c *Client) closedError(err error) error {
	if err != nil && c.ctx.Err() != nil {
		return ErrClosed
	}
	return err
}

// node finds a broker by its id, asking the cluster when it is new.
func (c *Client) node(ctx context.Context, id int32) (*node, error) {
	for try := 0; ; try++ {
		c.mu.Lock()
		n := c.nodes[id]
		c.mu.Unlock()
		if n != nil {
			return n, nil
		}
		if try == 1 {
			return nil, &BrokerError{Address: fmt.Sprintf("with id %d", id), Err: errNoSuchBroker}
		}
		if err := c.refresh(ctx); err != nil {
			return nil, err
		}
	}
}

// Address gives the address of a broker, for people.
func (c *Client) Address(broker int32) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.nodes[broker]; n != nil {
		return n.address
	}
	return fmt.Sprintf("broker %d", broker)
}

var errNoSuchBroker = errors.New("the cluster does not list it; it may be down")

// setNode records where a broker is. The caller holds c.mu.
func (c *Client) setNode(id int32, host string, port int32) {
	if c.closed || id < 0 || host == "" {
		return
	}
	addr := net.JoinHostPort(host, fmt.Sprint(port))
	if n := c.nodes[id]; n != nil {
		if n.address == addr {
			n.absent = time.Time{}
			return
		}
		c.forget(id)
	}
	for _, n := range c.seeds {
		if n.address == addr {
			n.absent = time.Time{}
			c.nodes[id] = n
			return
		}
	}
	if n, err := c.newNode(addr); err == nil {
		c.nodes[id] = n
	}
}

// forget takes a broker off the list. The caller holds c.mu.
func (c *Client) forget(id int32) {
	if n := c.nodes[id]; !n.seed {
		n.close()
	}
	delete(c.nodes, id)
}

// forgetAfter is how long a broker that no answer lists is kept, so that one stale answer does
// not close its connections.
const forgetAfter = time.Minute

// setNodes records where all brokers are, and forgets those that have not been
// listed for a while. The caller holds c.mu.
func (c *Client) setNodes(list []brokerAddress) {
	listed := map[int32]bool{}
	for _, b := range list {
		c.setNode(b.id, b.host, b.port)
		listed[b.id] = true
	}
	now := time.Now()
	for id, n := range c.nodes {
		switch {
		case listed[id] || len(list) == 0:
		case n.absent.IsZero():
			n.absent = now
		case now.Sub(n.absent) >= forgetAfter:
			c.forget(id)
		}
	}
}
