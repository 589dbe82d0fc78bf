package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// This file is the life of a batch. Its caller encodes it (prepare) and puts it behind the others of
// its output (enqueue). Only the first of an output is sent, and the next one not before the first
// has an outcome:
//
//	queued ---> leader looked up ---> ready at a broker ---> in a request ---> stored
//	 (the first is)   ^                    ^                      |
//	                  |                    | after a pause        | an error that may pass
//	                  +--------------------+----------------------+
//
// Other ends: refuse (it will never be taken: halved until the messages at fault are alone), failFrom
// (it may be taken later: its caller is told, and its later batches for the output fail with it),
// drop (nobody waits for it any more).
//
//   - One batch is under way for an output, though brokers allow five. Those behind it would be
//     numbered before its outcome is known, and a refusal would leave a hole in the sequence.
//   - A batch that may be stored (mayBeStored) is sent again as it is, under the same id and sequence
//     as long as brokers know the id, until an answer says whether it is stored. If it leaves the
//     queue without one, its sequence is never used again (retireSequence): a broker would take what
//     comes under it for a repeat, and drop it.
//   - What each answer proves is in the table of codes (codes.go); what becomes of a batch whose caller
//     leaves, in produce_orphan.go.

// A batch is messages of one call for one output, encoded.
//
// Reason for its size: what a batch holds and how far sending it has come is noted nowhere else.
type batch struct {
	out     *output
	call    *call   // nil: its caller has left
	idx     []int32 // its messages in the call
	n       int32   // how many they are
	room    []byte  // data, and some room in front of it
	data    []byte
	readyAt *broker // the broker in whose list it is; nil: in none

	sealed      recordbatch.ProducerID // the id that it was numbered under; none: not yet
	sequence    int32
	unsealed    bool // id and sequence are not in data yet
	sending     bool // a request with it is under way
	mayBeStored bool // a request with it may have stored it
	attempts    int
	restarts    int       // how often it was to take a new producer id
	epoch       int32     // the newest of the leaders that it was sent to
	stale       int       // answers of leaders of an earlier epoch that were not believed
	last        error     // of the last attempt
	ownSince    time.Time // since when the answers may be the fault of the batch; zero: they are not
	timer       *time.Timer
	orphan      *orphan
	leftAt      time.Time // when its caller left
}

// wanted says whether b must be sent until it is stored: somebody waits for it, or it may be
// stored, and the sequence of the next batch depends on whether it is.
func (b *batch) wanted() bool { return b.call != nil || b.mayBeStored }

// noteAttempt notes the error of an attempt, and whether the batch itself may be the cause.
func (b *batch) noteAttempt(err error, mayBeOwn bool) {
	b.last = err
	if !mayBeOwn {
		b.ownSince = time.Time{}
	} else if b.ownSince.IsZero() {
		b.ownSince = time.Now()
	}
}

// leaveError joins what kept the batch from being stored with why nobody waits any longer.
func (b *batch) leaveError(reason error) error {
	switch {
	case b.sending && b.last == nil && errors.Is(reason, context.DeadlineExceeded):
		return fmt.Errorf("producing to %v: %w", b.out, reason) // the request ran into the same deadline
	case b.sending && b.last == nil:
		return fmt.Errorf("producing to %v: no answer yet: %w", b.out, reason)
	case b.last == nil:
		return fmt.Errorf("producing to %v: waiting behind another batch: %w", b.out, reason)
	}
	return fmt.Errorf("producing to %v: %w: %w", b.out, b.last, reason)
}

// encode fills b.data from its messages, which take size bytes at most before they are
// compressed.
func (p *Producer) encode(b *batch, size int, now int64, wait bool) error {
	m, codec := &p.buffers, p.config.Codec
	var first, last int64
	if codec == recordbatch.CodecNone {
		b.room = m.take(frontRoom + recordbatch.HeaderSize + size)
		b.room, first, last = appendRecords(b.room[:frontRoom+recordbatch.HeaderSize], b.call.msgs, b.idx, size, now)
	} else {
		k := m.takePacker(wait)
		defer m.putPacker(k, codec)
		var err error
		k.raw, first, last = appendRecords(k.raw[:0], b.call.msgs, b.idx, size, now)
		m.weigh(k, codec)
		if k.out, err = k.Append(codec, k.out[:0], k.raw); err != nil {
			return fmt.Errorf("producing to %v: compressing %d records: %w", b.out, len(b.idx), err)
		}
		m.weigh(k, codec)
		// A copy, so that what waits for the broker takes no more than it has.
		b.room = append(m.take(frontRoom + recordbatch.HeaderSize + len(k.out))[:frontRoom+recordbatch.HeaderSize], k.out...)
	}
	b.data, b.n, b.sealed = b.room[frontRoom:], int32(len(b.idx)), recordbatch.NoProducer
	if len(b.data) > math.MaxInt32 {
		n := len(b.data)
		p.recycle(b)
		return fmt.Errorf("producing to %v: encoding %d records: %d bytes are too many for one batch", b.out, len(b.idx), n)
	}
	recordbatch.PutHeader(b.data, codec, len(b.idx), first, last)
	return nil
}

// appendRecords appends the records of those of msgs that idx names, one or more, which
// take size bytes at most, and gives the time of the first and the latest. Messages
// without a time get now, in milliseconds.
func appendRecords(b []byte, msgs []Message, idx []int32, size int, now int64) (records []byte, first, last int64) {
	b = slices.Grow(b, size)
	first, last = msgs[idx[0]].time(now), math.MinInt64
	for i, x := range idx {
		m := &msgs[x]
		t := m.time(now)
		last = max(last, t)
		b = recordbatch.AppendRecord(b, m.Key, m.Value, m.Headers, int64(i), t-first)
	}
	return b, first, last
}

// recycle takes the batch's data back for other batches.
func (p *Producer) recycle(b *batch) {
	p.buffers.put(b.room)
	b.room, b.data = nil, nil
}

// advance begins to send the first batch of an output, unless it is being sent. The caller holds
// p.mu, and calls sendWoken afterwards.
func (p *Producer) advance(o *output) {
	if o.busy || len(o.queue) == 0 || p.closed {
		return
	}
	o.busy = true
	p.queueAtLeader(o.queue[0])
}

// queueAtLeader puts b into the list of the broker that leads its output, after looking up who
// that is if need be. The caller holds p.mu, and calls sendWoken afterwards.
func (p *Producer) queueAtLeader(b *batch) {
	if p.closed {
		return
	}
	if b.out.leader >= 0 {
		br := p.brokers[b.out.leader]
		if br == nil {
			br = &broker{node: b.out.leader}
			p.brokers[br.node] = br
		}
		br.ready, b.readyAt = append(br.ready, b), br
		p.wake(br)
		return
	}
	p.work.Go(func() {
		ctx, cancel := context.WithTimeout(p.ctx, p.config.Timeout)
		defer cancel()
		leader, epoch, err := p.client.Leader(ctx, b.out.TopicPartition)
		p.mu.Lock()
		defer p.mu.Unlock()
		if !b.current() {
			return
		}
		if err != nil {
			var code Error
			b.noteAttempt(err, errors.As(err, &code) && code.Ruling(OnProduce).Own)
			if p.config.FailMissing && b.call != nil && errors.Is(err, UnknownTopicOrPartition) {
				p.failFrom(b, err) // if it was stored, it was deleted with the log
			} else {
				p.retryLater(b)
			}
		} else {
			b.out.leader, b.out.epoch = leader, epoch
			p.queueAtLeader(b)
		}
		p.sendWoken()
	})
}

// current says whether b is still the batch that its output is busy with: its caller may have
// left while a look-up or a timer ran.
func (b *batch) current() bool { return len(b.out.queue) > 0 && b.out.queue[0] == b && b.out.busy }

// unready takes b out of its broker's list and stops its timer.
func (p *Producer) unready(b *batch) {
	if b.timer != nil && b.timer.Stop() {
		p.work.Done()
	}
	b.timer = nil
	if br := b.readyAt; br != nil {
		br.ready = slices.DeleteFunc(br.ready, func(r *batch) bool { return r == b })
		b.readyAt = nil
	}
}

const (
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = 500 * time.Millisecond
	// orphanPatience is how long a batch that nobody waits for is tried again when the batch
	// itself may be the cause.
	orphanPatience = 2 * time.Minute
	// maxStale bounds the answers of earlier leaders that are not believed: a topic that
	// was created again counts its leaders anew.
	maxStale = 5
)

// retryLater tries b once more after a while, or drops it when that is of no use. The caller holds
// p.mu, and calls sendWoken afterwards.
func (p *Producer) retryLater(b *batch) {
	if p.closed {
		return
	}
	if !b.wanted() || b.call == nil && b.hopeless() {
		p.drop(b)
		return
	}
	wait := min(firstBackoff<<min(b.attempts, 10), lastBackoff)
	b.attempts++
	wait = wait/2 + rand.N(wait/2+1)
	p.work.Add(1)
	var t *time.Timer
	t = time.AfterFunc(wait, func() {
		defer p.work.Done()
		p.mu.Lock()
		defer p.mu.Unlock()
		if b.timer != t || !b.current() {
			return
		}
		b.timer = nil
		p.queueAtLeader(b)
		p.sendWoken()
	})
	b.timer = t
}

// dequeue takes the first batch of an output off its queue and begins to send the next one.
func (p *Producer) dequeue(o *output) {
	o.queue = slices.Delete(o.queue, 0, 1) // in place: the queue of an output that keeps up never grows
	o.busy = false
	p.advance(o)
}

// setOutcome tells the batch's caller, or its orphan, the outcome. It does not touch the
// queue.
func (p *Producer) setOutcome(b *batch, err error) {
	if b.orphan != nil {
		b.orphan.hasOutcome, b.orphan.stored, b.orphan.batch = true, err == nil, nil
	}
	if b.call != nil {
		if err != nil {
			b.call.fail(b.idx, err)
		}
		b.call.finish()
		b.call, b.idx = nil, nil
	}
	p.recycle(b)
}

// stored is the end of a batch that the broker has.
func (p *Producer) stored(b *batch) {
	o := b.out
	o.nextSequence = int32((int64(b.sequence) + int64(b.n)) & 0x7fffffff)
	p.setOutcome(b, nil)
	p.dequeue(o)
	p.reuseBatch(b)
}

// hopeless says whether an orphan has been answered for long in a way that may be the fault of the
// batch, so that others may wait for its output in vain.
func (b *batch) hopeless() bool {
	since := b.ownSince
	if b.leftAt.After(since) {
		since = b.leftAt
	}
	return !b.ownSince.IsZero() && time.Since(since) > orphanPatience
}

// drop ends a batch that nobody waits for. Whoever has its messages sends them again in another
// call; if the batch may have been stored, they may then be there twice.
func (p *Producer) drop(b *batch) {
	o := b.out
	p.retireSequence(b)
	p.setOutcome(b, b.last)
	p.dequeue(o)
}

// retireSequence sees to it that the sequence of a batch that leaves the queue and may be stored is
// not given to the next one: the broker would take that for a repeat, say that it has it, and drop
// it.
func (p *Producer) retireSequence(b *batch) {
	if b.mayBeStored {
		p.takeNewID(b.out)
	}
}

// failFrom ends a batch that the broker does not take now and may take later, and with it those of
// the same call behind it: sent without it, they would stand in front of it in the log.
func (p *Producer) failFrom(b *batch, err error) {
	o, c := b.out, b.call
	p.retireSequence(b)
	p.setOutcome(b, fmt.Errorf("producing to %v: %w", o, err))
	if c != nil {
		kept := o.queue[:1]
		for _, q := range o.queue[1:] {
			if q.call == c {
				p.setOutcome(q, fmt.Errorf("producing to %v: %w", o, errHeldBack))
				continue
			}
			kept = append(kept, q)
		}
		clear(o.queue[len(kept):])
		o.queue = kept
	}
	p.dequeue(o)
}

// refuse handles a batch that the broker will never take as it is. bad are the
// messages at fault, as indices into the batch; none: the batch is halved until
// those at fault are alone.
func (p *Producer) refuse(b *batch, reason string, bad []int32, err error) {
	o, c := b.out, b.call
	p.retireSequence(b)
	if c == nil {
		// Nobody has the messages any more; they come again in a call of their own.
		p.setOutcome(b, err)
		p.dequeue(o)
		return
	}
	refusal := &RefusedError{reason, fmt.Errorf("producing to %v: %w", o, err)}
	// An index that the batch does not have names no record.
	bad = slices.DeleteFunc(bad, func(i int32) bool { return i < 0 || i >= b.n })
	var parts [][]int32
	switch {
	case b.n == 1:
		c.fail(b.idx, refusal)
	case len(bad) > 0:
		isBad := make([]bool, b.n)
		for _, i := range bad {
			isBad[i] = true
		}
		var rest []int32
		for i, x := range b.idx {
			if isBad[i] {
				c.fail([]int32{x}, refusal)
			} else {
				rest = append(rest, x)
			}
		}
		if len(rest) > 0 {
			parts = [][]int32{rest}
		}
	default:
		parts = [][]int32{b.idx[:b.n/2], b.idx[b.n/2:]}
	}
	p.replace(b, parts)
}

// replace puts batches of parts of b's messages in its place. They are encoded under
// the lock: the caller, whose messages they are, cannot leave meanwhile.
func (p *Producer) replace(b *batch, parts [][]int32) {
	o, c := b.out, b.call
	now := time.Now().UnixMilli()
	made := make([]*batch, 0, len(parts)+len(o.queue)-1)
	for _, idx := range parts {
		n := &batch{out: o, call: c, idx: idx, restarts: b.restarts}
		if err := p.encode(n, sizeOf(c.msgs, idx), now, false); err != nil {
			for _, m := range made {
				p.recycle(m)
			}
			p.failFrom(b, err)
			return
		}
		made = append(made, n)
	}
	c.pending += len(parts)
	o.queue = append(made, o.queue[1:]...)
	o.busy = false
	c.finish()
	b.call, b.idx = nil, nil
	p.recycle(b)
	p.advance(o)
}

var errNoAnswer = errors.New("the broker's answer leaves this partition out")
