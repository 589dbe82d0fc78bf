package kafkasource

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/kafka"
)

// An outage is a way to brokers that can be cut, and on which they can fall silent.
type outage struct {
	under kafka.DialFunc

	mu     sync.Mutex
	cut    bool
	silent bool
	conns  []net.Conn
}

func (o *outage) dial(ctx context.Context, network, address string) (net.Conn, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cut {
		return nil, errors.New("the way is cut")
	}
	conn, err := o.under(ctx, network, address)
	if err != nil {
		return nil, err
	}
	o.conns = append(o.conns, conn)
	return outageConn{conn, o}, nil
}

// end closes all connections and refuses new ones.
func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cut = true
	for _, c := range o.conns {
		_ = c.Close()
	}
	o.conns = nil
}

// hush has nothing arrive at the broker any more: connections are taken, and no answer comes.
func (o *outage) hush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.silent = true
}

// mend ends what end or hush began.
func (o *outage) mend() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cut, o.silent = false, false
}

type outageConn struct {
	net.Conn
	of *outage
}

func (c outageConn) Write(b []byte) (int, error) {
	c.of.mu.Lock()
	silent := c.of.silent
	c.of.mu.Unlock()
	if silent {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// A source whose broker is gone, or says nothing, is not connected within a session, whether it
// polls or has no room to, and is connected again when the broker answers.
func TestDeadBrokerIsNoConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		begin func(*outage)
		full  bool
	}{
		"gone":              {(*outage).end, false},
		"silent":            {(*outage).hush, false},
		"gone while full":   {(*outage).end, true},
		"silent while full": {(*outage).hush, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := virtualCluster(t, 1)
				topic := c.Topic(t, 2)
				s := groupSettings(c, c.Group(t), topic)
				way := &outage{under: c.Dial}
				hold, taken := make(chan struct{}), make(chan struct{}, 1000)
				release := sync.OnceFunc(func() { close(hold) })
				defer release()
				ctx, cancel := context.WithCancel(t.Context())
				r := newTestRun(t, s, Options{Pipeline: "test", Drain: 5 * time.Second, Dial: way.dial}, func(o *engine.Options) {
					if tt.full {
						o.Budget = engine.NewBudget(2, 0)
						o.Sinks[0].Sink = sinkFunc(func([]*pipeline.Record) { taken <- struct{}{}; <-hold })
					}
				})
				r.begin(ctx, cancel)
				defer way.mend()
				fill(t, c, topic, 2, 0, 100)
				if tt.full {
					<-taken
				} else {
					r.virtually(100)
				}
				time.Sleep(time.Minute)
				if !r.k.Report().Connected {
					t.Fatal("it is not connected to a broker that answers")
				}
				tt.begin(way)
				time.Sleep(r.k.Settings().Session)
				for range 60 { // a minute, in which it must not come back by itself
					if r.k.Report().Connected {
						t.Fatalf("it is connected, and the broker is gone; silent for %v", r.k.group.Silent())
					}
					time.Sleep(time.Second)
				}
				away := r.k.Report()
				if says := away.Away; !strings.Contains(says, c.Addrs()[0]) && !strings.Contains(says, "the coordinator of group "+s.Group) {
					t.Errorf("it does not say who is gone: %q", says)
				}
				if since := time.Since(away.AwaySince); since < 50*time.Second || since > 2*time.Minute {
					t.Errorf("away for %v", since)
				}
				way.mend()
				time.Sleep(30 * time.Second)
				if r := r.k.Report(); !r.Connected || r.Away != "" || !r.AwaySince.IsZero() {
					t.Errorf("the broker is back: %t, %q since %v", r.Connected, r.Away, r.AwaySince)
				}
				release()
				cancel()
				<-r.done
				r.done <- nil
			})
		})
	}
}
