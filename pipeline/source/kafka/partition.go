package kafkasource

import (
	"sync"
	"sync/atomic"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
)

// A state is what is done with a partition, and so which goroutine it belongs to.
type state int8

const (
	opening state = iota // it waits for the offset to begin at, and for a lane
	seeking              // its leader is looked up
	reading              // it belongs to the fetch loop of its leader
	doubted              // brokers are asked whether its log is still the one that was read
	mending              // its log lacks the offset to read: why, and what on_gap says to it
	atEnd                // it has been read up to its bound, and belongs to nobody
	givenUp              // it was revoked or lost, or the source closes
)

// A partition is one partition during one assignment. It belongs to one goroutine at a time,
// which alone reads it and moves next: the fetch loop of its leader, or the goroutine that opens
// or mends it. Its state says which one. Whoever passes it on moves it to its next state, and
// does not touch it afterwards.
//
//	      the engine has ended its lane
//	   +----------------------------+---------------------+
//	   v                            |                     |
//	opening ---> seeking ------> reading -------------> atEnd
//	                ^            |  |  ^     its bound is reached
//	                |  an error  |  |  |
//	                +------------+  |  | it is
//	                                v  |
//	                             doubted: is it still the log that was read?
//	                                |
//	                                | it is not
//	                                v
//	                             mending ---> reading, where it was or behind a gap
//
// Seeking is skipped when the leader is known; doubted and mending go through it when none
// is. An error that says that there is no such offset leads from reading to
// mending at once. A lane that the engine ends while its partition is mended is opened
// again. Every state leads to givenUp, and nothing leads out of that. Only this move is
// made by a foreign goroutine, so the owner of the partition checks for it before each step. partition_test.go has the moves as a table, and every test of the
// package fails at a move that is not in it.
type partition struct {
	tp kafka.TopicPartition
	id kafka.TopicID

	next        int64         // where to read on
	epochs      *epochs       // which leaders appended what was read
	leaderEpoch int32         // epoch of the leader whose log was found to have what was read; -2: none
	batchBytes  int           // bytes that the first batch takes, when it did not fit
	partials    int           // polls in a row that brought only a part of it
	fails       int           // answers in a row that were errors
	confirmed   bool          // a leader has answered for next, so that it is in the log; see ready
	quit        chan struct{} // closed when the partition is given up
	bound       atomic.Int64  // stop in front of this offset; -1: never

	reported

	mu    sync.Mutex
	state state
	term  int // of the assignment, or from a gap in the log on
	lane  pipeline.Lane
}

// reported is what reports say of a partition.
type reported struct {
	committed, fetched, highWatermark atomic.Int64 // bounds and doubts look at them too
	inTransactions                    atomic.Int64 // records in front of it that wait for the end of transactions
	committedAt                       atomic.Int64 // nanoseconds since 1970; 0: never
	began                             beginning
}

// A beginning is where and when reading of a partition began.
type beginning struct {
	offset atomic.Int64 // -1: it has not
	at     atomic.Int64 // nanoseconds since 1970; 0: never
}

// newPartition makes a partition without a lane.
func (k *Source) newPartition(tp kafka.TopicPartition, term int) *partition {
	p := &partition{tp: tp, term: term, epochs: k.epochsOf(tp), leaderEpoch: -2, quit: make(chan struct{})}
	k.stop.begin(tp)
	p.bound.Store(-1)
	p.committed.Store(-1)
	p.began.offset.Store(-1)
	p.fetched.Store(-1)
	p.highWatermark.Store(-1)
	return p
}

// moveTo moves the partition on, unless it is given up.
func (p *partition) moveTo(next state) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == givenUp {
		return
	}
	if seen := moved; seen != nil {
		seen(p.state, next)
	}
	p.state = next
}

// moved is told of each move, in tests.
var moved func(from, to state)

func (p *partition) isGivenUp() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == givenUp
}

// atBound says whether reading is to go no further than it has come.
func (p *partition) atBound() bool {
	bound := p.bound.Load()
	return bound >= 0 && p.next >= bound
}

// termNow is the term that the partition is read in.
func (p *partition) termNow() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.term
}

// currentLane is the lane that is read into; nil: where to begin is not known yet.
func (p *partition) currentLane() pipeline.Lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lane
}

// giveUp ends the reading and gives the lane, nil when there is none yet.
func (p *partition) giveUp() pipeline.Lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != givenUp {
		p.state = givenUp
		close(p.quit)
	}
	return p.lane
}

// isAnother says whether an id is that of another topic than the one that p is read of.
func (p *partition) isAnother(id kafka.TopicID) bool {
	return id != p.id && id != (kafka.TopicID{}) && p.id != (kafka.TopicID{})
}
