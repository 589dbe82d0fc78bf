// SPDX-License-Identifier: Apache-2.0

// Package pipeline moves records from a source through bounded, ordered steps to
// sinks, and remembers how far it got.
//
// A [Source] hands over batches of one [Lane] each: a run of records within which
// order holds (one partition during one assignment, or one fixture file). They wait with
// their lanes, as bytes, until their records are about to be worked on. Every
// [Step] is a bounded pool; steps are joined by bounded channels, and behind each
// of them lane order is restored. A [Sink] stores records, serially per lane. When
// a record and all earlier ones of its lane have an outcome, the lane's [Mark]
// passes it, and the source is told to commit.
//
// # Outcomes
//
// A record ends in exactly one of four ways: delivered (every sink that wants it
// has it), filtered (a stage or the absence of a sink ended it on purpose),
// rejected (it failed for good and its dead letter is durable), or abandoned (the
// pipeline stopped, or its lane ended, before it was finished or begun; it will be
// read again).
//
// # Invariants
//
// The code that upholds one of these cites it by its label.
//
//   - I1 Order. Within a lane every channel carries records in offset order,
//     whatever the pool sizes, retries and latencies. OrderKey relaxes the release:
//     a record leaves a step once all earlier ones of its key have. OrderNone
//     releases at once.
//   - I2 One owner. A record or batch has one owner at a time; a channel send
//     hands it over.
//   - I3 One closer. A channel has one sender, and only the sender closes it.
//     Shutdown is closing channels from the source downward.
//   - I4 Bounded. Records in flight, and bytes that were taken for them or that they
//     have grown to, stay within the budget of the process, but for one record of each
//     lane that has none. Only sources wait for it, so steps cannot deadlock. Every
//     queue, window, cache and retry list has a size.
//   - I5 Mark. A mark passes a record only when it and all earlier ones of its
//     lane have an outcome other than abandoned.
//   - I6 Balance. Every record has exactly one outcome, and at every moment, per
//     step and in total, in + created = out + filtered + rejected + abandoned + in
//     flight, where in flight is counted on its own.
//   - I7 Stop. Reading ends, what has not begun is handed back at once, the rest
//     finishes within the drain budget, the last marks are committed, components are
//     closed. Each lane is cut behind the last source record of which a waiting step
//     has begun a call, or that has left one without a call; all parts of a split are
//     on one side. What is behind the cut is abandoned and uncommitted, and nobody has
//     any of it, so a clean stop repeats nothing. What no source can read again, and
//     records that are made where no step waits, are not handed back but finished.
//     Past the budget the rest is abandoned too. This holds while a sink hangs.
//   - I8 Fence. A lane whose assignment has ended can never commit, and its late
//     results go nowhere.
//   - I9 One report. A failing record is reported once, by whoever decides its
//     outcome.
package pipeline
