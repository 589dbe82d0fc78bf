//go:build unix

package cli

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestAForcedEndDoesNotWaitForTraces: who asks for the end twice does not get what is left of the drain budget spent on a collector that does not
// answer.
func TestAForcedEndDoesNotWaitForTraces(t *testing.T) {
	p := &process{drain: time.Hour, stopping: time.Now()}
	if left := p.flushTime(); left != mostFlush {
		t.Errorf("the end waits for %v", left)
	}
	p.forcedBy = syscall.SIGTERM
	if left := p.flushTime(); left != leastFlush {
		t.Errorf("the end that is forced waits for %v", left)
	}
}

// TestASignalEndsTheWaitForTraces: one that comes while the last spans are sent is heard.
func TestASignalEndsTheWaitForTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 2)
		p := &process{signals: signals, signalled: signalled{signal: syscall.SIGTERM, signalAt: time.Now()}}
		signals <- syscall.SIGTERM // the same one
		time.AfterFunc(time.Second, func() { signals <- syscall.SIGTERM })
		began := time.Now()
		p.unlessForced(mostFlush, func(ctx context.Context) { <-ctx.Done() })
		if took := time.Since(began); took != time.Second {
			t.Errorf("the end has waited for %v", took)
		}
	})
}
