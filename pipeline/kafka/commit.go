package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// A Mark is what Commit stores for a partition.
type Mark struct {
	Offset int64 // the next to read
	Term   int   // of the assignment: its event's, or Renew's
}

// A CommitError says which partitions of a commit are not stored, and why; all others
// are. It wraps the reasons.
type CommitError struct {
	Partitions map[TopicPartition]error
	err        error
}

func (e *CommitError) Error() string { return "committing offsets: " + e.err.Error() }
func (e *CommitError) Unwrap() error { return e.err }

// A commit is one call of Commit.
//
// Offsets of a partition reach the coordinator in the order of its terms, and rising
// within each, because
//   - a member has one request with offsets under way, and each try is signed anew, with the
//     generation and the terms of that moment: it leaves out partitions whose term has ended, and
//     what is stored already;
//   - a request without an answer takes its connection with it before the next is
//     sent: the broker gets nothing of it any more, and can apply it only if it has it
//     already, whole;
//   - the coordinator refuses a request of an earlier generation, and between two
//     terms of a partition lies a new generation (see Released; after Renew, and
//     within a term, settleDoubts looks at what is stored).
type commit struct {
	m      *member
	left   map[TopicPartition]Mark
	failed map[TopicPartition]error // for good
}

func (m *member) Commit(ctx context.Context, marks map[TopicPartition]Mark) error {
	c := &commit{m: m, left: maps.Clone(marks), failed: map[TopicPartition]error{}}
	for try := 0; ; try++ {
		err := c.tryOnce(ctx)
		switch {
		case len(c.left) == 0:
			return c.result(nil)
		case err == nil:
			return c.result(errors.New("the answer leaves partitions out")) // of all others tryOnce gives the error
		case m.commitFinal(err):
			return c.result(err)
		case !sleep(ctx, min(offsetBackoff<<min(try, 6), maxOffsetBackoff)):
			return c.result(fmt.Errorf("%w: %w", err, ctx.Err()))
		}
	}
}

// result joins what went wrong; err is what all that is left has in common.
func (c *commit) result(err error) error {
	var errs []error
	if err != nil {
		errs = append(errs, err)
	}
	for _, tp := range sortedPartitions(c.failed) {
		errs = append(errs, fmt.Errorf("%v: %w", tp, c.failed[tp]))
	}
	if len(errs) == 0 {
		return nil
	}
	for tp := range c.left {
		c.failed[tp] = err
	}
	return &CommitError{c.failed, joinErrors(errs)}
}

// commitFinal says whether a failed commit must not be tried again. That the member is not in this
// generation of the group (codes 22, 25, 27) is not final: the next heartbeat gets the same answer,
// and either the member goes on with another generation, or it has lost everything and the next try
// is refused.
func (m *member) commitFinal(err error) bool {
	_, does := ruled(err, OnCommit)
	if does == Rejoin {
		m.mu.Lock()
		m.beat = true
		m.mu.Unlock()
		m.lookAgain()
	}
	return does == Report || does == Stop
}

// tryOnce is one try. It takes the partitions with an outcome out of left, and gives an error that
// the rest has in common.
func (c *commit) tryOnce(ctx context.Context) error {
	m := c.m
	select {
	case m.busy <- struct{}{}:
		defer func() { <-m.busy }()
	case <-ctx.Done():
		return fmt.Errorf("waiting for another commit: %w", ctx.Err())
	}
	s := m.sign(func(sign func(TopicPartition, *ownership, int64)) {
		for tp, k := range c.left {
			h := m.ownedIn(tp, k.Term)
			switch {
			case h == nil:
				c.failed[tp] = ErrFenced
				delete(c.left, tp)
			case k.Offset <= h.stored:
				delete(c.left, tp)
			default:
				sign(tp, h, max(k.Offset, h.sent))
			}
		}
	})
	codes, err := m.store(ctx, s)
	if err != nil {
		return err
	}
	for tp, code := range codes {
		if _, ok := c.left[tp]; !ok {
			continue
		}
		if code == 0 {
			delete(c.left, tp)
			continue
		}
		if m.commitFinal(Error(code)) {
			c.failed[tp] = Error(code)
			delete(c.left, tp)
			continue
		}
		err = fmt.Errorf("%v: %w", tp, Error(code))
	}
	return err
}

// A signedCommit is a request with offsets, in the name of one generation of the member.
type signedCommit struct {
	id         string
	generation int32
	offsets    map[TopicPartition]int64
	terms      map[TopicPartition]int
	doubts     map[TopicPartition]int32 // what was in doubt before
}

// sign makes a request of the offsets that choose calls its function with. choose runs with m.mu
// held. What is signed is in doubt until store knows better.
func (m *member) sign(choose func(sign func(TopicPartition, *ownership, int64))) *signedCommit {
	s := &signedCommit{offsets: map[TopicPartition]int64{}, terms: map[TopicPartition]int{}, doubts: map[TopicPartition]int32{}}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.id, s.generation = m.id, m.generation
	choose(func(tp TopicPartition, h *ownership, offset int64) {
		s.offsets[tp], s.terms[tp], s.doubts[tp] = offset, h.term, h.doubt
		h.sent, h.doubt = offset, s.generation // until it is answered, or known not to have begun
	})
	return s
}

// store sends a request and notes what it stores, and what it may have stored. The caller has taken
// busy.
func (m *member) store(ctx context.Context, s *signedCommit) (map[TopicPartition]int16, error) {
	if len(s.offsets) == 0 {
		return nil, nil
	}
	var begun atomic.Bool
	codes, err := m.sendCommit(ctx, s, &begun)
	m.mu.Lock()
	defer m.mu.Unlock()
	for tp, offset := range s.offsets {
		h := m.owned[tp]
		code, answered := codes[tp]
		switch {
		case h == nil || h.term != s.terms[tp] && h.doubt != s.generation:
			continue // another generation refuses it; else it has been renewed
		case answered || !begun.Load():
			h.doubt = s.doubts[tp]
		default:
			h.doubt = s.generation
			m.doubts++
		}
		if answered && code == 0 && h.term == s.terms[tp] {
			h.stored = offset
		}
	}
	m.startSettling()
	return codes, err
}

// sendCommit is OffsetCommit version 7, with the leader epoch unknown: other clients go back in the
// log when the epoch is not exact. begun is set when the coordinator
// may have got it. The error is one of all partitions; those of single ones are codes.
func (m *member) sendCommit(ctx context.Context, s *signedCommit, begun *atomic.Bool) (map[TopicPartition]int16, error) {
	tps := slices.SortedFunc(maps.Keys(s.offsets), comparePartitions)
	x := &exchange{key: protocol.OffsetCommit, body: func(w *writer) {
		begun.Store(true)
		w.string(m.config.Group)
		w.int32(s.generation)
		w.string(s.id)
		w.nullable(m.config.Instance)
		w.topics(tps, func(tp TopicPartition) {
			w.int32(tp.Partition)
			w.int64(s.offsets[tp])
			w.int32(-1)                                               // leader epoch
			w.nullable(m.lineageText(tp, s.offsets[tp], s.terms[tp])) // metadata
		})
	}}
	r, err := m.ask(ctx, m.requestPatience(), x)
	if err != nil {
		return nil, err
	}
	r.int32() // throttle
	codes := make(map[TopicPartition]int16, len(tps))
	moved := int16(0)
	for n := r.array(); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for p := r.array(); p > 0 && r.err == nil; p-- {
			tp, code := TopicPartition{topic, r.int32()}, r.int16()
			codes[tp] = code
			if Error(code).coordinatorMoved() {
				moved = code
			}
		}
	}
	if err := m.code("committing to", r, moved); err != nil {
		return codes, err
	}
	for _, tp := range tps {
		if _, ok := codes[tp]; !ok {
			return codes, fmt.Errorf("committing to group %s: the answer leaves %v out", m.config.Group, tp)
		}
	}
	return codes, nil
}

const (
	firstDoubt = time.Second
	lastDoubt  = 32 * time.Second
)

// startSettling has settleDoubts run while anything is in doubt. The caller holds m.mu.
func (m *member) startSettling() {
	if m.doubts == 0 || m.settling || m.stopped {
		return
	}
	m.settling = true
	m.tasks.Go(m.settleDoubts)
}

// settleDoubts looks at what is stored after a commit got no answer: one that the
// broker had received may be applied late, behind a later one, and within a generation
// nothing refuses it. Where an offset has gone back behind the last that the coordinator
// has acknowledged, the last is stored again. A broker that answers has soon carried out the requests
// of closed connections, so it is looked at 1, 3, 7, 15, 31 and 63 seconds after the last doubt. What
// is applied later than that stands until the partition's next commit: records may be read again,
// and none is skipped. A new generation after each doubt would be strict, and would rebalance the
// whole group each time a connection breaks.
func (m *member) settleDoubts() {
	for wait, seen := firstDoubt, 0; ; wait *= 2 {
		if wait <= lastDoubt && !sleep(m.ctx, wait) {
			return
		}
		m.mu.Lock()
		if m.doubts != seen {
			wait, seen = firstDoubt, m.doubts
		}
		var doubted []TopicPartition
		for _, tp := range sortedPartitions(m.owned) {
			if m.owned[tp].doubt >= 0 {
				doubted = append(doubted, tp)
			}
		}
		finished := len(doubted) == 0 || wait > lastDoubt || m.stopped
		if finished {
			for _, tp := range doubted {
				m.owned[tp].doubt = -1
			}
			m.doubts, m.settling = 0, false
		}
		m.mu.Unlock()
		if finished {
			return
		}
		m.storeAgain(doubted)
	}
}

// storeAgain asks for offsets and stores those again that have gone back. It has busy meanwhile, so
// that no other commit comes between asking and storing.
func (m *member) storeAgain(tps []TopicPartition) {
	select {
	case m.busy <- struct{}{}:
		defer func() { <-m.busy }()
	case <-m.ctx.Done():
		return
	}
	got, err := m.fetchOffsets(m.ctx, tps)
	if err != nil {
		return // until the next look
	}
	_, _ = m.store(m.ctx, m.sign(func(sign func(TopicPartition, *ownership, int64)) {
		for tp, offset := range got {
			// A higher offset than the last acknowledged one is a late commit of this term, and
			// was earned; after Renew it may be one of the earlier log.
			if h := m.owned[tp]; h != nil && h.stored >= 0 && (offset < h.stored || h.renewed && offset > h.sent) {
				sign(tp, h, h.sent)
			}
		}
	}))
}
