package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

const (
	// maxFetch bounds a fetch's answer: a batch larger than all limits of the request
	// is returned whole, but no broker takes one of this size.
	maxFetch = 256 << 20
	// fetchGrace is what a broker may take beyond MaxWait until its answer begins.
	fetchGrace = 10 * time.Second
)

// ErrIncomplete is the error of the partition in whose records the connection broke.
var ErrIncomplete = errors.New("the answer ends within the partition's records")

// A FetchRequest is one poll of one broker for several partitions.
//
// The broker spends MaxBytes in the order of Partitions, and returns a batch above
// the limits whole for the first that has data alone: callers rotate the order from
// one request to the next. A partition that answered an error ends the long poll at
// once, so it is left out until what is wrong has been put right.
type FetchRequest struct {
	Broker     int32
	MaxWait    time.Duration // how long the broker may wait for MinBytes
	MinBytes   int32
	MaxBytes   int32 // of all partitions together
	Committed  bool  // up to the last stable offset, with the list of aborted transactions
	Partitions []FetchPartition
}

// A FetchPartition is where to read on in a partition.
type FetchPartition struct {
	TopicPartition
	Offset      int64
	LeaderEpoch int32 // as Leader gave it: a broker that is no leader any more refuses. -1: unknown
	MaxBytes    int32
}

// A FetchAnswer is what a broker returned. It may be used again for the next Fetch.
type FetchAnswer struct {
	// Throttle is how long to wait before the next fetch from this broker; it answers
	// nothing until then.
	Throttle   time.Duration
	Partitions []FetchedPartition
	code       error // of the answer as a whole: the connection is good
}

// A FetchedPartition is the answer for one partition of the request.
type FetchedPartition struct {
	Index         int   // in the request's Partitions
	Err           error // an Error, whose offsets are -1, or ErrIncomplete; there are no records
	HighWatermark int64
	LastStable    int64
	LogStart      int64
	Aborted       []recordbatch.AbortedTransaction
	Set           []byte // the record set for Decoder.Decode: a buffer from alloc
}

// Fetch polls a broker. alloc gives the buffer for n bytes of records of the
// partition with the given index in the request; nil allocates from the heap. It is
// called from another goroutine, and not any more when Fetch has returned. The error is
// a *BrokerError, an Error that the broker answered as a whole, or that of ctx. After an
// error the partitions that answer holds are whole, and their buffers are the
// caller's.
func (c *Client) Fetch(ctx context.Context, req *FetchRequest, alloc func(index, n int) []byte, answer *FetchAnswer) error {
	if alloc == nil {
		alloc = func(_, n int) []byte { return make([]byte, n) }
	}
	answer.Throttle, answer.Partitions, answer.code = 0, answer.Partitions[:0], nil
	x := &exchange{
		key: protocol.Fetch, broker: req.Broker, clientID: c.config.ClientID,
		body: req.write, patience: req.MaxWait + fetchGrace,
		read: func(r io.Reader, size int) error {
			p := &fetchParser{r: r, left: size, req: req, alloc: alloc, answer: answer}
			return p.parse()
		},
	}
	if err := c.doFetch(ctx, x); err != nil {
		return fmt.Errorf("fetching: %w", err)
	}
	if answer.code != nil {
		return fmt.Errorf("fetching from broker %s: %w", c.Address(req.Broker), answer.code)
	}
	return nil
}

func (f *FetchRequest) write(w *writer) {
	w.int32(-1) // replica: none
	w.int32(int32(f.MaxWait / time.Millisecond))
	w.int32(f.MinBytes)
	w.int32(f.MaxBytes)
	if f.Committed {
		w.int8(1)
	} else {
		w.int8(0)
	}
	w.int32(0)  // no session
	w.int32(-1) // nor a new one
	topics := 0
	for i := range f.Partitions {
		if i == 0 || f.Partitions[i].Topic != f.Partitions[i-1].Topic {
			topics++
		}
	}
	w.array(topics)
	for i := 0; i < len(f.Partitions); {
		n := i + 1
		for n < len(f.Partitions) && f.Partitions[n].Topic == f.Partitions[i].Topic {
			n++
		}
		w.string(f.Partitions[i].Topic)
		w.array(n - i)
		for ; i < n; i++ {
			p := &f.Partitions[i]
			w.int32(p.Partition)
			w.int32(p.LeaderEpoch)
			w.int64(p.Offset)
			w.int64(-1) // log start: of replicas alone
			w.int32(p.MaxBytes)
		}
	}
	w.array(0)   // no topic to forget
	w.string("") // no rack: else followers are named instead of answering
}

// A fetchParser reads an answer off the connection, each record set into a buffer of
// its own. What is left of the answer's length bounds everything that it allocates.
type fetchParser struct {
	r      io.Reader
	left   int
	req    *FetchRequest
	alloc  func(index, n int) []byte
	answer *FetchAnswer
	next   int // index in the request where the next partition is expected
	small  [40]byte
}

func (p *fetchParser) full(b []byte) error {
	if len(b) > p.left {
		return errShort
	}
	p.left -= len(b)
	_, err := io.ReadFull(p.r, b)
	return err
}

func (p *fetchParser) fixed(n int) (*reader, error) {
	b := p.small[:n]
	if err := p.full(b); err != nil {
		return nil, err
	}
	return &reader{b: b}, nil
}

// length reads the number of elements that take at least least bytes each.
func (p *fetchParser) length(least int) (int, error) {
	b := p.small[:4]
	if err := p.full(b); err != nil {
		return 0, err
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	if n > p.left/least {
		return 0, errShort
	}
	return max(n, 0), nil
}

var errFetchSize = errors.New("the answer to a fetch is larger than any batch may be")

func (p *fetchParser) parse() error {
	if p.left > maxFetch {
		return errFetchSize
	}
	head, err := p.fixed(10)
	if err != nil {
		return err
	}
	p.answer.Throttle = time.Duration(max(head.int32(), 0)) * time.Millisecond
	p.answer.code = codeError(head.int16())
	topics, err := p.length(6)
	if err != nil {
		return err
	}
	for range topics {
		if err := p.topic(); err != nil {
			return err
		}
	}
	if p.left != 0 {
		return fmt.Errorf("the answer to a fetch has %d bytes too many", p.left)
	}
	return nil
}

func (p *fetchParser) topic() error {
	if err := p.full(p.small[:2]); err != nil {
		return err
	}
	n := int(int16(binary.BigEndian.Uint16(p.small[:])))
	if n < 0 {
		return errShort
	}
	name := make([]byte, n)
	if err := p.full(name); err != nil {
		return err
	}
	partitions, err := p.length(38)
	if err != nil {
		return err
	}
	for range partitions {
		if err := p.partition(name); err != nil {
			return err
		}
	}
	return nil
}

func (p *fetchParser) partition(topic []byte) error {
	r, err := p.fixed(30)
	if err != nil {
		return err
	}
	f := FetchedPartition{Index: p.index(topic, r.int32()), Err: codeError(r.int16())}
	f.HighWatermark, f.LastStable, f.LogStart = r.int64(), r.int64(), r.int64()
	aborted, err := p.length(16)
	if err != nil {
		return err
	}
	if aborted > 0 {
		f.Aborted = make([]recordbatch.AbortedTransaction, 0, aborted)
	}
	for range aborted {
		r, err := p.fixed(16)
		if err != nil {
			return err
		}
		f.Aborted = append(f.Aborted, recordbatch.AbortedTransaction{ProducerID: r.int64(), First: r.int64()})
	}
	if _, err := p.fixed(4); err != nil { // preferred replica: never without a rack
		return err
	}
	size, err := p.length(1)
	if err != nil {
		return err
	}
	if f.Index < 0 {
		return fmt.Errorf("the answer to a fetch has a partition of %s that was not asked for", topic)
	}
	if size > 0 {
		f.Set = p.alloc(f.Index, size)[:size]
		if err := p.full(f.Set); err != nil {
			// Whoever gave the buffer finds it in the answer, without records.
			f.Set, f.Err = f.Set[:0], ErrIncomplete
			p.answer.Partitions = append(p.answer.Partitions, f)
			return err
		}
	}
	p.answer.Partitions = append(p.answer.Partitions, f)
	return nil
}

// index finds a partition in the request; brokers answer mostly in its order.
func (p *fetchParser) index(topic []byte, partition int32) int {
	n := len(p.req.Partitions)
	for i := range n {
		at := (p.next + i) % n
		if q := &p.req.Partitions[at]; q.Partition == partition && q.Topic == string(topic) {
			p.next = at + 1
			return at
		}
	}
	return -1
}
