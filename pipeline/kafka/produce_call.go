package kafka

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// A call is one Produce. It is kept for another one, with its lists, which have grown to the size
// of the callers' and are accounted for.
type call struct {
	msgs    []Message
	errs    []error       // nil until one fails
	pending int           // batches without an outcome, and one until all are queued
	done    chan struct{} // receives when there are none

	groups  []group
	batches []*batch
	of      []int32 // the group of each message
	order   []int32 // the messages by group: the parts of it are the batches' idx
	weight  int64   // of of and order, as told to account
}

// A group is what a call has for one output.
type group struct {
	out  *output
	n    int // messages
	size int // what they take at most, encoded
	idx  []int32
}

// maxCalls and maxCallRoom bound the calls that are kept for reuse, and the messages of
// each.
const (
	maxCalls    = 16
	maxCallRoom = 16 << 10
)

func (p *Producer) newCall(msgs []Message) *call {
	p.mu.Lock()
	c := pop(&p.calls)
	p.mu.Unlock()
	if c == nil {
		c = &call{done: make(chan struct{}, 1)}
	}
	c.msgs, c.pending = msgs, 1
	if n := len(msgs); cap(c.of) < n {
		c.of, c.order = make([]int32, n), make([]int32, n)
		p.weigh(c)
	}
	c.of, c.order = c.of[:len(msgs)], c.order[:len(msgs)]
	return c
}

// pop takes the last of what is kept for reuse, nil when nothing is.
func pop[T any](kept *[]*T) *T {
	n := len(*kept)
	if n == 0 {
		return nil
	}
	last := (*kept)[n-1]
	(*kept)[n-1] = nil
	*kept = (*kept)[:n-1]
	return last
}

func (p *Producer) weigh(c *call) {
	now := int64(cap(c.of)+cap(c.order)) * int64(unsafe.Sizeof(c.of[0]))
	p.buffers.account(now - c.weight)
	c.weight = now
}

// endCall keeps a call for the next Produce. No batch points to it any more: each has told it its
// outcome, or was left without a caller.
func (p *Producer) endCall(c *call) {
	c.msgs, c.errs = nil, nil
	clear(c.groups)
	clear(c.batches)
	c.groups, c.batches = c.groups[:0], c.batches[:0]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.calls) == maxCalls || cap(c.of) > maxCallRoom {
		p.buffers.account(-c.weight)
		return
	}
	p.calls = append(p.calls, c)
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
	if c.pending--; c.pending == 0 {
		c.done <- struct{}{}
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

// prepare sorts the messages by partition, adopts orphans that hold some of them, and encodes the
// rest.
func (p *Producer) prepare(c *call) error {
	p.mu.Lock()
	p.sort(c)
	for i := range c.groups {
		g := &c.groups[i]
		g.out.call = nil
		if n := len(g.idx); len(g.out.orphans) > 0 {
			if g.idx = p.adopt(c, g.out, g.idx); len(g.idx) < n {
				g.size = sizeOf(c.msgs, g.idx)
			}
		}
	}
	p.mu.Unlock()
	now := time.Now().UnixMilli()
	for i := range c.groups {
		if err := p.encodeAll(c, &c.groups[i], now); err != nil {
			p.mu.Lock()
			for _, g := range c.groups {
				c.fail(g.idx, err)
			}
			for _, b := range c.batches {
				p.recycle(b)
			}
			p.mu.Unlock()
			p.leave(c, err)
			p.buffers.account(-c.weight)
			return c.result() // what adopt found stored is not told again
		}
	}
	return nil
}

// sort fills the call's groups, each with its messages in order, in two passes over
// lists that are as long as the call: a list of its own for each group grows step by step
// (BenchmarkPrepare). The caller holds p.mu.
func (p *Producer) sort(c *call) {
	var outputs []*output // of topic
	topic := ""
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
			o.call, o.group = c, len(c.groups)
			c.groups = append(c.groups, group{out: o})
		}
		g := &c.groups[o.group]
		g.n++
		g.size += boundOf(m)
		c.of[i] = int32(o.group)
	}
	from := 0
	for i := range c.groups {
		g := &c.groups[i]
		g.idx = c.order[from : from : from+g.n]
		from += g.n
	}
	for i, of := range c.of {
		g := &c.groups[of]
		g.idx = append(g.idx, int32(i))
	}
}

// boundOf is at least the bytes that a message takes in a batch before compression.
func boundOf(m *Message) int { return recordbatch.RecordBound(m.Key, m.Value, m.Headers) }

func sizeOf(msgs []Message, idx []int32) int {
	size := 0
	for _, i := range idx {
		size += boundOf(&msgs[i])
	}
	return size
}

// encodeAll divides the messages of one partition into batches. A message that no broker takes
// fails here, alone.
func (p *Producer) encodeAll(c *call, g *group, now int64) error {
	for idx := g.idx; len(idx) > 0; {
		n, size := len(idx), g.size
		if size > min(p.config.MaxBatch, maxRecord) {
			n, size = p.nextBatchSize(c.msgs, idx)
			g.size -= size
		}
		if n == 0 {
			g.size -= boundOf(&c.msgs[idx[0]])
			p.mu.Lock()
			c.fail(idx[:1], &RefusedError{RefusedTooLarge, fmt.Errorf("producing to %v: the record is larger than any broker accepts", g.out)})
			p.mu.Unlock()
			idx = idx[1:]
			continue
		}
		b := p.newBatch(c, g.out, idx[:n:n])
		if err := p.encode(b, size, now, true); err != nil {
			return err
		}
		c.batches = append(c.batches, b)
		idx = idx[n:]
	}
	return nil
}

// nextBatchSize says how many of the messages idx make the next batch, and what they take at most;
// 0: the first is too large for any.
func (p *Producer) nextBatchSize(msgs []Message, idx []int32) (n, size int) {
	for n < len(idx) {
		s := boundOf(&msgs[idx[n]])
		if s > maxRecord || n > 0 && size+s > p.config.MaxBatch {
			break
		}
		size += s
		n++
	}
	return n, size
}

// maxBatches bounds the batches, without their data, that are kept for reuse.
const maxBatches = 256

func (p *Producer) newBatch(c *call, o *output, idx []int32) *batch {
	p.mu.Lock()
	b := pop(&p.batches)
	p.mu.Unlock()
	if b == nil {
		b = new(batch)
	}
	*b = batch{out: o, call: c, idx: idx}
	return b
}

// reuseBatch keeps a batch for reuse. It must have been answered: then no look-up and no timer
// points to it.
func (p *Producer) reuseBatch(b *batch) {
	if len(p.batches) < maxBatches {
		*b = batch{}
		p.batches = append(p.batches, b)
	}
}
