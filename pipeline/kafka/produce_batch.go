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

// A batch is messages of one call for one output, encoded.
//
// Reason for its size: a batch is the unit of the producer, which has no record of it elsewhere: what it
// holds, and how far sending it is.
type batch struct {
	out  *output
	call *call   // nil: its caller has left
	idx  []int32 // its messages in the call
	n    int32   // how many they are
	room []byte  // data, and some room in front of it
	data []byte
	at   *broker // in whose list it is

	sealed   recordbatch.ProducerID // none: not yet
	sequence int32
	unsealed bool // the data does not carry them yet
	sending  bool // a request with it is under way
	maybe    bool // a request with it may have stored it
	attempts int
	restarts int       // of its producer id
	epoch    int32     // the latest of leaders that it was sent to
	stale    int       // answers of leaders of an earlier one
	last     error     // of the last attempt
	own      time.Time // since when its trouble may be its own; zero: it is not
	timer    *time.Timer
	orphan   *orphan
	leftAt   time.Time // when its caller left
}

// wanted says whether b must be sent until it is stored: somebody waits for it, or it
// may be stored, and then the next batch must know.
func (b *batch) wanted() bool { return b.call != nil || b.maybe }

// hears notes what became of an attempt. own says whether the batch itself may be the
// reason.
func (b *batch) hears(err error, own bool) {
	b.last = err
	if !own {
		b.own = time.Time{}
	} else if b.own.IsZero() {
		b.own = time.Now()
	}
}

// why joins what kept the batch from being stored with why nobody waits any longer.
func (b *batch) why(reason error) error {
	switch {
	case b.sending && b.last == nil && errors.Is(reason, context.DeadlineExceeded):
		return fmt.Errorf("producing to %v: %w", b.out, reason) // which says the same
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
		k := m.packer(wait)
		defer m.giveBack(k, codec)
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

// recycle lets go of the batch's data.
func (p *Producer) recycle(b *batch) {
	p.buffers.put(b.room)
	b.room, b.data = nil, nil
}

// advance looks after the first batch of an output. The caller holds p.mu, and pumps
// afterwards.
func (p *Producer) advance(o *output) {
	if o.busy || len(o.queue) == 0 || p.closed {
		return
	}
	o.busy = true
	p.place(o.queue[0])
}

// place gives b to the broker that leads its output, asking who that is when it is
// not known. The caller holds p.mu.
func (p *Producer) place(b *batch) {
	if p.closed {
		return
	}
	if b.out.leader >= 0 {
		br := p.brokers[b.out.leader]
		if br == nil {
			br = &broker{node: b.out.leader}
			p.brokers[br.node] = br
		}
		br.ready, b.at = append(br.ready, b), br
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
			b.hears(err, errors.As(err, &code) && code.Ruling(OnProduce).Own)
			if p.config.FailMissing && b.call != nil && errors.Is(err, UnknownTopicOrPartition) {
				p.giveUp(b, err) // whatever of it was stored is gone with the log
			} else {
				p.again(b)
			}
		} else {
			b.out.leader, b.out.epoch = leader, epoch
			p.place(b)
		}
		p.pump()
	})
}

// current says whether b is still the batch that its output is busy with: it may
// have been taken away while a look-up or timer ran.
func (b *batch) current() bool { return len(b.out.queue) > 0 && b.out.queue[0] == b && b.out.busy }

// unready takes b out of its broker's list and stops its timer.
func (p *Producer) unready(b *batch) {
	if b.timer != nil && b.timer.Stop() {
		p.work.Done()
	}
	b.timer = nil
	if br := b.at; br != nil {
		br.ready = slices.DeleteFunc(br.ready, func(r *batch) bool { return r == b })
		b.at = nil
	}
}

const (
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = 500 * time.Millisecond
	// orphanPatience is how long a batch that nobody waits for is tried again when the
	// reason may be its own.
	orphanPatience = 2 * time.Minute
	// maxStale bounds the answers of earlier leaders that are not believed: a topic that
	// was created again counts its leaders anew.
	maxStale = 5
)

// again tries b once more after a while. The caller holds p.mu, and pumps afterwards.
func (p *Producer) again(b *batch) {
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
		p.place(b)
		p.pump()
	})
	b.timer = t
}

// next takes the first batch of an output off and looks after the one behind it.
func (p *Producer) next(o *output) {
	o.queue = slices.Delete(o.queue, 0, 1) // in place: the queue of an output that keeps up never grows
	o.busy = false
	p.advance(o)
}

// settle tells the batch's caller, or its orphan, the outcome. It does not touch the
// queue.
func (p *Producer) settle(b *batch, err error) {
	if b.orphan != nil {
		b.orphan.settled, b.orphan.stored, b.orphan.batch = true, err == nil, nil
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
	o.next = int32((int64(b.sequence) + int64(b.n)) & 0x7fffffff)
	p.settle(b, nil)
	p.next(o)
	p.done(b)
}

// hopeless says whether an orphan has for long been answered in a way that may be its
// own fault, and so keeps others from the output for nothing.
func (b *batch) hopeless() bool {
	since := b.own
	if b.leftAt.After(since) {
		since = b.leftAt
	}
	return !b.own.IsZero() && time.Since(since) > orphanPatience
}

// drop is the end of a batch that nobody waits for. Whoever has its messages sends them
// again in a call of their own; if it was in doubt, they may then come twice.
func (p *Producer) drop(b *batch) {
	o := b.out
	p.forsake(b)
	p.settle(b, b.last)
	p.next(o)
}

// forsake keeps the sequence of a batch that leaves its place and may be stored from
// what comes behind: the broker would take that for a repeat, say that it has it, and
// drop it.
func (p *Producer) forsake(b *batch) {
	if b.maybe {
		p.renew(b.out)
	}
}

// giveUp is the end of a batch that the broker has refused and may take later. What
// its caller wants stored behind it is held back.
func (p *Producer) giveUp(b *batch, err error) {
	o, c := b.out, b.call
	p.forsake(b)
	p.settle(b, fmt.Errorf("producing to %v: %w", o, err))
	if c != nil {
		kept := o.queue[:1]
		for _, q := range o.queue[1:] {
			if q.call == c {
				p.settle(q, fmt.Errorf("producing to %v: %w", o, errHeldBack))
				continue
			}
			kept = append(kept, q)
		}
		clear(o.queue[len(kept):])
		o.queue = kept
	}
	p.next(o)
}

// refuse handles a batch that the broker will never take as it is. bad are the
// messages at fault, as indices into the batch; none: the batch is halved until
// those at fault are alone.
func (p *Producer) refuse(b *batch, reason string, bad []int32, err error) {
	o, c := b.out, b.call
	p.forsake(b)
	if c == nil {
		// Nobody has the messages any more; they come again in a call of their own.
		p.settle(b, err)
		p.next(o)
		return
	}
	refusal := &RefusedError{reason, fmt.Errorf("producing to %v: %w", o, err)}
	// A broker that names records that are not there has named none.
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
			p.giveUp(b, err)
			return
		}
		made = append(made, n)
	}
	c.left += len(parts)
	o.queue = append(made, o.queue[1:]...)
	o.busy = false
	c.finish()
	b.call, b.idx = nil, nil
	p.recycle(b)
	p.advance(o)
}

var errNoAnswer = errors.New("the broker's answer leaves this partition out")
