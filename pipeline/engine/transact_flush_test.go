package engine

import (
	"context"
	"testing"
	"time"
)

// A cycle that ends while somebody asks for the marks to be committed has committed them:
// whoever asked does not wait for another cycle, which nobody would begin.
func TestFlushBesideTheEndOfACycle(t *testing.T) {
	p := &shared{moved: make(chan struct{}, 1)}
	txn := &transactions{p: p, ended: make(chan struct{}), cycleEnded: make(chan struct{})}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 20 {
		l := &lane{p: p}
		l.ring.Start(1)
		flushed := make(chan error)
		txn.mu.Lock()
		go func() { flushed <- txn.flush(ctx, []*lane{l}) }()
		time.Sleep(time.Millisecond) // it comes to the lock meanwhile, or the round shows nothing
		l.saved(1, time.Time{})
		txn.endCycle(nil)
		txn.mu.Unlock()
		if err := <-flushed; err != nil {
			t.Fatal(err)
		}
	}
}
