// SPDX-License-Identifier: Apache-2.0

// Package sinks holds the sinks that a pipeline writes to, with their settings and what
// they promise: Stdout here, the larger ones in packages of their own below.
package sinks
