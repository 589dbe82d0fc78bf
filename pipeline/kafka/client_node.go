package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// A node is one broker's address with its connections. Each has Transports of its own, which
// know no other address: requests then need none of kafka-go's metadata to find their broker, and
// errors of the connection come back as they are.
type node struct {
	address string
	addr    net.Addr
	client  *Client
	seed    bool                   // named in the configuration: stays when brokers move
	ranges  atomic.Pointer[ranges] // as the last connection was told; nil: none yet
	failed  atomic.Bool            // its last request had no answer
	// absent is since when the cluster does not list the broker; zero: it does.
	// Client.mu guards it.
	absent time.Time

	mu     sync.Mutex
	closed bool
	data   *link
	fetch  *link
}

func (c *Client) newNode(address string) (*node, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		if strings.Contains(err.Error(), "missing port") {
			address = net.JoinHostPort(strings.Trim(address, "[]"), "9092")
		} else {
			return nil, fmt.Errorf("connecting to Kafka: %q is no address: write host:port", address)
		}
	}
	return &node{address: address, addr: kafkago.TCP(address), client: c}, nil
}

// link gives the connections to the broker. A link whose log-in is about to end is left to the
// requests that are on it, and replaced: the broker would close the connection at the next
// request.
func (n *node) link(fetch bool) (*link, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, errMoved
	}
	l := &n.data
	if fetch {
		l = &n.fetch
	}
	if *l != nil && (*l).stale() {
		(*l).CloseIdleConnections()
		*l = nil
	}
	if *l == nil {
		*l = n.newLink()
	}
	return *l, nil
}

// drop forgets a link whose connections cannot be opened or have broken, so that the next request
// opens others.
func (n *node) drop(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.data == l {
		n.data = nil
	}
	if n.fetch == l {
		n.fetch = nil
	}
	l.CloseIdleConnections()
}

// retire closes the idle connections of a link that was dropped while a request was under way on
// it. Such a request may open a connection, which would otherwise stay until it has been idle for a
// minute: longer than Close waits.
func (n *node) retire(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.data != l && n.fetch != l {
		l.CloseIdleConnections()
	}
}

// close lets connections in use finish their request.
func (n *node) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for _, l := range []*link{n.data, n.fetch} {
		if l != nil {
			l.CloseIdleConnections()
		}
	}
	n.data, n.fetch = nil, nil
}

func (n *node) send(ctx context.Context, x *exchange, fetch bool) error {
	l, err := n.link(fetch)
	if err != nil {
		return &BrokerError{n.address, err}
	}
	return n.sendOn(ctx, l, x)
}

// sendOn sends on a link that may have been dropped meanwhile.
func (n *node) sendOn(ctx context.Context, l *link, x *exchange) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := watchProgress(x.patience, func() { cancel(context.DeadlineExceeded) })
	defer p.stop()
	a := &attempt{x: x, node: n, link: l, ctx: ctx, progress: p, done: make(chan struct{})}
	_, err := l.RoundTrip(ctx, n.addr, a)
	n.retire(l)
	if err == nil {
		n.failed.Store(false)
		return nil
	}
	begun := a.prevent()
	if begun {
		<-a.done // ctx has ended or the exchange has: it does not wait for the network
	}
	if !begun || ctx.Err() == nil {
		n.drop(l) // other idle connections are as likely to be dead
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if !errors.Is(err, context.Canceled) {
		n.failed.Store(true)
	}
	return &BrokerError{n.address, explain(err, begun, &n.client.config)}
}

// An attempt is an exchange on its way: the message that kafka-go sees. It ends the
// exchange as soon as ctx ends, which kafka-go itself does not.
type attempt struct {
	x        *exchange
	node     *node
	link     *link
	ctx      context.Context
	progress *progress
	state    atomic.Int32 // 0 waiting for a connection, 1 on it, 2 given up
	done     chan struct{}
}

var _ protocol.RawExchanger = (*attempt)(nil)

//lint:ignore ST1003 kafka-go calls it so
func (a *attempt) ApiKey() protocol.ApiKey { return a.x.key }

// Required asks for the bare connection.
func (a *attempt) Required(map[protocol.ApiKey]int16) bool { return true }

// prevent keeps an exchange that has not begun from beginning, and says whether it
// had begun.
func (a *attempt) prevent() (begun bool) { return !a.state.CompareAndSwap(0, 2) }

// RawExchange is called by kafka-go with the authenticated connection.
func (a *attempt) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if !a.state.CompareAndSwap(0, 1) {
		return nil, context.Canceled
	}
	defer close(a.done)
	if conn, ok := rw.(net.Conn); ok {
		var mu sync.Mutex
		ended := false
		stop := context.AfterFunc(a.ctx, func() {
			mu.Lock()
			defer mu.Unlock()
			if !ended {
				_ = conn.SetDeadline(resetNow)
			}
		})
		defer func() {
			stop()
			mu.Lock()
			ended = true
			mu.Unlock()
		}()
	}
	if err := a.x.negotiate(*a.node.ranges.Load()); err != nil {
		return nil, err
	}
	m := &metered{rw: rw, p: a.progress, piece: max(int(a.link.piece.Load()), leastPiece)}
	err := a.x.roundTrip(m)
	a.link.piece.Store(int32(min(m.piece, firstPiece)))
	if err != nil {
		if conn, ok := rw.(net.Conn); ok {
			_ = conn.SetDeadline(resetNow)
		}
		if a.ctx.Err() != nil {
			err = context.Cause(a.ctx)
		}
		return nil, err
	}
	return a, nil
}

// resetNow is the deadline that ends a connection at once, below TLS as well. conn.SetDeadline
// closes with a reset: what the kernel has not delivered of a request is discarded. Delivered later,
// it could be applied behind a request that was sent in its place.
var resetNow = time.Unix(1, 0)

// A connSet knows every open connection of a client, so that Close can end and await
// them.
type connSet struct {
	dialer func(ctx context.Context, network, address string) (net.Conn, error)
	mu     sync.Mutex
	open   map[*conn]struct{}
	closed bool
	empty  chan struct{}
}

type conn struct {
	net.Conn
	set  *connSet
	once sync.Once
}

func (s *connSet) init(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	s.dialer, s.open, s.empty = dial, map[*conn]struct{}{}, make(chan struct{})
}

func (s *connSet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := s.dialer(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close()
		return nil, ErrClosed
	}
	t := &conn{Conn: c, set: s}
	s.open[t] = struct{}{}
	return t, nil
}

func (c *conn) SetDeadline(t time.Time) error {
	if !t.Equal(resetNow) {
		return c.Conn.SetDeadline(t)
	}
	if tcp, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	return c.Close()
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		s := c.set
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, c)
		if s.closed && len(s.open) == 0 {
			close(s.empty)
		}
	})
	return err
}

// close ends all connections and waits until kafka-go has let go of them.
func (s *connSet) close(patience time.Duration) bool {
	s.mu.Lock()
	s.closed = true
	if len(s.open) == 0 {
		s.mu.Unlock()
		return true
	}
	for c := range s.open {
		_ = c.Conn.Close()
	}
	s.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.empty:
		return true
	case <-timer.C:
		return false
	}
}
