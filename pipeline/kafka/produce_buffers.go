package kafka

import (
	"runtime"
	"sync"

	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// buffers are the memory that a producer holds beside the messages that it is given:
// encoded batches, and what is kept to encode the next ones. account is told of every byte when
// it is allocated, and when it is left to the garbage collector.
type buffers struct {
	account func(bytes int64)
	packing chan struct{} // has as many places as may compress at once

	mu     sync.Mutex
	closed bool
	free   [][]byte // the oldest first
	kept   int      // bytes in free
	packs  []*packer
}

const (
	// maxFree and maxKept bound what is kept for the next batches, in buffers and in bytes
	// together. Without it each batch is fresh memory, cleared and collected: three times
	// the CPU (BenchmarkPrepare). A Write of the Kafka sink is 1 MiB.
	maxFree = 128
	maxKept = 8 << 20
	// maxPacks bounds the compressors, which are several MiB each, and maxPacked what one
	// of them keeps of a record that was larger than a batch.
	maxPacks  = 16
	maxPacked = 2 << 20
	// frontRoom is in front of each batch: what a request has there is written together
	// with it.
	frontRoom = 128
)

func (m *buffers) init(account func(bytes int64)) {
	if account == nil {
		account = func(int64) {}
	}
	m.account = account
	m.packing = make(chan struct{}, min(runtime.GOMAXPROCS(0), maxPacks))
}

// take gives a buffer of no length, with room for n bytes and little more.
func (m *buffers) take(n int) []byte {
	m.mu.Lock()
	best := -1
	for i, b := range m.free {
		if cap(b) >= n && cap(b) <= n+n/2+4<<10 && (best < 0 || cap(b) < cap(m.free[best])) {
			best = i
		}
	}
	if best >= 0 {
		b := m.remove(best)
		m.mu.Unlock()
		return b
	}
	m.mu.Unlock()
	n = roundUp(n)
	m.account(int64(n))
	return make([]byte, 0, n)
}

// roundUp makes sizes that differ a little equal, so that a buffer serves again.
func roundUp(n int) int {
	grain := 1 << 10
	if n > 32<<10 {
		grain = 8 << 10 // Go gives out no less
	}
	return (n + grain - 1) &^ (grain - 1)
}

// remove takes a buffer out of free. The caller holds m.mu.
func (m *buffers) remove(i int) []byte {
	b := m.free[i]
	m.free = append(m.free[:i], m.free[i+1:]...)
	m.free[:len(m.free)+1][len(m.free)] = nil
	m.kept -= cap(b)
	return b[:0]
}

// put takes a buffer back, and drops the oldest ones that there is no room for.
func (m *buffers) put(b []byte) {
	if cap(b) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || cap(b) > maxKept {
		m.account(-int64(cap(b)))
		return
	}
	for len(m.free) == maxFree || m.kept+cap(b) > maxKept {
		m.account(-int64(cap(m.remove(0))))
	}
	m.free = append(m.free, b)
	m.kept += cap(b)
}

// close drops everything that is kept; nothing is kept any more.
func (m *buffers) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for len(m.free) > 0 {
		m.account(-int64(cap(m.remove(0))))
	}
	for _, k := range m.packs {
		m.account(-k.weight)
	}
	m.packs = nil
}

// A packer compresses the records of one batch.
type packer struct {
	recordbatch.Compressor
	raw, out []byte // records before and after
	weight   int64  // as told to account
	extra    bool   // it is not kept
}

// takePacker gives a packer, for putPacker to take back. More of them than processors would only
// hold memory, so it waits for one that is free, unless wait is false.
func (m *buffers) takePacker(wait bool) *packer {
	select {
	case m.packing <- struct{}{}:
	default:
		if !wait {
			return &packer{extra: true}
		}
		m.packing <- struct{}{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.packs)
	if n == 0 {
		return new(packer)
	}
	k := m.packs[n-1] // the one that was used last: others are made only when they are needed
	m.packs = m.packs[:n-1]
	return k
}

// weigh tells account what k has grown to.
func (m *buffers) weigh(k *packer, codec recordbatch.Codec) {
	now := int64(cap(k.raw)+cap(k.out)) + codec.Weight()
	if now != k.weight {
		m.account(now - k.weight)
		k.weight = now
	}
}

// putPacker takes a packer back.
func (m *buffers) putPacker(k *packer, codec recordbatch.Codec) {
	if cap(k.raw) > maxPacked || cap(k.out) > maxPacked {
		k.raw, k.out = nil, nil
	}
	m.weigh(k, codec)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || k.extra {
		m.account(-k.weight)
	} else {
		m.packs = append(m.packs, k)
	}
	if !k.extra {
		<-m.packing
	}
}
