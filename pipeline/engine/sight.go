package engine

import (
	"fmt"
	"time"
)

// This file is what is known from outside of a worker of a step that computes: which record it has in hand, and since when.
//
// Such a worker reads the clock once for each chunk, and says by the cursor of the chunk where it is. To read it for each record would
// cost quick steps more than their work. So those who look remember where they saw the worker: a record at which it still stands at the
// next look has been in its hands since then, for certain. The watch looks at least once a second while records are in flight, so that the
// time that is told is short by a second at most. What is looked at for the first time, and is not the first of its chunk, has
// no time of its own: then that of the chunk is told, and said to be that.

// A sight is where the worker of a chunk was seen. Guarded by the chunk.
type sight struct {
	taken  int64         // of the chunk then
	cursor int32         // likewise
	since  time.Duration // when it was seen there first, as a time since the start of the run
}

// inHand is what the worker of a chunk has in hand: one record, or some one of a few.
type inHand struct {
	first, count int           // index of the first of them, and how many they are
	since        time.Duration // for how long it has been at these, at least
	exact        bool          // since is all of it
	taken        time.Duration // for how long it has had the chunk
}

// cursorEvery is how many records of a quick step a worker may be further than the cursor of its chunk, and one.
const cursorEvery = 16

// cursorAt makes a cursor: the index of a record, and whether the worker may be at one of those behind it.
func cursorAt(index int, coarse bool) int32 {
	c := int32(index) << 1
	if coarse {
		c |= 1
	}
	return c
}

// look says what the worker of a chunk has in hand; false: nothing any more. The chunk is at work, and locked.
func (c *chunk) look(began, now time.Time) (h inHand, ok bool) {
	taken, cursor := c.taken.Load(), c.cursor.Load()
	h.first, h.count = int(cursor>>1), 1
	if h.first >= len(c.recs) {
		return h, false
	}
	if cursor&1 != 0 {
		h.count = min(cursorEvery, len(c.recs)-h.first)
	}
	if c.seen.taken != taken || c.seen.cursor != cursor {
		c.seen = sight{taken, cursor, time.Since(began)} // not now, which was before the cursor was read
	}
	at := now.Sub(began)
	h.taken = max(at-time.Duration(taken), 0)
	if h.exact = h.first == 0; h.exact {
		h.since = h.taken
	} else {
		h.since = max(at-c.seen.since, 0)
	}
	return h, true
}

// hold describes the record in hand. The chunk is locked.
func (s *stepCore) hold(c *chunk, h inHand) Hold {
	out := s.here()
	out.Lane, out.Root, out.Position = c.lane.name, c.recs[h.first].rec.Position, c.recs[h.first].rec.Position
	out.State, out.Cause, out.Attempt, out.Attempts = stateNames[stateRunning], CauseCall, 1, 1
	out.Since = h.since
	if h.count > 1 {
		out.For = fmt.Sprintf("it or one of the %d records behind it", h.count-1)
	}
	if !h.exact {
		out.Batch, out.BatchSince = len(c.recs), h.taken
	}
	return out
}

// inWork says that a record is in the hands of a worker, and since when.
func (h Hold) inWork() string {
	text, times := "", "has been worked on for "
	if h.For != "" {
		text, times = h.For+" is at work", ", together for "
	}
	switch {
	case h.Batch == 0:
		text += times + span(h.Since)
	case h.Since >= time.Millisecond:
		text += times + "at least " + span(h.Since)
	case text == "":
		text = "is at work"
	}
	if h.Batch > 0 {
		text += "; its worker took it with " + others(h.Batch-1) + " " + span(h.BatchSince) + " ago"
	}
	return text
}

// has says since when a worker has a record, behind the name of its step.
func (h Hold) has() string {
	who := h.Root.String()
	if h.For != "" {
		who += " (" + h.For + ", together)"
	}
	switch {
	case h.Batch == 0:
		return "which has had " + who + " for " + span(h.Since)
	case h.Since < time.Millisecond:
		return "which took " + h.Root.String() + " with " + others(h.Batch-1) + " " + span(h.BatchSince) + " ago"
	}
	return "which has had " + who + " for at least " + span(h.Since)
}

func others(n int) string {
	if n == 1 {
		return "1 other"
	}
	return fmt.Sprintf("%d others", n)
}
