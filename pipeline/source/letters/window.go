package letters

import (
	"container/heap"
	"hash/maphash"
	"slices"
	"unsafe"

	"github.com/penstockio/penstock/pipeline"
)

// This file puts letters into the order in which their records were read.
//
// A log has letters in the order in which records were rejected. Behind a split, with several sinks, and where the letters of
// a key are in several partitions, that is not the order in which they were read. So a replay looks ahead, and at each place
// where the log has a letter of a key it sends the one of that key that was read first. Letters that are in order stay where they
// are: sorted by position alone, those of other keys would move too, and what was replayed would be scattered over the log.

// How far a replay looks ahead: so many records, or bytes, whichever is less.
const (
	WindowRecords = 16384
	WindowBytes   = 32 << 20
)

const (
	heldBytes   = 512                                     // of memory for a letter, beside its record
	headerBytes = int64(unsafe.Sizeof(pipeline.Header{})) // for a header, beside its name and value
	maxLatest   = 1 << 16                                 // keys of which the last position is remembered
)

// A Window holds letters that were read and not sent yet, and gives them in the order in which their records were read, for
// each key of a partition of the source; records without a key count as of one. The zero value is ready for use by one goroutine.
type Window struct {
	// ByPartition has all records of a partition of the source in their order, whatever their keys.
	ByPartition bool

	log     []*held  // in the order of the log; some are out
	slots   []*group // whose letters are at these places of the log; nil: it was used
	groups  map[groupKey]*group
	n       int
	letters int64
	bytes   int64
	seq     int64

	seed   maphash.Seed
	latest map[uint64]int64 // by key: the largest offset that is out
	late   int64
	forgot bool
}

// A held is an entry in the window.
type held struct {
	at     pipeline.Position
	choice Choice
	offset int64 // of the record
	seq    int64 // in the log
	bytes  int64
	out    bool
}

// A groupKey is what has an order of its own.
type groupKey struct {
	topic     string
	partition int32
	null      bool
	key       string
}

// A group is a heap of the letters of one key, the one that was read first on top.
type group struct {
	key    groupKey
	letter bool // else it is a record that is passed by
	held   []*held
	in     int // of held, those that are not out
}

func (g *group) Len() int      { return len(g.held) }
func (g *group) Swap(i, j int) { g.held[i], g.held[j] = g.held[j], g.held[i] }
func (g *group) Push(x any)    { g.held = append(g.held, x.(*held)) }
func (g *group) Less(i, j int) bool {
	a, b := g.held[i], g.held[j]
	return a.offset < b.offset || a.offset == b.offset && a.seq < b.seq
}

func (g *group) Pop() any {
	last := g.held[len(g.held)-1]
	g.held = g.held[:len(g.held)-1]
	return last
}

// first gives the letter of the group that was read first.
func (g *group) first() *held {
	for len(g.held) > 0 && g.held[0].out {
		heap.Pop(g)
	}
	return g.held[0]
}

// Full says that the next letter has to be taken out before another is added.
func (w *Window) Full() bool { return w.n >= WindowRecords || w.bytes >= WindowBytes }

// Letters is how many letters are in it; what is passed by does not count.
func (w *Window) Letters() int64 { return w.letters }

// Bytes is how much memory it holds, about.
func (w *Window) Bytes() int64 { return w.bytes }

// Late is how many letters were given behind one of their key whose record was read later. They stood too far apart in the
// log, or the window was told that what would be done could not be remembered. atLeast says that there were too many keys
// to know of all.
func (w *Window) Late() (n int64, atLeast bool) { return w.late, w.forgot }

// Add takes in what was decided about the next record of the log, which is to be sent or passed by.
func (w *Window) Add(at pipeline.Position, c Choice) {
	h := &held{at: at, choice: c, seq: w.seq, bytes: heldBytes}
	w.seq++
	g := &group{}
	if c.Verdict == Replay {
		rec := &c.Letter.Record
		h.offset, h.bytes = rec.Offset, heldBytes+int64(rec.Size())+int64(len(rec.Headers()))*headerBytes
		g = w.groupOf(rec)
		w.letters++
	}
	heap.Push(g, h)
	g.in++
	w.log, w.slots = append(w.log, h), append(w.slots, g)
	w.n++
	w.bytes += h.bytes
}

// groupOf gives the group of a record.
func (w *Window) groupOf(rec *pipeline.Record) *group {
	k := w.keyOf(rec)
	g := w.groups[k]
	if g == nil {
		if w.groups == nil {
			w.groups = map[groupKey]*group{}
		}
		g = &group{key: k, letter: true}
		w.groups[k] = g
	}
	return g
}

func (w *Window) keyOf(rec *pipeline.Record) groupKey {
	k := groupKey{topic: rec.Topic, partition: rec.Partition}
	if !w.ByPartition {
		k.key, k.null = string(rec.Key()), rec.Key() == nil
	}
	return k
}

// Next takes out what comes next; ok is false when there is nothing. fits says whether it could be remembered that a letter is
// done before those in front of it in the log: where not, the first of the log is given instead. nil: it always could.
func (w *Window) Next(fits func(pipeline.Position) bool) (at pipeline.Position, c Choice, ok bool) {
	if w.n == 0 {
		return at, c, false
	}
	g, slot := w.slots[0], 0
	h := g.first()
	if h != w.log[0] && fits != nil && !fits(h.at) {
		h = w.log[0]
		for g = w.slots[slot]; !g.has(h, w); g = w.slots[slot] {
			slot++
		}
	}
	w.takeOut(h, g, slot)
	if c = h.choice; c.Verdict == Replay {
		w.note(h)
		h.choice.Letter = nil // what is out may stand in the window for longer
	}
	return h.at, c, true
}

// has says whether a slot's group is the one of an entry.
func (g *group) has(h *held, w *Window) bool {
	switch {
	case g == nil:
		return false
	case h.choice.Verdict != Replay:
		return len(g.held) == 1 && g.held[0] == h
	}
	return g.letter && g.key == w.keyOf(&h.choice.Letter.Record)
}

// takeOut takes an entry out, with a place of its group.
func (w *Window) takeOut(h *held, g *group, slot int) {
	h.out = true
	w.slots[slot] = nil
	w.n--
	w.bytes -= h.bytes
	if h.choice.Verdict == Replay {
		w.letters--
	}
	if g.in--; len(g.held) > 2*g.in+64 {
		g.held = slices.DeleteFunc(g.held, func(h *held) bool { return h.out })
		heap.Init(g)
	}
	for len(g.held) > 0 && g.held[0].out {
		heap.Pop(g)
	}
	if g.letter && len(g.held) == 0 {
		delete(w.groups, g.key)
	}
	for len(w.slots) > 0 && w.slots[0] == nil {
		w.slots = w.slots[1:]
	}
	for len(w.log) > 0 && w.log[0].out {
		w.log[0] = nil // what it held is free
		w.log = w.log[1:]
	}
	if len(w.log) > 2*w.n+64 { // one that stays long must not hold those behind it
		w.log = slices.DeleteFunc(w.log, func(h *held) bool { return h.out })
	}
}

// note counts a letter that comes behind one of its key that was read later.
func (w *Window) note(h *held) {
	if w.latest == nil {
		w.latest, w.seed = map[uint64]int64{}, maphash.MakeSeed()
	}
	k := maphash.Comparable(w.seed, w.keyOf(&h.choice.Letter.Record))
	last, known := w.latest[k]
	switch {
	case known && h.offset < last:
		w.late++
		return
	case !known && len(w.latest) >= maxLatest:
		clear(w.latest)
		w.forgot = true
	}
	w.latest[k] = h.offset
}

// drop empties the window, and gives the letters that were in it. What is counted stays.
func (w *Window) drop() (left []Choice) {
	for _, h := range w.log {
		if !h.out && h.choice.Verdict == Replay {
			left = append(left, h.choice)
		}
	}
	w.log, w.slots, w.groups, w.n, w.letters, w.bytes = nil, nil, nil, 0, 0, 0
	clear(w.latest) // what was given may come again
	return left
}
