package cli

import (
	"cmp"
	"slices"

	"github.com/rs/zerolog"

	"github.com/penstockio/penstock/pipeline/engine"
)

// mostDumped bounds the lines of one dump of one pipeline.
const mostDumped = 200

// dumpInFlight writes one free line for each record in flight, oldest first, those of one age
// in the order of their lane, without keys and values. Somebody asked for it, so the lines are
// written at any level but disabled.
func dumpInFlight(m *managedPipeline) {
	all := m.runner.InFlight()
	log := m.events.Log().Level(zerolog.InfoLevel)
	log.Info().Int("inflight", len(all)).Msg("records in flight, oldest first")
	slices.SortStableFunc(all, func(a, b engine.InFlight) int {
		return cmp.Or(cmp.Compare(b.Age, a.Age), cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Offset, b.Offset))
	})
	for i, r := range all {
		if i == mostDumped {
			log.Info().Int("inflight", len(all)-i).Msg("and as many more")
			return
		}
		line := log.Info().Str("topic", r.Topic).Int32("partition", r.Partition).Int64("offset", r.Offset).
			Str("lane", r.Lane).Str("step", r.Where).Str("state", r.State).Int("attempt", r.Attempt).
			Int64("age_ms", r.Age.Milliseconds())
		if r.Held > 0 {
			line = line.Int64("held_ms", r.Held.Milliseconds())
		}
		if r.For != "" {
			line = line.Str("for", r.For)
		}
		line.Msg("in flight")
	}
}
