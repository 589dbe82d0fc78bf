// SPDX-License-Identifier: Apache-2.0

// Package database is what stages and sinks know of PostgreSQL, MySQL and SQLite: their addresses, types and
// errors, and values of JSON as they take them.
package database
