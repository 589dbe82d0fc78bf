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
//   - A host that says how long to wait (Retry-After) is left alone until then, by all steps and
//     pipelines of the process. So is one that answers 429 several times in a row without a time,
//     for longer each time; one such answer is an attempt that failed. After that one call goes
//     first, and the others when the host has not refused it.
//   - A host that fails is left alone by a circuit breaker, but for a call now and then that tries
//     whether it is there again ([BreakerSettings]). A record that fails while others are answered is
//     the one to blame, and uses up its attempts.
//   - A host has no more calls at once than it may have ([Settings.MaxPerHost]), or than it
//     answers without getting slower ([Settings.Adaptive]).
//   - A rate is kept, of the step, of each host, or of all steps and pipelines that name the same
//     one ([RateSettings]).
//   - Repeated calls that fail again are no more than a share of all, or of the places at the host
//     ([Settings.RetryBudget]).
//
// A record that waits for any of these is not failing and has no time that runs out: see
// [pipeline.Admitter]. Who wants a bound sets max_wait beside the step, which the engine keeps.
//
// What a call says of its host is read from its error. None, [pipeline.Filtered], what [pipeline.Next]
// makes and a permanent one are answers; any other is a failure, but for a panic, a fatal one and that of a
// context that was cancelled, which say nothing. [pipeline.RetryAfter] says how long the host wants to be left alone. An error may say more,
// by methods that give true:
//
//   - NotAsked() bool: nobody was asked, and it tells nothing of the host. See [Unasked].
//   - AsksToWait() bool: the host is there and was asked too much, as with 429. It is no failure to a
//     breaker.
//   - OutOfService() bool: nobody serves there now, whoever asks, as without a connection or with 503. A
//     breaker opens sooner.
//
// Nothing here makes a call of its own, starts a goroutine that outlives a call, or retries.
package calls
