// SPDX-License-Identifier: Apache-2.0

// Package bounded runs Starlark code with a bound on how much it computes and on how much memory it takes.
//
// The interpreter of go.starlark.net counts steps and nothing else: one step may repeat a text to a gigabyte, print a list that
// holds itself a million times over, or compare two of these for a year. So the code is rewritten before it is compiled: what can
// make something large, or go through something large, becomes a call of a function of this package, which counts it first and
// ends the run when a bound is passed. The rest makes no more than a few words a step, which nobody can keep without one of
// these calls.
//
// What is counted is what a run has allocated in all, not what lives of it: that can be counted without a look at the
// garbage collector, depends on nothing but the code and the values, and is never less. Work is counted in steps of the
// interpreter: a call that goes through n elements takes about n steps more, one over n bytes n/64.
//
// The language is that of go.starlark.net with sets, while loops and control statements at the top level, without load, print and
// recursion. Values that are nested deeper than MaxDepth can be built and not be printed, compared or written.
package bounded
