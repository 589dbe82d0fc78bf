// SPDX-License-Identifier: Apache-2.0

// Package client is the one HTTP client and the one SQL pool of stages and sinks,
// with their limits: where calls may go, connections, redirects, bytes of an answer, and what
// an answer means for a record.
//
// The engine retries, because it keeps a record's place. Made again here is only a call with
// which a server says that it has not begun, and one that was answered 401 when there are other
// credentials by then.
package client
