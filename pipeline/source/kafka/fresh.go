package kafkasource

import (
	"context"
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka"
)

const (
	freshTogether = 2 * time.Second // for the offsets of all fresh partitions in one question
	freshAlone    = 5 * time.Second // for those of one, after which it is asked again
)

// openEarliest opens the lanes of partitions at their start. Their offsets are asked
// for together; if that does not succeed before long, each is asked for on its own, as
// long as it takes: one without a leader holds no other back. Nothing is committed: a
// member that dies before its first commit begins at the start again.
func (k *Source) openEarliest(parts []*partition) {
	if k.openAt(freshTogether, parts...) {
		return
	}
	for _, p := range parts {
		k.start(func() {
			for k.stillOurs(p) && !k.openAt(freshAlone, p) {
			}
		})
	}
}

// openAt opens partitions where they begin, and says whether that is settled, for good
// or bad: false when their offsets cannot be had in that time.
func (k *Source) openAt(patience time.Duration, parts ...*partition) bool {
	at := make(map[kafka.TopicPartition]int64, len(parts))
	tps := make([]kafka.TopicPartition, len(parts))
	for i, p := range parts {
		at[p.tp], tps[i] = kafka.Earliest, p.tp
	}
	ctx, cancel := context.WithTimeout(k.ctx, patience)
	defer cancel()
	at, err := k.offsets(ctx, at, k.s.Isolation == "read_committed")
	switch {
	case k.ctx.Err() != nil:
		return true
	case err != nil && (ctx.Err() != nil || kafka.Temporary(err)):
		k.events.Log().Warn().Err(err).Msg("asking where to begin goes on")
		return false
	case err != nil:
		k.fail(fmt.Errorf("starting to read %s: %w", list(tps), err))
		return true
	}
	for _, p := range parts {
		if k.stillOurs(p) {
			k.openAndRead(p, at[p.tp])
		}
	}
	return true
}
