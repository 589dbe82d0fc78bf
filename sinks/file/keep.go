package filesink

import (
	"context"
	"os"
	"slices"
	"time"
)

// This file is which files are open, and for whom. A file is open while somebody writes it, and for
// a while after that (idleAfter), because opening costs a lock, fsyncs of its folder and a look at
// its last line.
//
//   - One user at a time: a Write that has acquired the file has it alone until it releases it
//     (busy). As many files are written at once as there are slots.
//   - One process at a time: an open file is locked. It is closed, and so unlocked, when every lane
//     that wrote it has ended (LaneEnded), which the engine says before another process can get
//     these partitions; when nothing has been written to it for idleAfter; and when its slot is
//     needed. Sink.mu is held then, so that nobody opens the name while the old lock is still there.
//   - A file with the remains of a failed write, which could not be cut off (truncateTo), is not
//     closed for that error, nor for being idle: another process would write behind the remains, and
//     lose its lines when they are cut off. Where it has to be closed all the same, because its lanes
//     have ended or its slot is needed, it is tried once more; remains that are there after that are
//     left to mend, which knows them by the mark of the write.

// A laneID is what a lane's records have in common.
type laneID struct {
	topic     string
	partition int32
}

// A file is one file that is open, or is about to be.
type file struct {
	name  string
	users int                 // guarded by Sink.mu, like the next two
	lanes map[laneID]struct{} // that have written it and not ended
	since time.Time           // without a user
	busy  chan struct{}       // capacity 1: taken by the one user who reads and writes what follows
	f     *os.File            // nil: not open
	end   int64               // where our last write ended: another size says that others write it too
	// truncateTo is where the file has to end, while it has remains of a failed write behind
	// that which could not be cut off; else -1.
	truncateTo int64
}

// idleAfter is how long a file stays open, and locked, when nothing is written to it. A
// variable for tests.
var idleAfter = 5 * time.Second

// acquire gives the file of that name to one user at a time, for a lane. It need not be
// open yet.
func (f *Sink) acquire(ctx context.Context, name string, lane laneID) (*file, error) {
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	use := f.files[name]
	if use == nil {
		// Those in use are fewer than the slots, so that one is idle.
		for len(f.files) >= cap(f.slots) {
			f.drop(f.idle[0])
		}
		use = &file{name: name, lanes: map[laneID]struct{}{}, busy: make(chan struct{}, 1), truncateTo: -1}
		f.files[name] = use
	} else if use.users == 0 {
		f.idle = slices.DeleteFunc(f.idle, func(g *file) bool { return g == use })
	}
	use.users++
	use.lanes[lane] = struct{}{}
	f.mu.Unlock()

	select {
	case use.busy <- struct{}{}:
	case <-ctx.Done():
		f.leave(use)
		return nil, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		f.release(use, true)
		return nil, err
	}
	return use, nil
}

// release gives the file back. After an error it is closed, unless it has to be truncated first.
func (f *Sink) release(use *file, good bool) {
	if !good && use.f != nil && use.truncateTo < 0 {
		_ = use.closeFile() // what it holds is on disk
	}
	<-use.busy
	f.leave(use)
}

func (f *Sink) leave(use *file) {
	f.mu.Lock()
	if use.users--; use.users == 0 {
		use.since = time.Now()
		f.idle = append(f.idle, use)
		if use.f == nil || len(use.lanes) == 0 {
			f.drop(use)
		}
		f.arm()
	}
	f.mu.Unlock()
	<-f.slots
}

// drop closes an idle file and forgets it. mu is held, so that nobody opens the name before the
// lock of the old one has gone.
func (f *Sink) drop(use *file) {
	if use.f != nil {
		_ = use.closeFile() // everything in it is on disk
	}
	delete(f.files, use.name)
	f.idle = slices.DeleteFunc(f.idle, func(g *file) bool { return g == use })
}

// closeFile closes the file, and with it gives up its lock: everything in it is on disk, but the
// remains of a failed write. These are cut off without an fsync, which the next write makes,
// whoever that is.
func (use *file) closeFile() error {
	torn := false
	if use.truncateTo >= 0 {
		if now, err := use.f.Stat(); err == nil && now.Size() <= use.end {
			torn = use.f.Truncate(use.truncateTo) != nil // the mark stays, by which mend knows the remains
		}
		use.truncateTo = -1
	}
	if !torn {
		unmarkWrite(use.f)
	}
	err := use.f.Close()
	use.f = nil
	return err
}

// dropIdle closes the files that nobody uses.
func (f *Sink) dropIdle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.idle) > 0 {
		f.drop(f.idle[0])
	}
}

// LaneEnded implements pipeline.LaneEnder: it closes the files that no other lane has
// written, so that the next owner of the partition finds them unlocked.
func (f *Sink) LaneEnded(topic string, partition int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, use := range f.files {
		delete(use.lanes, laneID{topic, partition})
		if len(use.lanes) == 0 && use.users == 0 {
			f.drop(use)
		}
	}
}

// arm sets the timer for the file that has been idle longest. mu is held.
func (f *Sink) arm() {
	if f.timer == nil && len(f.idle) > 0 {
		f.timer = time.AfterFunc(time.Until(f.idle[0].since.Add(idleAfter)), f.tooIdle)
	}
}

// tooIdle closes what has been idle for too long. A file that has to be truncated stays: its lane
// writes it again.
func (f *Sink) tooIdle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timer = nil
	now := time.Now()
	for _, use := range slices.Clone(f.idle) {
		switch {
		case now.Sub(use.since) < idleAfter:
		case use.truncateTo >= 0:
			use.since = now
			f.idle = append(slices.DeleteFunc(f.idle, func(g *file) bool { return g == use }), use)
		default:
			f.drop(use)
		}
	}
	f.arm()
}
