package kafka

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"
)

// A ProducerConfig says how a Producer sends. The zero value works.
type ProducerConfig struct {
	Codec Codec
	// MaxBatch bounds the records of one batch, in bytes before compression; a
	// larger record travels alone. 0: 900,000, below the 1,048,588 that brokers
	// accept by default.
	MaxBatch int
	// Timeout is how long a broker may wait for its replicas. 0: 10s.
	Timeout time.Duration
	// FailMissing gives messages up, with UnknownTopicOrPartition, as soon as the cluster
	// agrees that their topic is not there: for topics that are named by what is written,
	// of which one that is deleted must not hold the others up. Else it is waited for.
	FailMissing bool
	// InFlight is the number of requests under way to one broker, each with other
	// partitions. 0: 8.
	InFlight int
}

const (
	defaultMaxBatch = 900_000
	defaultTimeout  = 10 * time.Second
	defaultInFlight = 8
	// maxRequest bounds the batches that share a request; one is always taken.
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
	work   sync.WaitGroup // requests, look-ups and timers

	mu      sync.Mutex
	closed  bool
	outputs map[string][]*output // by topic and partition; nil: not written to yet
	brokers map[int32]*broker
	id      producerID
	asking  bool // a goroutine asks for an id
	free    [][]byte
	scratch [][]byte
	packs   []*compressor
}

// An output is one partition that is written to.
type output struct {
	TopicPartition
	leader  int32 // -1: not known
	epoch   int32 // of the leader
	id      producerID
	next    int32    // sequence of the next batch
	busy    bool     // queue[0] is looked after: on its way, or waiting for its turn
	queue   []*batch // in the order in which they are stored
	orphans []*orphan
	call    *call // that is being prepared, and its group
	group   int
}

// A broker is where batches of several outputs share requests.
type broker struct {
	node     int32
	inFlight int
	ready    []*batch
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
		brokers: map[int32]*broker{}, id: noProducer}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Produce stores msgs, each in its partition, in order per partition. It returns nil
// when all are stored, else a *ProduceError. Whatever may pass is tried again until
// ctx ends.
//
// The messages of one source partition must come from one caller at a time. They are
// not kept after Produce returns. When ctx ends while a batch may be stored its
// messages are listed, the batch is sent on until its outcome is known, and keeps its
// partition closed to all others until then. If the caller comes again with the same
// messages, as many or more in one call, the batch counts as theirs. So nothing is
// acknowledged that is not in the log, and what a caller sends until it is stored is
// there once, but for what is listed at leave.
func (p *Producer) Produce(ctx context.Context, msgs []Message) error {
	if len(msgs) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return everyMessage(len(msgs), fmt.Errorf("producing: nothing was sent: %w", err))
	}
	c := &call{msgs: msgs, left: 1, done: make(chan struct{})} // 1: until all batches are queued
	batches, err := p.prepare(c)
	if err != nil {
		return err
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return everyMessage(len(msgs), ErrClosed)
	}
	c.left += len(batches)
	for _, b := range batches {
		b.out.queue = append(b.out.queue, b)
	}
	for _, b := range batches {
		p.advance(b.out)
	}
	p.pumpAll()
	c.finish()
	p.mu.Unlock()
	select {
	case <-c.done:
	case <-ctx.Done():
		p.leave(c, ctx.Err())
	}
	return c.result()
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
			p.settle(b, ErrClosed)
		}
	}
}

// A call is one Produce.
type call struct {
	msgs []Message
	errs []error // nil until one fails
	left int     // batches without an outcome
	done chan struct{}
}

// fail notes the outcome of the messages idx.
func (c *call) fail(idx []int32, err error) {
	if c.errs == nil {
		c.errs = make([]error, len(c.msgs))
	}
	for _, i := range idx {
		c.errs[i] = err
	}
}

func (c *call) finish() {
	if c.left--; c.left == 0 {
		close(c.done)
	}
}

func (c *call) result() error {
	if c.errs == nil {
		return nil
	}
	var failed []MessageError
	for i, err := range c.errs {
		if err != nil {
			failed = append(failed, MessageError{i, err})
		}
	}
	return &ProduceError{failed}
}

func everyMessage(n int, err error) error {
	failed := make([]MessageError, n)
	for i := range failed {
		failed[i] = MessageError{i, err}
	}
	return &ProduceError{failed}
}

// prepare sorts the messages by partition, finds batches that were left behind and
// hold some of them, and encodes the rest.
func (p *Producer) prepare(c *call) ([]*batch, error) {
	var groups []group
	var outputs []*output // of topic
	topic := ""
	p.mu.Lock()
	for i := range c.msgs {
		m := &c.msgs[i]
		if i == 0 || m.Topic != topic {
			topic, outputs = m.Topic, p.outputs[m.Topic]
		}
		if int(m.Partition) >= len(outputs) || outputs[m.Partition] == nil {
			outputs = p.output(m.TopicPartition)
		}
		o := outputs[m.Partition]
		if o.call != c {
			o.call, o.group = c, len(groups)
			groups = append(groups, group{out: o})
		}
		g := &groups[o.group]
		g.idx = append(g.idx, int32(i))
	}
	for _, g := range groups {
		g.out.call = nil
	}
	for i := range groups {
		groups[i].idx = p.adopt(c, groups[i].out, groups[i].idx)
	}
	p.mu.Unlock()
	var batches []*batch
	now := time.Now().UnixMilli()
	for _, g := range groups {
		var err error
		if batches, err = p.encodeAll(c, g, now, batches); err != nil {
			p.mu.Lock()
			for _, g := range groups {
				c.fail(g.idx, err)
			}
			p.mu.Unlock()
			p.leave(c, err)
			return nil, c.result() // what adopt found stored is not told again
		}
	}
	return batches, nil
}

type group struct {
	out *output
	idx []int32
}

// output makes the output of a partition, and gives all of its topic.
func (p *Producer) output(tp TopicPartition) []*output {
	list := p.outputs[tp.Topic]
	for int(tp.Partition) >= len(list) {
		list = append(list, nil)
	}
	list[tp.Partition] = &output{TopicPartition: tp, leader: -1, epoch: -1, id: noProducer}
	p.outputs[tp.Topic] = list
	return list
}

// Forget lets go of what is kept of a topic that is not written to any more: names of
// topics may come out of records, and each would cost memory for ever. Partitions with
// a batch that has no outcome yet are kept, so it may be called again later. The caller
// sees to it that no Produce to the topic is under way or begins meanwhile.
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
				p.id = noProducer
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

// encodeAll cuts the messages of one partition into batches. A message that no
// broker takes fails here, alone.
func (p *Producer) encodeAll(c *call, g group, now int64, batches []*batch) ([]*batch, error) {
	for idx := g.idx; len(idx) > 0; {
		n, size := 0, 0
		for n < len(idx) {
			s := recordBound(&c.msgs[idx[n]])
			if s > maxRecord {
				break
			}
			if n > 0 && size+s > p.config.MaxBatch {
				break
			}
			size += s
			n++
		}
		if n == 0 {
			p.mu.Lock()
			c.fail(idx[:1], &RefusedError{RefusedTooLarge, fmt.Errorf("producing to %v: the record is larger than any broker accepts", g.out)})
			p.mu.Unlock()
			idx = idx[1:]
			continue
		}
		b := &batch{out: g.out, call: c, idx: idx[:n:n]}
		if err := p.encode(b, now); err != nil {
			return batches, err
		}
		batches = append(batches, b)
		idx = idx[n:]
	}
	return batches, nil
}
