package kafkasource

import (
	"math/rand/v2"
	"testing"
)

// Buffers are large enough, used again, and those that are kept are bounded and told.
func TestKafkaMemory(t *testing.T) {
	told := int64(0)
	m := &memory{account: func(n int64) { told += n }}
	r := rand.New(rand.NewPCG(1, 2))
	var out [][]byte
	steps := 20_000
	if testing.Short() {
		steps = 2000
	}
	for range steps {
		if len(out) > 0 && r.IntN(2) == 0 {
			i := r.IntN(len(out))
			m.Put(out[i])
			out[i] = out[len(out)-1]
			out = out[:len(out)-1]
		} else {
			n := 1 << r.IntN(24)
			n += r.IntN(n)
			b := m.Get(n)
			if len(b) != 0 || cap(b) < n || n > memoryLeast && n <= memoryMost && cap(b) > 5*n/2 {
				t.Fatalf("a buffer of %d and %d for %d bytes", len(b), cap(b), n)
			}
			if len(out) < 50 {
				out = append(out, b)
			}
		}
		kept := 0
		for class, list := range m.free {
			for _, b := range list {
				if _, size := memoryClass(max(cap(b), memoryLeast+1)); cap(b) > size || len(b) != 0 {
					t.Fatalf("%d bytes in class %d", cap(b), class)
				}
				kept += cap(b)
			}
		}
		if kept != m.bytes || int64(kept) != told || kept > memoryBytes {
			t.Fatalf("%d bytes kept, %d counted, %d told", kept, m.bytes, told)
		}
	}
}

func TestKafkaMemoryIsUsedAgain(t *testing.T) {
	var m memory
	a := m.Get(100_000)
	m.Put(a)
	if b := m.Get(70_000); &a[:1][0] != &b[:1][0] {
		t.Error("a buffer that fits was not used")
	}
	m.Put(a)
	if b := m.Get(20_000); &a[:1][0] == &b[:1][0] {
		t.Error("a buffer of five times the size was used")
	}
	// One that has grown by itself counts for what it holds for certain.
	m = memory{}
	m.Put(make([]byte, 0, 9000))
	if b := m.Get(10_000); cap(b) < 10_000 {
		t.Error("a buffer is too small")
	}
	m.Put(make([]byte, 5000-900+1)) // less than the smallest class
	m.Put(make([]byte, memoryMost+1))
	if n := m.bytes; n != 9000 {
		t.Errorf("%d bytes are kept", n)
	}
	// What nobody asks for any more makes room.
	m = memory{}
	for range 100 {
		m.Put(make([]byte, 100_000))
	}
	for range 3 {
		m.Put(make([]byte, 2<<20))
	}
	if b := m.Get(2 << 20); m.bytes == 0 || cap(b) != 2<<20 {
		t.Error("large buffers are not kept")
	}
}
