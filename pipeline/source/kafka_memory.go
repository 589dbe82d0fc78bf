package source

import (
	"sync"

	"github.com/penstockio/penstock/pipeline"
)

const (
	memorySlots  = 64
	memoryBytes  = 16 << 20 // kept for reuse, and charged to nobody
	memoryGrain  = 4 << 10
	slabRecords  = 32 << 10 // records of the slabs kept for reuse together
	recordsGrain = 64
)

// memory keeps buffers and slabs of records for reuse. It is safe for concurrent use,
// and bounded: what does not fit is left to the garbage collector.
type memory struct {
	mu     sync.Mutex
	free   [][]byte
	bytes  int
	slabs  [][]pipeline.Record
	places int // records in slabs
}

// Get implements kafka.Memory.
func (m *memory) Get(n int) []byte {
	m.mu.Lock()
	best := -1
	for i, b := range m.free {
		if cap(b) >= n && cap(b) <= 2*n+memoryGrain && (best < 0 || cap(b) < cap(m.free[best])) {
			best = i
		}
	}
	if best >= 0 {
		b := m.free[best]
		last := len(m.free) - 1
		m.free[best] = m.free[last]
		m.free[last] = nil
		m.free = m.free[:last]
		m.bytes -= cap(b)
		m.mu.Unlock()
		return b[:0]
	}
	m.mu.Unlock()
	if n > memoryGrain {
		n = (n + memoryGrain - 1) &^ (memoryGrain - 1)
	}
	return make([]byte, 0, n)
}

// Put implements kafka.Memory.
func (m *memory) Put(b []byte) {
	if cap(b) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.free) < memorySlots && m.bytes+cap(b) <= memoryBytes {
		m.free = append(m.free, b)
		m.bytes += cap(b)
	}
}

// slab gives an empty slice with room for n records.
func (m *memory) slab(n int) []pipeline.Record {
	m.mu.Lock()
	for i := len(m.slabs) - 1; i >= 0; i-- {
		if s := m.slabs[i]; cap(s) >= n && cap(s) <= 4*n+recordsGrain {
			last := len(m.slabs) - 1
			m.slabs[i] = m.slabs[last]
			m.slabs[last] = nil
			m.slabs = m.slabs[:last]
			m.places -= cap(s)
			m.mu.Unlock()
			return s
		}
	}
	m.mu.Unlock()
	return make([]pipeline.Record, 0, n)
}

// putSlab takes a slab back and lets go of what its records hold.
func (m *memory) putSlab(s []pipeline.Record) {
	clear(s)
	s = s[:0]
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.slabs) < memorySlots && m.places+cap(s) <= slabRecords {
		m.slabs = append(m.slabs, s)
		m.places += cap(s)
	}
}
