package kafkasource

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

type cluster struct{ m *testing.M }

func (c cluster) Run() int { return kafkatest.RunMain(c.m) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(cluster{m}) }

// oneGoroutine leaves out a test that takes batches apart in its own goroutine, when tests are to be short, as
// under the race detector: that finds nothing there. TestKafkaFillsBesideItself does the same in several.
func oneGoroutine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("nothing in it is concurrent")
	}
}
