package kafka

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

type cluster struct{ m *testing.M }

func (c cluster) Run() int { return kafkatest.RunMain(c.m) }

func TestMain(m *testing.M) {
	if os.Getenv(benchBrokerEnv) != "" {
		os.Exit(serveBenchBroker())
	}
	goleak.VerifyTestMain(cluster{m})
}
