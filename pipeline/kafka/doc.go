// SPDX-License-Identifier: Apache-2.0

// Package kafka speaks Kafka's protocol for penstock: fetch, the idempotent
// producer, the group member, offsets, metadata and lag, on the connections of kafka-go's
// Transport.
//
// It knows nothing of pipelines: it returns values, and its callers decide. It uses
// neither kafka-go's Reader nor its Writer. Every request of its own goes out
// through [protocol.RawExchanger], which hands over the pooled, authenticated
// connection to the broker that the request names.
package kafka
