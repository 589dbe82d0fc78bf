package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ErrFenced refuses what belongs to an assignment that has ended: the member has been thrown out
// of its group since, or has given the partition back.
var ErrFenced = errors.New("the group has given this partition to somebody else, or may have")

// An Event says how the partitions of a member change. Events come in order. One with
// no partitions tells a new generation.
type Event struct {
	// Assigned partitions are the member's from now on. Start at Committed.
	Assigned []TopicPartition
	// Revoked partitions are to be given back: finish what is in flight, commit, and
	// call Released. Until then they stay the member's, however long it takes.
	Revoked []TopicPartition
	// Lost partitions are somebody else's already, or may be: drop what is in flight
	// and commit nothing. No Released is due. The life counter has grown.
	Lost []TopicPartition
	// Term is the one that Assigned begin: Commit asks for it.
	Term       int
	Generation int32
	MemberID   string
	// Err is why the member has stopped for good; it comes with the last event.
	Err error
}

// A Group is a member of a consumer group: it joins when it is made and keeps its
// place, with heartbeats that go on whatever its partitions do. Its methods are safe
// for concurrent use.
type Group interface {
	// Events receives every change. It is closed when the member has stopped. The
	// member does not wait for the receiver.
	Events() <-chan Event

	// Released gives revoked partitions back: their work is done and committed. Any
	// part of those revoked may be given at any time; others are ignored.
	Released(tps []TopicPartition)

	// Commit stores offsets, and waits until they are stored. It tries again by itself
	// until ctx ends. Partitions whose term has ended are left out of each try, with
	// ErrFenced. The error is a *CommitError; partitions that it does not name are
	// stored. What is stored in a term never goes back: a lower offset counts as
	// stored already.
	Commit(ctx context.Context, marks map[TopicPartition]Mark) error

	// Committed gives the stored offsets; -1 where there is none. Those that a
	// transaction is about to move are left out: ask for them again. It tries again by
	// itself until ctx ends.
	Committed(ctx context.Context, tps []TopicPartition) (map[TopicPartition]int64, error)

	// SettleStart gives the stored offsets of all partitions of one topic, -1 where there is
	// none. If there is none in any of them, it stores those that at gives, for all in
	// one request, if the member has the topic's partition 0; else it refuses with
	// ErrUnsettled: the member that has it will store them. It refuses with ErrFenced
	// when the member has left. An error leaves open whether they were stored: ask again.
	SettleStart(ctx context.Context, tps []TopicPartition, at func(context.Context) (map[TopicPartition]int64, error)) (map[TopicPartition]int64, error)

	// StoredLineage gives what was stored with the offset when it was last read, of which
	// nothing is known when it was stored by another client.
	StoredLineage(tp TopicPartition, offset int64) Lineage

	// Owns says whether a term goes on: the partition has not been lost since, nor
	// given back. One that is to be given back is still owned.
	Owns(tp TopicPartition, term int) bool

	// Renew ends a term and begins another, without a change of the assignment: the log is
	// another one, or was truncated, and offsets begin anew, lower perhaps than those that
	// were stored. It gives false when the term has ended.
	Renew(tp TopicPartition, term int) (int, bool)

	// Silent says for how long the coordinator has not answered: since the first of the requests
	// that failed without an answer. 0: the last one was answered. One under way does not count
	// yet; heartbeats wait for half a session at most.
	Silent() time.Duration

	// Life counts how often everything was lost.
	Life() int

	// Leave stops the member. The group shares its partitions out at once, unless
	// keep is set and the member has an instance id: then they wait for its return,
	// for one session. Leave does not wait past ctx.
	Leave(ctx context.Context, keep bool) error
}

// A GroupConfig is what a member says of itself. Group and Topics are required.
type GroupConfig struct {
	Group     string
	Topics    []string
	Session   time.Duration // without heartbeats, until the group goes on without it. 0: 10s
	Heartbeat time.Duration // 0: 500ms; 100ms, if that is less, for 2s after any change
	Rebalance time.Duration // how long the group waits for it to join again. 0: 60s
	Instance  string        // static membership: a name of its own that survives restarts
	Watch     time.Duration // how often the topics are looked at. 0: 5s
	// Lineage tells of which log an offset is that is committed in a term, which is stored with
	// the offset. The term is -1 for what SettleStart stores of a partition that is not the
	// member's. nil: nothing is stored with offsets. It must not block.
	Lineage func(tp TopicPartition, offset int64, term int) Lineage
	// Report hears of what is wrong and passes without ending the member. nil: nobody
	// does. It must not block.
	Report func(error)
}

const (
	fastHeartbeat = 100 * time.Millisecond
	fastFor       = 2 * time.Second
	groupBackoff  = 50 * time.Millisecond
	maxBackoff    = time.Second
	releaseWait   = 20 * time.Millisecond
	leaveTries    = 3
)

// groupProtocol is the only one the member speaks.
const groupProtocol = "cooperative-sticky"

// member is the classic group protocol's Group.
//
// Reason for its size: one lock guards what the group says of the member and what the member has,
// which change together with each answer.
type member struct {
	client *Client
	config GroupConfig
	events eventQueue
	ctx    context.Context // ends when the member leaves
	cancel context.CancelFunc
	done   chan struct{} // closed when run has returned
	wake   chan struct{} // something for the loop to look at; capacity 1

	busy  chan struct{}  // capacity 1: one request with offsets at a time
	tasks sync.WaitGroup // what runs beside the loop and ends with ctx

	mu         sync.Mutex
	stopped    bool
	id         string
	generation int32
	life       int
	term       int // the last that has begun
	owned      map[TopicPartition]*ownership
	settling   bool                        // settleDoubts runs
	doubts     int                         // commits that were given up on
	assigned   map[TopicPartition]struct{} // by the last SyncGroup
	rejoin     bool                        // the group must be told that owned has changed
	beat       bool                        // send a heartbeat now
	changed    time.Time                   // of the last change, for the heartbeat's pace
	leading    bool
	stored     map[TopicPartition]storedLineage
	absent     map[string]int        // looks in a row at which a topic was unknown
	topics     map[string]topicState // what the assignment is based on; of the leader alone
	left       chan struct{}         // closed when Leave has told the group
	silent     time.Time             // when the first of the requests was sent that failed without an answer; zero: none
}

// topicState is what is compared to notice that a topic has changed.
type topicState struct {
	partitions int32
	id         TopicID
	doubt      error // why nothing is known of it; the topic may not exist
}

// NewGroup joins a group and returns at once; the first event tells that it has
// joined. The client is not closed by it. End it with Leave.
func NewGroup(client *Client, config GroupConfig) (Group, error) {
	if config.Group == "" || len(config.Topics) == 0 {
		return nil, errors.New("joining a group: it needs a name and at least one topic")
	}
	config.Topics = slices.Compact(slices.Sorted(slices.Values(config.Topics)))
	setDefault(&config.Session, 10*time.Second)
	setDefault(&config.Heartbeat, 500*time.Millisecond)
	setDefault(&config.Rebalance, time.Minute)
	setDefault(&config.Watch, 5*time.Second)
	m := &member{
		client: client, config: config, generation: -1,
		owned: map[TopicPartition]*ownership{}, assigned: map[TopicPartition]struct{}{},
		stored: map[TopicPartition]storedLineage{}, absent: map[string]int{},
		done: make(chan struct{}), wake: make(chan struct{}, 1),
		busy: make(chan struct{}, 1),
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.events.start()
	go m.run()
	return m, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

func (m *member) Events() <-chan Event { return m.events.out }

func (m *member) Life() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.life
}

func (m *member) Silent() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.silent.IsZero() {
		return 0
	}
	return time.Since(m.silent)
}

func (m *member) Released(tps []TopicPartition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var reassigned []TopicPartition
	for _, tp := range tps {
		h := m.owned[tp]
		if h == nil || !h.revoked {
			continue
		}
		// The group may have assigned it to this member again while it was draining. But a
		// commit of this generation that has no answer could be applied in the new term:
		// then the group must hear of the release first, whose next generation refuses it.
		if _, ok := m.assigned[tp]; ok && (h.doubt < 0 || h.doubt != m.generation) {
			reassigned = append(reassigned, tp)
			continue
		}
		delete(m.owned, tp)
		m.rejoin, m.changed = true, time.Now()
	}
	if len(reassigned) > 0 && !m.stopped {
		m.begin(reassigned)
		m.emit(Event{Assigned: reassigned, Term: m.term})
	}
	m.lookAgain()
}

// emit queues an event. The caller holds m.mu, so that events keep the order of the
// changes that they tell.
func (m *member) emit(e Event) {
	e.Generation, e.MemberID = m.generation, m.id
	m.changed = time.Now()
	m.events.put(e)
}

// lookAgain has the loop of run look at what has changed.
func (m *member) lookAgain() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// lose takes everything from the member, before it joins again: others may have it.
// Without forget it keeps its member id.
func (m *member) lose(forget bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life++
	lost := sortedPartitions(m.owned)
	clear(m.owned)
	clear(m.assigned)
	m.generation, m.rejoin, m.beat, m.leading = -1, false, false, false
	if forget {
		m.id = ""
	}
	if len(lost) > 0 {
		m.emit(Event{Lost: lost})
	}
}

func sortedPartitions[V any](set map[TopicPartition]V) []TopicPartition {
	out := make([]TopicPartition, 0, len(set))
	for tp := range set {
		out = append(out, tp)
	}
	slices.SortFunc(out, comparePartitions)
	return out
}

// Leave stops the loop, with whatever request it waits for, then tells the group.
func (m *member) Leave(ctx context.Context, keep bool) error {
	m.mu.Lock()
	first := m.left == nil
	if first {
		m.left = make(chan struct{})
		defer close(m.left)
	}
	left := m.left
	m.mu.Unlock()
	m.cancel()
	if !first {
		select {
		case <-left:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("leaving group %s: %w", m.config.Group, ctx.Err())
		}
	}
	<-m.done // prompt: everything in it ends with m.ctx
	m.events.drop()
	m.mu.Lock()
	id := m.id
	m.mu.Unlock()
	if id == "" || keep && m.config.Instance != "" {
		return nil
	}
	var err error
	for try := range leaveTries {
		if try > 0 && !sleep(ctx, groupBackoff<<try) {
			break
		}
		if err = m.leave(ctx, id); err == nil || errors.Is(err, UnknownMemberID) {
			return nil
		}
		if _, does := ruled(err, OnGroup); does == Stop {
			break
		}
	}
	return fmt.Errorf("leaving group %s: %w; it goes on without this member after the session timeout", m.config.Group, err)
}

// An eventQueue hands events over in order without making the sender wait.
type eventQueue struct {
	out   chan Event
	mu    sync.Mutex
	queue []Event
	more  chan struct{} // capacity 1
	quit  chan struct{}
	once  sync.Once
	last  bool // no event comes any more
}

func (q *eventQueue) start() {
	q.out, q.more, q.quit = make(chan Event), make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(q.out)
		for {
			q.mu.Lock()
			if len(q.queue) == 0 && q.last {
				q.mu.Unlock()
				return
			}
			var e Event
			var out chan Event
			if len(q.queue) > 0 {
				e, out = q.queue[0], q.out
			}
			q.mu.Unlock()
			select {
			case out <- e:
				q.mu.Lock()
				q.queue = q.queue[1:]
				q.mu.Unlock()
			case <-q.more:
			case <-q.quit:
				return
			}
		}
	}()
}

func (q *eventQueue) put(e Event) {
	q.mu.Lock()
	q.queue = append(q.queue, e)
	q.mu.Unlock()
	q.signal()
}

func (q *eventQueue) signal() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// end closes the channel once what is queued has been received.
func (q *eventQueue) end() {
	q.mu.Lock()
	q.last = true
	q.mu.Unlock()
	q.signal()
}

// drop closes the channel at once.
func (q *eventQueue) drop() { q.once.Do(func() { close(q.quit) }) }
