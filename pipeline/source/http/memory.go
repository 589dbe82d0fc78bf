package http

import (
	"crypto/sha256"
	"sync"
	"time"
)

// A memory knows the Idempotency-Keys of requests that are under way or were answered.
//
// What it guarantees. Of the requests with one key one at a time goes through the pipeline, and once it has been answered with a 2xx none
// does until the key is forgotten. One that came to nothing is forgotten at once. With a file a key is on disk before its request is
// answered; what was durable at the sinks and not on disk here when the process was killed is not known afterwards.
type memory struct {
	keep    time.Duration
	size    int
	file    *keyFile // nil: there is none
	account func(bytes int64)

	mu      sync.Mutex
	entries map[string]*entry
	done    []*entry // that were answered, the oldest first
}

// An entry is one key.
type entry struct {
	key  string
	hash [sha256.Size]byte // of the body

	ended     chan struct{} // closed when the rest is known
	result    result
	forgotten bool     // it came to nothing
	refusal   *refusal // of one that was forgotten though its records were taken: what is known of them

	storing sync.Mutex
	stored  bool // guarded by storing
}

// perKey is what a key takes in memory beside its text.
const perKey = 320

func newMemory(i Idempotency) *memory {
	m := &memory{keep: i.Keep, size: i.Size, account: func(int64) {}, entries: map[string]*entry{}}
	if i.File != "" {
		m.file = newKeyFile(string(i.File), m)
	}
	return m
}

// onLost has do called when somebody has taken the file away.
func (m *memory) onLost(do func()) {
	if m.file != nil {
		m.file.lost = do
	}
}

func (m *memory) ping() error {
	if m.file == nil {
		return nil
	}
	return m.file.ping()
}

// open reads the file.
func (m *memory) open() error {
	if m.file == nil {
		return nil
	}
	return m.file.open(func(e *entry, undone bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if undone {
			delete(m.entries, e.key)
			return
		}
		// A key stands there twice when a write was tried again, or when it was forgotten and used again: then the last counts.
		if one := m.entries[e.key]; one == nil || one.hash != e.hash || one.result != e.result {
			m.add(e)
		}
	})
}

func (m *memory) close() error {
	if m.file == nil {
		return nil
	}
	return m.file.close()
}

// begin gives the entry of a key, and says whether this is the first that is known of it.
func (m *memory) begin(key string, hash [sha256.Size]byte) (e *entry, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tidy()
	if e = m.entries[key]; e != nil {
		return e, false
	}
	e = &entry{key: key, hash: hash, ended: make(chan struct{})}
	m.entries[key] = e
	return e, true
}

// end notes what a request is answered, before it is stored.
func (m *memory) end(e *entry, t result) {
	e.result = t
	m.mu.Lock()
	m.add(e)
	m.mu.Unlock()
	_ = m.store(e) // whoever asks for it tries again
	close(e.ended)
}

// add notes an entry that has its result. The lock is held.
func (m *memory) add(e *entry) {
	m.entries[e.key] = e
	m.done = append(m.done, e)
	m.account(int64(len(e.key)) + perKey)
	m.tidy()
}

// store has an entry on disk, if there is a file.
func (m *memory) store(e *entry) error {
	if m.file == nil {
		return nil
	}
	e.storing.Lock()
	defer e.storing.Unlock()
	if e.stored {
		return nil
	}
	err := m.file.append(stored(e).line())
	e.stored = err == nil
	return err
}

// find gives the entry of a key that is under way or was answered; nil: there is none.
func (m *memory) find(key string) *entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tidy()
	return m.entries[key]
}

// forget drops a key whose request came to nothing, or to no outcome, which no says then. nil: there is none.
func (m *memory) forget(e *entry, no *refusal) {
	if e == nil {
		return
	}
	m.mu.Lock()
	delete(m.entries, e.key)
	m.mu.Unlock()
	e.forgotten, e.refusal = true, no
	close(e.ended)
}

// undo drops a key that was answered, whose records came to nothing afterwards.
func (m *memory) undo(e *entry) error {
	m.mu.Lock()
	known := m.drop(e)
	m.mu.Unlock()
	if m.file == nil || !known {
		return nil
	}
	e.storing.Lock() // nobody stores it behind that
	defer e.storing.Unlock()
	e.stored = true
	k := stored(e)
	k.Undone = true
	return m.file.append(k.line())
}

// drop drops an entry that was answered, unless another has its place. Its turn among the answered ones stays until it is old. The lock is held.
func (m *memory) drop(e *entry) bool {
	known := m.entries[e.key] == e
	if known {
		delete(m.entries, e.key)
	}
	return known
}

// tidy drops what is too old, and what is too much. The lock is held.
func (m *memory) tidy() {
	old := time.Now().Add(-m.keep).UnixMilli()
	for len(m.done) > 0 && (len(m.done) > m.size || m.done[0].result.At < old) {
		e := m.done[0]
		m.done[0], m.done = nil, m.done[1:]
		m.drop(e)
		m.account(-int64(len(e.key)) - perKey)
	}
}

// count says how many lines there would be.
func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.done)
}

// lines gives the lines of all keys that were answered, for a file that is written anew.
func (m *memory) lines() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tidy()
	all := make([][]byte, 0, len(m.done))
	for _, e := range m.done {
		if m.entries[e.key] == e {
			all = append(all, stored(e).line())
		}
	}
	return all
}
