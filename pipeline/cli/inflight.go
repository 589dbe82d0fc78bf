package cli

import (
	"slices"

	"github.com/rs/zerolog"

	"github.com/penstockio/penstock/pipeline/engine"
)

// mostDumped bounds the lines of one dump of one pipeline, of each kind.
const mostDumped = 200

// dump writes what holds the marks of a pipeline, and its records in flight: free lines without keys and
// values. Somebody asked for it, so the lines are written at any level but disabled.
func dump(m *managedPipeline) {
	log := m.events.Log().Level(zerolog.InfoLevel)
	dumpHolds(log, m.runner.Why())
	dumpInFlight(log, m.runner.InFlight())
}

// dumpHolds writes one line for each lane with records that are not committed, those whose records have been there longest first.
func dumpHolds(log zerolog.Logger, all []engine.Hold) {
	for i, h := range all {
		if i == mostDumped {
			log.Info().Int("lanes", len(all)-i).Msg("and as many more")
			return
		}
		line := log.Info().Str("topic", h.Topic).Int32("partition", h.Partition).Int64("offset", h.Offset).
			Str("lane", h.Lane).Str("step", h.Where).Str("state", h.State).Str("cause", string(h.Cause)).Int("attempt", h.Attempt).
			Int64("since_ms", h.Since.Milliseconds()).Int64("age_ms", h.Age.Milliseconds()).Int64("behind", h.Behind)
		if h.Host != "" {
			line = line.Str("target", h.Host)
		}
		if h.ErrorType != "" {
			line = line.Str("error_type", h.ErrorType)
		}
		line.Msg(h.String())
	}
}

// dumpInFlight writes one line for each record in flight, oldest first, those of one age in the order of their
// lane.
func dumpInFlight(log zerolog.Logger, all []engine.InFlight) {
	log.Info().Int("inflight", len(all)).Msg("records in flight, oldest first")
	slices.SortStableFunc(all, engine.OldestFirst)
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
