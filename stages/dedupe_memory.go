package stages

import (
	"strings"

	"github.com/penstockio/penstock/pipeline"
)

// A digest stands for a key: long keys take no more room than short ones, and nobody finds two
// keys with the same one.
type digest [16]byte

// A location is a position and the number of a part of the record there, with a number for the
// topic.
type location struct {
	topic, partition int32
	offset           int64
	part             int32
}

// An entry is a record that has passed. Those of one key form a list, the latest by
// its time first.
type entry struct {
	key   digest
	at    location
	older int32 // the next of the same key, or none
	time  int64
}

// Values of entry.older, and of an index of an entry, that name none.
const (
	none      int32 = -1
	forgotten int32 = -2 // the entry itself holds nothing any more
)

// maxEntriesPerKey is how many entries of one key are kept: one, and one for each stretch of time
// from which records come late. The times are those of producers: without a bound, one key could
// make each of its records cost more than the one before.
const maxEntriesPerKey = 16

// A memory holds the last size entries. Which of them is forgotten first depends on the
// order in which they came, and not on their times.
type memory struct {
	size      int
	ring      []entry
	next      int32              // the oldest entry of a full ring
	latest    map[digest]int32   // where the list of a key begins
	locations map[location]int32 // the entry of a record
	topics    map[string]int32   // numbers of the names
}

func newMemory(size int) memory {
	return memory{size: size, latest: map[digest]int32{}, locations: map[location]int32{}, topics: map[string]int32{}}
}

// location gives the location of a record, which shares no memory with a batch.
func (m *memory) location(pos pipeline.Position, part int32) location {
	n, ok := m.topics[pos.Topic]
	if !ok {
		n = int32(len(m.topics))
		m.topics[strings.Clone(pos.Topic)] = n
	}
	return location{n, pos.Partition, pos.Offset, part}
}

// first gives the latest entry of a key, or none.
func (m *memory) first(key digest) int32 {
	if i, ok := m.latest[key]; ok {
		return i
	}
	return none
}

// has says whether the record at a location has passed with this key.
func (m *memory) has(key digest, at location) bool {
	i, ok := m.locations[at]
	return ok && m.ring[i].key == key
}

// add adds an entry; in a full ring it takes the room of the one that came first.
func (m *memory) add(key digest, at location, time int64) {
	m.forget(at) // it may have passed with another key, when what the key depends on has changed
	i := int32(len(m.ring))
	if len(m.ring) < m.size {
		m.ring = append(m.ring, entry{})
	} else {
		i = m.next
		m.next = (i + 1) % int32(m.size)
		m.drop(i)
	}
	m.ring[i] = entry{key: key, at: at, older: none, time: time}
	m.locations[at] = i
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
	if n > maxEntriesPerKey {
		m.drop(last)
	}
}

// drop forgets an entry. Its room is not used again before the ring comes round to it: what was
// put there at once would be overwritten long before older entries.
func (m *memory) drop(i int32) {
	e := &m.ring[i]
	if e.older == forgotten {
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
	delete(m.locations, e.at)
	e.older = forgotten
}

// forget drops the entry of the record at a location.
func (m *memory) forget(at location) {
	if i, ok := m.locations[at]; ok {
		m.drop(i)
	}
}
