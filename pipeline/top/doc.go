// SPDX-License-Identifier: Apache-2.0

// Package top shows how pipelines do while they run, or have done: it takes figures from the
// endpoint of processes or from their log, puts those of several instances together, and draws
// them for a terminal, as a table, or as JSON.
//
// A [Store] holds what is known, over time. An [Endpoint] and a [Log] fill it. [Store.View] puts
// together what is to be seen of a moment, which [Screen], [WriteTable] and [WriteJSON] show.
//
// Texts of others, like names and error messages, reach a terminal only with an escape such as
// \x1b in place of each character that cannot be printed.
package top
