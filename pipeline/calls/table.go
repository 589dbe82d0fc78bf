package calls

import (
	"sync"
	"sync/atomic"
)

// mostHosts is how many hosts a table keeps that nothing needs any more.
const mostHosts = 10000

// looks is how many rows a table looks at, at most, for each that comes to it when it is full.
const looks = 8

// A table has something for each host. A row is there while it is used; of the others those that
// are idle go, the least recently used first, when there are too many. One that is neither used nor
// idle, because it still knows something that matters, stays: there are no more of these than hosts
// called within the time for which it matters.
type table[V any] struct {
	most int
	idle func(*V) bool // whether nothing is lost with a row that is not used
	gone func(*V)      // is told of each that is forgotten, with the table unlocked

	mu     sync.Mutex
	byHost map[string]*row[V]
	ring   row[V] // next is the row used last
}

type row[V any] struct {
	host       string
	users      atomic.Int32 // grows under mu of the table alone
	prev, next *row[V]
	value      V
}

// use gives the row of a host. Each use ends with one call of done.
func (t *table[V]) use(host string, fill func(*row[V])) *row[V] {
	r, gone := t.get(host, fill)
	for _, old := range gone {
		t.gone(&old.value)
	}
	return r
}

func (t *table[V]) get(host string, fill func(*row[V])) (r *row[V], gone []*row[V]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, known := t.byHost[host]
	if !known {
		if t.byHost == nil {
			t.byHost = map[string]*row[V]{}
			t.ring.prev, t.ring.next = &t.ring, &t.ring
		}
		gone = t.room()
		r = &row[V]{host: host}
		fill(r)
		t.byHost[host] = r
		t.front(r)
	} else if t.ring.next != r {
		r.unlink()
		t.front(r)
	}
	r.users.Add(1)
	return r, gone
}

func (r *row[V]) done() { r.users.Add(-1) }

// room forgets idle rows while there are too many. What is found in use goes to the front, so that
// it is not looked at again and again.
func (t *table[V]) room() (gone []*row[V]) {
	for range looks {
		r := t.ring.prev
		if len(t.byHost) < t.most || r == &t.ring {
			break
		}
		r.unlink()
		if r.users.Load() == 0 && t.idle(&r.value) {
			delete(t.byHost, r.host)
			gone = append(gone, r)
		} else {
			t.front(r)
		}
	}
	return gone
}

func (t *table[V]) front(r *row[V]) {
	r.prev, r.next = &t.ring, t.ring.next
	r.prev.next, r.next.prev = r, r
}

func (r *row[V]) unlink() { r.prev.next, r.next.prev = r.next, r.prev }

// each calls f for each row. It may not use the table.
func (t *table[V]) each(f func(*row[V])) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.byHost {
		f(r)
	}
}

// clear forgets what is not used, whether it is idle or not.
func (t *table[V]) clear() {
	t.mu.Lock()
	var gone []*row[V]
	for host, r := range t.byHost {
		if r.users.Load() == 0 {
			r.unlink()
			delete(t.byHost, host)
			gone = append(gone, r)
		}
	}
	t.mu.Unlock()
	for _, r := range gone {
		t.gone(&r.value)
	}
}
