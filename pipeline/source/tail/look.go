package tail

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file looks at one file, and reads what has come.

const (
	chunkBytes = 256 << 10             // of a file that are read at a time
	leastRead  = 4 << 10               // room below which reading is not worth while
	restAfter  = 5 * time.Minute       // without anything new, before a file's lane is given up
	takeWait   = 20 * time.Millisecond // for bytes of the budget that others have taken first
)

// look gives what is to be read of a file, nil when nothing is.
func (t *Source) look(ctx context.Context, f *file, now time.Time) (*pipeline.Batch, error) {
	f.blocked, f.again = false, false
	if !t.isRecorded(f) {
		return nil, nil // the next scan stores it, and then it may be read
	}
	info, ok := t.state(f)
	if !ok {
		if f.lost {
			t.giveUp(f)
		}
		return nil, nil
	}
	if info.Size() < max(f.offset, f.long) {
		t.another(f, f.size, now)
		return nil, nil
	}
	if info.Size() > f.size {
		f.grew = now
	}
	if f.looked && info.Size() == f.size && info.ModTime().Equal(f.modified) && !f.isLaneEnded() {
		return t.atEnd(ctx, f, now)
	}
	if !t.openFile(f) {
		return nil, nil
	}
	if s := f.unproved; s != nil {
		if !s.holds(f.h) || f.goOn(f.h, s.Offset) != nil {
			t.another(f, f.size, now)
			return nil, nil
		}
		f.unproved = nil
	}
	f.size, f.modified, f.looked = info.Size(), info.ModTime(), false
	t.noteEnd(f, f.size)
	return t.read(ctx, f, now, false)
}

// another sees to a file that holds something else than what was read of it. One that could not be compared at the start and that no pattern
// finds is a stranger with its inode, and is not to be read.
func (t *Source) another(f *file, seen int64, now time.Time) {
	if f.unproved == nil || f.away.IsZero() {
		t.beginAnew(f, seen, now)
		return
	}
	t.tellGone(*f.unproved)
	f.lost = true
	t.finish(f)
}

// isRecorded says whether the number of a file is on disk.
func (t *Source) isRecorded(f *file) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return f.recorded
}

// isDone says whether all that was handed over has its outcome, on disk.
func (t *Source) isDone(f *file) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return f.committed >= f.fetched
}

// noteEnd notes for the report where a file ends.
func (t *Source) noteEnd(f *file, end int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.end, f.seen = end, &end
}

// state looks how large a file is. When another stands in its place, the next scan finds out where it went.
func (t *Source) state(f *file) (os.FileInfo, bool) {
	if f.h != nil {
		info, err := f.h.Stat()
		return info, err == nil
	}
	info, err := os.Stat(f.path)
	if err == nil {
		var id identity
		if id, err = fileID(f.path, info); err == nil && id == f.id && info.Mode().IsRegular() {
			return info, true
		}
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.scanSoon()
	} else {
		t.tellOnce(f.path, err, "a file that is followed cannot be looked at now; it is tried again")
	}
	return nil, false
}

// giveUp ends a file that nothing leads to any more.
func (t *Source) giveUp(f *file) {
	if f.isLaneEnded() { // what was under way is to be read again, too
		t.mu.Lock()
		f.offset = f.committed
		t.mu.Unlock()
	}
	switch {
	case f.unproved != nil:
		t.tellGone(*f.unproved)
	case f.size > f.offset:
		t.gap(f, f.size, GapGone)
	}
	t.finish(f)
}

// atEnd sees to a file of which nothing more has come: one that was renamed or deleted ends after a while, and with it
// a last line without an end. Another one rests, so that old files that are let lie take no more than a look.
func (t *Source) atEnd(ctx context.Context, f *file, now time.Time) (*pipeline.Batch, error) {
	if f.away.IsZero() && f.lane != nil && now.Sub(f.grew) >= max(restAfter, t.s.Linger) && t.isDone(f) {
		f.rests = true
		t.finish(f)
		return nil, nil
	}
	since := f.away
	if f.grew.After(since) {
		since = f.grew
	}
	if f.away.IsZero() || now.Sub(since) < t.s.Linger {
		return nil, nil
	}
	if f.long > 0 {
		t.corrupt(place{f.name, f.number, f.offset}, f.size, badTooLarge)
	}
	if f.long > 0 || f.size == f.offset {
		t.finish(f)
		return nil, nil
	}
	if !t.openFile(f) {
		return nil, nil
	}
	return t.read(ctx, f, now, true)
}

// read reads what has come of a file that is open. last says that the last line needs no end.
func (t *Source) read(ctx context.Context, f *file, now time.Time, last bool) (*pipeline.Batch, error) {
	if err := t.openLane(ctx, f); err != nil {
		return nil, err
	}
	end := f.size
	if f.bound >= 0 {
		end = min(end, f.bound)
	}
	if f.long > 0 {
		return t.skipLong(f, end)
	}
	if end <= f.offset {
		if same, err := t.asItWas(f); err == nil && !same {
			t.beginAnew(f, f.known, now)
			return nil, nil
		}
		f.looked = true
		return nil, nil
	}
	if !last && t.stillHalf(f, end) {
		f.looked = true
		t.noteEnd(f, f.offset)
		return nil, nil
	}
	data, charge, err := t.take(ctx, f, end)
	if data == nil || err != nil {
		return nil, err
	}
	if !bytes.Equal(data[:len(f.tail)], f.tail) {
		charge.Release()
		t.beginAnew(f, f.known, now)
		return nil, nil
	}
	f.known = f.size
	data = data[len(f.tail):]
	atEnd := f.offset+int64(len(data)) >= end
	whole := bytes.LastIndexByte(data, '\n') + 1
	if last && atEnd {
		whole = len(data)
	}
	if whole == 0 {
		charge.Release()
		return t.noLineEnd(f, int64(len(data)), atEnd)
	}
	f.least, f.half = 0, 0
	return t.handOver(f, data[:whole], charge), nil
}

// stillHalf says whether the end of a line that was begun has not come either with what came last. So a line that is written
// in many pieces is read once, and not anew with each.
func (t *Source) stillHalf(f *file, end int64) bool {
	if f.half <= f.offset || end-f.offset >= int64(t.s.MaxLine)+2 {
		return false
	}
	for f.half < end {
		block := t.scratch(end - f.half)
		if _, err := f.h.ReadAt(block, f.half); err != nil || bytes.IndexByte(block, '\n') >= 0 {
			return false
		}
		f.half += int64(len(block))
	}
	return true
}

// scratch gives room for what is looked through and not kept.
func (t *Source) scratch(n int64) []byte {
	if t.block == nil {
		t.block = make([]byte, 64<<10)
	}
	return t.block[:min(n, int64(len(t.block)))]
}

// noLineEnd sees to a line of which the end was not read with it.
func (t *Source) noLineEnd(f *file, n int64, atEnd bool) (*pipeline.Batch, error) {
	most := int64(t.s.MaxLine) + 2 // with its end
	switch {
	case n >= most && t.s.OnBadLine == "stop":
		return nil, t.badLine(place{f.name, f.number, f.offset}, n, errTooLong(t.s.MaxLine))
	case n >= most:
		f.long = f.offset + n
		return t.skipLong(f, f.size)
	case atEnd: // it waits for the rest
		f.looked = true
		f.half = f.offset + n
		t.noteEnd(f, f.offset)
		return nil, nil
	}
	f.least = min(max(2*n, leastRead), most)
	f.again = true
	return nil, nil
}

// take reads bytes of a file, with those in front that are known, and takes them from the budget. nil: there is no room now,
// or they cannot be read now.
func (t *Source) take(ctx context.Context, f *file, end int64) ([]byte, pipeline.Charge, error) {
	room := f.lane.Room()
	t.widest = max(t.widest, room)
	left := end - f.offset
	if room <= 0 || room < min(left, leastRead, t.widest/16) && f.least == 0 {
		f.blocked = true
		return nil, nil, nil
	}
	n := min(left, max(min(chunkBytes, room), f.least))
	wait, cancel := context.WithTimeout(ctx, takeWait)
	charge, err := f.lane.Take(wait, n)
	cancel()
	if err != nil {
		f.blocked = true
		return nil, nil, ctx.Err()
	}
	data := make([]byte, int64(len(f.tail))+n)
	got, err := f.h.ReadAt(data, f.offset-int64(len(f.tail)))
	if got < len(data) {
		charge.Release()
		if err != nil && got > 0 { // it was cut since it was looked at
			return nil, nil, nil
		}
		t.tellOnce(f.path, err, "a file cannot be read now; it is tried again")
		return nil, nil, nil
	}
	t.taken += n
	charge.Resize(int64(len(data)))
	return data, charge, nil
}

// asItWas says whether what was read last of a file still stands there.
func (t *Source) asItWas(f *file) (bool, error) {
	now := make([]byte, len(f.tail))
	if _, err := f.h.ReadAt(now, f.offset-int64(len(now))); err != nil && len(now) > 0 {
		return false, err
	}
	return bytes.Equal(now, f.tail), nil
}

// handOver makes a batch of whole lines.
func (t *Source) handOver(f *file, data []byte, charge pipeline.Charge) *pipeline.Batch {
	lines := &lines{t: t, at: place{f.name, f.number, f.offset}, rest: data, charge: charge}
	f.passed(data)
	return t.batch(f, &pipeline.Batch{Fill: lines.fill, Charge: charge})
}

// batch completes a batch that ends where a file was read to.
func (t *Source) batch(f *file, b *pipeline.Batch) *pipeline.Batch {
	b.Lane, b.Next = f.lane, f.offset
	t.mu.Lock()
	defer t.mu.Unlock()
	f.fetched = f.offset
	c := f.checkNow()
	f.keepHead(c)
	f.checks = append(f.checks, c)
	return b
}
