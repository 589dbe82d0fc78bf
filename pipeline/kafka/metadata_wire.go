package kafka

import "github.com/segmentio/kafka-go/protocol"

// metadataRequest asks for topics by name; nil asks for all, none for the brokers
// alone.
func (c *Client) metadataRequest(names []string) *exchange {
	return &exchange{key: protocol.Metadata, broker: -1, clientID: c.config.ClientID, body: func(w *writer) {
		if w.version < 10 {
			if names == nil {
				w.int32(-1)
			} else {
				w.array(len(names))
			}
			for _, n := range names {
				w.string(n)
			}
			w.bool(false) // create no topic
			return
		}
		if names == nil {
			w.uvarint(0)
		} else {
			w.compactArray(len(names))
		}
		for _, n := range names {
			w.uuid(TopicID{})
			w.compactString(n)
			w.tags()
		}
		w.bool(false) // create no topic
		w.bool(false)
		w.bool(false)
		w.tags()
	}}
}

type brokerAddress struct {
	id   int32
	host string
	port int32
}

type metadataAnswer struct {
	brokers    []brokerAddress
	controller int32
	topics     map[string]*topicMeta
	from       int32 // the broker whose answer it is; -1: one that is known by its address alone
}

// parseMetadata reads version 7, or 10 when flexible.
func parseMetadata(b []byte, flexible bool) (*metadataAnswer, error) {
	r := &reader{b: b}
	str, arr, tags := r.string, r.array, func() {}
	if flexible {
		str, arr, tags = r.compactString, r.compactArray, r.tags
	}
	m := &metadataAnswer{topics: map[string]*topicMeta{}}
	r.int32() // throttle
	for n := arr(); n > 0 && r.err == nil; n-- {
		m.brokers = append(m.brokers, brokerAddress{r.int32(), str(), r.int32()})
		str() // rack
		tags()
	}
	str() // cluster id
	m.controller = r.int32()
	for n := arr(); n > 0 && r.err == nil; n-- {
		t := &topicMeta{err: codeError(r.int16())}
		name := str()
		if flexible {
			t.id = r.uuid()
		}
		t.internal = r.bool()
		for p := arr(); p > 0 && r.err == nil; p-- {
			err, index := codeError(r.int16()), r.int32()
			part := partitionMeta{err: err, leader: r.int32(), epoch: r.int32()}
			part.newest = part.epoch
			for range 3 { // replicas, in sync, offline
				r.take(4 * arr())
			}
			tags()
			t.set(index, part)
		}
		if flexible {
			r.int32()
		}
		tags()
		m.topics[name] = t
	}
	return m, r.err
}

// maxPartitions bounds what an answer may make us allocate for a topic.
const maxPartitions = 1 << 20

func (t *topicMeta) set(index int32, p partitionMeta) {
	if index < 0 || index >= maxPartitions {
		return
	}
	for int(index) >= len(t.partitions) {
		t.partitions = append(t.partitions, partitionMeta{leader: -1, epoch: -1, newest: -1})
	}
	t.partitions[index] = p
}
