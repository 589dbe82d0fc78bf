package kafkasource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
)

const (
	stopProbe      = 2 * time.Second // between two looks whether what is still to be read exists
	stopProbeLimit = 5 * time.Second // of one of them
	stopProbes     = 3               // looks in a row at which a topic is missing or denied, until that is believed
)

// A stopProber looks whether what a finite source has still to read exists: without it, a bound
// that no log reaches any more would be waited for without end.
type stopProber struct {
	k      *Source
	at     time.Time      // of the last look
	failed map[string]int // looks in a row at which a topic was missing or denied
}

// probe lowers bounds that cannot be reached. It ends the source where on_gap says so, or a right
// is missing.
func (s *stopProber) probe(unread []kafka.TopicPartition) {
	k := s.k
	if time.Since(s.at) < stopProbe {
		return
	}
	s.at = time.Now()
	ctx, cancel := context.WithTimeout(k.ctx, stopProbeLimit)
	defer cancel()
	byTopic := map[string][]kafka.TopicPartition{}
	for _, tp := range unread {
		byTopic[tp.Topic] = append(byTopic[tp.Topic], tp)
	}
	for topic, tps := range byTopic {
		err := k.client.Refresh(ctx, topic)
		if err == nil {
			_, err = k.client.Partitions(ctx, topic)
		}
		deleted := errors.Is(err, kafka.UnknownTopicOrPartition)
		switch {
		case err == nil:
			s.failed[topic] = 0
			k.lowerBounds(ctx, tps)
			continue
		case !deleted && kafka.Temporary(err), ctx.Err() != nil:
			continue // nothing was learned of the topic
		}
		if s.failed[topic]++; s.failed[topic] < stopProbes {
			continue
		}
		if !deleted {
			k.fail(fmt.Errorf("reading %s to its end: %w", topic, err))
			return
		}
		k.topicDeleted(tps)
	}
}

// lowerBounds lowers the bounds of partitions whose logs end before them: these were truncated, or
// are those of another topic of the same name.
func (k *Source) lowerBounds(ctx context.Context, tps []kafka.TopicPartition) {
	at := map[kafka.TopicPartition]int64{}
	for _, tp := range tps {
		at[tp] = kafka.Latest
	}
	ends, err := k.client.ListOffsets(ctx, at, k.s.Isolation == "read_committed")
	if err != nil {
		return // the next look may tell
	}
	for tp, end := range ends {
		if bound := k.stop.bound(tp); end < bound {
			k.events.Log().Warn().Msg(fmt.Sprintf("%v ends at %d now, before the offset %d to stop at; reading stops there", tp, end, bound))
			k.stop.lower(tp, end)
			k.setBound(tp, end)
		}
	}
}

// topicDeleted applies on_gap to partitions whose topic was deleted before they were read to their
// bounds.
func (k *Source) topicDeleted(tps []kafka.TopicPartition) {
	for _, tp := range tps {
		from, bound := int64(0), k.stop.bound(tp)
		k.mu.Lock()
		if p := k.parts[tp]; p != nil {
			from = max(p.fetched.Load(), 0)
		}
		k.mu.Unlock()
		k.emit(event.SourceGap{
			Topic: tp.Topic, Partition: int64(tp.Partition), OffsetFrom: from, OffsetTo: bound, Reason: gapTopicDeleted, Policy: k.s.OnGap,
		})
		if k.s.OnGap == "stop" {
			k.fail(fmt.Errorf("reading %v: the topic was deleted before it was read to offset %d; "+
				"set on_gap: earliest or latest to end without it", tp, bound))
			return
		}
		k.stop.lower(tp, 0)
		k.stop.mu.Lock()
		k.stop.deleted[tp.Topic] = true
		k.stop.mu.Unlock()
		k.stop.reached(tp)
	}
}

// isDeleted says whether a topic was deleted that the source ends without.
func (s *stopPlan) isDeleted(topic string) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deleted[topic]
}

// lower lowers a bound; it never raises one.
func (s *stopPlan) lower(tp kafka.TopicPartition, bound int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bounds[tp] = min(s.bounds[tp], bound)
}

// setBound tells whoever reads a partition where to stop.
func (k *Source) setBound(tp kafka.TopicPartition, bound int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.parts[tp]; p != nil {
		p.bound.Store(bound)
	}
	for _, l := range k.loops {
		l.lookAgain()
	}
}
