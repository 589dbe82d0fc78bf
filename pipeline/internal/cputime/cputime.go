// SPDX-License-Identifier: Apache-2.0

// Package cputime measures processor time, for benchmarks that compare two ways of doing the
// same: unlike the time of a clock it does not count what other processes of the machine do.
package cputime
