package stages

import (
	"strings"

	"github.com/penstockio/penstock/pipeline"
)

// A digest stands for a key: collisions are out of reach, and long keys take no more
// room than short ones.
type digest [16]byte

// A place is a position, and a part of the record there, without the topic's name.
type place struct {
	topic, partition int32
	offset           int64
	part             int32
}

// A passing is a record that has passed. Those of one key form a list, the latest by
// its time first.
type passing struct {
	key   digest
	at    place
	older int32 // the next of the same key, or none
	time  int64
}

// What stands for an entry when there is none, and in one that was forgotten.
const (
	none int32 = -1
	gone int32 = -2
)

// mostPassings is how many passings of one key are remembered: one, and one for each
// stretch of time from which records come late. Times are what producers say, and a key
// may not make every record dearer than the one before.
const mostPassings = 16

// A memory holds the last size passings. Which of them is forgotten first depends on the
// order in which they came, and not on their times.
type memory struct {
	size   int
	ring   []passing
	next   int32            // the oldest entry of a full ring
	latest map[digest]int32 // where the list of a key begins
	places map[place]int32  // where a record stands
	topics map[string]int32 // numbers of the names
}

func newMemory(size int) memory {
	return memory{size: size, latest: map[digest]int32{}, places: map[place]int32{}, topics: map[string]int32{}}
}

// place gives a position that shares no memory with a batch.
func (m *memory) place(pos pipeline.Position, part int32) place {
	n, ok := m.topics[pos.Topic]
	if !ok {
		n = int32(len(m.topics))
		m.topics[strings.Clone(pos.Topic)] = n
	}
	return place{n, pos.Partition, pos.Offset, part}
}

// first gives the latest passing of a key, or none.
func (m *memory) first(key digest) int32 {
	if i, ok := m.latest[key]; ok {
		return i
	}
	return none
}

// has says whether the record at a place has passed with this key.
func (m *memory) has(key digest, at place) bool {
	i, ok := m.places[at]
	return ok && m.ring[i].key == key
}

// add remembers a passing, in the place of the one that came first when there is no
// other.
func (m *memory) add(key digest, at place, time int64) {
	m.forget(at) // under another key: what the key depends on has changed
	i := int32(len(m.ring))
	if len(m.ring) < m.size {
		m.ring = append(m.ring, passing{})
	} else {
		i = m.next
		m.next = (i + 1) % int32(m.size)
		m.drop(i)
	}
	m.ring[i] = passing{key: key, at: at, older: none, time: time}
	m.places[at] = i
	m.link(i)
}

// link puts an entry into the list of its key, and drops the one of the earliest time
// there when the list is too long.
func (m *memory) link(i int32) {
	e := &m.ring[i]
	before, last, n := none, none, 1
	for j := m.first(e.key); j != none; j = m.ring[j].older {
		if m.ring[j].time > e.time {
			before = j
		}
		last = j
		n++
	}
	if before == none {
		e.older = m.first(e.key)
		m.latest[e.key] = i
	} else {
		e.older, m.ring[before].older = m.ring[before].older, i
	}
	if n > mostPassings {
		m.drop(last)
	}
}

// drop forgets an entry. Its room is taken when its turn comes: taken at once it would
// be the next to be overwritten again, long before what came earlier.
func (m *memory) drop(i int32) {
	e := &m.ring[i]
	if e.older == gone {
		return
	}
	before := none
	for j := m.first(e.key); j != i; j = m.ring[j].older {
		before = j
	}
	switch {
	case before != none:
		m.ring[before].older = e.older
	case e.older != none:
		m.latest[e.key] = e.older
	default:
		delete(m.latest, e.key)
	}
	delete(m.places, e.at)
	e.older = gone
}

// forget drops what is remembered of a place.
func (m *memory) forget(at place) {
	if i, ok := m.places[at]; ok {
		m.drop(i)
	}
}
