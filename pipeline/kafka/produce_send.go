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

// wake has sendWoken look at a broker.
func (p *Producer) wake(br *broker) {
	if !br.woken {
		br.woken = true
		p.woken = append(p.woken, br)
	}
}

// sendWoken has requests begin at the brokers that were woken. It comes last, after all changes, so
// that what they make ready at one broker shares a request. The caller holds p.mu.
func (p *Producer) sendWoken() {
	for _, br := range p.woken {
		br.woken = false
		p.sendReady(br)
	}
	clear(p.woken)
	p.woken = p.woken[:0]
}

// sendReady has a request begin at a broker that has something ready. The request takes the batches
// when it runs, and not now: those that others make ready meanwhile go with it, and the broker has
// one request to work on in place of many (BenchmarkProduceSmall).
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
		p.work.Go(func() { p.makeRequests(j) })
	}
}

// A job is a request that is about to begin. One with little in it lets all other goroutines that
// can run go first: they may have more for it.
type job struct {
	br     *broker
	little bool
}

// smallBatch is a size below which a request of its own costs more than its bytes do.
const smallBatch = 16 << 10

// makeRequests makes one request after another until the producer is closed. A goroutine for each
// would allocate its stack anew each time (BenchmarkProduceSmall).
func (p *Producer) makeRequests(j job) {
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
		b.readyAt = nil
		p.number(b)
	}
	return batches
}

// number gives b its producer id and sequence, and marks it as under way. One that
// has been sent before keeps them, unless its output has taken another id since.
func (p *Producer) number(b *batch) {
	o := b.out
	if o.id == recordbatch.NoProducer {
		o.id, o.nextSequence = p.id, 0
	}
	b.sending = true
	b.epoch = max(b.epoch, o.epoch)
	if b.sealed != o.id {
		b.sealed, b.sequence, b.unsealed = o.id, o.nextSequence, true
	}
}

// request sends what is ready, batches of as many outputs, to the broker that leads them.
func (p *Producer) request(br *broker) {
	p.mu.Lock()
	batches := p.take(br)
	if len(batches) == 0 { // their callers have left meanwhile
		br.inFlight--
	}
	p.wake(br)
	p.sendWoken()
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
			p.unanswered(b, err, begun.Load())
		case !answers[i].found:
			p.unanswered(b, errNoAnswer, true)
		default:
			p.answered(b, answers[i])
		}
	}
	p.sendWoken()
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

// newTopic says whether batch i, of batches that are sorted by topic, is the first of its topic.
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

// readProduceAnswer reads what the broker says of each batch. Brokers answer in the order of the
// batches mostly; only where one does not is the batch searched for.
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

// unanswered handles a batch whose request has no answer. begun says whether the request
// may have reached the broker.
func (p *Producer) unanswered(b *batch, err error, begun bool) {
	if p.closed {
		return // Close gives the batch its outcome
	}
	b.mayBeStored = b.mayBeStored || begun
	if errors.Is(err, recordbatch.ErrNoProducer) || errors.Is(err, ErrClosed) {
		p.failFrom(b, err)
		return
	}
	// A broker that finds a request too large for it ends the connection.
	b.noteAttempt(err, begun && isBroken(err))
	p.leaderInDoubt(b.out)
	p.retryLater(b)
}

func (p *Producer) leaderInDoubt(o *output) {
	p.client.Invalidate(o.TopicPartition)
	o.leader = -1
}

// answered handles a batch that the broker has answered for, as the table of codes says.
func (p *Producer) answered(b *batch, a produceAnswer) {
	if p.closed {
		return // Close gives the batch its outcome
	}
	var err error = a.code
	if a.message != "" && !strings.EqualFold(a.message, a.code.Name()) {
		err = fmt.Errorf("%w: %s", a.code, a.message)
	}
	r := a.code.Ruling(OnProduce)
	b.noteAttempt(err, r.Own)
	if r.Absent && b.mayBeStored && b.out.epoch < b.epoch && b.stale < maxStale {
		// It was sent to a later leader, which may have it: what an earlier one lacks proves
		// nothing.
		b.stale++
		r = Ruling{Does: Lookup, Doubt: true}
	}
	b.mayBeStored = (b.mayBeStored || r.Doubt) && !r.Absent
	switch r.Does {
	case Done:
		p.stored(b)
	case Refuse:
		p.refuse(b, r.Reason, a.bad, err)
	case NewID:
		p.takeNewID(b.out)
		switch b.restarts++; {
		case b.call == nil:
			p.drop(b) // under another sequence the broker would not take it for a repeat
		case b.restarts > 1:
			p.retryLater(b)
		default:
			p.queueAtLeader(b)
		}
	case Lookup:
		p.leaderInDoubt(b.out)
		if b.attempts == 0 && b.wanted() {
			b.attempts = 1
			p.queueAtLeader(b) // the look-up waits if it must
			return
		}
		p.retryLater(b)
	case Report:
		if b.mayBeStored {
			p.retryLater(b)
			return
		}
		p.failFrom(b, err)
	default:
		p.retryLater(b)
	}
}

// takeNewID makes an output take another producer id, with sequences from 0, because its
// leader has lost track of the one it has.
func (p *Producer) takeNewID(o *output) {
	if o.id == p.id {
		p.id = recordbatch.NoProducer
	}
	o.id, o.nextSequence = recordbatch.NoProducer, 0
}
