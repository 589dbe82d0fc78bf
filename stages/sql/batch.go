package sql

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// maxBatchBytes is how much the parameters of one query may take: servers limit what they read at
// once. A look-up that has more goes alone.
const maxBatchBytes = 1 << 20

// batches make one query of the look-ups that wait at the same moment. As many queries run at once
// as there are connections; what comes meanwhile waits, and goes together when one is free. Nothing
// waits for others to come. How many go together is up to the pace: look-ups that take long go alone.
//
// Equal look-ups that wait are one, unless apart. Whoever gives up leaves the others their query; when nobody
// waits for it any more, it is cancelled.
type batches struct {
	// ask asks the database for all of them with one query. It sets the err of each, or its again. once
	// says that it was one query, and that it was answered.
	ask func(ctx context.Context, looks []*look) (once bool)
	// take says how many of n look-ups one query may ask for, at least 1.
	take func(n int) int
	max  int // queries at once
	// apart has equal look-ups asked for each by itself.
	apart bool
	pace  *pace // nil: as many go together as take says; mu guards it

	mu      sync.Mutex
	waiting []*inquiry // in the order in which they came
	byKey   map[string]*inquiry
	running int
	asked   int // look-ups of the queries that run
	all     sync.WaitGroup
}

// An inquiry is a look-up and who waits for it.
type inquiry struct {
	*look
	key     string
	waiters int
	alone   bool      // it goes with no others: a query for several has taken too long
	ends    time.Time // the earliest end of the time of those who wait; zero: none is known
	run     *run      // nil: it has not begun
	done    chan struct{}
}

// A run is a query for several look-ups.
type run struct {
	cancel context.CancelCauseFunc
	wanted int // look-ups that somebody waits for
	stalls int // of the pace, when it began
}

// errLate ends a query for several that takes so long that those who wait would run out of time.
var errLate = errors.New("the query takes too long for several look-ups")

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
		if !b.apart {
			b.byKey[key] = q
		}
		b.waiting = append(b.waiting, q)
	}
	q.waiters++
	if ends, ok := ctx.Deadline(); ok && (q.ends.IsZero() || ends.Before(q.ends)) {
		q.ends = ends
	}
	b.start()
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
		b.forget(q)
		i := slices.Index(b.waiting, q)
		b.waiting = slices.Delete(b.waiting, i, i+1)
	} else if q.run.wanted--; q.run.wanted == 0 {
		q.run.cancel(context.Canceled)
	}
	return nil, ctx.Err()
}

// start has the look-ups that wait asked for, if another query may run. The caller holds the lock.
func (b *batches) start() {
	if b.running < b.max {
		b.running++
		b.all.Go(b.work)
	}
}

// forget has no other look-up join q. The caller holds the lock.
func (b *batches) forget(q *inquiry) {
	if b.byKey[q.key] == q {
		delete(b.byKey, q.key)
	}
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
		ctx, cancel := context.WithCancelCause(context.Background())
		group, limit := b.next(cancel)
		if idle = len(group) == 0; idle {
			cancel(nil)
			return
		}
		if limit > 0 {
			late := time.AfterFunc(limit, func() { cancel(errLate) })
			b.answer(ctx, group)
			late.Stop()
		} else {
			b.answer(ctx, group)
		}
		cancel(nil)
	}
}

// next takes those that go together: of the look-ups that wait the first. limit is how long their query
// may take, 0: as long as it takes. With none, the caller has stopped.
func (b *batches) next(cancel context.CancelCauseFunc) (group []*inquiry, limit time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		b.running--
		return nil, 0
	}
	n := b.fitting()
	if b.pace != nil {
		n = b.pace.most(n, (len(b.waiting)+b.asked+b.max-1)/b.max, leftOf(b.waiting[:n]))
	}
	group = slices.Clone(b.waiting[:min(b.take(n), n)])
	b.waiting = slices.Delete(b.waiting, 0, len(group))
	b.asked += len(group)
	r := &run{cancel: cancel, wanted: len(group)}
	for _, q := range group {
		q.run = r
		b.forget(q)
	}
	if b.pace != nil && len(group) > 1 {
		r.stalls, limit = b.pace.stalls, b.pace.limit(leftOf(group))
	}
	return group, limit
}

// fitting says how many of those that wait may go together.
func (b *batches) fitting() int {
	fit, bytes := 0, 0
	for _, q := range b.waiting {
		if bytes += q.size(); fit > 0 && (bytes > maxBatchBytes || q.alone) {
			break
		}
		if fit++; q.alone {
			break
		}
	}
	return fit
}

// leftOf gives the shortest time that is left to those who wait for one of a group; 0: none is known.
func leftOf(group []*inquiry) (left time.Duration) {
	for _, q := range group {
		if !q.ends.IsZero() {
			if l := max(time.Until(q.ends), 1); left == 0 || l < left {
				left = l
			}
		}
	}
	return left
}

// answer has the look-ups of a group answered. A panic in it is an error of all of them, and does
// not end the process.
func (b *batches) answer(ctx context.Context, group []*inquiry) {
	looks := make([]*look, len(group))
	for i, q := range group {
		looks[i] = q.look
	}
	returned, once, began := false, false, time.Now()
	defer func() {
		if !returned { // a panic, or Goexit
			crash := &pipeline.PanicError{Value: recover(), Stack: debug.Stack()}
			for _, q := range group {
				q.err, q.again = crash, false
			}
		}
		b.answered(group, once, time.Since(began))
	}()
	once = b.ask(ctx, looks)
	returned = true
}

// answered gives the look-ups of a group to those who wait. Those that have to be asked for again, alone,
// are the next.
func (b *batches) answered(group []*inquiry, once bool, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked -= len(group)
	stalls := group[0].run.stalls
	var again []*inquiry
	late := false
	for _, q := range group {
		if !q.again {
			close(q.done)
			continue
		}
		late = true
		if q.waiters > 0 {
			q.again, q.alone, q.run = false, true, nil
			again = append(again, q)
		}
	}
	b.waiting = slices.Insert(b.waiting, 0, again...)
	for range again {
		b.start()
	}
	switch {
	case b.pace == nil:
	case once:
		b.pace.took(len(group), took, stalls)
	case late:
		b.pace.late(stalls)
	}
}

// wait returns when no query runs.
func (b *batches) wait() { b.all.Wait() }
