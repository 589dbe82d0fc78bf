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

// openEarliest opens partitions at their start. Their offsets are asked for together. If that does
// not succeed soon, each is asked for on its own, as long as it takes, so that none waits for
// another one's leader. Nothing is committed: after a crash before the first commit the next
// owner begins at the start as well.
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
