package redis

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/penstockio/penstock/pipeline"
)

// maxBatchBytes is about how much the keys of one pipeline of commands may take. A look-up that has more goes alone.
const maxBatchBytes = 1 << 20

// batches sends the look-ups that wait at the same moment together. As many pipelines of commands run at once as there
// are connections; what comes meanwhile waits, and goes together when one is free. Nothing waits for
// others to come.
//
// How many go together is not found out, as it is for SQL: Redis works off a command in microseconds, so that the way to it is
// what takes time, and it answers each when it is done. A pipeline that nobody waits for any more is given up.
type batches struct {
	ask  func(ctx context.Context, looks []*look) // sets the answer or the err of each
	max  int                                      // pipelines of commands at once
	most int                                      // look-ups in one

	mu      sync.Mutex
	waiting []*look // in the order in which they came
	running int
	all     sync.WaitGroup
}

// A look is a look-up that somebody waits for.
type look struct {
	args   []string
	run    *run // nil: it has not begun
	done   chan struct{}
	answer answer
	err    error
}

func (l *look) size() (n int) {
	for _, a := range l.args {
		n += len(a)
	}
	return n
}

// A run is a pipeline of commands that is under way.
type run struct {
	cancel context.CancelFunc
	wanted int // look-ups that somebody waits for
}

// do has l looked up. As far as the caller is concerned that ends with ctx.
func (b *batches) do(ctx context.Context, l *look) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	b.waiting = append(b.waiting, l)
	b.start()
	b.mu.Unlock()
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.run == nil {
		i := slices.Index(b.waiting, l)
		b.waiting = slices.Delete(b.waiting, i, i+1)
	} else if l.run.wanted--; l.run.wanted == 0 {
		l.run.cancel()
	}
	return ctx.Err()
}

// start has what waits asked for, if there may be another pipeline. The caller holds the lock.
func (b *batches) start() {
	if b.running < b.max {
		b.running++
		b.all.Go(b.work)
	}
}

// work asks until nothing waits.
func (b *batches) work() {
	idle := false
	defer func() {
		if !idle { // a Goexit
			b.all.Go(b.work)
		}
	}()
	for {
		ctx, cancel := context.WithCancel(context.Background())
		group := b.next(cancel)
		if idle = len(group) == 0; idle {
			cancel()
			return
		}
		b.answer(ctx, group)
		cancel()
	}
}

// next takes those that go together off the list. None: the worker is no more.
func (b *batches) next(cancel context.CancelFunc) (group []*look) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, bytes := 0, 0
	for _, l := range b.waiting {
		if bytes += l.size(); n == b.most || n > 0 && bytes > maxBatchBytes {
			break
		}
		n++
	}
	if n == 0 {
		b.running--
		return nil
	}
	group = slices.Clone(b.waiting[:n])
	b.waiting = slices.Delete(b.waiting, 0, n)
	r := &run{cancel: cancel, wanted: n}
	for _, l := range group {
		l.run = r
	}
	return group
}

// answer has a group asked for. A panic in it is an error of all of them, and does not end the process.
func (b *batches) answer(ctx context.Context, group []*look) {
	returned := false
	defer func() {
		if !returned { // a panic, or Goexit
			crash := &pipeline.PanicError{Value: recover(), Stack: debug.Stack()}
			for _, l := range group {
				l.err = crash
			}
		}
		for _, l := range group {
			close(l.done)
		}
	}()
	b.ask(ctx, group)
	returned = true
}

// wait returns when nothing is under way.
func (b *batches) wait() { b.all.Wait() }
