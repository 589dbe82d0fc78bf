package filesink

import (
	"context"
	"os"
	"slices"
	"time"
)

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
	turn  chan struct{}       // taken by the one user who reads and writes what follows
	f     *os.File            // nil: not open
	end   int64               // of the last write, for us: another size says that others write it too
	// cut is where the file ends for us while what a failed write left behind that could
	// not be cut off, else -1. Until it is, the file stays open and so locked: another
	// process would write behind it, and lose its lines by the cut.
	cut int64
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
		use = &file{name: name, lanes: map[laneID]struct{}{}, turn: make(chan struct{}, 1), cut: -1}
		f.files[name] = use
	} else if use.users == 0 {
		f.idle = slices.DeleteFunc(f.idle, func(g *file) bool { return g == use })
	}
	use.users++
	use.lanes[lane] = struct{}{}
	f.mu.Unlock()

	select {
	case use.turn <- struct{}{}:
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

// release gives the file back. One that failed is closed, unless it has to be cut.
func (f *Sink) release(use *file, good bool) {
	if !good && use.f != nil && use.cut < 0 {
		_ = use.giveUp() // what it holds is on disk
	}
	<-use.turn
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

// drop closes an idle file. mu is held: its name must not be opened meanwhile, because
// the lock of the old one would be in the way.
func (f *Sink) drop(use *file) {
	if use.f != nil {
		_ = use.giveUp() // everything in it is on disk
	}
	delete(f.files, use.name)
	f.idle = slices.DeleteFunc(f.idle, func(g *file) bool { return g == use })
}

// giveUp closes the file, and with it gives up its lock: everything in it is on disk, but
// what has to be cut off. That it is gone from the disk too is left to the next write's
// fsync, whoever makes it.
func (use *file) giveUp() error {
	torn := false
	if use.cut >= 0 {
		if now, err := use.f.Stat(); err == nil && now.Size() <= use.end {
			torn = use.f.Truncate(use.cut) != nil // mend finds what is torn then
		}
		use.cut = -1
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

// tooIdle closes what has been idle for too long. A file that has to be cut stays: its
// lane comes again.
func (f *Sink) tooIdle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timer = nil
	now := time.Now()
	for _, use := range slices.Clone(f.idle) {
		switch {
		case now.Sub(use.since) < idleAfter:
		case use.cut >= 0:
			use.since = now
			f.idle = append(slices.DeleteFunc(f.idle, func(g *file) bool { return g == use }), use)
		default:
			f.drop(use)
		}
	}
	f.arm()
}
