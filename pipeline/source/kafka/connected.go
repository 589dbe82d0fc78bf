package kafkasource

import "github.com/penstockio/penstock/pipeline/kafka"

// connected says whether the source is a member of its group and hears from the cluster: the last poll for
// each partition has had an answer, and the coordinator has not been silent for half a session. A
// partition goes by its own polls, not by those of a broker: a new leader that answers for it ends the
// matter, and a lane that is full needs no broker. The caller holds k.mu.
func (k *Source) connected() bool {
	if !k.joined {
		return false
	}
	for _, p := range k.parts {
		if p.unreached {
			return false
		}
	}
	return k.group.Silent() < k.s.Session/2
}

// noteReached notes that the broker that leads partitions answers. The caller holds k.mu.
func (k *Source) noteReached(parts []*partition) {
	for _, p := range parts {
		p.unreached = false
	}
}

// noteUnreached notes that a poll for partitions had no answer. The caller holds k.mu.
func (k *Source) noteUnreached(polled []kafka.FetchPartition) {
	for _, f := range polled {
		if p := k.parts[f.TopicPartition]; p != nil {
			p.unreached = true
		}
	}
}
