// SPDX-License-Identifier: Apache-2.0

// Package engine moves records from a source through bounded, ordered steps to sinks, and
// remembers how far it got: it upholds what package pipeline promises.
//
// [New] makes a [Pipeline] of [Options], and [Pipeline.Run] runs it. Every [Step] is a
// bounded pool; steps are joined by bounded channels, and behind each step lane order is
// restored. Batches wait with their lanes, as bytes, until their records are about to be
// worked on. A call that has to wait before it begins ([pipeline.Admitter]) has no slot meanwhile,
// and no time that runs out. When a record and all earlier ones of its lane have an outcome, the lane's mark
// passes it, and the source is told to commit.
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
//   - I4 Bounded. Records in flight stay within the budget of the process, but for one
//     of each lane that has none. So do bytes, but for one charge of each lane that
//     holds none, and for what is known too late to wait for it: budget.go says what
//     that is. Only sources wait for the budget, so steps cannot deadlock. Every queue,
//     window, cache and retry list has a size. A record that limits hold back has its place
//     in the window of its step, and nothing else.
//   - I5 Mark. A mark passes a record only when it and all earlier ones of its
//     lane have an outcome other than abandoned.
//   - I6 Balance. Every record has exactly one outcome, and at every moment, per
//     step and in total, in + created = out + filtered + rejected + abandoned + in
//     flight, where in flight is counted on its own.
//   - I7 Stop. Reading ends. What the first waiting step has not begun is handed back at
//     once: each lane is cut behind the last source record that has begun there, which
//     is one with a call, or one that has left the step without needing a call. One whose
//     call was not let in has not begun, however long it waits. All
//     parts of a split are on one side. What is behind the cut is abandoned and
//     uncommitted, and nobody has any of it, so a clean stop repeats nothing. All else
//     is finished within the drain budget, the last marks are committed, components are
//     closed. Finished and not handed back are also records that no source can read
//     again, and those of a pipeline in which no step waits. Past the drain budget the
//     rest is abandoned too. This holds while a sink hangs.
//   - I8 Fence. A lane whose assignment has ended can never commit, and its late
//     results go nowhere.
//   - I9 One report. A failing record is reported once, by whoever decides its
//     outcome.
package engine
