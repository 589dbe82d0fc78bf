package kafkasource

import (
	"math/bits"
	"sync"
)

const (
	memoryBytes = 8 << 20 // most that is kept for reuse: little of the smallest budgets that make sense
	memoryLeast = 4 << 10 // what is this small is made anew
	memoryMost  = 4 << 20 // what is larger too: a few of these would leave no room for others
	// Four sizes to each doubling waste at most a fourth.
	memoryBits    = 13 // of the sizes of the first four classes
	memoryClasses = 4 * (22 - memoryBits + 1)
)

// memory keeps buffers for reuse, by size. It is safe for concurrent use, and bounded:
// what does not fit is left to the garbage collector.
type memory struct {
	account func(bytes int64) // told what is kept; may be nil

	mu          sync.Mutex
	free        [memoryClasses][][]byte
	bytes       int
	lastEvicted int // the class that gave room last
}

// memoryClass gives the class of n bytes, between memoryLeast and memoryMost, and the
// size of its buffers, which is at least n.
func memoryClass(n int) (class, size int) {
	doubling := bits.Len(uint(n - 1))
	shift := doubling - 3
	steps := (n + 1<<shift - 1) >> shift // 5 to 8
	return 4*(doubling-memoryBits) + steps - 5, steps << shift
}

// Get implements kafka.Memory.
func (m *memory) Get(n int) []byte {
	if n <= memoryLeast || n > memoryMost {
		return make([]byte, 0, n)
	}
	class, size := memoryClass(n)
	m.mu.Lock()
	for i := class; i < min(class+4, memoryClasses); i++ { // up to twice the size
		if b := m.take(i); b != nil {
			m.mu.Unlock()
			m.tellAccount(-cap(b))
			return b
		}
	}
	m.mu.Unlock()
	return make([]byte, 0, size)
}

// take takes the buffer out that was put back last, whose bytes may still be in the
// caches.
func (m *memory) take(class int) []byte {
	list := m.free[class]
	if len(list) == 0 {
		return nil
	}
	b := list[len(list)-1]
	list[len(list)-1] = nil
	m.free[class] = list[:len(list)-1]
	m.bytes -= cap(b)
	return b
}

// Put implements kafka.Memory. Buffers of sizes that nobody asks for any more make room.
func (m *memory) Put(b []byte) {
	n := cap(b)
	if n <= memoryLeast || n > memoryMost {
		return
	}
	class, size := memoryClass(n)
	if size > n { // it has grown by itself
		class--
	}
	if class < 0 {
		return
	}
	kept := n
	m.mu.Lock()
	for m.bytes+n > memoryBytes {
		m.lastEvicted = (m.lastEvicted + 1) % memoryClasses
		kept -= cap(m.take(m.lastEvicted))
	}
	m.free[class] = append(m.free[class], b[:0])
	m.bytes += n
	m.mu.Unlock()
	m.tellAccount(kept)
}

func (m *memory) tellAccount(bytes int) {
	if m.account != nil && bytes != 0 {
		m.account(int64(bytes))
	}
}
