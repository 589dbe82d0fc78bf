// SPDX-License-Identifier: Apache-2.0

// Package pipeline is what authors of sources, stages and sinks agree on with the engine
// that runs them: the record, the interfaces, and the errors that say what becomes of one.
//
// A [Source] hands over batches of one [Lane] each: a run of records within which order
// holds (one partition during one assignment, or one fixture file). A [Stage] or a
// [Splitter] works on one record, many at a time. A [Sink] stores records, serially per
// lane. When a record and all earlier ones of its lane have an outcome, the lane's [Mark]
// passes it, and the source is told to commit. Package engine does the rest: authors see no
// acknowledgements, no channels and no offsets to commit.
//
// # Outcomes
//
// A record ends in exactly one of four ways: delivered (every sink that wants it
// has it), filtered (a stage or the absence of a sink ended it on purpose),
// rejected (it failed for good and its dead letter is durable), or abandoned (the
// pipeline stopped, or its lane ended, before it was finished or begun; it will be
// read again).
//
// # Promises
//
// Order: within a lane a sink gets records in the order in which they were read, or those
// of one key if the pipeline was told so, whatever the steps take and however often they
// try. Ownership: a record has one owner at a time, so none of these methods needs a lock
// for it. Delivery: at least once, and nothing twice after a clean stop. Isolation: a panic,
// or a call that does not return, costs the record that it works on and no other. Labels
// like (I5) name the invariants of package engine, which say this exactly.
package pipeline
