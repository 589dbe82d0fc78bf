package kafkasource

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

type cluster struct{ m *testing.M }

func (c cluster) Run() int { return kafkatest.RunMain(c.m) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(cluster{m}) }
