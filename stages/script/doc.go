// SPDX-License-Identifier: Apache-2.0

// Package script works on each record with a function that is written in Starlark, a small Python.
//
// A script sees the record and nothing else: no file, no network, no clock, nothing random, and nothing of the records before. So the
// same record gives the same outcome, always. What a call may compute and allocate is bounded (package bounded): a loop without end, a
// list of a gigabyte and a panic are the end of that record alone.
package script
