package lettertopic

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// cluster runs the tests against the real broker when they are built for that.
type cluster struct{ *testing.M }

func (c cluster) Run() int { return kafkatest.RunMain(c.M) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(cluster{m}) }
