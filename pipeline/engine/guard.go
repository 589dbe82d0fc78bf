package engine

import (
	"context"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// onPanic makes the Panicked of a crew's worker of a function that takes the panic as an error.
func onPanic(panicked func(*pipeline.PanicError)) func(value any, stack []byte) {
	return func(value any, stack []byte) { panicked(&pipeline.PanicError{Value: value, Stack: stack}) }
}

// guarded calls f and turns a panic, or the end of the goroutine, into an error. f
// runs in a goroutine of its own: it is for calls that are rare.
func guarded(f func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			if !returned {
				err = &pipeline.PanicError{Value: recover(), Stack: debug.Stack()}
			}
		}()
		err = f()
		returned = true
	}()
	<-done
	return err
}

// within gives what comes from done, or late when nothing has come after a while.
func within(d time.Duration, done <-chan error, late error) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return late
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// pause draws the wait after the n-th failed attempt, counted from 0.
func (r Retry) pause(n int) time.Duration {
	most := r.MaxBackoff
	if n < 32 && r.Backoff<<n > 0 {
		most = min(most, r.Backoff<<n)
	}
	return rand.N(most + 1)
}
