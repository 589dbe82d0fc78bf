package sql

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/penstockio/penstock/pipeline"
)

// maxBatchBytes is how much the parameters of one query may take: servers limit what they read at
// once. A look-up that has more goes alone.
const maxBatchBytes = 1 << 20

// batches make one query of the look-ups that wait at the same moment. As many queries run at once
// as there are connections; what comes meanwhile waits, and goes together when one is free. Nothing
// waits for others to come.
//
// Equal look-ups that wait are one. Whoever gives up leaves the others their query; when nobody
// waits for it any more, it is cancelled.
type batches struct {
	// ask asks the database for all of them with one query. It sets the err of each.
	ask func(ctx context.Context, looks []*look)
	// take says how many of n look-ups one query may ask for, at least 1.
	take func(n int) int
	max  int // queries at once

	mu      sync.Mutex
	waiting []*inquiry // in the order in which they came
	byKey   map[string]*inquiry
	running int
	all     sync.WaitGroup
}

// An inquiry is a look-up and who waits for it.
type inquiry struct {
	*look
	key     string
	waiters int
	run     *run // nil: it has not begun
	done    chan struct{}
}

// A run is a query for several look-ups.
type run struct {
	cancel context.CancelFunc
	wanted int // look-ups that somebody waits for
}

// do has l looked up, or waits for an equal one, and gives the one that was. The query ends, as
// far as the caller is concerned, with ctx.
func (b *batches) do(ctx context.Context, key string, l *look) (*look, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	q := b.byKey[key]
	if q == nil {
		q = &inquiry{look: l, key: key, done: make(chan struct{})}
		if b.byKey == nil {
			b.byKey = map[string]*inquiry{}
		}
		b.byKey[key] = q
		b.waiting = append(b.waiting, q)
	}
	q.waiters++
	if b.running < b.max {
		b.running++
		b.all.Go(b.work)
	}
	b.mu.Unlock()

	select {
	case <-q.done:
		return q.look, q.err
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if q.waiters--; q.waiters > 0 {
		return nil, ctx.Err()
	}
	if q.run == nil {
		delete(b.byKey, key)
		i := slices.Index(b.waiting, q)
		b.waiting = slices.Delete(b.waiting, i, i+1)
	} else if q.run.wanted--; q.run.wanted == 0 {
		q.run.cancel()
	}
	return nil, ctx.Err()
}

// work asks until nothing waits.
func (b *batches) work() {
	idle := false
	defer func() {
		if !idle { // a Goexit in the query
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

// next takes those that go together: of the look-ups that wait the first. With none, the caller has
// stopped.
func (b *batches) next(cancel context.CancelFunc) []*inquiry {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		b.running--
		return nil
	}
	fit, bytes := 0, 0
	for _, q := range b.waiting {
		if bytes += q.size(); fit > 0 && bytes > maxBatchBytes {
			break
		}
		fit++
	}
	group := slices.Clone(b.waiting[:min(b.take(fit), fit)])
	b.waiting = slices.Delete(b.waiting, 0, len(group))
	r := &run{cancel: cancel, wanted: len(group)}
	for _, q := range group {
		q.run = r
		delete(b.byKey, q.key)
	}
	return group
}

// answer has the look-ups of a group answered. A panic in it is an error of all of them, and does
// not end the process.
func (b *batches) answer(ctx context.Context, group []*inquiry) {
	looks := make([]*look, len(group))
	for i, q := range group {
		looks[i] = q.look
	}
	returned := false
	defer func() {
		if !returned { // a panic, or Goexit
			crash := &pipeline.PanicError{Value: recover(), Stack: debug.Stack()}
			for _, q := range group {
				q.err = crash
			}
		}
		for _, q := range group {
			close(q.done)
		}
	}()
	b.ask(ctx, looks)
	returned = true
}

// wait returns when no query runs.
func (b *batches) wait() { b.all.Wait() }
