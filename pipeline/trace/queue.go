package trace

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/penstockio/penstock/pipeline"
)

// This file is how spans wait, and are sent.
//
// What it guarantees. No record waits for the collector: a span for which there is no room is dropped, counted, and said. A batch of
// spans is tried again while the collector may take it, at most maxTries times. The end of the process waits no longer than it is told.
//
// Not chosen. The processor of the library: it does not say how many spans it drops, and tells its errors to a global
// function that writes to standard error.

const (
	maxBatch  = 512                    // spans of a request
	maxTries  = 5                      // of one batch
	backoff   = 500 * time.Millisecond // before the second try; it doubles
	fullEvery = time.Minute            // between two lines that say the same
)

// A queue is the spans that wait to be sent. It is an sdk.SpanProcessor.
type queue struct {
	options Options
	out     *otlptrace.Exporter
	ch      chan sdk.ReadOnlySpan

	sent, dropped atomic.Int64

	closing chan struct{} // closed by close, once
	once    sync.Once
	ended   chan struct{} // closed when run has returned
	ctx     context.Context
	cancel  context.CancelFunc

	crowded  atomic.Bool // a span has found no room since that was said
	failing  bool        // the last batch was not taken; run's own
	said     bool        // and that was said; run's own
	toldFail time.Time   // when it was said last; run's own
	toldFull time.Time   // when it was said last that there was no room; run's own
	toldPart time.Time   // when it was said last that some spans of a request were refused; run's own
}

func newQueue(o Options, out *otlptrace.Exporter) *queue {
	q := &queue{options: o, out: out, ch: make(chan sdk.ReadOnlySpan, o.Queue), closing: make(chan struct{}), ended: make(chan struct{})}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q
}

// OnStart implements sdk.SpanProcessor.
func (q *queue) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd implements sdk.SpanProcessor.
func (q *queue) OnEnd(s sdk.ReadOnlySpan) {
	select {
	case <-q.closing:
		q.dropped.Add(1)
		return
	default:
	}
	select {
	case q.ch <- s:
	default:
		q.noRoom()
	}
}

// noRoom counts a span for which there is none.
func (q *queue) noRoom() {
	q.dropped.Add(1)
	q.crowded.Store(true)
}

// ForceFlush implements sdk.SpanProcessor.
func (q *queue) ForceFlush(context.Context) error { return nil }

// Shutdown implements sdk.SpanProcessor.
func (q *queue) Shutdown(ctx context.Context) error { q.close(ctx); return nil }

// close sends what waits, and returns when it is sent or ctx has ended.
func (q *queue) close(ctx context.Context) {
	q.once.Do(func() { close(q.closing) })
	select {
	case <-q.ended:
	case <-ctx.Done():
		q.cancel()
		<-q.ended // soon: all that it waits for ends with q.ctx
	}
	q.cancel()
}

// run sends spans until the queue is closed and empty.
func (q *queue) run() {
	defer close(q.ended)
	batch := make([]sdk.ReadOnlySpan, 0, maxBatch)
	for {
		batch = batch[:0]
		select {
		case s := <-q.ch:
			batch = q.collect(append(batch, s))
		case <-q.closing:
			if batch = q.rest(batch); len(batch) == 0 {
				return
			}
		}
		q.send(batch)
		clear(batch)
		q.tellFull()
	}
}

// collect waits for more spans, for a while.
func (q *queue) collect(batch []sdk.ReadOnlySpan) []sdk.ReadOnlySpan {
	timer := time.NewTimer(q.options.linger)
	defer timer.Stop()
	for len(batch) < maxBatch {
		select {
		case s := <-q.ch:
			batch = append(batch, s)
		case <-timer.C:
			return batch
		case <-q.closing:
			return q.rest(batch)
		}
	}
	return batch
}

// rest takes what waits, as far as it goes into the batch.
func (q *queue) rest(batch []sdk.ReadOnlySpan) []sdk.ReadOnlySpan {
	for len(batch) < maxBatch {
		select {
		case s := <-q.ch:
			batch = append(batch, s)
		default:
			return batch
		}
	}
	return batch
}

// send sends a batch, or drops it.
func (q *queue) send(batch []sdk.ReadOnlySpan) {
	n := int64(len(batch))
	wait := backoff
	for try := 1; ; try++ {
		err := q.export(batch)
		if err == nil {
			q.sent.Add(n)
			q.works()
			return
		}
		if some := (*refusedError)(nil); errors.As(err, &some) {
			q.sent.Add(n - some.spans)
			q.dropped.Add(some.spans)
			q.works()
			q.tellRefused()
			return
		}
		_, final := pipeline.IsPermanent(err)
		if final || try == maxTries || !q.sleep(max(wait, min(pipeline.RetryHint(err), 30*time.Second))) {
			q.dropped.Add(n)
			q.fails(err)
			return
		}
		wait *= 2
	}
}

func (q *queue) export(batch []sdk.ReadOnlySpan) error {
	ctx, cancel := context.WithTimeout(q.ctx, sendTimeout)
	defer cancel()
	return q.out.ExportSpans(ctx, batch)
}

// sleep waits before another try. It gives false when there is to be none: the process ends.
func (q *queue) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-q.closing:
		return false
	}
}

// fails says that the collector takes no spans, once until it does again, and not again within a minute: one that takes some requests and refuses
// others would fill the log.
func (q *queue) fails(err error) {
	q.failing = true
	if q.said || q.options.Warn == nil || time.Since(q.toldFail) < fullEvery {
		return
	}
	q.said, q.toldFail = true, time.Now()
	q.options.Warn(err, q.dropped.Load())
}

// tellFull says that spans have found no room. While the collector takes none that has been said otherwise.
func (q *queue) tellFull() {
	if q.failing || q.options.Full == nil || time.Since(q.toldFull) < fullEvery || !q.crowded.Swap(false) {
		return
	}
	q.toldFull = time.Now()
	q.options.Full(q.dropped.Load())
}

// tellRefused says that the collector takes not all spans of a request.
func (q *queue) tellRefused() {
	if q.options.Refused == nil || time.Since(q.toldPart) < fullEvery {
		return
	}
	q.toldPart = time.Now()
	q.options.Refused(q.dropped.Load())
}

// works says that the collector takes spans again, if it was said that it does not.
func (q *queue) works() {
	if q.said {
		q.crowded.Store(false)
		if q.options.Note != nil {
			q.options.Note(fmt.Sprintf("the collector takes spans again; %d were dropped so far", q.dropped.Load()))
		}
	}
	q.failing, q.said = false, false
}
