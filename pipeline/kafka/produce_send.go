package kafka

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// wake has pump look at a broker.
func (p *Producer) wake(br *broker) {
	if !br.woken {
		br.woken = true
		p.woken = append(p.woken, br)
	}
}

// pump sends what is ready. The caller holds p.mu.
func (p *Producer) pump() {
	for _, br := range p.woken {
		br.woken = false
		p.sendReady(br)
	}
	clear(p.woken)
	p.woken = p.woken[:0]
}

// sendReady has a request begin at a broker that has something ready. The request takes
// it when it runs, and not now: batches that others make ready meanwhile go with it. What
// comes for several partitions at a time is one request of the broker's work then, and
// not as many (BenchmarkProduceSmall).
func (p *Producer) sendReady(br *broker) {
	if len(br.ready) == 0 || br.begins || br.inFlight >= p.config.InFlight || p.closed {
		return
	}
	if p.id == recordbatch.NoProducer {
		p.askID()
		return
	}
	br.begins = true
	br.inFlight++
	j := job{br, len(br.ready[0].data) < smallBatch}
	select {
	case p.jobs <- j:
	default:
		p.work.Go(func() { p.hand(j) })
	}
}

// A job is a request that is about to begin. One of little waits until everybody else who
// can run has had a turn: they may have more for it.
type job struct {
	br     *broker
	little bool
}

// smallBatch is a size below which a request of its own costs more than its bytes do.
const smallBatch = 16 << 10

// hand makes one request after another until the producer is closed: a goroutine of its
// own for each would make room for its stack again and again (BenchmarkProduceSmall).
func (p *Producer) hand(j job) {
	for {
		if j.little {
			runtime.Gosched()
		}
		p.request(j.br)
		select {
		case j = <-p.jobs:
		case <-p.ctx.Done():
			return
		}
	}
}

// take takes what is ready at a broker for one request that has begun.
func (p *Producer) take(br *broker) []*batch {
	br.begins = false
	if p.closed || p.id == recordbatch.NoProducer {
		return nil
	}
	n, size := 0, 0
	for n < len(br.ready) && (n == 0 || size+len(br.ready[n].data) <= maxRequest) {
		size += len(br.ready[n].data)
		n++
	}
	batches := slices.Clone(br.ready[:n])
	br.ready = slices.Delete(br.ready, 0, n)
	if len(p.outputs) > 1 {
		slices.SortStableFunc(batches, func(a, b *batch) int { return strings.Compare(a.out.Topic, b.out.Topic) })
	}
	for _, b := range batches {
		b.at = nil
		p.number(b)
	}
	return batches
}

// number gives b its producer id and sequence, and marks it as under way. One that
// has been sent before keeps them, unless its output has taken another id since.
func (p *Producer) number(b *batch) {
	o := b.out
	if o.id == recordbatch.NoProducer {
		o.id, o.next = p.id, 0
	}
	b.sending = true
	b.epoch = max(b.epoch, o.epoch)
	if b.sealed != o.id {
		b.sealed, b.sequence, b.unsealed = o.id, o.next, true
	}
}

// request sends what is ready, batches of as many outputs, to the broker that leads them.
func (p *Producer) request(br *broker) {
	p.mu.Lock()
	batches := p.take(br)
	if len(batches) == 0 { // nobody waits for it any more
		br.inFlight--
	}
	p.wake(br)
	p.pump()
	p.mu.Unlock()
	if len(batches) > 0 {
		p.send(br, batches)
	}
}

func (p *Producer) send(br *broker, batches []*batch) {
	var err error
	for _, b := range batches {
		if b.unsealed {
			err = errors.Join(err, recordbatch.Seal(b.data, b.sealed, b.sequence, false))
			b.unsealed = false
		}
	}
	var begun atomic.Bool
	answers := make([]produceAnswer, len(batches))
	if err == nil {
		x := p.exchange(br.node, batches, &begun)
		err = p.client.do(p.ctx, x)
		if err == nil {
			err = readProduceAnswer(x.answer, x.version, batches, answers)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	br.inFlight--
	p.wake(br)
	for i, b := range batches {
		b.sending = false
		switch {
		case err != nil:
			p.lost(b, err, begun.Load())
		case !answers[i].found:
			p.lost(b, errNoAnswer, true)
		default:
			p.answered(b, answers[i])
		}
	}
	p.pump()
}

// exchange is Produce version 8, or 7.
func (p *Producer) exchange(node int32, batches []*batch, begun *atomic.Bool) *exchange {
	return &exchange{
		key: protocol.Produce, broker: node, clientID: p.client.config.ClientID,
		patience: p.config.Timeout + answerMargin,
		body: func(w *writer) {
			begun.Store(true)
			w.nullable("")
			w.int16(-1) // acks: all replicas in sync
			w.int32(int32(p.config.Timeout / time.Millisecond))
			w.b = slices.Grow(w.b, copied(batches))
			topics := 0
			for i := range batches {
				if newTopic(batches, i) {
					topics++
				}
			}
			w.array(topics)
			for i, b := range batches {
				if newTopic(batches, i) {
					n := i + 1
					for n < len(batches) && batches[n].out.Topic == b.out.Topic {
						n++
					}
					w.string(b.out.Topic)
					w.array(n - i)
				}
				w.int32(b.out.Partition)
				w.attach(b.room, frontRoom)
			}
		},
	}
}

// newTopic says whether batch i, of batches that are sorted by topic, is the first of its.
func newTopic(batches []*batch, i int) bool {
	return i == 0 || batches[i].out.Topic != batches[i-1].out.Topic
}

// copied is about what a request with batches takes beside those that are attached.
func copied(batches []*batch) int {
	n := 0
	for _, b := range batches {
		n += 8
		if len(b.data) < minAttached {
			n += len(b.data)
		}
	}
	return n
}

// A produceAnswer is what the broker says of one batch.
type produceAnswer struct {
	found   bool
	code    Error
	bad     []int32 // records at fault, when it names any
	message string
}

// readProduceAnswer expects the answers in the order of the batches, and looks for those
// that come in another.
func readProduceAnswer(b []byte, version int16, batches []*batch, answers []produceAnswer) error {
	r := &reader{b: b}
	next := 0
	for topics := r.array(); topics > 0 && r.err == nil; topics-- {
		topic := r.string()
		for parts := r.array(); parts > 0 && r.err == nil; parts-- {
			partition := r.int32()
			a := produceAnswer{found: true, code: Error(r.int16())}
			r.int64() // base offset
			r.int64() // log append time
			r.int64() // log start offset
			if version >= 8 {
				for n := r.array(); n > 0 && r.err == nil; n-- {
					a.bad = append(a.bad, r.int32())
					if text := r.string(); a.message == "" {
						a.message = text
					}
				}
				if text := r.string(); text != "" {
					a.message = text
				}
			}
			is := func(b *batch) bool { return b.out.Partition == partition && b.out.Topic == topic }
			i := next
			if i >= len(batches) || !is(batches[i]) {
				i = slices.IndexFunc(batches, is)
			}
			if i >= 0 {
				answers[i] = a
				next = i + 1
			}
		}
	}
	if r.err != nil {
		return fmt.Errorf("reading the answer to a produce request: %w", r.err)
	}
	return nil
}

// lost handles a batch whose request has no answer. begun says whether the request
// may have reached the broker.
func (p *Producer) lost(b *batch, err error, begun bool) {
	if p.closed {
		return // Close settles it
	}
	b.maybe = b.maybe || begun
	if errors.Is(err, recordbatch.ErrNoProducer) || errors.Is(err, ErrClosed) {
		p.giveUp(b, err)
		return
	}
	// A broker that finds a request too large for it ends the connection.
	b.hears(err, begun && isBroken(err))
	p.leaderInDoubt(b.out)
	p.again(b)
}

func (p *Producer) leaderInDoubt(o *output) {
	p.client.Invalidate(o.TopicPartition)
	o.leader = -1
}

// answered handles a batch that the broker has given its word on, as the table of
// codes says.
func (p *Producer) answered(b *batch, a produceAnswer) {
	if p.closed {
		return // Close settles it
	}
	var err error = a.code
	if a.message != "" && !strings.EqualFold(a.message, a.code.Name()) {
		err = fmt.Errorf("%w: %s", a.code, a.message)
	}
	r := a.code.Ruling(OnProduce)
	b.hears(err, r.Own)
	if r.Absent && b.maybe && b.out.epoch < b.epoch && b.stale < maxStale {
		// A later leader has had it: what an earlier one lacks proves nothing.
		b.stale++
		r = Ruling{Does: Lookup, Doubt: true}
	}
	b.maybe = (b.maybe || r.Doubt) && !r.Absent
	switch r.Does {
	case Done:
		p.stored(b)
	case Refuse:
		p.refuse(b, r.Reason, a.bad, err)
	case Renew:
		p.renew(b.out)
		switch b.restarts++; {
		case b.call == nil:
			p.drop(b) // only under its own sequence is it the same batch
		case b.restarts > 1:
			p.again(b)
		default:
			p.place(b)
		}
	case Lookup:
		p.leaderInDoubt(b.out)
		if b.attempts == 0 && b.wanted() {
			b.attempts = 1
			p.place(b) // the look-up waits if it must
			return
		}
		p.again(b)
	case Report:
		if b.maybe {
			p.again(b)
			return
		}
		p.giveUp(b, err)
	default:
		p.again(b)
	}
}

// renew makes an output take another producer id, with sequences from 0, because its
// leader has lost track of the one it has.
func (p *Producer) renew(o *output) {
	if o.id == p.id {
		p.id = recordbatch.NoProducer
	}
	o.id, o.next = recordbatch.NoProducer, 0
}
