package kafkasource

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// TestKafkaIsAskedWhileItOpens: the endpoint of a process asks for its figures from its first moment on, while the source joins its
// group. The race detector judges.
func TestKafkaIsAskedWhileItOpens(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 1)
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		r := newTestRun(t, groupSettings(c, c.Group(t), topic), Options{Pipeline: "test", Drain: 5 * time.Second})
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			for ctx.Err() == nil {
				r.k.Report()
				runtime.Gosched()
			}
		}()
		r.begin(ctx, cancel)
		r.until("it is connected", func() bool { return r.k.Report().Connected })
		cancel()
		<-asked
	}
}
