package kafka

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"time"
)

// An orphan is a batch whose caller left before its outcome was known. If the same
// messages come again, the batch counts as theirs.
type orphan struct {
	topic      string // where its first message came from
	partition  int32
	n          int
	sum        []byte
	batch      *batch // until it has an outcome
	hasOutcome bool
	stored     bool
}

// maxOrphans bounds what an output remembers. Forgetting one means that its messages
// may be stored twice when they come again.
const maxOrphans = 64

// orphan leaves b without a caller. The caller's messages are still there.
func (p *Producer) orphan(b *batch) {
	c, o := b.call, b.out
	origin := c.msgs[b.idx[0]].Origin
	b.orphan = &orphan{topic: origin.Topic, partition: origin.Partition, n: len(b.idx), sum: fingerprint(c.msgs, b.idx), batch: b}
	b.call, b.idx, b.leftAt = nil, nil, time.Now()
	if len(o.orphans) == maxOrphans {
		o.orphans = append(o.orphans[:0], o.orphans[1:]...)
	}
	o.orphans = append(o.orphans, b.orphan)
}

// adopt looks whether the first of the messages idx, which all go to o, are those of an orphan. If
// so the orphan becomes the call's; if it was stored, its messages have their outcome. It gives the
// messages that are left to send. An orphan of the same origin with other messages cannot be asked
// for any more, and is forgotten. The caller holds p.mu.
func (p *Producer) adopt(c *call, o *output, idx []int32) []int32 {
	if len(o.orphans) == 0 {
		return idx
	}
	origin := c.msgs[idx[0]].Origin
	kept := o.orphans[:0]
	for _, q := range o.orphans {
		if q.topic != origin.Topic || q.partition != origin.Partition || len(idx) == 0 {
			kept = append(kept, q)
			continue
		}
		if q.n > len(idx) || !bytes.Equal(q.sum, fingerprint(c.msgs, idx[:q.n])) {
			if !q.hasOutcome {
				kept = append(kept, q)
			}
			continue
		}
		if q.hasOutcome && !q.stored {
			continue
		}
		if !q.hasOutcome {
			b := q.batch
			b.call, b.idx, b.orphan = c, idx[:q.n:q.n], nil
			c.pending++
		}
		idx = idx[q.n:]
	}
	clear(o.orphans[len(kept):])
	o.orphans = kept
	return idx
}

// leave takes the call away from its batches when its caller goes, which it may do at any time.
// Where a batch then stands decides whether it may be stored, what becomes of it, and
// what keeps the next batch of its output from getting its sequence:
//
//	where it stands                  may be stored  what becomes of it   the next one's sequence
//	not queued: ended context,       no             nothing is sent      -
//	  encoding fails
//	behind another batch             no             forgotten            it had none
//	first, its leader looked up,     no             forgotten            it had none, or one that
//	  ready, waiting for an id or                                        no broker has: it is free
//	  for its next try, and every
//	  answer says: not stored
//	on its way                       yes            an orphan            the output is closed
//	first, and an earlier request    yes            an orphan            the output is closed
//	  may have stored it
//	an orphan, adopted by a caller   as it stands   an orphan again      the output is closed
//	  that leaves too
//	a part of a refused batch        as it stands   as above             the whole one's is not used
//	                                                                     again if that was in doubt
//	any, at Close                    as it stands   its caller is told   all ids end with the producer
//	                                                ErrClosed
//
// An orphan is sent on, the same bytes under the same sequence, until an answer settles
// it: stored, or not stored, and then it is dropped, as nobody waits for it. There is
// one at most for an output, so they hold no more memory than a batch for each. They
// hold other lanes back no longer than the output's leader does, with three
// exceptions, in which what the caller sends again may be there twice:
//
//   - For two minutes the broker answers in a way that may be the fault of the batch
//     (Ruling.Own), or that the topic is not there. The orphan is dropped, and its producer id
//     with it.
//   - The broker refuses it now that may have stored it before (the topic's settings
//     have changed), or has forgotten the producer id.
//   - The process ends, or the same messages come in smaller calls than before.
//
// A broker forgets a producer a day after its last records' time (their own time,
// producer.id.expiration.ms; looked at every ten minutes): of records older than that
// it may take a batch in doubt twice whatever we do.
//
// No batch belongs to a transaction: none carries the bit, and a producer id of ours is
// of no transactional id. A transactor that is built on this must not let an orphan
// live past the end of its transaction, or it is sent into the next: it must end the
// producer and take a new epoch (InitProducerId), which fences what is on its way,
// before it begins another.
func (p *Producer) leave(c *call, reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.pending == 0 {
		return
	}
	for _, g := range c.groups {
		if slices.ContainsFunc(g.out.queue, func(b *batch) bool { return b.call == c }) {
			p.leaveOutput(c, g.out, reason)
		}
	}
	p.sendWoken()
}

func (p *Producer) leaveOutput(c *call, o *output, reason error) {
	kept := o.queue[:0:0]
	for i, b := range o.queue {
		if b.call != c {
			kept = append(kept, b)
			continue
		}
		c.fail(b.idx, b.leaveError(reason))
		if b.sending || b.mayBeStored {
			p.orphan(b)
			kept = append(kept, b)
		} else {
			if i == 0 {
				p.unready(b)
				o.busy = false
			}
			b.call, b.idx = nil, nil
			p.recycle(b)
		}
		c.finish()
	}
	o.queue = kept
	p.advance(o)
}

// TopicDeleted says that a topic and its log were deleted: batches for it that nobody waits for are
// dropped. Otherwise they would be stored in a topic that is made anew under the name, long after
// their messages were rejected or went elsewhere.
func (p *Producer) TopicDeleted(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.outputs[topic] {
		if o == nil || len(o.queue) == 0 || o.queue[0].call != nil {
			continue
		}
		b := o.queue[0]
		if b.sending { // whatever the answer is, it is not tried again
			b.ownSince, b.leftAt = time.Unix(0, 0), time.Time{}
			continue
		}
		p.unready(b)
		p.drop(b)
	}
	p.sendWoken()
}

// fingerprint is a hash of origin and contents of messages.
func fingerprint(msgs []Message, idx []int32) []byte {
	h := sha256.New()
	for _, i := range idx {
		m := &msgs[i]
		hashText(h, []byte(m.Origin.Topic))
		hashNumber(h, int64(m.Origin.Partition))
		hashNumber(h, m.Origin.Offset)
		hashNumber(h, int64(m.Origin.Part))
		hashNumber(h, m.Time)
		hashText(h, m.Key)
		hashText(h, m.Value)
		hashNumber(h, int64(len(m.Headers)))
		for _, header := range m.Headers {
			hashText(h, []byte(header.Name))
			hashText(h, header.Value)
		}
	}
	return h.Sum(nil)
}

func hashNumber(h hash.Hash, n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	_, _ = h.Write(b[:])
}

// hashText writes the length too, -1 for nil, so that neighbours cannot run together.
func hashText(h hash.Hash, p []byte) {
	if p == nil {
		hashNumber(h, -1)
		return
	}
	hashNumber(h, int64(len(p)))
	_, _ = h.Write(p)
}
