package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/protocol"
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

func (p *Producer) sendReady(br *broker) {
	for len(br.ready) > 0 && br.inFlight < p.config.InFlight && !p.closed {
		if p.id == noProducer {
			p.askID()
			return
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
		br.inFlight++
		p.work.Go(func() { p.request(br, batches) })
	}
}

// number gives b its producer id and sequence, and marks it as under way. One that
// has been sent before keeps them, unless its output has taken another id since.
func (p *Producer) number(b *batch) {
	o := b.out
	if o.id == noProducer {
		o.id, o.next = p.id, 0
	}
	b.sending = true
	b.epoch = max(b.epoch, o.epoch)
	if b.sealed != o.id {
		b.sealed, b.sequence, b.unsealed = o.id, o.next, true
	}
}

// request sends batches, which are of as many outputs, to the broker that leads them.
func (p *Producer) request(br *broker, batches []*batch) {
	var err error
	for _, b := range batches {
		if b.unsealed {
			err = errors.Join(err, sealBatch(b.data, b.sealed, b.sequence, false))
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
	if errors.Is(err, errNoProducer) || errors.Is(err, ErrClosed) {
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
		p.id = noProducer
	}
	o.id, o.next = noProducer, 0
}

// askID gets a producer id in the background and sends what waits for it.
func (p *Producer) askID() {
	if p.asking || p.closed {
		return
	}
	p.asking = true
	p.work.Go(func() {
		wait := firstBackoff
		for {
			id, err := p.initProducerID()
			p.mu.Lock()
			if err == nil || p.closed {
				p.id, p.asking = id, false
				for _, br := range p.brokers {
					p.wake(br)
				}
				p.pump()
				p.mu.Unlock()
				return
			}
			waiting := false
			for _, br := range p.brokers {
				for _, b := range br.ready {
					b.last = err
					waiting = true
				}
			}
			if !waiting {
				p.asking = false
				p.mu.Unlock()
				return
			}
			p.mu.Unlock()
			if !sleep(p.ctx, wait) {
				continue // closed: the next round ends
			}
			limit := lastBackoff
			var code Error
			if errors.As(err, &code) && (code.coordinatorMoved() || code == ConcurrentTransactions) {
				limit = 50 * time.Millisecond
			}
			wait = min(2*wait, limit)
		}
	})
}

// initProducerID is InitProducerID version 1, without a transactional id.
func (p *Producer) initProducerID() (producerID, error) {
	x := &exchange{
		key: protocol.InitProducerId, broker: -1, clientID: p.client.config.ClientID,
		body: func(w *writer) {
			w.nullable("")
			w.int32(math.MaxInt32) // transaction timeout, of no meaning here
		},
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.config.Timeout)
	defer cancel()
	if err := p.client.do(ctx, x); err != nil {
		return noProducer, fmt.Errorf("asking for a producer id: %w", err)
	}
	r := &reader{b: x.answer}
	r.int32() // throttle
	code := codeError(r.int16())
	id := producerID{r.int64(), r.int16()}
	if code == nil {
		code = r.err
	}
	if code == nil && id.id < 0 {
		code = errNoProducer
	}
	if code != nil {
		return noProducer, fmt.Errorf("asking for a producer id: %w", code)
	}
	return id, nil
}
