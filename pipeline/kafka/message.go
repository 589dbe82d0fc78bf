package kafka

import (
	"math"

	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// noTime stands for a message without a timestamp; it gets the time of encoding.
const noTime = math.MinInt64

// A Message is one record to be produced.
type Message struct {
	TopicPartition
	Key, Value []byte // nil is null, which is not empty
	Headers    []recordbatch.Header
	// Time is in milliseconds since 1970 UTC; math.MinInt64: when it is sent.
	Time int64
	// Origin names what the message was made from. Two messages of one origin and
	// with equal contents are the same message, sent again.
	Origin Origin
}

// An Origin is the place of the record that a message was made from.
type Origin struct {
	Topic     string
	Partition int32
	Part      int32 // of several messages made from one record
	Offset    int64
}

func (m *Message) time(now int64) int64 {
	if m.Time == noTime {
		return now
	}
	return m.Time
}
