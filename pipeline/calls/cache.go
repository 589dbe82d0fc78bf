package calls

import (
	"math"
	"time"
)

// entryBytes is about how much memory an entry takes beside its key and its answer, with its place in
// the map: 130 to 155 bytes were measured.
const entryBytes = 160

// A cache keeps answers by their keys, bounded in entries and in bytes. Which go first is decided
// by SIEVE: a hand walks from the oldest to the newest, over and over, and takes out what has
// not been used since it last came by. A hit only sets a flag, and keys that come once do not
// push out those that come again and again.
//
// Its methods are called under the lock of Calls: whether an answer is known, and whether it is
// being asked for, are one question.
type cache[A any] struct {
	settings CacheSettings
	most     int64 // bytes
	charge   func(bytes int64)
	began    time.Time

	byKey map[string]*entry[A] // nil: closed
	bytes int64
	ring  entry[A]  // next is the newest
	hand  *entry[A] // the next to be looked at for room
	broom *entry[A] // the next to be looked at for being of no use any more
}

// An entry is an answer that is kept. It does not change but for where it stands, so that whoever
// has found it may use it when it has been taken out.
type entry[A any] struct {
	key    string
	answer A
	bytes  int64

	// In time since began: until when it is used, stands in while its host fails, and is good for
	// anything.
	fresh, stands, dies time.Duration

	used       bool // since the hand last came by
	prev, next *entry[A]
}

func newCache[A any](s CacheSettings) *cache[A] {
	d := DefaultCache()
	if s.Entries == 0 {
		s.Entries = d.Entries
	}
	if s.Bytes == 0 {
		s.Bytes = d.Bytes
	}
	if s.NegativeTTL == 0 {
		s.NegativeTTL = s.TTL
	}
	c := &cache[A]{settings: s, most: int64(s.Bytes), charge: func(int64) {}, began: time.Now(), byKey: map[string]*entry[A]{}}
	c.ring.prev, c.ring.next = &c.ring, &c.ring
	c.hand, c.broom = &c.ring, &c.ring
	return c
}

func (c *cache[A]) now() time.Duration { return time.Since(c.began) }

// get gives what is kept for a key and still of any use, nil when there is nothing.
func (c *cache[A]) get(key string, now time.Duration) *entry[A] {
	e := c.byKey[key]
	if e == nil {
		return nil
	}
	if now >= e.dies {
		c.drop(e)
		return nil
	}
	e.used = true
	return e
}

// put keeps an answer in place of the one that is kept for the key. What does not fit is not kept.
func (c *cache[A]) put(key string, r Reply[A], now time.Duration) {
	old := c.byKey[key]
	if old != nil {
		c.drop(old)
	}
	e := c.entry(key, r, now)
	if e == nil || e.bytes > c.most || c.byKey == nil {
		return
	}
	c.sweep(now)
	for len(c.byKey) >= c.settings.Entries || c.bytes+e.bytes > c.most {
		c.evict(now)
	}
	e.used = old != nil && old.used
	e.prev, e.next = &c.ring, c.ring.next
	e.prev.next, e.next.prev = e, e
	c.byKey[key] = e
	c.bytes += e.bytes
	c.charge(e.bytes)
}

// entry makes what is kept of a reply, nil when that is nothing.
func (c *cache[A]) entry(key string, r Reply[A], now time.Duration) *entry[A] {
	ttl, stale := r.TTL, r.Stale
	if ttl == 0 {
		ttl = c.settings.TTL
		if r.Negative {
			ttl = c.settings.NegativeTTL
		}
	}
	switch {
	case r.Negative: // that there was none may have a record rejected, and it may be there by now
		stale = 0
	case stale == 0:
		stale = c.settings.Stale
	}
	if ttl <= 0 {
		return nil
	}
	e := &entry[A]{key: key, answer: r.Answer, bytes: int64(len(key)) + int64(max(r.Bytes, 0)) + entryBytes}
	e.fresh = later(now, ttl)
	e.stands = later(e.fresh, max(stale, 0))
	e.dies = e.stands
	if r.Validates {
		e.dies = math.MaxInt64
	}
	return e
}

// later adds without running over.
func later(at, d time.Duration) time.Duration {
	if d > math.MaxInt64-at {
		return math.MaxInt64
	}
	return at + d
}

// evict takes out one entry, of which there is at least one.
func (c *cache[A]) evict(now time.Duration) {
	for {
		if c.hand == &c.ring {
			c.hand = c.ring.prev
		}
		e := c.hand
		if !e.used || now >= e.dies {
			c.drop(e)
			return
		}
		e.used = false
		c.hand = e.prev
	}
}

// sweep looks at two entries for each that comes, so that those of no use any more do not stay
// until there is no room.
func (c *cache[A]) sweep(now time.Duration) {
	for range 2 {
		if c.broom == &c.ring {
			c.broom = c.ring.prev
		}
		e := c.broom
		if e == &c.ring {
			return
		}
		c.broom = e.prev
		if now >= e.dies {
			c.drop(e)
		}
	}
}

// drop takes an entry out.
func (c *cache[A]) drop(e *entry[A]) {
	if c.hand == e {
		c.hand = e.prev
	}
	if c.broom == e {
		c.broom = e.prev
	}
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil // whoever still uses its answer does not hold the others
	delete(c.byKey, e.key)
	c.bytes -= e.bytes
	c.charge(-e.bytes)
}

// forget takes out what is kept for a key.
func (c *cache[A]) forget(key string) {
	if e := c.byKey[key]; e != nil {
		c.drop(e)
	}
}

func (c *cache[A]) close() {
	for c.ring.next != &c.ring {
		c.drop(c.ring.next)
	}
	c.byKey = nil
}
