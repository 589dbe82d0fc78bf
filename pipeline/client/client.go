// SPDX-License-Identifier: Apache-2.0

// Package client is the one HTTP client and the one SQL pool of stages and sinks,
// with their limits: connections, redirects, bytes of an answer, and what an answer
// means for a record.
//
// Nothing here retries: the engine does, because it keeps a record's place.
package client
