// SPDX-License-Identifier: Apache-2.0

// Package stages holds the stages that a pipeline is made of: one file each, with its
// settings and what it promises.
//
// A constructor takes checked settings and starts nothing. Errors of a record carry a
// reason: invalid_json, not_object and expression, which are the same everywhere, and
// the ones that a stage's own comment names.
package stages
