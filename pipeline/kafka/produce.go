package kafka

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// A ProducerConfig says how a Producer sends. The zero value works.
type ProducerConfig struct {
	Codec recordbatch.Codec
	// MaxBatch bounds the records of one batch, in bytes before compression; a
	// larger record travels alone. 0: 1,040,000, below the 1,048,588 that brokers
	// accept by default.
	MaxBatch int
	// Timeout is how long a broker may wait for its replicas. 0: 10s.
	Timeout time.Duration
	// FailMissing fails messages with UnknownTopicOrPartition as soon as the cluster agrees
	// that their topic is not there. It is for topics that are named by what is written: one
	// that is deleted must not keep the others waiting. Otherwise the topic is waited for.
	FailMissing bool
	// InFlight is the number of requests under way to one broker, each with other
	// partitions. 0: 8.
	InFlight int
	// Account is told of each change, in bytes, of the memory that the producer holds beside
	// the messages: encoded batches, what is kept for the next ones, compressors. It is
	// called from any goroutine, under locks, and must not wait. After Close, when the
	// last Produce has returned, the sum is 0. nil: nobody counts.
	Account func(bytes int64)
}

const (
	defaultMaxBatch = 1_040_000
	defaultTimeout  = 10 * time.Second
	defaultInFlight = 8
	// maxRequest bounds the bytes of the batches that share a request. The first is taken
	// whatever its size.
	maxRequest = 8 << 20
	// maxRecord is what no broker takes (socket.request.max.bytes is 100 MiB unless
	// set): it closes the connection without an answer, so such a record is refused
	// here.
	maxRecord = 100_000_000
	// answerMargin is how long after Timeout an answer may come.
	answerMargin = 5 * time.Second
)

// A Producer stores messages idempotently: with acks from all replicas in sync, one
// batch under way per partition, each numbered, so that one that is sent again
// because its answer was lost is stored once. It is safe for concurrent use and
// shared by everybody who writes to a cluster.
type Producer struct {
	client *Client
	config ProducerConfig
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // requests, look-ups and timers, for Close
	jobs   chan job       // for goroutines that have made a request and have no other

	mu      sync.Mutex
	closed  bool
	outputs map[string][]*output // by topic and partition; nil: not written to yet
	brokers map[int32]*broker
	woken   []*broker // that may have something to send: sendWoken looks at no others
	id      recordbatch.ProducerID
	asking  bool // a goroutine asks for an id
	calls   []*call
	batches []*batch
	buffers buffers
}

// An output is one partition that is written to.
type output struct {
	TopicPartition
	leader       int32 // -1: not known
	epoch        int32 // of the leader
	id           recordbatch.ProducerID
	nextSequence int32    // sequence of the next batch
	busy         bool     // queue[0] is being sent: it is on its way, or waits for a leader, a request or a timer
	queue        []*batch // in the order in which they are stored
	orphans      []*orphan
	call         *call // the one that is being prepared, and the number of its group
	group        int
}

// A broker is where batches of several outputs share requests.
type broker struct {
	node     int32
	inFlight int  // requests, one that begins included
	begins   bool // a request is about to take what is ready
	ready    []*batch
	woken    bool
}

// NewProducer makes a producer on client, which it does not close. It sends nothing
// until the first Produce.
func NewProducer(client *Client, config ProducerConfig) *Producer {
	if config.MaxBatch <= 0 {
		config.MaxBatch = defaultMaxBatch
	}
	if config.Timeout <= 0 {
		config.Timeout = defaultTimeout
	}
	if config.InFlight <= 0 {
		config.InFlight = defaultInFlight
	}
	p := &Producer{client: client, config: config, outputs: map[string][]*output{},
		brokers: map[int32]*broker{}, id: recordbatch.NoProducer, jobs: make(chan job)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.buffers.init(config.Account)
	return p
}

// Produce stores msgs, each in its partition, in order per partition. It returns nil
// when all are stored, else a *ProduceError. An error that may pass is no reason to return:
// it is tried again until ctx ends.
//
// The messages of one source partition must come from one caller at a time. They are
// not kept after Produce returns. When ctx ends and a batch may be stored, its messages are
// listed as failed, and the batch is sent again until its outcome is known; until then no other
// batch is sent to its partition. If the caller comes again with the same messages, as many or
// more in one call, the batch counts as theirs. So nothing is acknowledged that is not in the
// log, and what a caller sends again until it is stored is there once, with the exceptions that
// are listed at leave.
func (p *Producer) Produce(ctx context.Context, msgs []Message) error {
	if len(msgs) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return everyMessage(len(msgs), fmt.Errorf("producing: nothing was sent: %w", err))
	}
	c := p.newCall(msgs)
	if err := p.prepare(c); err != nil {
		return err
	}
	p.mu.Lock()
	if p.closed {
		for _, b := range c.batches {
			p.recycle(b)
		}
		p.mu.Unlock()
		p.buffers.account(-c.weight)
		return everyMessage(len(msgs), ErrClosed)
	}
	p.enqueue(c)
	p.mu.Unlock()
	select {
	case <-c.done:
	case <-ctx.Done():
		p.leave(c, ctx.Err())
		<-c.done
	}
	err := c.result()
	p.endCall(c)
	return err
}

// enqueue puts the batches of a call behind those of their outputs. The caller holds p.mu.
func (p *Producer) enqueue(c *call) {
	c.pending += len(c.batches)
	for _, b := range c.batches {
		b.out.queue = append(b.out.queue, b)
	}
	for _, b := range c.batches {
		p.advance(b.out)
	}
	p.sendWoken()
	c.finish()
}

// Close ends what is under way and waits until nothing of the producer runs any
// more. Calls of Produce return ErrClosed for what is not stored.
func (p *Producer) Close() {
	p.mu.Lock()
	p.closed = true
	for o := range p.all() {
		for _, b := range o.queue {
			if b.timer != nil && b.timer.Stop() {
				p.work.Done()
			}
			b.timer = nil
		}
	}
	p.mu.Unlock()
	p.cancel()
	p.work.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for o := range p.all() {
		for len(o.queue) > 0 {
			b := o.queue[0]
			o.queue = o.queue[1:]
			p.setOutcome(b, ErrClosed)
		}
	}
	for _, c := range p.calls {
		p.buffers.account(-c.weight)
	}
	p.calls, p.batches = nil, nil
	p.buffers.close()
}

// output makes the output of a partition, and gives all of its topic.
func (p *Producer) output(tp TopicPartition) []*output {
	list := p.outputs[tp.Topic]
	for int(tp.Partition) >= len(list) {
		list = append(list, nil)
	}
	list[tp.Partition] = &output{TopicPartition: tp, leader: -1, epoch: -1, id: recordbatch.NoProducer}
	p.outputs[tp.Topic] = list
	return list
}

// Forget drops what is kept of a topic that is not written to any more: names of topics may
// come out of records, and each would cost memory for ever. Partitions with a batch that has no
// outcome yet are kept; it may be called again for these. The caller sees to it that no Produce
// to the topic is under way or begins meanwhile.
func (p *Producer) Forget(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list, kept := p.outputs[topic], false
	for i, o := range list {
		switch {
		case o == nil:
		case len(o.queue) > 0 || len(o.orphans) > 0:
			kept = true
		default:
			// The partition's next output begins with sequence 0. Under the same id the
			// broker could take that for a repeat of the first batch, and drop it.
			if o.id == p.id {
				p.id = recordbatch.NoProducer
			}
			list[i] = nil
		}
	}
	if !kept {
		delete(p.outputs, topic)
	}
}

// all are the outputs that there are.
func (p *Producer) all() iter.Seq[*output] {
	return func(yield func(*output) bool) {
		for _, list := range p.outputs {
			for _, o := range list {
				if o != nil && !yield(o) {
					return
				}
			}
		}
	}
}
