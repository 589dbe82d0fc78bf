package kafkasource

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A web server answers in place of one broker of two, whose connections break: both are
// told, each once, although it is tried again and again.
func TestKafkaTellsEachKindOfAnOutageOnce(t *testing.T) {
	k := kafkatest.StartFake(t, kafkatest.Brokers(2))
	topic, group := k.Topic(t, 1), k.Group(t)
	leader := k.Addrs()[k.Fake().LeaderFor(topic, 0)]
	var mu sync.Mutex
	var open []net.Conn
	other, tries := false, 0
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if address == leader && other {
			tries++
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				_, _ = far.Read(make([]byte, 512))
				_, _ = io.WriteString(far, "HTTP/1.1 400 Bad Request\r\n\r\n")
			}()
			return near, nil
		}
		conn, err := k.Dial(ctx, network, address)
		if address == leader && err == nil {
			open = append(open, conn)
		}
		return conn, err
	}
	redirect := func(to bool) {
		mu.Lock()
		defer mu.Unlock()
		other, tries = to, 0
		for _, conn := range open {
			_ = conn.Close()
		}
		open = nil
	}
	fill(t, k, topic, 1, 0, 10)
	r := startRunDial(t, dial, groupSettings(k, group, topic))
	r.has(10)
	for round := range 2 {
		redirect(true)
		r.until("it is tried again and again", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return tries > 8
		})
		redirect(false)
		fill(t, k, topic, 1, 10*(round+1), 10)
		r.has(10 * (round + 2))
		r.until("the broker is back", func() bool { return len(r.log.named("source.connected")) == round+2 })
		kinds := map[any]int{}
		for _, e := range r.log.named("source.disconnected") {
			kinds[e["error_type"]]++
		}
		if kinds["not_kafka"] != round+1 || len(kinds) > 3 {
			t.Errorf("told: %v", kinds)
		}
	}
	r.stop()
}
