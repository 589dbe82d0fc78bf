//go:build real && chaos

package cli

import (
	"syscall"
	"testing"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// 100,000 records of 100 clients, while the daemon is stopped and started again, and killed once: what was answered is in the topic, once
// where nobody killed the process while it had no answer.
func TestPostsThroughStops(t *testing.T) {
	k := cluster(t, kafkatest.RealOptions{Throughput: true})
	p := &posters{t: t, clients: 100, each: 1000}
	p.through(kafkatest.At(t, k.Addrs()...), syscall.SIGTERM, syscall.SIGTERM, syscall.SIGTERM, syscall.SIGKILL, syscall.SIGTERM)
}
