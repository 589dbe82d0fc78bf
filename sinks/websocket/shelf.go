package websocketsink

import "sync"

// A shelf keeps the latest messages, in order, for all clients. A client is a place on it and has no queue of its own: memory
// does not depend on how many there are, nor on how slow they are, and from what is past to what is live there is no seam at which a message could be
// missing or come twice.
//
// It never waits. What is pushed off it while clients are sending it stays charged until the last of them has given it back.
type shelf struct {
	mostCount int
	mostBytes int64             // the newest message does not count
	charge    func(bytes int64) // may be nil

	mu      sync.RWMutex
	places  []*message // the message n is at n % len(places)
	first   uint64     // number of the oldest that is there
	next    uint64     // number that the next message gets
	bytes   int64      // of those that are there
	total   int64      // of all that have ever been there
	changed chan struct{}
}

func newShelf(count int, bytes int64, charge func(int64)) *shelf {
	return &shelf{mostCount: count, mostBytes: bytes, charge: charge, places: make([]*message, count), first: 1, next: 1, changed: make(chan struct{})}
}

func (s *shelf) at(n uint64) **message { return &s.places[n%uint64(len(s.places))] }

// push adds messages, in order, wakes who waits for some, and gives the number of the next.
func (s *shelf) push(all []*message) (next uint64) {
	s.mu.Lock()
	grown := int64(0)
	for _, m := range all {
		for s.first < s.next && (s.next-s.first >= uint64(s.mostCount) || s.bytes > s.mostBytes) {
			grown -= s.drop()
		}
		m.number, m.before = s.next, s.total
		m.users.Store(1)
		*s.at(m.number) = m
		s.next++
		s.bytes += m.size
		s.total += m.size
		grown += m.size
	}
	next = s.next
	changed := s.changed
	s.changed = make(chan struct{})
	s.mu.Unlock()
	close(changed)
	s.account(grown)
	return next
}

// drop takes the oldest message off, and gives what is no longer charged. The lock is held.
func (s *shelf) drop() (freed int64) {
	place := s.at(s.first)
	m := *place
	*place = nil
	s.first++
	s.bytes -= m.size
	return m.leave()
}

// leave notes that one less uses the message, and gives what was charged for it when nobody does any more.
func (m *message) leave() (freed int64) {
	if m.users.Add(-1) > 0 {
		return 0
	}
	return m.size
}

func (s *shelf) account(bytes int64) {
	if s.charge != nil && bytes != 0 {
		s.charge(bytes)
	}
}

// from gives messages from number n on, as many as into has room for and about most bytes, at least one when there is one. ok is false when n is not
// there any more. When there is none yet, changed is closed when there may be one. Who gets messages gives them back.
func (s *shelf) from(n uint64, into []*message, most int64) (got []*message, changed <-chan struct{}, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if n < s.first {
		return nil, nil, false
	}
	got = into[:0]
	for bytes := int64(0); n < s.next && len(got) < cap(into) && (bytes == 0 || bytes < most); n++ {
		m := *s.at(n)
		m.users.Add(1)
		bytes += m.size
		got = append(got, m)
	}
	return got, s.changed, true
}

// back gives messages back.
func (s *shelf) back(all ...*message) {
	freed := int64(0)
	for _, m := range all {
		freed += m.leave()
	}
	s.account(-freed)
}

// ends says where the shelf begins and ends: the numbers of the oldest message and of the next, and how many bytes have been pushed.
func (s *shelf) ends() (first, next uint64, total int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.first, s.next, s.total
}

// newest gives how many bytes there were before the newest message.
func (s *shelf) newest() (next uint64, before int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.first == s.next {
		return s.next, s.total
	}
	return s.next, (*s.at(s.next - 1)).before
}

// past gives the messages of before the one with number end, from the newest to the oldest, until yield returns false: at most
// count and about most bytes of them. They are looked at without the lock.
func (s *shelf) past(end uint64, count int, most int64, yield func(*message) bool) {
	for bytes := int64(0); count > 0 && end > 1; count-- {
		end--
		got, _, ok := s.from(end, make([]*message, 0, 1), 1)
		if !ok || len(got) == 0 {
			return
		}
		m := got[0]
		bytes += m.size
		more := bytes <= most && yield(m)
		s.back(m)
		if !more {
			return
		}
	}
}

// clear takes everything off.
func (s *shelf) clear() {
	s.mu.Lock()
	freed := int64(0)
	for s.first < s.next {
		freed += s.drop()
	}
	s.mu.Unlock()
	s.account(-freed)
}
