// SPDX-License-Identifier: Apache-2.0

// Package pipeline is what authors of sources, stages and sinks agree on with the engine
// that runs them: the record, the interfaces, and the errors that say what becomes of one.
//
// A [Source] hands over batches of one [Lane] each: records that stay in order. A [Stage] or a
// [Splitter] works on one record, many at a time. A [Sink] stores records, serially per lane.
// All else, as acknowledgements and offsets, is package engine's, which has the promises exactly,
// by labels like (I5).
//
// A record ends in exactly one of four ways: delivered (every sink that wants it has it),
// filtered (on purpose), rejected (it failed for good and its dead letter is durable), or
// abandoned (the pipeline or its lane ended; it is read again).
package pipeline
