package sql

import (
	"context"
	"encoding/binary"
	"runtime/debug"
	"sync"

	"github.com/penstockio/penstock/pipeline"
)

// flights lets equal calls that run at the same time share one. Unlike
// golang.org/x/sync/singleflight it cancels a call when nobody waits for it any more, and a
// panic in one is an error of its callers and does not end the process.
type flights struct {
	mu      sync.Mutex
	running map[string]*flight
	all     sync.WaitGroup
}

type flight struct {
	cancel  context.CancelFunc
	waiters int
	done    chan struct{}
	result  result
	err     error
}

// do runs call, or waits for the one that runs under the same key. The call's ctx is
// of its own: it ends when the ctx of every caller has. The result is shared and must
// not be changed.
func (f *flights) do(ctx context.Context, key string, call func(context.Context) (result, error)) (result, error) {
	if err := ctx.Err(); err != nil {
		return result{}, err
	}
	f.mu.Lock()
	fl := f.running[key]
	if fl == nil {
		shared, cancel := context.WithCancel(context.Background())
		fl = &flight{cancel: cancel, done: make(chan struct{})}
		if f.running == nil {
			f.running = map[string]*flight{}
		}
		f.running[key] = fl
		f.all.Go(func() { f.run(shared, key, fl, call) })
	}
	fl.waiters++
	f.mu.Unlock()

	select {
	case <-fl.done:
		return fl.result, fl.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.waiters--; fl.waiters == 0 {
		f.forget(key, fl)
		fl.cancel()
	}
	return result{}, ctx.Err()
}

func (f *flights) run(ctx context.Context, key string, fl *flight, call func(context.Context) (result, error)) {
	returned := false
	defer func() {
		if !returned { // a panic, or Goexit
			fl.err = &pipeline.PanicError{Value: recover(), Stack: debug.Stack()}
		}
		f.mu.Lock()
		f.forget(key, fl)
		f.mu.Unlock()
		fl.cancel()
		close(fl.done)
	}()
	fl.result, fl.err = call(ctx)
	returned = true
}

// forget has the next call of the key run anew. The caller holds mu.
func (f *flights) forget(key string, fl *flight) {
	if f.running[key] == fl {
		delete(f.running, key)
	}
}

// wait returns when no call runs.
func (f *flights) wait() { f.all.Wait() }

// appendKey appends one parameter, so that no two lists of parameters give the same
// key.
func appendKey(k, text []byte) []byte {
	k = binary.AppendUvarint(k, uint64(len(text)))
	return append(k, text...)
}
