package kafkasource

import (
	"sync"
	"sync/atomic"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
)

// A state is what is done with a partition, and so who holds it.
type state int8

const (
	opening state = iota // it waits for the offset to begin at, and for a lane
	seeking              // its leader is asked for
	reading              // the fetch loop of its leader has it
	doubted              // whether the log is still the one that was read is asked
	mending              // what to do about an offset that is not there is found out, and done
	atEnd                // it has been read up to its bound: nobody has it
	givenUp              // it was revoked or lost, or the source closes
)

// A partition is one partition during one assignment. It has one holder at a
// time, who alone reads and moves next: the fetch loop of its leader, or the goroutine
// that opens or mends it. Its state says who that is; the holder that gives it away
// moves it on.
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
// Where a leader is known, seeking is passed over; where none is, doubted and mending go
// by it too. An error that says that there is no such offset leads from reading to
// mending at once. A lane that the engine ends while its partition is mended is opened
// again. Every state leads to givenUp, and nothing leads out of that: it is the one move
// that another than the holder makes, so each holder looks for it before it goes on.
// partition_test.go has the moves as a table, and every test of the package that sees
// another one ends there.
type partition struct {
	tp kafka.TopicPartition
	id kafka.TopicID

	next   int64         // where to read on
	epochs *epochs       // which leaders appended what was read
	leader int32         // epoch of the leader that has been found to have it; -2: none
	need   int           // bytes that the first batch takes, when it did not fit
	small  int           // polls that brought a part of it alone
	fails  int           // answers in a row that were errors
	shown  bool          // a leader has answered for next, so that it is in the log; see ready
	quit   chan struct{} // closed when the partition is given up
	bound  atomic.Int64  // stop in front of this offset; -1: never

	committed, fetched, end atomic.Int64 // for reports; end is the high watermark
	held                    atomic.Int64 // records before it that open transactions hold back
	committedAt             atomic.Int64 // nanoseconds since 1970; 0: never

	mu    sync.Mutex
	state state
	term  int // of the assignment, or from a gap in the log on
	lane  pipeline.Lane
}

// newPartition makes a partition without a lane.
func (k *Source) newPartition(tp kafka.TopicPartition, term int) *partition {
	p := &partition{tp: tp, term: term, epochs: k.epochsOf(tp), leader: -2, quit: make(chan struct{})}
	k.stop.begin(tp)
	p.bound.Store(-1)
	p.committed.Store(-1)
	p.fetched.Store(-1)
	p.end.Store(-1)
	return p
}

// to moves the partition on, unless it is given up.
func (p *partition) to(next state) {
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

func (p *partition) isGone() bool {
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

// current is the lane that is read into; nil: where to begin is not known yet.
func (p *partition) current() pipeline.Lane {
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
