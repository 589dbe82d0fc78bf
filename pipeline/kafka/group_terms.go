package kafka

// An ownership is what a member knows of a partition that it owns, in one term. Terms number the
// assignments, so that what belongs to an earlier assignment of a partition is told from what
// belongs to a later one. A member never uses a term twice.
type ownership struct {
	term    int
	revoked bool  // and not released yet
	sent    int64 // the highest offset that a commit was sent for in this term; -1: none
	stored  int64 // the last that the coordinator has acknowledged; -1: none
	doubt   int32 // the generation of a commit that is under way or was given up on; -1: none
	renewed bool  // by Renew: what is in doubt may be an offset of the earlier log, and higher
}

func newOwnership(term int) *ownership {
	return &ownership{term: term, sent: -1, stored: -1, doubt: -1}
}

// begin makes partitions the member's, in a new term. The caller holds m.mu.
func (m *member) begin(tps []TopicPartition) {
	m.term++
	for _, tp := range tps {
		m.owned[tp] = newOwnership(m.term)
	}
}

// ownedIn gives the ownership of a partition in a term; nil when the term has ended. The caller
// holds m.mu.
func (m *member) ownedIn(tp TopicPartition, term int) *ownership {
	if h := m.owned[tp]; h != nil && h.term == term && !m.stopped {
		return h
	}
	return nil
}

func (m *member) Owns(tp TopicPartition, term int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ownedIn(tp, term) != nil
}

func (m *member) Renew(tp TopicPartition, term int) (int, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.ownedIn(tp, term)
	if h == nil {
		return 0, false
	}
	m.term++
	h.term, h.sent, h.stored, h.renewed = m.term, -1, -1, true // a commit in doubt stays in doubt
	return m.term, true
}
