// SPDX-License-Identifier: Apache-2.0

// Package calls decides whether a call has to be made at all, and when it may begin.
//
// A stage that asks somebody else says of each record whom it asks and what makes the question
// equal to another ([Question]). Of a question this package makes a [pipeline.Call], which the engine
// lets in before it gives it a slot:
//
//   - An answer that is known is used again ([CacheSettings]): also that there is none, and, where
//     the file allows it, one that is out of date while nobody can be asked.
//   - A question that is being asked already is not asked again: its records wait for the one
//     answer, without a slot.
//   - A host that has asked to wait (429, Retry-After) is left alone until then, by all steps and
//     pipelines of the process.
//   - A host that fails is left alone by a circuit breaker, but for a call now and then that tries
//     whether it is there again ([BreakerSettings]).
//   - A host has no more calls at once than it may have ([Settings.MaxPerHost]), or than it
//     answers without getting slower ([Settings.Adaptive]).
//   - A rate is kept, of the step, of each host, or of all steps and pipelines that name the same
//     one ([RateSettings]).
//   - Repeated calls that fail again are no more than a share of all ([Settings.RetryBudget]).
//
// A record that waits for any of these is not failing and has no time that runs out: see
// [pipeline.Admitter]. Who wants a bound sets max_wait beside the step, which the engine keeps.
//
// Nothing here makes a call of its own, starts a goroutine that outlives a call, or retries.
package calls
