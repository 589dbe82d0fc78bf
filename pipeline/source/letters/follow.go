package letters

import (
	"errors"

	"github.com/penstockio/penstock/pipeline"
)

// This file follows each letter to its end, and counts.

// A Tally says what became of the letters that a source has looked at so far.
type Tally struct {
	// Chosen is how many were to be sent back. Those that a sink has turned down (Keep) are not among them.
	Chosen int64
	// Delivered, Filtered and Rejected are how many of these have ended so, each as a whole: one is
	// rejected when its dead letter is durable, though some of its parts or other sinks may have it.
	Delivered, Filtered, Rejected int64
	// Stored is of how many that have ended this is remembered.
	Stored int64
	// Doubtful is how many of those that have not ended a sink was given. It may have them.
	Doubtful int64
	// Late is how many were given to the pipeline behind a record of their key that was read later, and LateOrMore
	// that there may be more (see Window).
	Late       int64
	LateOrMore bool
	// Unseen is about how many were not looked at: some may be done with, and some not be chosen.
	Unseen int64
	// Opened says that the dead letters were opened, and are this source's to send back: without it there is nothing to count.
	Opened bool
	// Seen says that none was left to be looked at.
	Seen bool
	// Complete says so, and that all that were chosen have ended.
	Complete bool
}

// Ended is how many have ended.
func (t Tally) Ended() int64 { return t.Delivered + t.Filtered + t.Rejected }

// Tally counts the letters.
func (s *Source) Tally() Tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := Tally{
		Chosen: s.chosen.Load(), Stored: s.replayed.Load(), Doubtful: int64(len(s.doubtful)), Unseen: s.left.Load(),
		Late: s.late.Load(), LateOrMore: s.unsure.Load(),
		Delivered: s.delivered, Filtered: s.filtered, Rejected: s.rejected,
	}
	if s.o.Limit > 0 {
		t.Chosen = min(t.Chosen, s.o.Limit) // while it looks ahead it has more
		t.Unseen = min(t.Unseen, s.o.Limit-t.Chosen)
	}
	t.Opened, t.Seen = s.opened.Load(), s.atEnd.Load() || s.seen.Load()
	t.Complete = t.Seen && s.over == t.Chosen
	return t
}

// sending notes that a sink may have a letter from here on.
func (s *Source) sending(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f != nil && !f.ended {
		s.doubtful[f.at] = struct{}{}
	}
}

// end notes how a letter has ended, whatever becomes of those in front of it.
func (s *Source) end(f *flight, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == nil || f.kept { // nil: a stage has changed where the record was read
		return
	}
	f.ended = true
	switch {
	case err == nil:
		s.delivered++
	case errors.Is(err, pipeline.Filtered):
		s.filtered++
	default:
		s.rejected++
	}
	s.noteEnd(f)
}

// noteEnd notes that a letter has ended: it is to be stored, and not to be sent again. It does nothing for one that
// is kept, or has been noted. The lock is held.
func (s *Source) noteEnd(f *flight) {
	if f.kept || s.sent.Has(f.at) {
		return
	}
	s.sent.add(f.at)
	s.fresh.add(f.at)
	s.over++
	delete(s.doubtful, f.at)
}
