package kafka

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"time"
)

// An orphan is a batch whose caller left before its outcome was known. If the same
// messages come again, the batch counts as theirs.
type orphan struct {
	topic     string // where its first message came from
	partition int32
	n         int
	sum       []byte
	batch     *batch // until it is settled
	settled   bool
	stored    bool
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

// adopt looks whether the first of the messages idx, which all go to o, are those of
// an orphan: then it becomes the call's, or, when it has been stored, they are done
// with. It gives the messages that are left to send. An orphan of the same origin
// with other messages is of no use any more. The caller holds p.mu.
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
			if !q.settled {
				kept = append(kept, q)
			}
			continue
		}
		if q.settled && !q.stored {
			continue
		}
		if !q.settled {
			b := q.batch
			b.call, b.idx, b.orphan = c, idx[:q.n:q.n], nil
			c.left++
		}
		idx = idx[q.n:]
	}
	clear(o.orphans[len(kept):])
	o.orphans = kept
	return idx
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
