package sinks

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

type broker struct{ m *testing.M }

func (b broker) Run() int { return kafkatest.RunMain(b.m) }

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(dir))
		os.Exit(1)
	}
	if path := os.Getenv(copyPath); path != "" {
		if err := runCopy(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(broker{m})
}
