package kafka

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

type cluster struct{ m *testing.M }

func (c cluster) Run() int { return kafkatest.RunMain(c.m) }

// kfake locks itself up, now and then, when it is closed while a control function that
// slept goes on: a goroutine of the fake broker's own.
var lockedUp = goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*Cluster).continueSleptControl")

func TestMain(m *testing.M) {
	if os.Getenv(benchBrokerEnv) != "" {
		os.Exit(serveBenchBroker())
	}
	goleak.VerifyTestMain(cluster{m}, lockedUp)
}
