// SPDX-License-Identifier: Apache-2.0

// Package recordbatch writes and reads Kafka's record batches, magic 2, with their
// compression: bytes in, bytes out, and no connection.
//
// A Decoder finds the batches of a fetched set and checks them; a Decompressor opens one
// when its first record is due; Batch.Next then walks the records in place. A producer goes
// the other way: AppendRecord for each record, a Compressor, PutHeader, and Seal before each
// sending.
package recordbatch
