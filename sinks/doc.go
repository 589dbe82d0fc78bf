// SPDX-License-Identifier: Apache-2.0

// Package sinks holds the sinks that a pipeline writes to: one file each, with its
// settings and what it promises.
package sinks
