package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/sasl"
)

// A link is a Transport whose connections are opened here: TLS, log-in and the
// broker's versions are done with before kafka-go sees a connection. So each connection uses the
// TLS files and passwords of its moment, and the end of its log-in is known.
type link struct {
	*kafkago.Transport
	expires atomic.Int64 // when the first log-in of its connections ends, Unix ns; 0: never
	piece   atomic.Int32 // size of the first write of a request, as the last exchange found it
}

func (n *node) newLink() *link {
	l := &link{}
	l.Transport = &kafkago.Transport{
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return n.open(ctx, l, network, address)
		},
		DialTimeout: dialTimeout,
		IdleTimeout: idleTimeout,
		// A Transport asks for metadata by itself, which is not used here: it is to ask for
		// no topic, and seldom.
		MetadataTopics: []string{},
		MetadataTTL:    10 * time.Minute,
		ClientID:       n.client.config.ClientID,
		Context:        n.client.ctx,
	}
	return l
}

// stale says whether a connection of the link may have outlived its log-in. Brokers
// close such a connection when the next request comes (connections.max.reauth.ms).
func (l *link) stale() bool {
	at := l.expires.Load()
	return at != 0 && time.Now().UnixNano() >= at
}

// expiresAfter notes how long a log-in lasts that was made now. A sixth of it, and at most
// ten seconds, is left for requests that are on their way.
func (l *link) expiresAfter(lifetime time.Duration) {
	if lifetime <= 0 {
		return
	}
	at := time.Now().Add(lifetime - min(lifetime/6, 10*time.Second)).UnixNano()
	for {
		old := l.expires.Load()
		if old != 0 && old <= at || l.expires.CompareAndSwap(old, at) {
			return
		}
	}
}

// open dials the broker and makes the connection ready for requests.
func (n *node) open(ctx context.Context, l *link, network, address string) (net.Conn, error) {
	conn, err := n.client.conns.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ready, err := n.prepare(ctx, l, conn)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		err = asSilentError(err, &n.client.config)
		_ = conn.Close()
		return nil, err
	}
	return ready, nil
}

// prepare is TLS, the broker's versions and the log-in, in this order: brokers tell
// their versions to anybody.
func (n *node) prepare(ctx context.Context, l *link, conn net.Conn) (net.Conn, error) {
	config := &n.client.config
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	host, port, _ := net.SplitHostPort(n.address)
	if base := config.tls(); base != nil {
		c := base.Clone()
		if c.ServerName == "" {
			c.ServerName = host
		}
		t := tls.Client(conn, c)
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = t
	}
	r, err := askVersions(conn, config.ClientID)
	if err != nil {
		return nil, err
	}
	n.ranges.Store(&r)
	if config.SASL != nil {
		number, _ := strconv.Atoi(port)
		ctx := sasl.WithMetadata(ctx, &sasl.Metadata{Host: host, Port: number})
		lifetime, err := logIn(ctx, conn, config.ClientID, config.SASL)
		if err != nil {
			return nil, err
		}
		l.expiresAfter(lifetime)
	}
	if !stop() {
		return nil, ctx.Err()
	}
	return conn, conn.SetDeadline(time.Time{})
}

// logIn is SaslHandshake and SaslAuthenticate, both in version 1. It tells how long
// the broker takes requests of this log-in; 0: as long as the connection lasts.
func logIn(ctx context.Context, conn net.Conn, clientID string, m sasl.Mechanism) (time.Duration, error) {
	x := &exchange{key: protocol.SaslHandshake, version: 1, clientID: clientID, body: func(w *writer) { w.string(m.Name()) }}
	if err := x.roundTrip(conn); err != nil {
		return 0, err
	}
	r := &reader{b: x.answer}
	if err := codeError(r.int16()); err != nil {
		return 0, err
	}
	session, say, err := m.Start(ctx)
	if err != nil {
		return 0, fmt.Errorf("logging in: %w", err)
	}
	for {
		x := &exchange{key: protocol.SaslAuthenticate, version: 1, clientID: clientID, body: func(w *writer) { w.bytes(say) }}
		if err := x.roundTrip(conn); err != nil {
			return 0, err
		}
		r := &reader{b: x.answer}
		code, text := codeError(r.int16()), r.string()
		heard, lifetime := r.bytes(), time.Duration(max(r.int64(), 0))*time.Millisecond
		switch {
		case code != nil && text != "":
			return 0, &explained{text, code}
		case code != nil:
			return 0, code
		case r.err != nil:
			return 0, fmt.Errorf("logging in: %w", r.err)
		}
		done := false
		if done, say, err = session.Next(ctx, heard); err != nil {
			return 0, err
		}
		if done {
			return lifetime, nil
		}
	}
}

var errMoved = errors.New("the broker has moved to another address")
