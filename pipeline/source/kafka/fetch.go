package kafkasource

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

const (
	crowdedWait  = 20 * time.Millisecond // longest wait of a poll that leaves lanes out: they may get room
	takeWait     = 20 * time.Millisecond // for bytes of the budget that another loop has taken first
	leastFetch   = 64 << 10              // room below which a poll is not worth while
	mostHalvings = 6                     // times that the size of a poll is halved
)

// A fetchLoop polls one broker for all partitions that it leads, one request at a
// time.
type fetchLoop struct {
	k       *Source
	broker  int32
	wake    chan struct{} // capacity 1
	dec     recordbatch.Decoder
	req     kafka.FetchRequest
	answer  kafka.FetchAnswer
	polled  []polled
	rotated []*partition // room for collect

	// guarded by Source.mu
	parts     []*partition
	interrupt context.CancelFunc // ends the poll under way

	connected bool
	halvings  int       // how often the size of a poll is halved: once more for each that broke, once less for each that came whole
	failures  int       // in a row
	downSince time.Time // when the first of the failures came
	reported  []string  // types of their errors that were reported
}

// A polled partition is one of the request under way.
type polled struct {
	part   *partition
	lane   pipeline.Lane
	charge pipeline.Charge
	buf    []byte
}

// lookAgain has a loop that waits look for partitions to poll.
func (l *fetchLoop) lookAgain() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *fetchLoop) run() {
	for l.k.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(l.k.ctx)
		leftOut := l.plan(ctx, cancel)
		if len(l.polled) == 0 {
			cancel()
			l.pause(leftOut)
			continue
		}
		l.req.MaxWait = l.k.s.Fetch.Wait
		if leftOut > 0 || slices.ContainsFunc(l.polled, func(q polled) bool { return q.part.atBound() }) {
			l.req.MaxWait = min(l.req.MaxWait, crowdedWait) // those at their bound only want an answer
		}
		err := l.k.client.Fetch(ctx, &l.req, l.alloc, &l.answer)
		interrupted := ctx.Err() != nil
		l.pollEnded(err == nil)
		cancel()
		if n := l.deliver(); n > 0 && n < leastFetch {
			// Yield now: once the next poll has been made up, the engine would wait longer for a
			// processor than its work on so little takes.
			runtime.Gosched()
		}
		switch {
		case err == nil:
			l.halvings = max(l.halvings-1, 0)
			l.noteAnswer()
		case !interrupted:
			// An answer that broke off is asked for again from its start: a smaller one may come
			// through before the connection breaks once more.
			l.halvings = min(l.halvings+1, mostHalvings)
			l.noteFailure(err)
		}
		if t := l.answer.Throttle; t > 0 {
			l.sleep(t)
		}
	}
}

// pause waits until there is something to poll. leftOut is the number of lanes without room. For
// their sake it does not wait for lookAgain alone: bytes that come free are announced once, and
// another loop may take them.
func (l *fetchLoop) pause(leftOut int) {
	if leftOut == 0 {
		select {
		case <-l.wake:
		case <-l.k.ctx.Done():
		}
		return
	}
	l.sleepOr(l.wake, time.Second)
}

func (l *fetchLoop) sleep(d time.Duration) { l.sleepOr(nil, d) }

func (l *fetchLoop) sleepOr(wake <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-l.k.ctx.Done():
	}
}

// collect gives the partitions of the loop, rotated by one from the last time.
func (l *fetchLoop) collect(interrupt context.CancelFunc) (parts []*partition, brokers int) {
	k := l.k
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := len(l.parts); n > 1 {
		first := l.parts[0]
		copy(l.parts, l.parts[1:])
		l.parts[n-1] = first
	}
	l.interrupt = interrupt
	l.rotated = append(l.rotated[:0], l.parts...)
	return l.rotated, len(k.loops)
}

// remove takes a partition out of the loop.
func (l *fetchLoop) remove(p *partition) {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	for i, q := range l.parts {
		if q == p {
			l.parts = append(l.parts[:i], l.parts[i+1:]...)
			return
		}
	}
}

// pollEnded notes that there is no poll to interrupt any more, and when it was answered that the
// broker of these partitions is reached.
func (l *fetchLoop) pollEnded(answered bool) {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	l.interrupt = nil
	if answered {
		l.k.noteReached(l.parts)
	}
}

// plan fills in the request: every partition whose lane has room, with bytes taken
// for it. It gives the number of those left out for want of room.
func (l *fetchLoop) plan(ctx context.Context, interrupt context.CancelFunc) (leftOut int) {
	parts, brokers := l.collect(interrupt)
	l.polled = l.polled[:0]
	for _, p := range parts {
		lane, ok := l.ready(p)
		if !ok {
			continue
		}
		l.polled = append(l.polled, polled{part: p, lane: lane})
	}
	if len(l.polled) == 0 {
		return 0
	}
	widest := l.k.widestRoom(l.polled)
	// The polls of all brokers together take at most a quarter of the budget; a lane that
	// is alone may have nearly the whole budget.
	total := min(int64(l.k.s.Fetch.Bytes)>>l.halvings, max(widest/int64(4*brokers), 1))
	share := max(total/int64(len(l.polled)), 1)
	take, cancel := context.WithTimeout(ctx, takeWait)
	defer cancel()
	l.req.Broker, l.req.MinBytes, l.req.Committed = l.broker, 1, l.dec.Committed
	l.req.MaxBytes, l.req.Partitions = 0, l.req.Partitions[:0]
	kept := l.polled[:0]
	for _, q := range l.polled {
		room := q.lane.Room()
		// A lane with nothing in flight always has room for a sixteenth of the budget, and that
		// must be enough to be polled: if others keep the rest for good, no more ever comes.
		if room <= 0 || room < min(share, leastFetch, widest/16) {
			leftOut++
			continue
		}
		size := min(share, room)
		charge, err := q.lane.Take(take, size)
		if err != nil {
			leftOut++
			continue
		}
		q.charge = charge
		kept = append(kept, q)
		most := int(l.k.s.Fetch.Partition) >> l.halvings
		l.req.MaxBytes += int32(size)
		l.req.Partitions = append(l.req.Partitions, kafka.FetchPartition{
			TopicPartition: q.part.tp, Offset: q.part.next, LeaderEpoch: q.part.leaderEpoch, MaxBytes: int32(max(most, q.part.batchBytes)),
		})
		l.req.MaxBytes += int32(q.part.batchBytes)
	}
	l.polled = kept
	return leftOut
}

// ready says whether a partition can be polled here. One that cannot leaves the loop, for whoever
// sees to it.
func (l *fetchLoop) ready(p *partition) (pipeline.Lane, bool) {
	k := l.k
	p.mu.Lock()
	lane, isGivenUp := p.lane, p.state == givenUp
	p.mu.Unlock()
	if isGivenUp {
		l.remove(p)
		return nil, false
	}
	select {
	case <-lane.Ended():
		l.remove(p)
		k.reopen(p)
		return nil, false
	default:
	}
	// This comes before the bound and the epochs: they are about the offset of one topic.
	if id, sure := k.client.Identity(p.tp.Topic); !sure || p.isAnother(id) {
		l.remove(p)
		p.moveTo(doubted)
		k.start(func() { k.confirmTopic(p) })
		return nil, false
	}
	// Only the leader tells whether the log has the offset: that of the group may be one of a
	// log that was truncated, or of records that were deleted. So it is asked once at least.
	if p.confirmed && p.atBound() {
		l.remove(p)
		p.moveTo(atEnd)
		k.stop.reached(p.tp)
		return nil, false
	}
	broker, leader, id, ok := k.client.Known(p.tp)
	if !ok || broker != l.broker {
		l.remove(p)
		k.route(p)
		return nil, false
	}
	if p.id == (kafka.TopicID{}) && id != p.id {
		p.id = id
		p.epochs.noteTopic(p.termNow(), id)
		p.epochs.setTopic(id)
	}
	if leader != p.leaderEpoch && p.epochs.epochAt(p.next) < 0 { // no epoch is known that could be compared
		p.leaderEpoch = leader
	}
	if leader != p.leaderEpoch {
		l.remove(p)
		p.moveTo(doubted)
		k.start(func() { k.checkTruncation(p) })
		return nil, false
	}
	return lane, true
}

// widestRoom gives the most room that any lane has had: about what one lane may have
// of the budget.
func (k *Source) widestRoom(ps []polled) int64 {
	most := int64(0)
	for _, q := range ps {
		most = max(most, q.lane.Room())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.widest = max(k.widest, most)
	return k.widest
}

// alloc gives the buffer for a partition's records.
func (l *fetchLoop) alloc(i, n int) []byte {
	l.polled[i].buf = l.k.mem.Get(n)
	return l.polled[i].buf
}

// deliver hands over what the answer brought, says how many bytes that was, and gives the
// rest of the charges back.
func (l *fetchLoop) deliver() (bytes int) {
	for i := range l.answer.Partitions {
		f := &l.answer.Partitions[i]
		q := &l.polled[f.Index]
		if q.charge == nil {
			continue // the broker has answered for it twice
		}
		bytes += len(f.Set)
		l.receive(q, f)
	}
	for i := range l.polled {
		q := &l.polled[i]
		if q.charge != nil {
			q.charge.Release()
			l.k.mem.Put(q.buf)
		}
		*q = polled{}
	}
	return bytes
}

// noteAnswer notes that the broker answers.
func (l *fetchLoop) noteAnswer() {
	if l.connected && l.failures == 0 {
		return
	}
	e := event.SourceConnected{Broker: l.k.client.Address(l.broker)}
	if l.failures > 0 {
		e.DownMs = time.Since(l.downSince).Milliseconds()
	}
	l.connected, l.failures, l.reported = true, 0, l.reported[:0]
	l.k.emit(e)
}

// noteFailure notes that the broker does not answer, waits a little, and looks for other
// leaders.
func (l *fetchLoop) noteFailure(err error) {
	if l.failures == 0 {
		l.downSince = time.Now()
	}
	t, ok := event.TypeOf(err)
	if !ok {
		t = "unknown"
	}
	if !slices.Contains(l.reported, t) {
		// Each kind once: a connection that broke may be followed by what is there now.
		l.reported = append(l.reported, t)
		l.k.emit(event.SourceDisconnected{Broker: l.k.client.Address(l.broker), ErrorType: t, ErrorMessage: err.Error()})
	}
	l.failures++
	l.k.mu.Lock()
	l.k.noteUnreached(l.req.Partitions, l.k.client.Address(l.broker), err)
	for _, p := range l.parts {
		l.k.client.Invalidate(p.tp)
	}
	l.k.mu.Unlock()
	var code kafka.Error
	var broker *kafka.BrokerError
	stops := !kafka.Temporary(err)
	if errors.As(err, &code) && !errors.As(err, &broker) {
		stops = code.Ruling(kafka.OnFetch).Does == kafka.Stop
	}
	if stops {
		l.k.fail(err)
	}
	l.sleep(min(firstBackoff<<min(l.failures, 6), maxBackoff))
}
