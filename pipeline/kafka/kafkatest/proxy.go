package kafkatest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
)

// A Proxy stands between a client and the brokers and delays requests, as a network may: one that
// is delayed reaches its broker later, even when the client has closed its connection long before.
// It needs no port: a client dials with Dial. Connections are in plain text.
type Proxy struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	delay func(key int16, request []byte) <-chan struct{}
	done  chan struct{}
	all   sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// Proxy makes a proxy to the cluster, closed by the test's cleanup. delay is called
// with each request, which begins with its header, from several goroutines. With nil the request
// passes, else it waits until the channel is closed.
func (c *Cluster) Proxy(t T, delay func(key int16, request []byte) <-chan struct{}) *Proxy {
	p := &Proxy{dial: c.Dial, delay: delay, done: make(chan struct{})}
	t.Cleanup(p.close)
	return p
}

// Dial connects to a broker.
func (p *Proxy) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	broker, err := p.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	client, inner := net.Pipe()
	p.mu.Lock()
	p.conns = append(p.conns, broker, inner)
	p.mu.Unlock()
	p.all.Go(func() { p.forward(broker, inner) })
	p.all.Go(func() {
		_, _ = io.Copy(inner, broker)
		_ = inner.Close()
	})
	return client, nil
}

// forward carries requests. The connection to the broker is closed with the client's,
// unless a request was delayed: its broker is to have the time to work on it.
func (p *Proxy) forward(broker, client net.Conn) {
	delayed := false
	defer func() {
		if !delayed {
			_ = broker.Close()
		}
	}()
	for {
		frame := make([]byte, 4)
		if _, err := io.ReadFull(client, frame); err != nil {
			return
		}
		frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame))...)
		if _, err := io.ReadFull(client, frame[4:]); err != nil {
			return
		}
		if until := p.delay(int16(binary.BigEndian.Uint16(frame[4:])), frame[4:]); until != nil {
			delayed = true
			select {
			case <-until:
			case <-p.done:
				return
			}
		}
		if _, err := broker.Write(frame); err != nil {
			return
		}
	}
}

func (p *Proxy) close() {
	close(p.done)
	p.mu.Lock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.all.Wait()
}
