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
	crowdedWait = 20 * time.Millisecond // of a poll that leaves lanes out: they may get room
	takeWait    = 20 * time.Millisecond // for bytes that another loop was quicker to take
	leastFetch  = 64 << 10              // room below which a poll is not worth while
	mostCuts    = 6                     // times that the size of a poll is halved
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
	failures  int       // in a row
	cuts      int       // how often the size of a poll is halved: once for each that broke, and back for each that came whole
	downSince time.Time // of the first of them
	told      []string  // types of their errors that were reported
}

// A polled partition is one of the request under way.
type polled struct {
	part   *partition
	lane   pipeline.Lane
	charge pipeline.Charge
	buf    []byte
}

func (l *fetchLoop) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *fetchLoop) run() {
	for l.k.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(l.k.ctx)
		left := l.plan(ctx, cancel)
		if len(l.polled) == 0 {
			cancel()
			l.pause(left)
			continue
		}
		l.req.MaxWait = l.k.s.Fetch.Wait
		if left > 0 || slices.ContainsFunc(l.polled, func(q polled) bool { return q.part.atBound() }) {
			l.req.MaxWait = min(l.req.MaxWait, crowdedWait) // the latter want no records
		}
		err := l.k.client.Fetch(ctx, &l.req, l.alloc, &l.answer)
		interrupted := ctx.Err() != nil
		l.done()
		cancel()
		if n := l.deliver(); n > 0 && n < leastFetch {
			// What came is little, so it is on its way to the sinks before the next poll is
			// made: behind that it would wait for a processor longer than it takes there.
			runtime.Gosched()
		}
		switch {
		case err == nil:
			l.cuts = max(l.cuts-1, 0)
			l.up()
		case !interrupted:
			// What broke off comes again from its start: a smaller part of it may come
			// through before the connection breaks once more.
			l.cuts = min(l.cuts+1, mostCuts)
			l.down(err)
		}
		if t := l.answer.Throttle; t > 0 {
			l.sleep(t)
		}
	}
}

// pause waits until there is something to do. left is the number of lanes without
// room, for whose sake it looks again before long: bytes that come free are told once.
func (l *fetchLoop) pause(left int) {
	if left == 0 {
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

// let takes partitions out of the loop.
func (l *fetchLoop) let(p *partition) {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	for i, q := range l.parts {
		if q == p {
			l.parts = append(l.parts[:i], l.parts[i+1:]...)
			return
		}
	}
}

// done says that no poll is under way.
func (l *fetchLoop) done() {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	l.interrupt = nil
}

// plan fills in the request: every partition whose lane has room, with bytes taken
// for it. It gives the number of those left out for want of room.
func (l *fetchLoop) plan(ctx context.Context, interrupt context.CancelFunc) (left int) {
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
	// The polls of all brokers together take at most a quarter of the budget, of which a
	// lane alone may have about all.
	total := min(int64(l.k.s.Fetch.Bytes)>>l.cuts, max(widest/int64(4*brokers), 1))
	share := max(total/int64(len(l.polled)), 1)
	take, cancel := context.WithTimeout(ctx, takeWait)
	defer cancel()
	l.req.Broker, l.req.MinBytes, l.req.Committed = l.broker, 1, l.dec.Committed
	l.req.MaxBytes, l.req.Partitions = 0, l.req.Partitions[:0]
	kept := l.polled[:0]
	for _, q := range l.polled {
		room := q.lane.Room()
		// A lane with nothing in flight always has a sixteenth of the budget, which must do:
		// nobody would tell of more when all the rest is taken for good.
		if room <= 0 || room < min(share, leastFetch, widest/16) {
			left++
			continue
		}
		size := min(share, room)
		charge, err := q.lane.Take(take, size)
		if err != nil {
			left++
			continue
		}
		q.charge = charge
		kept = append(kept, q)
		most := int(l.k.s.Fetch.Partition) >> l.cuts
		l.req.MaxBytes += int32(size)
		l.req.Partitions = append(l.req.Partitions, kafka.FetchPartition{
			TopicPartition: q.part.tp, Offset: q.part.next, LeaderEpoch: q.part.leader, MaxBytes: int32(max(most, q.part.need)),
		})
		l.req.MaxBytes += int32(q.part.need)
	}
	l.polled = kept
	return left
}

// ready says whether a partition can be polled here, and sees to it if not.
func (l *fetchLoop) ready(p *partition) (pipeline.Lane, bool) {
	k := l.k
	p.mu.Lock()
	lane, gone := p.lane, p.state == givenUp
	p.mu.Unlock()
	if gone {
		l.let(p)
		return nil, false
	}
	select {
	case <-lane.Ended():
		l.let(p)
		k.reopen(p)
		return nil, false
	default:
	}
	// Before anything else is made of the offset.
	if id, sure := k.client.Identity(p.tp.Topic); !sure || p.isAnother(id) {
		l.let(p)
		p.to(doubted)
		k.start(func() { k.makeSure(p) })
		return nil, false
	}
	// An offset behind the end may be none that the log has, which its leader alone tells:
	// the group's may be of a log that was cut, or of records that were deleted.
	if p.shown && p.atBound() {
		l.let(p)
		p.to(atEnd)
		k.stop.reached(p.tp)
		return nil, false
	}
	broker, leader, id, ok := k.client.Known(p.tp)
	if !ok || broker != l.broker {
		l.let(p)
		k.route(p)
		return nil, false
	}
	if p.id == (kafka.TopicID{}) && id != p.id {
		p.id = id
		p.epochs.note(p.termNow(), id)
		p.epochs.named(id)
	}
	if leader != p.leader && p.epochs.at(p.next) < 0 { // there is nothing to compare
		p.leader = leader
	}
	if leader != p.leader {
		l.let(p)
		p.to(doubted)
		k.start(func() { k.checkCut(p) })
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
			continue // answered twice
		}
		bytes += len(f.Set)
		l.one(q, f)
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

// up notes that the broker answers.
func (l *fetchLoop) up() {
	if l.connected && l.failures == 0 {
		return
	}
	e := event.SourceConnected{Broker: l.k.client.Address(l.broker)}
	if l.failures > 0 {
		e.DownMs = time.Since(l.downSince).Milliseconds()
	}
	l.connected, l.failures, l.told = true, 0, l.told[:0]
	l.k.emit(e)
}

// down notes that the broker does not answer, waits a little, and looks for other
// leaders.
func (l *fetchLoop) down(err error) {
	if l.failures == 0 {
		l.downSince = time.Now()
	}
	t, ok := event.TypeOf(err)
	if !ok {
		t = "unknown"
	}
	if !slices.Contains(l.told, t) {
		// Each kind once: a connection that broke may be followed by what is there now.
		l.told = append(l.told, t)
		l.k.emit(event.SourceDisconnected{Broker: l.k.client.Address(l.broker), ErrorType: t, ErrorMessage: err.Error()})
	}
	l.failures++
	l.k.mu.Lock()
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
