package replay

import (
	"context"
	"io"
	"slices"
	"time"
	"unsafe"

	"github.com/penstockio/penstock/pipeline"
)

// Read implements pipeline.Source.
func (r *Source) Read(ctx context.Context) (*pipeline.Batch, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := r.reopen(ctx); err != nil {
			return nil, err
		}
		if r.at == len(r.files) {
			return nil, io.EOF
		}
		f := r.files[r.at]
		if f.err != nil {
			return nil, f.err
		}
		if f.end {
			r.at++
			continue
		}
		b, err := r.batch(ctx, f)
		if b != nil || err != nil {
			return b, err
		}
	}
}

// reopen opens the lanes that the engine has ended anew, at their committed line, and
// goes back to the first of their files.
func (r *Source) reopen(ctx context.Context) error {
	for i, f := range r.files {
		select {
		case <-f.lane.Ended():
		default:
			continue
		}
		if _, once := f.f.(*stream); !once { // that goes on where it is, or not at all
			if err := r.openFile(f); err != nil {
				return err
			}
		}
		handed := f.next
		if err := r.openLane(ctx, f); err != nil {
			return err
		}
		if f.next < handed {
			r.at = min(r.at, i)
		}
	}
	return nil
}

// batch hands over what is due, waiting for the first record. It gives nothing when the file turns
// out to be at its end, or unreadable, or the lane has ended: Read looks at that next.
func (r *Source) batch(ctx context.Context, f *input) (*pipeline.Batch, error) {
	if !f.ready {
		f.waitFor(ctx)
		f.advance()
		f.waitNoMore() // what comes behind it is handed over with it if it is there
		if !f.ready {
			return nil, nil
		}
	}
	if err := r.clock.wait(ctx, f.pending.Time); err != nil {
		return nil, err
	}
	charge, err := f.lane.Take(ctx, batchBytes)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		select {
		case <-f.lane.Ended():
			return nil, nil
		default:
			return nil, err
		}
	}
	recs := r.emptyRecords()
	held, next := int64(0), int64(0)
	for f.ready && len(recs) < batchRecords && (len(recs) == 0 || held < batchBytes) {
		if len(recs) > 0 && r.clock.until(f.pending.Time) > 0 {
			break
		}
		held += f.held
		recs = append(recs, f.pending)
		next = f.line + 1
		f.advance()
	}
	waiting := int64(cap(recs)) * recordBytes
	charge.Resize(held + waiting)
	r.mu.Lock()
	f.next = next
	r.mu.Unlock()
	r.done.Add(int64(len(recs)))
	w := &waitingRecords{r: r, all: recs, rest: recs, charge: charge, bytes: waiting}
	return &pipeline.Batch{Lane: f.lane, Fill: w.fill, Next: next, Charge: charge, Opaque: true, Free: w.free}, nil
}

// recordBytes is what a record takes beside its bytes while it waits for its place.
const recordBytes = int64(unsafe.Sizeof(pipeline.Record{}))

// waitingRecords are those of a batch, until they stand in the engine's places. From then on nobody needs the slice, whose room may be
// more than what stands in it: it is used for another batch, and given back to the budget.
type waitingRecords struct {
	r         *Source
	all, rest []pipeline.Record // all is nil when it has been given up
	charge    pipeline.Charge
	bytes     int64
}

// fill is the Fill of the batch.
func (w *waitingRecords) fill(into []pipeline.Record) (int, error) {
	n := copy(into, w.rest)
	if w.rest = w.rest[n:]; len(w.rest) == 0 && w.all != nil {
		w.free()
		w.charge.Add(-w.bytes)
	}
	return n, nil
}

// free gives the slice up. It is the Free of the batch too, whose charge is given back whole.
func (w *waitingRecords) free() {
	if w.all == nil {
		return
	}
	clear(w.all) // the slice keeps nothing of records that are elsewhere, or done
	select {
	case w.r.spare <- w.all[:0]:
	default:
	}
	w.all, w.rest = nil, nil
}

func (r *Source) emptyRecords() []pipeline.Record {
	select {
	case recs := <-r.spare:
		return recs
	default:
		return make([]pipeline.Record, 0, batchRecords)
	}
}

// ReadsOnce implements pipeline.ReadOncer: a pipe or standard input gives everything once.
func (r *Source) ReadsOnce() bool { return r.readsOnce.Load() }

// Commit implements pipeline.Source. It remembers the marks for lanes that have to be
// opened again.
func (r *Source) Commit(_ context.Context, marks []pipeline.Mark) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range marks {
		i := slices.IndexFunc(r.files, func(f *input) bool { return f.lane == m.Lane })
		if i >= 0 { // else the file has another lane by now
			r.files[i].committed, r.files[i].committedAt = m.Next, time.Now()
		}
	}
	return nil
}

// Close implements pipeline.Source.
func (r *Source) Close(context.Context) error {
	r.open.Store(false)
	for _, f := range r.files {
		if f.f != nil {
			_ = f.f.Close() // nothing was written
			r.reportUnread(f)
			f.f = nil
		}
	}
	return nil
}

// reportUnread says what was read of a stream and has not been handed over: the next run cannot
// read it again.
func (r *Source) reportUnread(f *input) {
	s, ok := f.f.(*stream)
	if !ok || f.end || f.err != nil {
		return
	}
	bytes := int64(f.r.Pending()) + s.untaken()
	if f.ready {
		bytes += f.size
	}
	if bytes > 0 {
		r.emit.Log().Warn().Str("file", title(f.path)).Int64("line", f.next).Int64("bytes", bytes).
			Msgf("stopped before its end: what was read behind the last record is given up, and cannot be read again: %d bytes", bytes)
	}
}

// Report implements pipeline.Reporter: a file is shown as a partition, with line
// numbers for offsets.
func (r *Source) Report() pipeline.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	rep := pipeline.Report{Connected: r.open.Load()}
	for _, f := range r.files {
		p := pipeline.PartitionReport{
			Topic: f.name, Committed: f.committed, Fetched: f.next, HighWatermark: -1, CommittedAt: f.committedAt,
		}
		if r.o.Count && f.lines >= 0 {
			p.HighWatermark = f.lines + 1
		}
		rep.Partitions = append(rep.Partitions, p)
	}
	return rep
}

// A pace turns the times of records into times at which they are due.
type pace struct {
	speed float64 // 0: everything is due at once
	begun bool
	start time.Time // when the first record with a time was due
	first int64     // its time
}

// until gives how long a record of time t has to wait.
func (p *pace) until(t int64) time.Duration {
	if p.speed == 0 || t == pipeline.NoTime {
		return 0
	}
	if !p.begun {
		p.begun, p.start, p.first = true, time.Now(), t
	}
	after := float64(t-p.first) * float64(time.Millisecond) / p.speed
	if after > float64(1<<62) {
		after = float64(1 << 62)
	}
	return time.Until(p.start.Add(time.Duration(after)))
}

func (p *pace) wait(ctx context.Context, t int64) error {
	d := p.until(t)
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
