package kafkasource

import (
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
)

// connected says whether the source is a member of its group and hears from the cluster: the last poll for
// each partition has had an answer, and the coordinator has not been silent for half a session. A
// partition goes by its own polls, not by those of a broker: a new leader that answers for it ends the
// matter, and a lane that is full needs no broker. The caller holds k.mu.
func (k *Source) connected() bool {
	return k.joined && len(k.unreached) == 0 && !k.abandoned()
}

// abandoned says whether the coordinator has been silent for half a session. The caller holds k.mu.
func (k *Source) abandoned() bool { return k.group != nil && k.group.Silent() >= k.s.Session/2 }

// An absence is why polls for a partition have no answer.
type absence struct {
	since time.Time
	says  string // of the last poll: the broker, and its error
}

// noteReached notes that the broker that leads partitions answers. The caller holds k.mu.
func (k *Source) noteReached(parts []*partition) {
	for _, p := range parts {
		delete(k.unreached, p)
	}
}

// noteUnreached notes that a poll for partitions had no answer. The caller holds k.mu.
func (k *Source) noteUnreached(polled []kafka.FetchPartition, broker string, err error) {
	now := time.Now()
	says := err.Error()
	if !strings.Contains(says, broker) {
		says = "broker " + broker + ": " + says
	}
	for _, f := range polled {
		if p := k.parts[f.TopicPartition]; p != nil {
			since := now
			if was, ok := k.unreached[p]; ok {
				since = was.since
			}
			k.unreached[p] = absence{since, says}
		}
	}
}

// away fills in why the source is not connected: of partitions whose leader does not answer, that which has been
// without an answer longest. The caller holds k.mu.
func (k *Source) away(r *pipeline.Report) {
	for _, a := range k.unreached {
		if r.Away == "" || a.since.Before(r.AwaySince) || a.since.Equal(r.AwaySince) && a.says < r.Away {
			r.Away, r.AwaySince = a.says, a.since
		}
	}
	if r.Away == "" && k.abandoned() {
		r.Away, r.AwaySince = "the coordinator of group "+k.s.Group+" does not answer", time.Now().Add(-k.group.Silent())
	}
}
