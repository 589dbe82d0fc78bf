package tail

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file is the loop that looks at files, and their lanes.

const (
	firstPause   = 10 * time.Millisecond // before a file that has just grown is looked at again
	roomPatience = time.Second           // before a file whose lane has no room is looked at again, unless the room grows
)

// Read implements pipeline.Source.
func (t *Source) Read(ctx context.Context) (*pipeline.Batch, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		now := time.Now()
		t.removeFinished()
		if !now.Before(t.nextScan) {
			t.scan(now)
		}
		b, err := t.lookAround(ctx, now)
		if b != nil || err != nil {
			return b, err
		}
		if t.anew { // all that were cut together are stored together
			t.anew = false
			t.storeNew()
			continue
		}
		if t.s.Stop == "end" && t.allAtEnd() {
			return nil, io.EOF
		}
		t.wait(ctx)
	}
}

// lookAround looks at the files that are due, from the one behind that which had something last.
func (t *Source) lookAround(ctx context.Context, now time.Time) (*pipeline.Batch, error) {
	n := len(t.files)
	for i := range n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		at := (t.at + i) % n
		f := t.files[at]
		if f.ends || f.due.After(now.Add(f.pause/8)) && !f.isLaneEnded() { // those that are due at about the same time are looked at together
			continue
		}
		b, err := t.look(ctx, f, now)
		if err != nil {
			return nil, err
		}
		if b != nil {
			t.at = at + 1
			f.pause, f.due = 0, now
			return b, nil
		}
		switch {
		case f.again:
			f.pause, f.due = 0, now
			continue
		case f.blocked:
			f.due = now.Add(roomPatience)
			continue
		}
		f.pause = min(max(2*f.pause, firstPause), t.longestPause(f, now))
		f.due = now.Add(f.pause)
	}
	return nil, nil
}

// longestPause is the longest before a file is looked at again. One that has been quiet for so long that it rests is looked at as often as it is
// looked for other files: with thousands of old files, looking takes much of a core otherwise.
func (t *Source) longestPause(f *file, now time.Time) time.Duration {
	if !f.grew.IsZero() && now.Sub(f.grew) >= restAfter {
		return max(t.s.Poll, t.s.Scan)
	}
	return t.s.Poll
}

// isLaneEnded says whether the engine has ended the lane: then it has to be opened anew.
func (f *file) isLaneEnded() bool {
	if f.lane == nil {
		return false
	}
	select {
	case <-f.lane.Ended():
		return true
	default:
		return false
	}
}

// allAtEnd says whether all whole lines were handed over that were there at the start.
func (t *Source) allAtEnd() bool {
	for _, f := range t.files {
		if f.isLaneEnded() || f.blocked || !f.looked && !f.lost && f.bound > 0 {
			return false
		}
	}
	return true
}

// wait waits until a file is due, a lane has room or is finished, or ctx ends.
func (t *Source) wait(ctx context.Context) {
	now := time.Now()
	until := t.nextScan
	for _, f := range t.files {
		if !f.ends && f.due.Before(until) {
			until = f.due
		}
	}
	timer := time.NewTimer(until.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.wake:
	case <-ctx.Done():
	case <-t.engine.Room():
		for _, f := range t.files {
			if f.blocked {
				f.blocked, f.due = false, now
			}
		}
	}
}

// openLane sees to it that a file has a lane, which begins where the last one was committed.
func (t *Source) openLane(ctx context.Context, f *file) error {
	if f.lane != nil && !f.isLaneEnded() {
		return nil
	}
	t.mu.Lock()
	delete(t.lanes, f.lane)
	committed := f.committed
	t.mu.Unlock()
	if f.lane != nil {
		if err := f.goOn(f.h, committed); err != nil { // it was cut, which is seen next
			f.offset, f.looked = committed, false
		}
	}
	lane, from, err := t.engine.Lane(ctx, fmt.Sprintf("%s/%d", f.name, f.number), f.offset)
	if ended := ctx.Err(); err != nil && ended != nil { // the pipeline stops, and opens no lanes any more
		return ended
	}
	if err != nil {
		return fmt.Errorf("starting to read %s: %w", f.path, err)
	}
	if from != f.offset {
		if err := f.goOn(f.h, from); err != nil { // likewise
			f.offset, f.looked = from, false
		}
	}
	f.lane = lane
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lanes[lane] = f
	f.begun, f.checks, f.committed, f.fetched = true, nil, f.offset, f.offset
	if f.beganAt.IsZero() {
		f.from, f.beganAt = f.offset, time.Now()
	}
	return nil
}

// finish ends the lane of a file of which nothing more comes, when all that was handed over has its outcome.
func (t *Source) finish(f *file) {
	f.ends = true
	lane, path := f.lane, f.path
	if lane == nil {
		t.mu.Lock()
		f.finished, f.wholly, t.someFinished = true, true, true
		t.mu.Unlock()
		return
	}
	t.tasks.Go(func() {
		_, err := lane.Finish(t.ctx)
		t.mu.Lock()
		f.finished, f.wholly, t.someFinished = true, f.committed >= f.fetched, true
		stays := !f.wholly && t.ctx.Err() == nil
		t.mu.Unlock()
		if err != nil && stays {
			t.events.Log().Warn().Err(err).Str("path", path).Msg("the last commit of a file that is not followed any more has failed")
		}
		select {
		case t.wake <- struct{}{}:
		default:
		}
	})
}

// removeFinished forgets the files whose lanes are finished. One of which not all has an outcome is read on, while
// anything leads to it. removed: files are not followed any more.
//
// That they are not followed is stored with the next commit or scan: many that end one after the other are stored together.
func (t *Source) removeFinished() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.someFinished { // looking through thousands of files for each batch takes longer than reading it
		return
	}
	t.someFinished = false
	t.dead = slices.DeleteFunc(t.dead, func(f *file) bool {
		if f.finished {
			delete(t.lanes, f.lane)
		}
		return f.finished
	})
	t.files = slices.DeleteFunc(t.files, func(f *file) bool {
		switch {
		case !f.finished:
			return false
		case !f.wholly && !f.lost:
			f.finished, f.ends, f.rests, f.looked = false, false, false, false
			return false
		case f.rests && !f.lost:
			delete(t.lanes, f.lane)
			t.closeFile(f)
			f.lane, f.begun, f.beganAt = nil, false, time.Time{}
			f.finished, f.ends, f.rests = false, false, false
			return false
		}
		t.unstored = true
		delete(t.lanes, f.lane)
		t.closeFile(f)
		if f.unproved == nil { // else it was told of
			t.events.Log().Info().Str("path", f.path).Int32("partition", f.number).Msg("a file that was renamed or deleted is read to its end")
		}
		return true
	})
}
