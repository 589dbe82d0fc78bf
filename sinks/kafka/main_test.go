package kafkasink

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

type broker struct{ m *testing.M }

func (b broker) Run() int { return kafkatest.RunMain(b.m) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(broker{m}) }
